//! Session tokens of users, through the layer (C11–C18, C27, C31, T1–T4).

mod claims;
mod keys;
mod roles;

use coverbase_auth::{
    CoverbaseAuthLayer, JwtVerifier, KeySet, MemoryStore, PrincipalKind, RejectionKind, Role,
    testing::{TestClock, TestIssuer, TestToken},
};
use http::StatusCode;
use proptest::{prelude::*, sample::Index};

use crate::support::{KEY, ask, bearer, log_of, record, store};

const ISSUER: &str = "https://clerk.coverbase.test";
const NOW: u64 = 1_800_000_000;
const INVALID: Option<RejectionKind> = Some(RejectionKind::InvalidSessionToken);

fn issuer() -> TestIssuer {
    TestIssuer::new(ISSUER)
}

fn verifier(issuer: &TestIssuer) -> JwtVerifier {
    JwtVerifier::new(ISSUER, issuer.key_set())
        .with_authorized_parties([TestIssuer::AUTHORIZED_PARTY])
}

fn layer(verifier: JwtVerifier) -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(MemoryStore::new())
        .with_jwt(verifier)
        .with_clock(TestClock::at(NOW))
}

fn rejection(layer: &CoverbaseAuthLayer, token: &str) -> Option<RejectionKind> {
    ask(layer, bearer(token)).rejection_kind()
}

/// The rejection of a token with one change.
fn changed<'a>(
    layer: &CoverbaseAuthLayer,
    issuer: &'a TestIssuer,
    change: impl FnOnce(TestToken<'a>) -> TestToken<'a>,
) -> Option<RejectionKind> {
    rejection(layer, &change(issuer.token()).sign())
}

// C4, C15
#[test]
fn session_token_authenticates_its_user() {
    let issuer = issuer();
    let token = issuer
        .token()
        .with_subject("user_7")
        .with_org("org_7")
        .with_role("member")
        .sign();
    let answer = ask(&layer(verifier(&issuer)), bearer(&token));
    let user = answer.principal();
    assert_eq!(user.kind(), PrincipalKind::User);
    assert_eq!((user.user_id(), user.id()), (Some("user_7"), "user_7"));
    assert_eq!(user.org_id().as_str(), "org_7");
    assert_eq!(user.org_slug(), Some("test"));
    assert_eq!(user.role(), Some(&Role::MEMBER));
    assert_eq!(user.session_id(), Some("sess_test"));
    assert_eq!((user.key_id(), user.key_name()), (None, None));
    assert!(user.scopes().is_empty());
}

// C16
#[test]
fn invalid_tokens_get_the_same_answer() {
    let issuer = issuer();
    let layer = layer(verifier(&issuer));
    let good = issuer.token().sign();
    let invalid = [
        issuer.token().with_claim("exp", NOW - 3_600).sign(),
        issuer
            .token()
            .with_claim("iss", "https://other.test")
            .sign(),
        issuer.token().with_header("alg", "none").sign(),
        issuer.token().without_claim("sub").sign(),
        issuer.sign_raw("{}", "{}"),
        format!("{good}A"),
        "e30.e30.AA".to_owned(),
        "..".to_owned(),
        good.rsplit_once('.').unwrap().0.to_owned(),
    ];
    let answers = invalid.map(|token| ask(&layer, bearer(&token)));
    for answer in &answers {
        assert_eq!(answer.rejection_kind(), INVALID);
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            answer.body,
            r#"{"detail":"Invalid or expired session token."}"#
        );
        assert_eq!(answer.wire(), answers[0].wire());
    }
    assert_eq!(rejection(&layer, &good), None);
    let without_a_verifier = CoverbaseAuthLayer::new(MemoryStore::new());
    assert_eq!(
        ask(&without_a_verifier, bearer(&good)).wire(),
        answers[0].wire()
    );
}

// C11
// C11, T1
// C12, T1, T15
// C12, T2
// C12
// C13
// C13
// C13, T3
// C13, T4: with the leeway, and a clock that steps by an hour.
// C14
// C14, RFC 7519 §4.1.3
// C15
// C16, C18
// C17
// C27
// C31, T20
#[test]
fn unavailable_key_set_is_answered_503() {
    let issuer = issuer();
    let of =
        |keys| CoverbaseAuthLayer::new(store(record())).with_jwt(JwtVerifier::new(ISSUER, keys));
    let down = of(KeySet::unavailable());
    let token = issuer.token().sign();
    let answer = ask(&down, bearer(&token));
    assert_eq!(
        answer.rejection_kind(),
        Some(RejectionKind::AuthUnavailable)
    );
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(ask(&down, bearer(KEY)).rejection_kind(), None);
    // A token that no key verifies is still invalid.
    assert_eq!(
        rejection(&down, &issuer.token().with_header("alg", "none").sign()),
        INVALID
    );
    assert_eq!(rejection(&of(issuer.key_set()), &token), None);
}

// C33, T12
#[test]
fn log_contains_no_part_of_a_token() {
    let issuer = issuer();
    let auth = layer(verifier(&issuer));
    let staff = auth.clone().with_accepted_roles([Role::GUEST]);
    let odd = "x\r\nERROR forged\u{1b}[2J";
    let tokens = [
        issuer.token().sign(),
        issuer.token().with_claim("exp", NOW - 60).sign(),
        issuer.token().with_header("kid", odd).sign(),
        issuer.token().with_header("alg", odd).sign(),
        issuer.token().with_claim("iss", odd).sign(),
        issuer
            .token()
            .with_subject(odd)
            .with_org(odd)
            .with_role(odd)
            .sign(),
        issuer.sign_raw(odd, odd),
    ];
    let lines = log_of(|| {
        for token in &tokens {
            drop((ask(&auth, bearer(token)), ask(&staff, bearer(token))));
        }
    });
    assert_eq!(lines.len(), 2 * tokens.len());
    for line in &lines {
        for part in tokens.iter().flat_map(|token| token.split('.')) {
            assert!(!line.text.contains(part), "{}", line.text);
        }
        assert!(!line.text.contains(char::is_control), "{:?}", line.text);
    }
    let shown = format!("{auth:?} {:?} {issuer:?}", verifier(&issuer));
    assert!(!shown.contains("\"d\"") && !shown.contains("PRIVATE"));
}

proptest! {
    // T3
    #[test]
    fn second_spelling_is_rejected(
        place in any::<Index>(),
        text in "[A-Za-z0-9._~+/=-]{0,3}",
        replaced in 0..3_usize,
    ) {
        thread_local! {
            static FIXED: (CoverbaseAuthLayer, String) = {
                let issuer = issuer();
                (layer(verifier(&issuer)), issuer.token().sign())
            };
        }
        FIXED.with(|(layer, token)| {
            let start = place.index(token.len() + 1);
            let end = token.len().min(start + replaced);
            let other = [&token[..start], &text, &token[end..]].concat();
            let expected = other == *token;
            prop_assert_eq!(rejection(layer, &other).is_none(), expected, "{}", other);
            Ok(())
        })?;
    }
}
