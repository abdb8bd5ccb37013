//! How a token's claims become a member of an organization: the part of a token that each issuer writes in its own way.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    json::{Object, Value},
    principal::{OrgId, Principal, Role, Scopes, UserIdentity},
};

/// A user's place in one organization, as a token tells it.
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
pub struct Membership {
    org_id: OrgId,
    org_slug: Option<Box<str>>,
    role: Option<Role>,
    session_id: Option<Box<str>>,
    scopes: Scopes,
}

impl Membership {
    /// A member of this organization, without a role. All that the user reads and writes is scoped to it (C15): a token
    /// whose organization is empty is refused.
    pub fn new(org_id: impl Into<OrgId>) -> Self {
        Self {
            org_id: org_id.into(),
            org_slug: None,
            role: None,
            session_id: None,
            scopes: Scopes::new(),
        }
    }

    /// The organization's short name.
    pub fn with_org_slug<'s>(self, slug: impl Into<Option<&'s str>>) -> Self {
        let org_slug = slug.into().map(Box::from);
        Self { org_slug, ..self }
    }

    /// The user's role in the organization, by which requirements admit users (C18).
    pub fn with_role(self, role: impl Into<Option<Role>>) -> Self {
        let role = role.into();
        Self { role, ..self }
    }

    /// The id of the session that the token belongs to.
    pub fn with_session_id<'s>(self, id: impl Into<Option<&'s str>>) -> Self {
        let session_id = id.into().map(Box::from);
        Self { session_id, ..self }
    }

    /// What [`Principal::scopes`] shows. No requirement admits a user by them: users pass by their role (C18).
    pub fn with_scopes(self, scopes: impl Into<Scopes>) -> Self {
        let scopes = scopes.into();
        Self { scopes, ..self }
    }

    pub(crate) fn into_principal(self, user_id: &str) -> Result<Principal, &'static str> {
        if self.org_id.as_str().is_empty() {
            return Err("its organization is empty");
        }
        if !is_id(self.org_id.as_str()) || !is_id(user_id) {
            return Err("an id in it has more than 255 bytes, or control characters");
        }
        Ok(Principal::user(UserIdentity {
            org_id: self.org_id,
            org_slug: self.org_slug,
            user_id: user_id.into(),
            role: self.role,
            session_id: self.session_id,
            scopes: self.scopes,
        }))
    }
}

/// What stores and logs can hold as it is; longer ones no issuer may give its users (OpenID Connect Core §2).
fn is_id(id: &str) -> bool {
    // Nearly all are printing ASCII, which is told many bytes at a time.
    let is_plain = |plain, byte: u8| plain & (byte.wrapping_sub(b' ') < 95);
    id.len() <= 255 && (id.bytes().fold(true, is_plain) || !id.chars().any(char::is_control))
}

/// The claims of a token whose signature, issuer, dates and audience are good, for
/// [`Issuer::with_claims`](crate::Issuer::with_claims).
///
/// What is there and of another type than asked for is an error, never absent: `null` too.
///
/// ```
/// use coverbase_auth::Role;
/// use coverbase_auth::{Issuer, KeySet, jwt::{Claims, InvalidClaim, Membership}};
///
/// /// `{"org": {"id": "org_acme", "role": "member"}, "scope": "audit:read"}`
/// fn membership(claims: &Claims<'_>) -> Result<Membership, InvalidClaim> {
///     let org = claims.object("org")?.ok_or(InvalidClaim::new("a token without an organization"))?;
///     Ok(Membership::new(org.required_string("id")?)
///         .with_role(org.string("role")?.map(Role::new))
///         .with_scopes(claims.scopes("scope")?))
/// }
///
/// let issuer = Issuer::new("https://id.example.com", KeySet::unavailable()).with_claims(membership);
/// ```
#[derive(Clone, Copy)]
pub struct Claims<'a> {
    claims: &'a Object<'a>,
}

impl<'a> Claims<'a> {
    pub(crate) const fn new(claims: &'a Object<'a>) -> Self {
        Self { claims }
    }

    pub(crate) const fn as_object(&self) -> &'a Object<'a> {
        self.claims
    }

    /// The claim of this name, a string, where the token has it.
    ///
    /// # Errors
    ///
    /// When it is not a string.
    pub fn string(&self, name: &str) -> Result<Option<&'a str>, InvalidClaim> {
        self.typed(name, Value::as_str, "a claim is not a string")
    }

    /// The claim of this name, a string that is there and is not empty.
    ///
    /// # Errors
    ///
    /// When it is absent, empty, or not a string.
    pub fn required_string(&self, name: &str) -> Result<&'a str, InvalidClaim> {
        self.string(name)?
            .filter(|text| !text.is_empty())
            .ok_or(InvalidClaim("a required claim is absent or empty"))
    }

    /// The members of the claim of this name, where the token has it.
    ///
    /// # Errors
    ///
    /// When it is not an object.
    pub fn object(&self, name: &str) -> Result<Option<Self>, InvalidClaim> {
        let object = self.typed(name, Value::as_object, "a claim is not an object")?;
        Ok(object.map(Claims::new))
    }

    /// The scopes in the claim of this name: words in one string, as in `scope` (RFC 8693 §4.2), or an array of strings.
    /// A token without the claim has none.
    ///
    /// # Errors
    ///
    /// When it is neither, or one of them is not a scope (C9, RFC 6749 §3.3).
    pub fn scopes(&self, name: &str) -> Result<Scopes, InvalidClaim> {
        let scope = |text: &str| text.parse().map_err(|_| InvalidClaim("not a scope"));
        match self.claims.get(name) {
            None => Ok(Scopes::new()),
            Some(Value::String(words)) => {
                let words = words.split(' ').filter(|word| !word.is_empty());
                words.map(scope).collect()
            }
            Some(Value::Array(items)) => {
                let texts = items.iter().map(Value::as_str);
                texts.map(|text| scope(text.unwrap_or_default())).collect()
            }
            Some(_) => Err(InvalidClaim("scopes are neither a string nor an array")),
        }
    }

    fn typed<T>(
        &self,
        name: &str,
        of_type: impl FnOnce(&'a Value<'a>) -> Option<T>,
        reason: &'static str,
    ) -> Result<Option<T>, InvalidClaim> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(value) => of_type(value).map(Some).ok_or(InvalidClaim(reason)),
        }
    }
}

/// Nothing of what the token says (C33).
impl fmt::Debug for Claims<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Claims(..)")
    }
}

/// A claim does not say what it should: the token is answered 401, and the reason stands in the service's log (C16).
///
/// ```
/// use coverbase_auth::jwt::InvalidClaim;
///
/// assert_eq!(InvalidClaim::new("the tenant is closed").to_string(), "the tenant is closed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidClaim(&'static str);

impl InvalidClaim {
    /// Refuses a token for this reason, a fixed text: nothing of a token belongs into a log (C33).
    #[must_use]
    pub const fn new(reason: &'static str) -> Self {
        Self(reason)
    }

    pub(crate) const fn reason(self) -> &'static str {
        self.0
    }
}

/// One issuer's way to write a [`Membership`].
#[derive(Clone)]
pub(crate) struct Mapping(Arc<Map>);

type Map = dyn Fn(&Claims<'_>) -> Result<Membership, InvalidClaim> + Send + Sync;

impl Mapping {
    pub(crate) fn new(
        map: impl Fn(&Claims<'_>) -> Result<Membership, InvalidClaim> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(map))
    }

    /// The user of this id. A mapping that panics has found no member (T19).
    pub(crate) fn principal(
        &self,
        claims: &Object<'_>,
        user_id: &str,
    ) -> Result<Principal, &'static str> {
        let principal = || {
            let membership = (self.0)(&Claims::new(claims)).map_err(InvalidClaim::reason)?;
            membership.into_principal(user_id)
        };
        catch_unwind(AssertUnwindSafe(principal))
            .unwrap_or(Err("the mapping of its claims panicked"))
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Mapping(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse_object;

    #[test]
    fn an_object_among_the_claims_is_read_as_claims_are() {
        let object = parse_object(br#"{"org":{"id":"org_acme"},"name":"acme"}"#).unwrap();
        let claims = Claims::new(&object);
        let org = claims.object("org").unwrap().unwrap();
        assert_eq!(org.required_string("id").unwrap(), "org_acme");
        assert!(claims.object("absent").unwrap().is_none());
        assert!(claims.object("name").is_err());
    }

    // C15, T13: no store could keep a record of such a caller.
    #[test]
    fn an_id_is_short_and_of_printing_characters() {
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
        let shown = format!("{:?}", Claims::new(&object));
        assert!(
            shown.starts_with("Claims") && !shown.contains("user_1"),
            "{shown}"
        );
    }
}
