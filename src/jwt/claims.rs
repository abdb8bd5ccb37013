//! What a token must claim (C13–C15). No library decides here: each rule is one line of ours.

use serde_json::Value;

use crate::json::Object;
use crate::principal::{Principal, Role, UserIdentity};
use crate::scope::Scopes;

/// The last second of the year 9999. A later date is one in milliseconds, mostly.
const LAST_SECOND: i64 = 253_402_300_799;

/// Why a claim is refused: for the log, without a word of the token.
type Reason = &'static str;

/// Whose tokens are accepted, and for whom.
///
/// A list that is configured and empty lets nobody in.
#[derive(Clone, Debug)]
pub(crate) struct ClaimRules {
    pub(crate) issuer: Box<str>,
    pub(crate) authorized_parties: Option<Box<[Box<str>]>>,
    pub(crate) audiences: Option<Box<[Box<str>]>>,
}

/// What a token says once its signature and its claims are good: all but whether it is valid *now*.
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
    /// Whether the token is valid at `now` (Unix seconds), checked anew at every request (C13).
    ///
    /// Expired when `now >= exp + leeway`; not yet valid when `nbf` or `iat` is after `now + leeway`.
    pub(crate) fn check_times(&self, now: u64, leeway: u64) -> Result<(), Reason> {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let leeway = i64::try_from(leeway).unwrap_or(i64::MAX);
        let latest = now.saturating_add(leeway);
        if now >= self.times.expires_at.saturating_add(leeway) {
            return Err("expired");
        }
        if self
            .times
            .not_before
            .is_some_and(|not_before| not_before > latest)
        {
            return Err("`nbf` is in the future");
        }
        if self
            .times
            .issued_at
            .is_some_and(|issued_at| issued_at > latest)
        {
            return Err("`iat` is in the future");
        }
        Ok(())
    }
}

impl ClaimRules {
    /// The session that these claims describe.
    pub(crate) fn session(&self, claims: &Object) -> Result<Session, Reason> {
        if text(claims, "iss", "`iss` is not a non-empty string")? != &*self.issuer {
            return Err("`iss` is not the configured issuer");
        }
        let subject = text(claims, "sub", "`sub` is not a non-empty string")?;
        if subject.starts_with("mch_") {
            return Err("`sub` is a machine");
        }
        let times = Times {
            expires_at: date(claims, "exp", "`exp` is not a date up to 9999")?
                .ok_or("`exp` is missing")?,
            not_before: date(claims, "nbf", "`nbf` is not a date up to 9999")?,
            issued_at: date(claims, "iat", "`iat` is not a date up to 9999")?,
        };
        self.check_party(claims)?;
        self.check_audience(claims)?;
        string(claims, "jti", "`jti` is not a string")?;
        let session_id = text(claims, "sid", "`sid` is not a non-empty string")?;
        if !matches!(
            string(claims, "sts", "`sts` is not a string")?,
            None | Some("active")
        ) {
            return Err("`sts` is not `active`");
        }
        let organization = Organization::from_claims(claims)?;

        let principal = Principal::user(UserIdentity {
            org_id: organization.id.into(),
            org_slug: organization.slug.map(Into::into),
            user_id: subject.into(),
            role: organization.role(),
            session_id: session_id.into(),
            scopes: Scopes::default(),
        });
        Ok(Session { principal, times })
    }

    /// C14: `azp`.
    fn check_party(&self, claims: &Object) -> Result<(), Reason> {
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

    /// C14: `aud`, one string or an array of them (RFC 7519 §4.1.3).
    fn check_audience(&self, claims: &Object) -> Result<(), Reason> {
        let known = |audience: &str| {
            self.audiences
                .iter()
                .flatten()
                .any(|known| **known == *audience)
        };
        let named = match claims.get("aud") {
            None if self.audiences.is_none() => true,
            None => return Err("`aud` is missing"),
            Some(Value::String(audience)) => known(audience),
            Some(Value::Array(audiences)) => {
                let audiences: Option<Vec<&str>> = audiences.iter().map(Value::as_str).collect();
                audiences
                    .ok_or("`aud` holds something else than strings")?
                    .into_iter()
                    .any(known)
            }
            Some(_) => return Err("`aud` is neither a string nor an array"),
        };
        if named {
            Ok(())
        } else {
            Err("`aud` names no configured audience")
        }
    }
}

/// The organization in Clerk's session claims (C15), raw.
struct Organization<'a> {
    id: &'a str,
    role: Option<&'a str>,
    slug: Option<&'a str>,
}

impl<'a> Organization<'a> {
    /// Reads the shape that `v` names, and not a claim of the other.
    fn from_claims(claims: &'a Object) -> Result<Self, Reason> {
        match claims.get("v").map(Value::as_u64) {
            None | Some(Some(1)) => Ok(Self {
                id: text(claims, "org_id", "`org_id` is not a non-empty string")?,
                role: string(claims, "org_role", "`org_role` is not a string")?,
                slug: string(claims, "org_slug", "`org_slug` is not a string")?,
            }),
            Some(Some(2)) => {
                let organization = claims
                    .get("o")
                    .and_then(Value::as_object)
                    .ok_or("`o` is not an object")?;
                Ok(Self {
                    id: text(organization, "id", "`o.id` is not a non-empty string")?,
                    role: string(organization, "rol", "`o.rol` is not a string")?,
                    slug: string(organization, "slg", "`o.slg` is not a string")?,
                })
            }
            Some(_) => Err("`v` is neither 1 nor 2"),
        }
    }

    /// A role without a name is no role.
    fn role(&self) -> Option<Role> {
        self.role
            .filter(|role| !matches!(*role, "" | "org:"))
            .map(Role::new)
    }
}

/// A claim that is a string where it is present; `null` is not absent.
fn string<'a>(claims: &'a Object, name: &str, reason: Reason) -> Result<Option<&'a str>, Reason> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(reason),
    }
}

/// A claim that must be there, and not empty.
fn text<'a>(claims: &'a Object, name: &str, reason: Reason) -> Result<&'a str, Reason> {
    string(claims, name, reason)?
        .filter(|text| !text.is_empty())
        .ok_or(reason)
}

/// A `NumericDate` (RFC 7519 §2), a fraction of a second rounded up.
///
/// Rounding up changes no answer: for a whole second `t`, `t >= date` exactly when `t >= ceil(date)`.
fn date(claims: &Object, name: &str, reason: Reason) -> Result<Option<i64>, Reason> {
    let number = match claims.get(name) {
        None => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(reason),
    };
    // A float outside an `i64` becomes the nearest one, so it stays past the last second, or before every other.
    let seconds = match number.as_i64() {
        Some(seconds) => seconds,
        None => number.as_f64().ok_or(reason)?.ceil() as i64,
    };
    if seconds <= LAST_SECOND {
        Ok(Some(seconds))
    } else {
        Err(reason)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://clerk.coverbase.test";
    const PARTY: &str = "https://app.coverbase.test";
    const LEEWAY: u64 = 5;

    fn rules() -> ClaimRules {
        ClaimRules {
            issuer: ISSUER.into(),
            authorized_parties: None,
            audiences: None,
        }
    }

    fn list(names: &[&str]) -> Option<Box<[Box<str>]>> {
        Some(names.iter().map(|name| Box::from(*name)).collect())
    }

    fn version_1() -> Value {
        json!({
            "iss": ISSUER, "sub": "user_1", "sid": "sess_1", "azp": PARTY, "exp": 2_000,
            "org_id": "org_alpha", "org_role": "org:admin", "org_slug": "alpha",
        })
    }

    fn version_2() -> Value {
        json!({
            "v": 2, "iss": ISSUER, "sub": "user_1", "sid": "sess_1", "azp": PARTY, "exp": 2_000,
            "o": {"id": "org_alpha", "rol": "admin", "slg": "alpha"},
        })
    }

    fn apply(rules: &ClaimRules, claims: &Value) -> Result<Session, Reason> {
        rules.session(claims.as_object().unwrap())
    }

    /// The session of a version 1 token with one claim set.
    fn with(rules: &ClaimRules, name: &str, value: Value) -> Result<Session, Reason> {
        let mut claims = version_1();
        claims[name] = value;
        apply(rules, &claims)
    }

    fn without(rules: &ClaimRules, name: &str) -> Result<Session, Reason> {
        let mut claims = version_1();
        claims.as_object_mut().unwrap().remove(name).unwrap();
        apply(rules, &claims)
    }

    fn passes_at(session: &Session, now: u64) -> bool {
        session.check_times(now, LEEWAY).is_ok()
    }

    /// All that a principal tells: organization, its slug, user, role, session.
    fn told(session: &Session) -> [Option<String>; 5] {
        let principal = &session.principal;
        [
            Some(principal.org_id().as_str()),
            principal.org_slug(),
            principal.user_id(),
            principal.role().map(Role::as_str),
            principal.session_id(),
        ]
        .map(|text| text.map(str::to_owned))
    }

    // C15
    #[test]
    fn both_shapes_give_the_same_principal() {
        let expected =
            ["org_alpha", "alpha", "user_1", "admin", "sess_1"].map(|text| Some(text.to_owned()));
        for claims in [version_1(), version_2()] {
            let session = apply(&rules(), &claims).unwrap();
            assert_eq!(told(&session), expected);
            assert_eq!(session.principal.scopes(), &Scopes::default());
        }
        assert!(with(&rules(), "v", json!(1)).is_ok());
        for version in [
            json!(0),
            json!(3),
            json!("2"),
            json!(2.0),
            json!(null),
            json!([2]),
        ] {
            assert!(with(&rules(), "v", version).is_err());
        }
    }

    // C15
    #[test]
    fn only_the_claims_of_the_version_named_are_read() {
        let shown = |claims: &Value| told(&apply(&rules(), claims).unwrap());

        let mut both = version_2();
        both["org_id"] = json!("org_beta");
        both["org_role"] = json!(["org:owner"]);
        assert_eq!(shown(&both), shown(&version_2()));

        let mut both = version_1();
        both["o"] = json!({"id": "org_beta", "rol": "owner"});
        assert_eq!(shown(&both), shown(&version_1()));

        let mut neither = version_1();
        neither["v"] = json!(2);
        assert!(apply(&rules(), &neither).is_err());
    }

    // C15
    #[test]
    fn an_organization_is_required() {
        assert!(without(&rules(), "org_id").is_err());
        for id in [json!(""), json!(null), json!(1), json!(["org_alpha"])] {
            assert!(with(&rules(), "org_id", id).is_err());
        }
        for organization in [
            json!(null),
            json!("org_alpha"),
            json!([]),
            json!({}),
            json!({"id": ""}),
            json!({"id": 1}),
        ] {
            let mut claims = version_2();
            claims["o"] = organization;
            assert!(apply(&rules(), &claims).is_err(), "{claims}");
        }
    }

    // C15, T5
    #[test]
    fn a_role_is_a_string_or_absent() {
        let role = |session: Result<Session, Reason>| session.unwrap().principal.role().cloned();
        assert_eq!(role(without(&rules(), "org_role")), None);
        for empty in ["", "org:"] {
            assert_eq!(role(with(&rules(), "org_role", json!(empty))), None);
        }
        for (claimed, name) in [
            ("org:admin", "admin"),
            ("admin", "admin"),
            // The prefix is taken off once, and by `Role`.
            ("org:org:admin", "org:admin"),
            ("ORG:ADMIN", "ORG:ADMIN"),
            ("org:admin ", "admin "),
        ] {
            let role = role(with(&rules(), "org_role", json!(claimed))).unwrap();
            assert_eq!(role.as_str(), name);
        }
        for wrong in [
            json!(null),
            json!(true),
            json!(["org:admin"]),
            json!({}),
            json!(1),
        ] {
            assert!(with(&rules(), "org_role", wrong.clone()).is_err());
            let mut claims = version_2();
            claims["o"]["rol"] = wrong;
            assert!(apply(&rules(), &claims).is_err());
        }
        for name in ["rol", "slg"] {
            let mut claims = version_2();
            claims["o"].as_object_mut().unwrap().remove(name).unwrap();
            assert!(apply(&rules(), &claims).is_ok(), "{name}");
            claims["o"][name] = json!(null);
            assert!(apply(&rules(), &claims).is_err(), "{name}");
        }
        assert!(with(&rules(), "org_slug", json!(null)).is_err());
    }

    // C13, T2
    #[test]
    fn the_issuer_is_compared_whole() {
        for issuer in [
            json!("https://clerk.coverbase.test/"),
            json!("https://clerk.coverbase.test@evil.test"),
            json!("https://CLERK.coverbase.test"),
            json!("https://clerk.coverbase.test\0"),
            json!(""),
            json!(null),
            json!([ISSUER]),
        ] {
            assert!(with(&rules(), "iss", issuer.clone()).is_err(), "{issuer}");
        }
        assert!(without(&rules(), "iss").is_err());
        let nobody = ClaimRules {
            issuer: "".into(),
            ..rules()
        };
        assert!(with(&nobody, "iss", json!("")).is_err());
    }

    // C13, C15, T2
    #[test]
    fn required_claims_and_types() {
        for name in ["sub", "sid", "exp"] {
            assert!(without(&rules(), name).is_err(), "{name}");
        }
        for (name, values) in [
            (
                "sub",
                vec![
                    json!(""),
                    json!(null),
                    json!(7),
                    json!({}),
                    json!("mch_1"),
                    json!("mch_"),
                ],
            ),
            ("sid", vec![json!(""), json!(null), json!(1)]),
            (
                "sts",
                vec![
                    json!("pending"),
                    json!(""),
                    json!(null),
                    json!(true),
                    json!("Active"),
                ],
            ),
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
        for (name, value) in [
            ("sts", "active"),
            ("jti", ""),
            ("sub", "user_mch_"),
            ("azp", "anything"),
        ] {
            assert!(with(&rules(), name, json!(value)).is_ok(), "{name}");
        }
    }

    // C14
    #[test]
    fn a_configured_party_is_required() {
        let configured = ClaimRules {
            authorized_parties: list(&["https://other.test", PARTY]),
            ..rules()
        };
        assert!(apply(&configured, &version_1()).is_ok());
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
        let nobody = ClaimRules {
            authorized_parties: list(&[]),
            ..rules()
        };
        assert!(apply(&nobody, &version_1()).is_err());
    }

    // C14
    #[test]
    fn an_audience_must_be_a_configured_one() {
        let configured = ClaimRules {
            audiences: list(&["https://api.test", "b"]),
            ..rules()
        };
        assert!(apply(&rules(), &version_1()).is_ok());
        assert!(apply(&configured, &version_1()).is_err());
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
        let nobody = ClaimRules {
            audiences: list(&[]),
            ..rules()
        };
        assert!(apply(&nobody, &version_1()).is_err());
        assert!(with(&nobody, "aud", json!([])).is_err());
    }

    // C13, T4
    #[test]
    fn a_token_expires_at_the_exact_second() {
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
    fn a_token_begins_at_the_exact_second() {
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
    fn a_date_is_a_number_up_to_the_year_9999() {
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
