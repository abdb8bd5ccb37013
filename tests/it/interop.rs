//! Tokens of a second implementation, PyJWT, minted by `fixtures/mint.py` with a life until 2099 (C11, C15).

use std::path::Path;

use coverbase_auth::{
    CoverbaseAuthLayer, JwtVerifier, KeySet, MemoryStore, RejectionKind, Role, testing::TestClock,
};
use serde_json::Value;

use crate::support::{ask, bearer};

const EXPIRES_AT: u64 = 4_070_908_800;

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/fixtures")
        .join(name)
}

fn layer() -> CoverbaseAuthLayer {
    let keys = KeySet::from_file(fixture("jwks.json")).unwrap();
    assert!(keys.refused().is_empty(), "{:?}", keys.refused());
    let verifier = JwtVerifier::new("https://clerk.interop.test", keys);
    let verifier = verifier.with_authorized_parties(["https://app.interop.test"]);
    CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier)
}

fn tokens() -> Vec<(String, String)> {
    let tokens = std::fs::read(fixture("tokens.json")).unwrap();
    let tokens: Vec<Value> = serde_json::from_slice(&tokens).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    tokens
        .iter()
        .map(|it| {
            (
                format!("{}, version {}", it["algorithm"], it["version"]),
                text(&it["token"]),
            )
        })
        .collect()
}

// C11, C15
#[test]
fn tokens_of_another_implementation_pass() {
    let tokens = tokens();
    assert_eq!(tokens.len(), 6, "three algorithms, two shapes");
    for (name, token) in &tokens {
        let answer = ask(&layer(), bearer(token));
        assert_eq!(answer.rejection_kind(), None, "{name}");
        let user = answer.principal();
        assert_eq!(user.user_id(), Some("user_2mQ"), "{name}");
        assert_eq!(user.org_id().as_str(), "org_2mQ", "{name}");
        assert_eq!(user.org_slug(), Some("acme"), "{name}");
        assert_eq!(user.role(), Some(&Role::SILOED_MEMBER), "{name}");
        assert_eq!(user.session_id(), Some("sess_2mQ"), "{name}");
    }
}

// C13
#[test]
fn they_pass_until_they_expire_and_only_as_they_were_signed() {
    let invalid = Some(RejectionKind::InvalidSessionToken);
    let at = |now| layer().with_clock(TestClock::at(now));
    let tokens = tokens();
    for (name, token) in &tokens {
        assert_eq!(
            ask(&at(EXPIRES_AT + 4), bearer(token)).rejection_kind(),
            None,
            "{name}"
        );
        assert_eq!(
            ask(&at(EXPIRES_AT + 5), bearer(token)).rejection_kind(),
            invalid,
            "{name}"
        );
        let (input, signature) = token.rsplit_once('.').unwrap();
        for (other_name, other) in tokens.iter().filter(|(_, other)| other != token) {
            let (other_input, _) = other.rsplit_once('.').unwrap();
            assert_ne!(input, other_input);
            let swapped = format!("{other_input}.{signature}");
            assert_eq!(
                ask(&layer(), bearer(&swapped)).rejection_kind(),
                invalid,
                "{name}, {other_name}"
            );
        }
    }
}
