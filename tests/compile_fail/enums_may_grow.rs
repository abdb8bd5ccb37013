//! A kind more breaks nobody: those who match have an arm for it.

use coverbase_auth::PrincipalKind;

fn name(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::ServiceAccount => "key",
        PrincipalKind::User => "user",
    }
}

fn main() {}
