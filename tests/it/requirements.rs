//! What a route requires of keys and users, and that a missing layer never opens it (C17, C18, C21, C28, T5, T18).

use coverbase_auth::{
    CoverbaseAuthLayer, IpAllowlist, Principal, RejectionKind, RequireLayer, Requirement, Role,
    Scope, Scopes, testing,
};
use http::{Request, StatusCode};
use proptest::{collection::btree_set, prelude::*};
use tracing::Level;

use crate::support::{Answer, KEY, ask, bearer, log_of, record, store};

const EXPORT: Scope = Scope::from_static("reports:export");

/// A layer that knows [`KEY`], with these scopes.
fn granting(scopes: impl IntoIterator<Item = Scope>) -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(store(record().with_scopes(scopes)))
}

fn requiring(requirement: Requirement) -> Request<()> {
    let mut request = bearer(KEY);
    request.extensions_mut().insert(requirement);
    request
}

// C17
#[test]
fn ordinary_route_accepts_every_key() {
    for layer in [granting([]), granting([EXPORT, Scope::KEYS_MANAGE])] {
        assert_eq!(ask(&layer, bearer(KEY)).rejection_kind(), None);
        let authenticated = requiring(Requirement::authenticated());
        assert_eq!(ask(&layer, authenticated).rejection_kind(), None);
    }
}

// C18
#[test]
fn key_passes_by_scopes_and_never_by_role() {
    let rejected = Some(RejectionKind::InsufficientScope);
    let key_management = Requirement::scope(Scope::KEYS_MANAGE).or_role(Role::ADMIN);
    let both = Requirement::scopes([Scope::KEYS_MANAGE, EXPORT]);
    let users_alone = Requirement::roles([Role::ADMIN, Role::SERVICE_ACCOUNT]);
    for (requirement, with_none, with_one, with_both) in [
        (key_management, rejected, None, None),
        (both, rejected, rejected, None),
        (users_alone, rejected, rejected, rejected),
        (Requirement::scopes([]), None, None, None),
    ] {
        for (layer, expected) in [
            (granting([]), with_none),
            (granting([Scope::KEYS_MANAGE]), with_one),
            (granting([Scope::KEYS_MANAGE, EXPORT]), with_both),
        ] {
            let answer = ask(&layer, requiring(requirement.clone()));
            assert_eq!(
                answer.rejection_kind(),
                expected,
                "{requirement:?} {layer:?}"
            );
        }
    }
}

// C18, C30
#[test]
fn rejection_names_the_required_scopes() {
    let requirement = Requirement::scopes([Scope::AUDIT_READ, EXPORT]);
    let answer = ask(&granting([EXPORT]), requiring(requirement));
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(
        answer.header("www-authenticate"),
        Some(
            r#"Bearer realm="coverbase", error="insufficient_scope", scope="audit:read reports:export""#
        )
    );
    let rejection = answer.rejection.unwrap();
    assert_eq!(
        *rejection.required_scopes(),
        Scopes::from([EXPORT, Scope::AUDIT_READ])
    );
    assert_eq!(
        rejection.principal().unwrap().id(),
        record().key_id().as_str()
    );
}

// C17
#[test]
fn requirement_of_the_request_replaces_the_one_of_the_layer() {
    let layer = granting([EXPORT]).with_requirement(Requirement::scope(Scope::AUDIT_READ));
    let rejected = Some(RejectionKind::InsufficientScope);
    assert_eq!(ask(&layer, bearer(KEY)).rejection_kind(), rejected);
    assert_eq!(
        ask(&layer, requiring(Requirement::scope(EXPORT))).rejection_kind(),
        None
    );
    assert_eq!(
        ask(&layer, requiring(Requirement::authenticated())).rejection_kind(),
        None
    );

    let layer = layer.with_requirement(Requirement::scope(EXPORT));
    assert_eq!(ask(&layer, bearer(KEY)).rejection_kind(), None);
    let other = requiring(Requirement::scope(Scope::AUDIT_READ));
    assert_eq!(ask(&layer, other).rejection_kind(), rejected);
}

// C18
#[test]
fn requirements_outside_and_inside_must_both_hold() {
    for scopes in [
        vec![],
        vec![EXPORT],
        vec![Scope::AUDIT_READ],
        vec![EXPORT, Scope::AUDIT_READ],
    ] {
        let (outside, inside) = (
            scopes.contains(&EXPORT),
            scopes.contains(&Scope::AUDIT_READ),
        );
        let auth = granting(scopes);
        let layers = (
            auth.clone(),
            RequireLayer::new(Requirement::scope(Scope::AUDIT_READ)),
        );
        let passes = |answer: Answer| answer.rejection_kind().is_none();

        assert_eq!(
            passes(ask(&auth, requiring(Requirement::scope(EXPORT)))),
            outside
        );
        assert_eq!(passes(ask(&layers, bearer(KEY))), inside);
        let both = ask(&layers, requiring(Requirement::scope(EXPORT)));
        assert_eq!(passes(both), outside && inside);
    }
}

// C18, C29
#[test]
fn requirement_gives_the_same_answer_wherever_it_is() {
    let requirement = Requirement::scope(Scope::KEYS_MANAGE).or_role(Role::ADMIN);
    let auth = granting([]);
    let outside = ask(&auth, requiring(requirement.clone()));
    let by_default = ask(
        &auth.clone().with_requirement(requirement.clone()),
        bearer(KEY),
    );
    let inside = ask(&(auth, RequireLayer::new(requirement)), bearer(KEY));
    assert_eq!(
        outside.rejection_kind(),
        Some(RejectionKind::InsufficientScope)
    );
    assert_eq!(inside.rejection_kind(), outside.rejection_kind());
    assert_eq!(inside.wire(), outside.wire());
    assert_eq!(by_default.wire(), outside.wire());
}

// C28
#[test]
fn caller_outside_the_allowlist_learns_nothing_of_scopes() {
    let networks = IpAllowlist::parse(["203.0.113.0/24"]).unwrap();
    let layer = |record| CoverbaseAuthLayer::new(store(record));
    let inside_of = |network: &str| {
        let mut request = requiring(Requirement::scope(Scope::KEYS_MANAGE));
        let address: std::net::IpAddr = network.parse().unwrap();
        request
            .extensions_mut()
            .insert(coverbase_auth::PeerAddr::new((address, 1)));
        request
    };
    let restricted = record().with_allowlist(networks);
    let scoped = restricted.clone().with_scopes([Scope::KEYS_MANAGE]);
    let [office, elsewhere] = ["203.0.113.9", "192.0.2.66"].map(|it| move || inside_of(it));

    let rejected = ask(&layer(restricted.clone()), elsewhere());
    assert_eq!(rejected.rejection_kind(), Some(RejectionKind::IpNotAllowed));
    let rejected_with_scope = ask(&layer(scoped.clone()), elsewhere());
    assert_eq!(rejected.wire(), rejected_with_scope.wire());
    assert_eq!(rejected.header("www-authenticate"), None);

    let lacking = ask(&layer(restricted.clone()), office());
    assert_eq!(
        lacking.rejection_kind(),
        Some(RejectionKind::InsufficientScope)
    );
    assert_eq!(ask(&layer(scoped.clone()), office()).rejection_kind(), None);

    // The credential comes before both.
    let revoked = ask(&layer(scoped.with_revoked_at(1)), elsewhere());
    assert_eq!(revoked.rejection_kind(), Some(RejectionKind::InvalidApiKey));
}

// C21, T18
#[test]
fn requirement_without_authentication_fails_closed() {
    let auth = granting([Scope::KEYS_MANAGE]);
    for requirement in [
        Requirement::scope(Scope::KEYS_MANAGE),
        Requirement::authenticated(),
    ] {
        let require = RequireLayer::new(requirement.clone());
        let right_order = ask(&(auth.clone(), require.clone()), bearer(KEY));
        assert_eq!(right_order.rejection_kind(), None);

        let layer_left_out = ask(&require, bearer(KEY));
        let require_outside = ask(&(require.clone(), auth.clone()), bearer(KEY));
        let requirement_alone = ask(&require, requiring(requirement));
        for answer in [layer_left_out, require_outside, requirement_alone] {
            assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(
                answer.rejection_kind(),
                Some(RejectionKind::AuthNotConfigured)
            );
            assert!(
                answer
                    .body
                    .starts_with(br#"{"detail":{"code":"auth_not_configured","#)
            );
        }
    }
}

// C21
#[test]
fn missing_layer_is_logged_as_an_error() {
    let auth = granting([]);
    let require = RequireLayer::new(Requirement::authenticated());
    let errors = |run: &dyn Fn()| {
        let lines = log_of(run);
        lines
            .iter()
            .filter(|line| line.level == Level::ERROR)
            .count()
    };
    assert_eq!(
        errors(&|| drop(ask(&(require.clone(), auth.clone()), bearer(KEY)))),
        1
    );
    let mut request = Request::new(());
    let ask_for_principal = |request: &Request<()>| {
        errors(&|| drop(Principal::required(request.extensions()).cloned()))
    };
    assert_eq!(ask_for_principal(&request), 1);
    let principal = testing::service_account(record());
    request.extensions_mut().insert(principal);
    assert_eq!(ask_for_principal(&request), 0);
    assert_eq!(
        errors(&|| drop(ask(&(auth.clone(), require.clone()), bearer(KEY)))),
        0
    );
    assert_eq!(
        errors(&|| drop(ask(&(auth.clone(), require.clone()), bearer("ak_x")))),
        0
    );
}

proptest! {
    // T5, C9: accepted exactly when required ⊆ granted, by each of the three ways.
    #[test]
    fn key_passes_exactly_with_all_required_scopes(
        granted in btree_set("keys:manage|audit:read|banking:read|[ab]:[cC]|a", 0..6),
        required in btree_set("keys:manage|audit:read|banking:read|[ab]:[cC]|a", 0..4),
    ) {
        let scopes = |texts: &std::collections::BTreeSet<String>| -> Vec<Scope> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let auth = granting(scopes(&granted));
        let requirement = Requirement::scopes(scopes(&required));
        let inside = (auth.clone(), RequireLayer::new(requirement.clone()));
        let by_default = auth.clone().with_requirement(requirement.clone());
        for answer in [
            ask(&auth, requiring(requirement)),
            ask(&inside, bearer(KEY)),
            ask(&by_default, bearer(KEY)),
        ] {
            prop_assert_eq!(answer.rejection_kind().is_none(), required.is_subset(&granted));
        }
    }
}
