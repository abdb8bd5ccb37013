//! What a user may do (C16–C18, C27).

use std::net::IpAddr;

use coverbase_auth::{ClientIpSource, IpAllowlist, PeerAddr, RequireLayer, Requirement, Scope};
use serde_json::json;

use super::*;
use crate::support::Answer;

#[test]
fn user_is_admitted_by_role_and_not_by_scope() {
    let issuer = issuer();
    let key_management = Requirement::scope(Scope::KEYS_MANAGE).or_role(Role::ADMIN);
    let audit_log = Requirement::scope(Scope::AUDIT_READ).or_roles([
        Role::ADMIN,
        Role::MEMBER,
        Role::SILOED_MEMBER,
        Role::GUEST,
    ]);
    let keys_alone = Requirement::scopes([]);
    let auth = layer(verifier(&issuer));
    let outcomes = |token: TestToken<'_>| {
        let token = token
            .with_claim("scopes", ["keys:manage"])
            .with_claim("scope", "keys:manage")
            .sign();
        [
            &key_management,
            &audit_log,
            &keys_alone,
            &Requirement::authenticated(),
        ]
        .map(|requirement| {
            let mut request = bearer(&token);
            request.extensions_mut().insert(requirement.clone());
            let outside = ask(&auth, request);
            let inside = ask(
                &(auth.clone(), RequireLayer::new(requirement.clone())),
                bearer(&token),
            );
            assert_eq!(outside.wire(), inside.wire());
            if let Some(rejection) = outside.rejection_kind() {
                assert_eq!(rejection, RejectionKind::UnauthorizedRole);
                assert_is_unauthorized_role(&outside);
            }
            outside.rejection_kind().is_none()
        })
    };
    for (role, expected) in [
        ("admin", [true, true, false, true]),
        ("org:admin", [true, true, false, true]),
        ("member", [false, true, false, true]),
        ("siloed_member", [false, true, false, true]),
        ("guest", [false, true, false, true]),
        ("auxiliary_member", [false, false, false, true]),
        ("service_account", [false, false, false, true]),
        ("Admin", [false, false, false, true]),
        ("admin ", [false, false, false, true]),
        ("org:org:admin", [false, false, false, true]),
        ("administrator", [false, false, false, true]),
        ("", [false, false, false, true]),
    ] {
        assert_eq!(
            outcomes(issuer.token().with_role(role)),
            expected,
            "{role:?}"
        );
    }
    let no_role = issuer.token().with_claim("o", json!({"id": "org_1"}));
    assert_eq!(outcomes(no_role), [false, false, false, true]);
}

fn assert_is_unauthorized_role(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.body, r#"{"detail":"Unauthorized role."}"#);
    assert_eq!(
        answer.header("www-authenticate"),
        Some(r#"Bearer realm="coverbase""#)
    );
    assert!(answer.rejection.as_ref().unwrap().principal().is_some());
}

#[test]
fn role_that_the_layer_does_not_accept_is_rejected() {
    let issuer = issuer();
    let staff = CoverbaseAuthLayer::new(store(record())).with_jwt(verifier(&issuer));
    let staff = staff.with_accepted_roles([Role::ADMIN, Role::new("org:billing")]);
    let of = |role: &str| ask(&staff, bearer(&issuer.token().with_role(role).sign()));
    for role in ["admin", "billing", "org:billing"] {
        assert_eq!(of(role).rejection_kind(), None, "{role}");
    }
    for role in ["member", "guest", "Admin", ""] {
        assert_eq!(
            of(role).rejection_kind(),
            Some(RejectionKind::UnauthorizedRole),
            "{role}"
        );
        assert_is_unauthorized_role(&of(role));
    }
    let keys_are_not_affected = ask(&staff, bearer(KEY));
    assert_eq!(keys_are_not_affected.rejection_kind(), None);
}

#[test]
fn allowlist_does_not_apply_to_users() {
    let issuer = issuer();
    let allowlist = IpAllowlist::parse(["203.0.113.0/24"]).unwrap();
    let auth = CoverbaseAuthLayer::new(store(record().with_allowlist(allowlist)));
    let auth = auth
        .with_jwt(verifier(&issuer))
        .with_client_ip(ClientIpSource::peer());
    let token = issuer.token().with_org(crate::support::ORG).sign();
    for (peer, key) in [
        (Some("203.0.113.9"), None),
        (Some("192.0.2.66"), Some(RejectionKind::IpNotAllowed)),
        (None, Some(RejectionKind::IpNotAllowed)),
    ] {
        for (credential, expected) in [(&*token, None), (KEY, key)] {
            let mut request = bearer(credential);
            if let Some(peer) = peer {
                let peer: IpAddr = peer.parse().unwrap();
                request.extensions_mut().insert(PeerAddr::new((peer, 443)));
            }
            assert_eq!(ask(&auth, request).rejection_kind(), expected, "{peer:?}");
        }
    }
}
