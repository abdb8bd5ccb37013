//! The `WWW-Authenticate` header (C30).

use http::{HeaderValue, StatusCode};

use crate::{
    authenticator::{Rejection, RejectionKind},
    principal::Scope,
};

const PLAIN: HeaderValue = HeaderValue::from_static(r#"Bearer realm="coverbase""#);
const INVALID_TOKEN: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="coverbase", error="invalid_token""#);

/// Returns the challenge of the rejection, if its kind has one.
pub(super) fn of(rejection: &Rejection) -> Option<HeaderValue> {
    Some(match rejection.kind() {
        RejectionKind::InvalidApiKey | RejectionKind::InvalidSessionToken => INVALID_TOKEN,
        RejectionKind::InsufficientScope => {
            let scopes = rejection.required_scopes().iter().map(Scope::as_str);
            let scopes: Vec<_> = scopes.collect();
            let mut value = r#"Bearer realm="coverbase", error="insufficient_scope""#.to_owned();
            if !scopes.is_empty() {
                value += &format!(r#", scope="{}""#, scopes.join(" "));
            }
            // A scope consists of visible ASCII without quotes, so it always fits a header.
            HeaderValue::try_from(value).unwrap_or(PLAIN)
        }
        kind if kind.status() == StatusCode::UNAUTHORIZED => PLAIN,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        authenticator::rejection::tests::ALL, key_store::KeyRecord, requirement::Requirement,
    };

    fn challenge(requirement: Requirement) -> String {
        let key = KeyRecord::new("ak_1", "org_acme").into_principal();
        let rejection = requirement.check(&key).unwrap_err();
        of(&rejection).unwrap().to_str().unwrap().to_owned()
    }

    // C30
    #[test]
    fn every_401_and_insufficient_scope_have_a_challenge() {
        for kind in ALL {
            let is_challenged = kind.status() == 401 || kind == RejectionKind::InsufficientScope;
            assert_eq!(of(&kind.into()).is_some(), is_challenged, "{kind:?}");
        }
    }

    // C30, RFC 6750 §3
    #[test]
    fn challenge_names_the_required_scopes() {
        assert_eq!(
            challenge(Requirement::scope(Scope::KEYS_MANAGE)),
            r#"Bearer realm="coverbase", error="insufficient_scope", scope="keys:manage""#
        );
        assert_eq!(
            challenge(Requirement::scopes([
                Scope::from_static("a:b"),
                Scope::AUDIT_READ
            ])),
            r#"Bearer realm="coverbase", error="insufficient_scope", scope="audit:read a:b""#
        );
        assert_eq!(
            challenge(Requirement::roles([])),
            r#"Bearer realm="coverbase", error="insufficient_scope""#
        );
    }
}
