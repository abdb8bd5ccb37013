use std::{fmt, sync::Arc};

use super::{
    clerk,
    keys::key_set::KeySet,
    membership::{Claims, InvalidClaim, Membership},
};

/// An issuer of tokens: its name, its keys and its claim rules.
///
/// Add it to a [`JwtVerifier`](crate::JwtVerifier) with [`with_issuer`](crate::JwtVerifier::with_issuer). A token is verified
/// with the keys and rules of the issuer that it names and no other (C13, RFC 8725 §3.8).
///
/// ```
/// use coverbase_auth::Role;
/// use coverbase_auth::{Issuer, JwtVerifier, KeySet, jwt::Membership};
///
/// let partner = Issuer::new("https://id.partner.example", KeySet::unavailable())
///     .with_audiences(["https://api.example.com"])
///     .with_claims(|claims| {
///         Ok(Membership::new(claims.required_string("tenant")?)
///             .with_role(claims.string("role")?.map(Role::new))
///             .with_scopes(claims.scopes("scope")?))
///     });
/// let verifier = JwtVerifier::new("https://clerk.example.com", KeySet::unavailable()).with_issuer(partner);
/// ```
#[derive(Clone)]
#[must_use]
pub struct Issuer {
    pub(crate) name: String,
    pub(crate) key_set: KeySet,
    pub(crate) authorized_parties: Option<Vec<String>>,
    pub(crate) audiences: Option<Vec<String>>,
    pub(crate) mapping: Arc<Mapping>,
}

type Mapping = dyn Fn(&Claims<'_>) -> Result<Membership, InvalidClaim> + Send + Sync;

impl Issuer {
    /// An issuer of Clerk's session tokens (C15) whose `iss` equals `name`, signed by a key of `key_set`. An empty `name`
    /// accepts no token.
    pub fn new(name: impl Into<String>, key_set: KeySet) -> Self {
        Self {
            name: name.into(),
            key_set,
            authorized_parties: None,
            audiences: None,
            mapping: Arc::new(clerk::membership),
        }
    }

    /// Accepts only tokens whose `azp` is present and equals one of `parties` (C14). Without this call `azp` is not checked.
    ///
    /// An empty list accepts no token, so that a list lost from a configuration does not disable the check.
    pub fn with_authorized_parties(
        mut self,
        parties: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.authorized_parties = Some(parties.into_iter().map(Into::into).collect());
        self
    }

    /// Accepts only tokens whose `aud` contains one of `audiences` (C14; RFC 7519 §4.1.3). An empty list accepts no token.
    ///
    /// Without this call a token with `aud` is rejected, because it was issued for another audience.
    pub fn with_audiences(
        mut self,
        audiences: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.audiences = Some(audiences.into_iter().map(Into::into).collect());
        self
    }

    /// Reads organization, role, session and scopes with `membership` instead of from Clerk's claims.
    ///
    /// It is called once for each token and the result is cached, so it must be a pure function of the claims. `sub`, `exp`,
    /// `nbf`, `iat`, `azp` and `aud` have been checked before (C13, C14); Clerk's `sid` and `sts` have not.
    ///
    /// ```
    /// # use coverbase_auth::{Issuer, KeySet, jwt::Membership};
    /// let issuer = Issuer::new("https://id.example.com", KeySet::unavailable()).with_claims(|claims| {
    ///     let tenant = claims.object("tenant")?.ok_or("no tenant")?;
    ///     Ok(Membership::new(tenant.required_string("id")?))
    /// });
    /// ```
    pub fn with_claims(
        mut self,
        membership: impl Fn(&Claims<'_>) -> Result<Membership, InvalidClaim> + Send + Sync + 'static,
    ) -> Self {
        self.mapping = Arc::new(membership);
        self
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Issuer")
            .field("name", &self.name)
            .field("key_set", &self.key_set)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        jwt::{rejection::JwtRejection, verifier::JwtVerifier},
        principal::{Role, Scope},
        testing::TestIssuer,
    };

    const NOW: u64 = 1_800_000_000;

    fn reason(verifier: &JwtVerifier, token: &str) -> &'static str {
        match verifier.verify(token, NOW) {
            Ok(_) => "accepted",
            Err(JwtRejection::Invalid(reason)) => reason,
            Err(_) => "unavailable",
        }
    }

    // T2
    #[test]
    fn each_issuer_is_verified_by_its_own_keys_and_rules() {
        let ours = TestIssuer::new("https://clerk.coverbase.test");
        let theirs = TestIssuer::new("https://other.test");
        let verifier = JwtVerifier::new(ours.issuer(), ours.key_set())
            .with_authorized_parties([TestIssuer::AUTHORIZED_PARTY])
            .with_issuer(
                Issuer::new(theirs.issuer(), theirs.key_set())
                    .with_audiences(["api"])
                    .with_claims(|claims| {
                        Ok(Membership::new(claims.required_string("tenant")?)
                            .with_role(claims.string("role")?.map(Role::new))
                            .with_scopes(claims.scopes("scope")?))
                    }),
            );
        let foreign = || {
            let token = theirs.token().with_claim("aud", "api");
            let token = token.without_claim("sid").without_claim("azp");
            token
                .with_claim("tenant", "org_beta")
                .with_claim("role", "owner")
        };
        assert_eq!(reason(&verifier, &ours.token().sign()), "accepted");

        let token = foreign().with_claim("scope", "audit:read b").sign();
        let principal = verifier.verify(&token, NOW).unwrap();
        assert_eq!(principal.org_id().as_str(), "org_beta");
        assert_eq!(principal.role().map(Role::as_str), Some("owner"));
        assert_eq!(principal.session_id(), None);
        assert!(principal.scopes().contains(&Scope::AUDIT_READ));
        for scopes in [
            json!(["audit:read", 1]),
            json!(["a b"]),
            json!(1),
            json!(["\u{e9}"]),
        ] {
            let token = foreign().with_claim("scope", scopes.clone()).sign();
            assert_ne!(reason(&verifier, &token), "accepted", "{scopes}");
        }
        let token = foreign().with_claim("scope", [""; 0]).sign();
        assert_eq!(reason(&verifier, &token), "accepted");

        // The `kid`s are the same, and the keys and rules of one issuer do not apply to the other.
        let posing = foreign().with_claim("iss", ours.issuer()).sign();
        assert_eq!(reason(&verifier, &posing), "the signature is wrong");
        let posing = ours.token().with_claim("iss", theirs.issuer()).sign();
        assert_eq!(reason(&verifier, &posing), "the signature is wrong");
        let token = foreign().without_claim("tenant").sign();
        assert_eq!(
            reason(&verifier, &token),
            "a required claim is not a non-empty string"
        );
        let token = foreign().without_claim("aud").sign();
        assert_eq!(reason(&verifier, &token), "`aud` is missing");

        // An issuer of the same name replaces the other.
        let verifier = verifier.with_issuer(Issuer::new(theirs.issuer(), KeySet::unavailable()));
        assert_eq!(reason(&verifier, &foreign().sign()), "unavailable");
    }
}
