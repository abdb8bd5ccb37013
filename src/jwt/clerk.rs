//! The session claims of Clerk (C15).

use super::{
    membership::{Claims, InvalidClaim, Membership},
    token::{string, text},
};
use crate::{json::Value, principal::Role};

/// Reads the membership in the version that `v` states. The claims of the other version are ignored.
pub(crate) fn membership(claims: &Claims<'_>) -> Result<Membership, InvalidClaim> {
    let claims = claims.0;
    let session_id = text(claims, "sid", "`sid` is not a non-empty string")?;
    let status = string(claims, "sts", "`sts` is not a string")?;
    if !matches!(status, None | Some("active")) {
        return Err("`sts` is not `active`".into());
    }
    let version = claims.get("v").map(Value::as_i64);
    let (id, role, slug) = match version {
        None | Some(Some(1)) => (
            text(claims, "org_id", "`org_id` is not a non-empty string")?,
            string(claims, "org_role", "`org_role` is not a string")?,
            string(claims, "org_slug", "`org_slug` is not a string")?,
        ),
        Some(Some(2)) => {
            let organization = claims.get("o").and_then(Value::as_object);
            let organization = organization.ok_or("`o` is not an object")?;
            (
                text(organization, "id", "`o.id` is not a non-empty string")?,
                string(organization, "rol", "`o.rol` is not a string")?,
                string(organization, "slg", "`o.slg` is not a string")?,
            )
        }
        Some(_) => return Err("`v` is neither 1 nor 2".into()),
    };
    // An empty role is no role.
    let role = role.filter(|role| !matches!(*role, "" | "org:"));
    Ok(Membership::new(id)
        .with_role(role.map(Role::new))
        .with_org_slug(slug)
        .with_session_id(session_id))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        json::parse_object,
        principal::{Principal, Scopes},
    };

    fn version_1() -> Value {
        json!({ "sid": "sess_1", "org_id": "org_alpha", "org_role": "org:admin", "org_slug": "alpha" })
    }

    fn version_2() -> Value {
        json!({ "v": 2, "sid": "sess_1", "o": { "id": "org_alpha", "rol": "admin", "slg": "alpha" } })
    }

    fn read(claims: &Value) -> Result<Principal, InvalidClaim> {
        let claims = claims.to_string();
        let claims = parse_object(claims.as_bytes()).unwrap();
        let membership = membership(&Claims(&claims))?;
        Ok(membership.into_principal("user_1")?)
    }

    /// A version 1 token with one claim replaced.
    fn with(name: &str, value: Value) -> Result<Principal, InvalidClaim> {
        let mut claims = version_1();
        claims[name] = value;
        read(&claims)
    }

    fn without(name: &str) -> Result<Principal, InvalidClaim> {
        let mut claims = version_1();
        claims.as_object_mut().unwrap().remove(name).unwrap();
        read(&claims)
    }

    /// Organization, its slug, user, role, session.
    fn identity(principal: &Principal) -> [Option<String>; 5] {
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
    fn both_versions_yield_the_same_principal() {
        let expected =
            ["org_alpha", "alpha", "user_1", "admin", "sess_1"].map(|text| Some(text.to_owned()));
        for claims in [version_1(), version_2()] {
            let principal = read(&claims).unwrap();
            assert_eq!(identity(&principal), expected);
            assert_eq!(principal.scopes(), &Scopes::default());
        }
        assert!(with("v", json!(1)).is_ok());
        for version in [
            json!(0),
            json!(3),
            json!("2"),
            json!(2.0),
            json!(null),
            json!([2]),
        ] {
            assert!(with("v", version).is_err());
        }
    }

    // C15
    #[test]
    fn claims_of_the_other_version_are_ignored() {
        let shown = |claims: &Value| identity(&read(claims).unwrap());

        let mut both = version_2();
        both["org_id"] = json!("org_beta");
        both["org_role"] = json!(["org:owner"]);
        assert_eq!(shown(&both), shown(&version_2()));

        let mut both = version_1();
        both["o"] = json!({"id": "org_beta", "rol": "owner"});
        assert_eq!(shown(&both), shown(&version_1()));

        let mut neither = version_1();
        neither["v"] = json!(2);
        assert!(read(&neither).is_err());
    }

    // C15
    #[test]
    fn missing_organization_is_rejected() {
        assert!(without("org_id").is_err());
        for id in [json!(""), json!(null), json!(1), json!(["org_alpha"])] {
            assert!(with("org_id", id).is_err());
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
            assert!(read(&claims).is_err(), "{claims}");
        }
    }

    // C15, T5
    #[test]
    fn role_of_wrong_type_is_rejected() {
        let role = |user: Result<Principal, InvalidClaim>| user.unwrap().role().cloned();
        assert_eq!(role(without("org_role")), None);
        for empty in ["", "org:"] {
            assert_eq!(role(with("org_role", json!(empty))), None);
        }
        for (claimed, name) in [
            ("org:admin", "admin"),
            ("admin", "admin"),
            // `Role` removes the prefix, once.
            ("org:org:admin", "org:admin"),
            ("ORG:ADMIN", "ORG:ADMIN"),
            ("org:admin ", "admin "),
        ] {
            let role = role(with("org_role", json!(claimed))).unwrap();
            assert_eq!(role.as_str(), name);
        }
        for wrong in [
            json!(null),
            json!(true),
            json!(["org:admin"]),
            json!({}),
            json!(1),
        ] {
            assert!(with("org_role", wrong.clone()).is_err());
            let mut claims = version_2();
            claims["o"]["rol"] = wrong;
            assert!(read(&claims).is_err());
        }
        for name in ["rol", "slg"] {
            let mut claims = version_2();
            claims["o"].as_object_mut().unwrap().remove(name).unwrap();
            assert!(read(&claims).is_ok(), "{name}");
            claims["o"][name] = json!(null);
            assert!(read(&claims).is_err(), "{name}");
        }
        assert!(with("org_slug", json!(null)).is_err());
    }

    // C15
    #[test]
    fn missing_or_inactive_session_is_rejected() {
        for (name, wrong) in [
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
        ] {
            for value in wrong {
                assert!(with(name, value.clone()).is_err(), "{name} {value}");
            }
        }
        assert!(without("sid").is_err());
        assert!(with("sts", json!("active")).is_ok());
    }
}
