use serde_json::{Value, json};

use super::*;
use crate::{
    json::parse_object,
    jwt::{keys::key_set::KeySet, membership::Membership},
};

const PARTY: &str = "https://app.coverbase.test";
const LEEWAY: u64 = 5;

fn rules() -> Issuer {
    Issuer::new("https://clerk.test", KeySet::unavailable())
        .with_claims(|_| Ok(Membership::new("org_alpha")))
}

fn list(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(ToString::to_string).collect())
}

fn claims() -> Value {
    json!({ "sub": "user_1", "azp": PARTY, "exp": 2_000 })
}

fn apply(rules: &Issuer, claims: &Value) -> Result<Session, Reason> {
    let claims = claims.to_string();
    rules.session(&parse_object(claims.as_bytes()).unwrap())
}

/// The session of a token with one claim replaced.
fn with(rules: &Issuer, name: &str, value: Value) -> Result<Session, Reason> {
    let mut claims = claims();
    claims[name] = value;
    apply(rules, &claims)
}

fn without(rules: &Issuer, name: &str) -> Result<Session, Reason> {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name).unwrap();
    apply(rules, &claims)
}

fn passes_at(session: &Session, now: u64) -> bool {
    session.check_times(now, LEEWAY).is_ok()
}

// C13, T2
#[test]
fn missing_claim_or_wrong_type_is_rejected() {
    for name in ["sub", "exp"] {
        assert!(without(&rules(), name).is_err(), "{name}");
    }
    for (name, values) in [
        ("sub", vec![json!(""), json!(null), json!(7), json!({})]),
        ("jti", vec![json!(1), json!(null)]),
        ("azp", vec![json!(null), json!(1), json!([PARTY])]),
    ] {
        for value in values {
            assert!(
                with(&rules(), name, value.clone()).is_err(),
                "{name} {value}"
            );
        }
    }
    for (name, value) in [("jti", ""), ("sub", "user_mch_"), ("azp", "anything")] {
        assert!(with(&rules(), name, json!(value)).is_ok(), "{name}");
    }
}

// C13, T2
#[test]
fn machine_and_oauth_tokens_are_rejected() {
    for (name, value, reason) in [
        ("sub", "mch_1", "a machine token, not a session token"),
        ("sub", "mch_", "a machine token, not a session token"),
        ("jti", "mt_1", "a machine token, not a session token"),
        ("jti", "oat_1", "an OAuth access token, not a session token"),
    ] {
        assert_eq!(with(&rules(), name, json!(value)).unwrap_err(), reason);
    }
    for id in ["tok_1", "mt", "xoat_1"] {
        assert!(with(&rules(), "jti", json!(id)).is_ok());
    }
}

// C15
#[test]
fn empty_organization_is_rejected() {
    let mapped = Issuer {
        mapping: std::sync::Arc::new(|_| Ok(Membership::new(""))),
        ..rules()
    };
    assert_eq!(
        apply(&mapped, &claims()).unwrap_err(),
        "the organization is empty"
    );
}

// T19
#[test]
fn panicking_mapping_rejects_the_token() {
    let broken = Issuer {
        mapping: std::sync::Arc::new(|_| panic!("a bug")),
        ..rules()
    };
    assert_eq!(
        apply(&broken, &claims()).unwrap_err(),
        "the mapping of the claims panicked"
    );
}

// C14
#[test]
fn unauthorized_party_is_rejected() {
    let configured = Issuer {
        authorized_parties: list(&["https://other.test", PARTY]),
        ..rules()
    };
    assert!(apply(&configured, &claims()).is_ok());
    assert!(without(&rules(), "azp").is_ok());
    assert!(without(&configured, "azp").is_err());
    for party in [
        json!(""),
        json!("https://app.coverbase.test/"),
        json!("https://app.coverbase.tes"),
        json!([PARTY]),
    ] {
        assert!(with(&configured, "azp", party.clone()).is_err(), "{party}");
    }
    let none = Issuer {
        authorized_parties: list(&[]),
        ..rules()
    };
    assert!(apply(&none, &claims()).is_err());
}

// C14
#[test]
fn foreign_audience_is_rejected() {
    let configured = Issuer {
        audiences: list(&["https://api.test", "b"]),
        ..rules()
    };
    assert!(apply(&rules(), &claims()).is_ok());
    assert!(apply(&configured, &claims()).is_err());
    for audience in [
        json!("https://api.test"),
        json!(["x", "https://api.test"]),
        json!(["b"]),
    ] {
        assert!(
            with(&configured, "aud", audience.clone()).is_ok(),
            "{audience}"
        );
        assert!(
            with(&rules(), "aud", audience.clone()).is_err(),
            "{audience}"
        );
    }
    for audience in [
        json!("https://api.test/"),
        json!(""),
        json!([]),
        json!(["x"]),
        json!(["b", 1]),
        json!([["b"]]),
        json!(null),
        json!(1),
        json!({"b": "b"}),
    ] {
        assert!(
            with(&configured, "aud", audience.clone()).is_err(),
            "{audience}"
        );
        assert!(
            with(&rules(), "aud", audience.clone()).is_err(),
            "{audience}"
        );
    }
    let none = Issuer {
        audiences: list(&[]),
        ..rules()
    };
    assert!(apply(&none, &claims()).is_err());
    assert!(with(&none, "aud", json!([])).is_err());
}

// C13, T4
#[test]
fn token_is_expired_from_the_exact_second() {
    let session = with(&rules(), "exp", json!(1_000)).unwrap();
    assert!(passes_at(&session, 1_000 + LEEWAY - 1));
    assert!(!passes_at(&session, 1_000 + LEEWAY));
    assert!(session.check_times(999, 0).is_ok());
    assert_eq!(session.check_times(1_000, 0), Err("expired"));
    assert!(!passes_at(&session, u64::MAX));

    let session = with(&rules(), "exp", json!(1_000.5)).unwrap();
    assert!(passes_at(&session, 1_000 + LEEWAY));
    assert!(!passes_at(&session, 1_001 + LEEWAY));

    for past in [json!(0), json!(-1), json!(i64::MIN), json!(-1e300)] {
        let session = with(&rules(), "exp", past).unwrap();
        assert!(!passes_at(&session, 1_000));
    }
}

// C13, T4
#[test]
fn token_is_valid_from_the_exact_second() {
    for name in ["nbf", "iat"] {
        let session = with(&rules(), name, json!(1_000)).unwrap();
        assert!(passes_at(&session, 1_000 - LEEWAY), "{name}");
        assert!(!passes_at(&session, 1_000 - LEEWAY - 1), "{name}");
        assert!(session.check_times(0, u64::MAX).is_ok(), "{name}");

        let session = with(&rules(), name, json!(1_000.5)).unwrap();
        assert!(passes_at(&session, 1_001 - LEEWAY), "{name}");
        assert!(!passes_at(&session, 1_000 - LEEWAY), "{name}");

        assert!(
            passes_at(&with(&rules(), name, json!(-5)).unwrap(), 1_000),
            "{name}"
        );
    }
}

// C13
#[test]
fn date_after_9999_or_of_wrong_type_is_rejected() {
    for name in ["exp", "nbf", "iat"] {
        assert!(with(&rules(), name, json!(LAST_SECOND)).is_ok(), "{name}");
        for wrong in [
            json!(LAST_SECOND + 1),
            json!(LAST_SECOND as f64 + 0.5),
            json!(1_800_000_050_000_u64),
            json!(u64::MAX),
            json!(1e300),
            json!("1800000050"),
            json!(null),
            json!([1_000]),
            json!(true),
        ] {
            assert!(
                with(&rules(), name, wrong.clone()).is_err(),
                "{name} {wrong}"
            );
        }
    }
}
