//! How the claims of a token map to a member of an organization: the part of a token that differs between issuers.

use std::fmt;

use super::{rejection::Reason, token};
use crate::{
    json::{Object, Value},
    principal::{Identity, OrgId, Principal, Role, Scopes, UserIdentity},
};

/// The membership of a user in an organization, as a token states it.
///
/// ```
/// use coverbase_auth::{Role, Scope};
/// use coverbase_auth::jwt::Membership;
///
/// let membership = Membership::new("org_acme")
///     .with_org_slug("acme")
///     .with_role(Role::MEMBER)
///     .with_session_id("sess_1")
///     .with_scopes([Scope::AUDIT_READ]);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Membership(
    /// Without the id of the user.
    UserIdentity,
);

impl Membership {
    /// A member of the organization `org_id`, without a role (C15). A token is rejected if `org_id` is empty.
    pub fn new(org_id: impl Into<OrgId>) -> Self {
        Self(UserIdentity {
            org_id: org_id.into(),
            org_slug: None,
            user_id: Box::default(),
            role: None,
            session_id: None,
            scopes: Scopes::new(),
        })
    }

    /// Sets the short name of the organization.
    pub fn with_org_slug<'s>(mut self, slug: impl Into<Option<&'s str>>) -> Self {
        self.0.org_slug = slug.into().map(Box::from);
        self
    }

    /// Sets the role of the user in the organization, which requirements check (C18).
    pub fn with_role(mut self, role: impl Into<Option<Role>>) -> Self {
        self.0.role = role.into();
        self
    }

    /// Sets the id of the session.
    pub fn with_session_id<'s>(mut self, id: impl Into<Option<&'s str>>) -> Self {
        self.0.session_id = id.into().map(Box::from);
        self
    }

    /// Sets [`Principal::scopes`]. Requirements admit users by their role and never by these scopes (C18).
    pub fn with_scopes(mut self, scopes: impl Into<Scopes>) -> Self {
        self.0.scopes = scopes.into();
        self
    }

    pub(crate) fn into_principal(mut self, user_id: &str) -> Result<Principal, Reason> {
        let org_id = self.0.org_id.as_str();
        if org_id.is_empty() {
            return Err("the organization is empty");
        }
        if !is_id(org_id) || !is_id(user_id) {
            return Err("an id has more than 255 bytes, or control characters");
        }
        self.0.user_id = user_id.into();
        Ok(Principal(Identity::User(self.0.into())))
    }
}

/// OpenID Connect Core §2 limits `sub` to 255 bytes. Control characters are rejected because ids are stored and logged.
fn is_id(id: &str) -> bool {
    id.len() <= 255 && !id.chars().any(char::is_control)
}

/// The claims of a verified token, for [`Issuer::with_claims`](crate::Issuer::with_claims).
///
/// A claim of another type than asked for is an error, and so is `null`.
///
/// ```
/// use coverbase_auth::Role;
/// use coverbase_auth::{Issuer, KeySet, jwt::{Claims, InvalidClaim, Membership}};
///
/// /// `{"org": {"id": "org_acme", "role": "member"}, "scope": "audit:read"}`
/// fn membership(claims: &Claims<'_>) -> Result<Membership, InvalidClaim> {
///     let org = claims.object("org")?.ok_or("no organization")?;
///     Ok(Membership::new(org.required_string("id")?)
///         .with_role(org.string("role")?.map(Role::new))
///         .with_scopes(claims.scopes("scope")?))
/// }
///
/// let issuer = Issuer::new("https://id.example.com", KeySet::unavailable()).with_claims(membership);
/// ```
#[derive(Clone, Copy)]
pub struct Claims<'a>(pub(crate) &'a Object);

impl<'a> Claims<'a> {
    /// Returns the claim `name`, if present.
    ///
    /// # Errors
    ///
    /// If it is not a string.
    pub fn string(&self, name: &str) -> Result<Option<&'a str>, InvalidClaim> {
        Ok(token::string(self.0, name, "a claim is not a string")?)
    }

    /// Returns the claim `name`.
    ///
    /// # Errors
    ///
    /// If it is absent, empty, or not a string.
    pub fn required_string(&self, name: &str) -> Result<&'a str, InvalidClaim> {
        let reason = "a required claim is not a non-empty string";
        Ok(token::text(self.0, name, reason)?)
    }

    /// Returns the members of the claim `name`, if present.
    ///
    /// # Errors
    ///
    /// If it is not an object.
    pub fn object(&self, name: &str) -> Result<Option<Self>, InvalidClaim> {
        let object = self.0.get(name).map(|claim| claim.as_object().map(Self));
        object
            .map(|object| object.ok_or_else(|| "a claim is not an object".into()))
            .transpose()
    }

    /// Returns the scopes in the claim `name`: a string of words, as in `scope` (RFC 8693 §4.2), or an array of strings. Without
    /// the claim they are empty.
    ///
    /// # Errors
    ///
    /// If the claim has another type, or contains something that is not a scope (C9, RFC 6749 §3.3).
    pub fn scopes(&self, name: &str) -> Result<Scopes, InvalidClaim> {
        let scope = |text: &str| text.parse().map_err(|_| "not a scope".into());
        match self.0.get(name) {
            None => Ok(Scopes::new()),
            Some(Value::String(words)) => {
                let words = words.split(' ').filter(|word| !word.is_empty());
                words.map(scope).collect()
            }
            Some(Value::Array(items)) => {
                let texts = items.iter().map(Value::as_str);
                texts.map(|text| scope(text.unwrap_or_default())).collect()
            }
            Some(_) => Err("scopes are neither a string nor an array".into()),
        }
    }
}

/// Shows no claim (C33).
impl fmt::Debug for Claims<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Claims(..)")
    }
}

/// Rejects a token because of a claim: it is answered 401, and the reason is logged (C16).
///
/// It is made of a fixed text, because no part of a token may be logged (C33): `Err("no tenant".into())`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidClaim(pub(crate) &'static str);

impl From<&'static str> for InvalidClaim {
    fn from(reason: &'static str) -> Self {
        Self(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse_object;

    #[test]
    fn object_claim_is_read_as_claims() {
        let object = parse_object(br#"{"org":{"id":"org_acme"},"name":"acme"}"#).unwrap();
        let claims = Claims(&object);
        let org = claims.object("org").unwrap().unwrap();
        assert_eq!(org.required_string("id").unwrap(), "org_acme");
        assert!(claims.object("absent").unwrap().is_none());
        assert!(claims.object("name").is_err());
    }

    // C15, T13
    #[test]
    fn long_id_or_control_character_is_rejected() {
        let principal =
            |org_id: &str, user_id: &str| Membership::new(org_id).into_principal(user_id);
        let longest = "x".repeat(255);
        for (good, bad) in [
            ("org_acme", "org_\u{0}acme"),
            ("org ä", "org_\n"),
            (&*longest, &*format!("{longest}x")),
        ] {
            assert!(principal(good, "user_1").is_ok() && principal("org_acme", good).is_ok());
            assert!(principal(bad, "user_1").is_err() && principal("org_acme", bad).is_err());
        }
    }

    // C33
    #[test]
    fn debug_shows_no_claim() {
        let object = parse_object(br#"{"sub":"user_1"}"#).unwrap();
        let shown = format!("{:?}", Claims(&object));
        assert!(
            shown.starts_with("Claims") && !shown.contains("user_1"),
            "{shown}"
        );
    }
}
