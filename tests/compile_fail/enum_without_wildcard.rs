//! Public enums are `#[non_exhaustive]`: a `match` needs a wildcard arm, so a new variant breaks no caller.

use coverbase_auth::PrincipalKind;

fn name(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::ServiceAccount => "key",
        PrincipalKind::User => "user",
    }
}

fn main() {}
