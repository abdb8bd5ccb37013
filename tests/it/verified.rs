//! Cached tokens, through the layer (C13, C16, C17, T2, T4, T14).

use coverbase_auth::{
    CoverbaseAuthLayer, Issuer, JwtVerifier, KeySet, MemoryStore, RejectionKind, Requirement, Role,
    testing::{TestClock, TestIssuer},
};

use crate::support::{ask, bearer};

const ISSUER: &str = "https://clerk.coverbase.test";
const NOW: u64 = 1_800_000_000;
const INVALID: Option<RejectionKind> = Some(RejectionKind::InvalidSessionToken);
const ROLE: Option<RejectionKind> = Some(RejectionKind::UnauthorizedRole);

fn layer(issuer: &TestIssuer, clock: &TestClock) -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(MemoryStore::new())
        .with_jwt(JwtVerifier::new(ISSUER, issuer.key_set()))
        .with_clock(clock.clone())
}

fn rejection(layer: &CoverbaseAuthLayer, token: &str) -> Option<RejectionKind> {
    ask(layer, bearer(token)).rejection_kind()
}

// C13, T4
#[test]
fn cached_token_is_answered_as_the_first_time() {
    let issuer = TestIssuer::new(ISSUER);
    let token = issuer.token().with_times(NOW, NOW + 60).sign();
    let clock = TestClock::at(NOW);
    let layer = layer(&issuer, &clock);
    let first = ask(&layer, bearer(&token));
    let second = ask(&layer, bearer(&token));
    let shown = |answer: &crate::support::Answer| format!("{:?}", answer.principal());
    assert_eq!(shown(&first), shown(&second));

    for (now, expected) in [
        (NOW + 64, None),
        (NOW + 65, INVALID),
        (NOW + 3600, INVALID),
        (NOW - 5, None),
        (NOW - 6, INVALID),
        (NOW, None),
    ] {
        clock.set(now);
        assert_eq!(rejection(&layer, &token), expected, "{now}");
    }
}

// C17, C18
#[test]
fn roles_are_checked_every_time() {
    let issuer = TestIssuer::new(ISSUER);
    let token = issuer.token().with_role("member").sign();
    let open = layer(&issuer, &TestClock::at(NOW));
    // Layers of one verifier share its cache and have their own requirements.
    for _ in 0..3 {
        let members = open.clone().with_accepted_roles([Role::MEMBER]);
        let admins = open.clone().with_accepted_roles([Role::ADMIN]);
        let route = open
            .clone()
            .with_requirement(Requirement::roles([Role::ADMIN]));
        assert_eq!(rejection(&open, &token), None);
        assert_eq!(rejection(&members, &token), None);
        assert_eq!(rejection(&admins, &token), ROLE);
        assert_eq!(rejection(&route, &token), ROLE);
    }
}

// T3
#[test]
fn token_similar_to_a_cached_one_is_rejected() {
    let issuer = TestIssuer::new(ISSUER);
    let token = issuer.token().with_role("member").sign();
    let layer = layer(&issuer, &TestClock::at(NOW));
    assert_eq!(rejection(&layer, &token), None);
    let (_, signature) = token.rsplit_once('.').unwrap();
    let other = issuer.token().with_role("admin").sign();
    let (signing_input, _) = other.rsplit_once('.').unwrap();
    assert_eq!(
        rejection(&layer, &format!("{signing_input}.{signature}")),
        INVALID
    );
    assert_eq!(rejection(&layer, &format!("..{signature}")), INVALID);
    assert_eq!(
        rejection(&layer, &format!("ak_{token}")),
        Some(RejectionKind::InvalidApiKey)
    );
    assert_eq!(
        rejection(&layer, &format!("{token},")),
        Some(RejectionKind::MalformedCredential)
    );
    assert_eq!(rejection(&layer, &token), None);
}

// T2
#[test]
fn cache_is_empty_after_an_issuer_is_replaced() {
    let (ours, theirs) = (
        TestIssuer::new(ISSUER),
        TestIssuer::new("https://other.test"),
    );
    let both = JwtVerifier::new(ISSUER, ours.key_set())
        .with_issuer(Issuer::new(theirs.issuer(), theirs.key_set()));
    let layer = |verifier| CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier);
    let (layer_of_both, token) = (layer(both.clone()), theirs.token().sign());
    for _ in 0..2 {
        assert_eq!(rejection(&layer_of_both, &token), None);
        assert_eq!(rejection(&layer_of_both, &ours.token().sign()), None);
    }
    let without = both.with_issuer(Issuer::new(theirs.issuer(), KeySet::unavailable()));
    assert_eq!(
        rejection(&layer(without), &token),
        Some(RejectionKind::AuthUnavailable)
    );
}

// T14
#[test]
fn flood_of_genuine_tokens_changes_no_answer() {
    let issuer = TestIssuer::new(ISSUER);
    let verifier = JwtVerifier::new(ISSUER, issuer.key_set()).with_remembered_tokens(8);
    let layer = CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier);
    for number in 0..100 {
        let user = format!("user_{number}");
        let token = issuer.token().with_subject(&user).sign();
        for _ in 0..2 {
            let answer = ask(&layer, bearer(&token));
            assert_eq!(answer.principal().user_id(), Some(&*user));
        }
    }
}
