//! The claims that every token must have (C13, C14), in any issuer's form.

use super::{membership::Mapping, rejection::Reason};
use crate::{
    json::{Object, Value},
    principal::Principal,
};

/// The last second of the year 9999. A later date is usually one in milliseconds.
const LAST_SECOND: i64 = 253_402_300_799;

/// The rules of one issuer. A list that is configured and empty accepts no token.
#[derive(Clone, Debug)]
pub(crate) struct ClaimRules {
    pub(crate) authorized_parties: Option<Box<[Box<str>]>>,
    pub(crate) audiences: Option<Box<[Box<str>]>>,
    pub(crate) mapping: Mapping,
}

/// What a verified token says, except whether it is valid now.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) principal: Principal,
    times: Times,
}

/// Whole Unix seconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    expires_at: i64,
    not_before: Option<i64>,
    issued_at: Option<i64>,
}

impl Session {
    /// Checks whether the token is valid at `now` (Unix seconds): at every request, also for a cached token (C13).
    ///
    /// It is expired if `now >= exp + leeway`, and not yet valid if `nbf` or `iat` is after `now + leeway`.
    pub(crate) fn check_times(&self, now: u64, leeway: u64) -> Result<(), Reason> {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let leeway = i64::try_from(leeway).unwrap_or(i64::MAX);
        let latest = now.saturating_add(leeway);
        let is_future = |date: Option<i64>| date.is_some_and(|date| date > latest);
        if now >= self.times.expires_at.saturating_add(leeway) {
            Err("expired")
        } else if is_future(self.times.not_before) {
            Err("`nbf` is in the future")
        } else if is_future(self.times.issued_at) {
            Err("`iat` is in the future")
        } else {
            Ok(())
        }
    }
}

impl ClaimRules {
    /// Returns the session that the claims describe.
    pub(crate) fn session(&self, claims: &Object<'_>) -> Result<Session, Reason> {
        let subject = text(claims, "sub", "`sub` is not a non-empty string")?;
        reject_other_tokens(claims, subject)?;
        let expires_at = date(claims, "exp", "`exp` is not a date up to 9999")?;
        let times = Times {
            expires_at: expires_at.ok_or("`exp` is missing")?,
            not_before: date(claims, "nbf", "`nbf` is not a date up to 9999")?,
            issued_at: date(claims, "iat", "`iat` is not a date up to 9999")?,
        };
        self.check_party(claims)?;
        self.check_audience(claims)?;
        let principal = self.mapping.principal(claims, subject)?;
        Ok(Session { principal, times })
    }

    /// C14: `azp`.
    fn check_party(&self, claims: &Object<'_>) -> Result<(), Reason> {
        let party = string(claims, "azp", "`azp` is not a string")?;
        let Some(parties) = &self.authorized_parties else {
            return Ok(());
        };
        let party = party.ok_or("`azp` is missing")?;
        if parties.iter().any(|known| **known == *party) {
            Ok(())
        } else {
            Err("`azp` is not an authorized party")
        }
    }

    /// C14: `aud`, a string or an array of strings (RFC 7519 §4.1.3).
    fn check_audience(&self, claims: &Object<'_>) -> Result<(), Reason> {
        let audiences = match claims.get("aud") {
            None if self.audiences.is_none() => return Ok(()),
            None => return Err("`aud` is missing"),
            Some(Value::Array(audiences)) => &audiences[..],
            Some(audience) => std::slice::from_ref(audience),
        };
        if audiences.iter().any(|audience| audience.as_str().is_none()) {
            return Err("`aud` is neither a string nor an array of strings");
        }
        let mut named = audiences.iter().filter_map(Value::as_str);
        let known = self.audiences.iter().flatten();
        if named.any(|name| known.clone().any(|known| **known == *name)) {
            Ok(())
        } else {
            Err("`aud` names no configured audience")
        }
    }
}

/// Returns `iss` (C13).
pub(crate) fn issuer<'a>(claims: &'a Object<'_>) -> Result<&'a str, Reason> {
    text(claims, "iss", "`iss` is not a non-empty string")
}

/// Rejects other kinds of token that Clerk signs with the same keys.
fn reject_other_tokens(claims: &Object<'_>, subject: &str) -> Result<(), Reason> {
    let id = string(claims, "jti", "`jti` is not a string")?.unwrap_or_default();
    if subject.starts_with("mch_") || id.starts_with("mt_") {
        Err("a machine token, not a session token")
    } else if id.starts_with("oat_") {
        Err("an OAuth access token, not a session token")
    } else {
        Ok(())
    }
}

/// An optional claim. If present it must be a string, and not `null`.
pub(crate) fn string<'a>(
    claims: &'a Object<'_>,
    name: &str,
    reason: Reason,
) -> Result<Option<&'a str>, Reason> {
    let claim = claims.get(name);
    claim.map(|value| value.as_str().ok_or(reason)).transpose()
}

/// A required claim: a string that is not empty.
pub(crate) fn text<'a>(
    claims: &'a Object<'_>,
    name: &str,
    reason: Reason,
) -> Result<&'a str, Reason> {
    string(claims, name, reason)?
        .filter(|text| !text.is_empty())
        .ok_or(reason)
}

/// A `NumericDate` (RFC 7519 §2), a fraction of a second rounded up. Rounding changes no decision: for a whole second `t`,
/// `t >= date` if and only if `t >= ceil(date)`.
fn date(claims: &Object<'_>, name: &str, reason: Reason) -> Result<Option<i64>, Reason> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let number = value.as_number().ok_or(reason)?;
    // The cast saturates.
    let seconds = number
        .as_i64()
        .unwrap_or_else(|| number.as_f64().ceil() as i64);
    if seconds <= LAST_SECOND {
        Ok(Some(seconds))
    } else {
        Err(reason)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{json::parse_object, jwt::membership::Membership};

    const PARTY: &str = "https://app.coverbase.test";
    const LEEWAY: u64 = 5;

    fn rules() -> ClaimRules {
        ClaimRules {
            authorized_parties: None,
            audiences: None,
            mapping: Mapping::new(|_| Ok(Membership::new("org_alpha"))),
        }
    }

    fn list(names: &[&str]) -> Option<Box<[Box<str>]>> {
        Some(names.iter().map(|name| Box::from(*name)).collect())
    }

    fn claims() -> Value {
        json!({ "sub": "user_1", "azp": PARTY, "exp": 2_000 })
    }

    fn apply(rules: &ClaimRules, claims: &Value) -> Result<Session, Reason> {
        let claims = claims.to_string();
        rules.session(&parse_object(claims.as_bytes()).unwrap())
    }

    /// The session of a token with one claim replaced.
    fn with(rules: &ClaimRules, name: &str, value: Value) -> Result<Session, Reason> {
        let mut claims = claims();
        claims[name] = value;
        apply(rules, &claims)
    }

    fn without(rules: &ClaimRules, name: &str) -> Result<Session, Reason> {
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
        let mapped = ClaimRules {
            mapping: Mapping::new(|_| Ok(Membership::new(""))),
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
        let broken = ClaimRules {
            mapping: Mapping::new(|_| panic!("a bug")),
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
        let configured = ClaimRules {
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
        let none = ClaimRules {
            authorized_parties: list(&[]),
            ..rules()
        };
        assert!(apply(&none, &claims()).is_err());
    }

    // C14
    #[test]
    fn foreign_audience_is_rejected() {
        let configured = ClaimRules {
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
        let none = ClaimRules {
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
}
