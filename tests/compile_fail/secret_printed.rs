//! C33: `expose_secret` is the only way to the text of a key.

use coverbase_auth::ApiKey;

fn print(key: &ApiKey) -> String {
    format!("{key}")
}

fn open(key: ApiKey) -> impl AsRef<str> {
    key.0
}

fn main() {}
