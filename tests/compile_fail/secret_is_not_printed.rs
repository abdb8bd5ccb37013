//! C33: a secret is shown by `expose_secret` alone.

use coverbase_auth::ApiKey;

fn print(key: &ApiKey) -> String {
    format!("{key}")
}

fn open(key: ApiKey) -> impl AsRef<str> {
    key.0
}

fn main() {}
