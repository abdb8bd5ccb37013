//! The decision: the parts of a request in; admitted, refused or waiting out. It knows no tower.
//!
//! `C28` orders the checks: the credential, then the allowlist, then the requirement. Whoever fails one learns nothing of
//! the next.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::request::Parts;

use crate::{
    api_key::{Environment, KeyDigest, KeyFormat},
    client_ip::ClientIpSource,
    clock::{Clock, SystemClock},
    credential::Credential,
    key_store::{KeyRecord, KeyStore, Lookup, LookupAnswer, PendingLookup, StoreError},
    observe,
    principal::{Principal, Role},
    rejection::{Rejection, RejectionKind},
    requirement::Requirement,
};

/// What a layer has been configured with.
#[derive(Debug, Clone)]
pub(crate) struct Authenticator {
    pub(crate) store: Arc<dyn KeyStore>,
    #[cfg(feature = "jwt")]
    pub(crate) jwt: Option<crate::jwt::JwtVerifier>,
    pub(crate) key_format: KeyFormat,
    pub(crate) environment: Option<Environment>,
    pub(crate) accepted_roles: Option<Arc<[Role]>>,
    pub(crate) client_ip: ClientIpSource,
    pub(crate) requirement: Requirement,
    pub(crate) clock: Arc<dyn Clock>,
}

#[derive(Debug)]
pub(crate) enum Decision {
    Admitted(Principal),
    Refused(Rejection),
    /// Somebody must be asked first; then [`Authenticator::conclude`].
    Waiting(Waiting),
}

impl From<Result<Principal, Rejection>> for Decision {
    #[inline]
    fn from(result: Result<Principal, Rejection>) -> Self {
        match result {
            Ok(principal) => Self::Admitted(principal),
            Err(rejection) => Self::Refused(rejection),
        }
    }
}

impl Authenticator {
    pub(crate) fn new(store: Arc<dyn KeyStore>) -> Self {
        Self {
            store,
            #[cfg(feature = "jwt")]
            jwt: None,
            key_format: KeyFormat::default(),
            environment: None,
            accepted_roles: None,
            client_ip: ClientIpSource::peer(),
            requirement: Requirement::authenticated(),
            clock: Arc::new(SystemClock),
        }
    }

    #[inline]
    pub(crate) fn decide(&self, parts: &Parts) -> Decision {
        match Credential::from_headers(&parts.headers) {
            Ok(Credential::ApiKey(key)) => self.decide_key(key, parts),
            Ok(Credential::Jwt(token)) => self.session_principal(token, parts).into(),
            Ok(Credential::Unrecognized) => {
                Decision::Refused(invalid_key("neither kind of credential"))
            }
            Err(error) => Decision::Refused(error.into()),
        }
    }

    /// The decision on a request that has waited.
    pub(crate) fn conclude(
        &self,
        answer: LookupAnswer,
        parts: &Parts,
    ) -> Result<Principal, Rejection> {
        self.key_principal(answer, parts)
    }

    #[inline]
    fn decide_key(&self, key: &[u8], parts: &Parts) -> Decision {
        if !self.key_format.admits(key) {
            return Decision::Refused(invalid_key("not a minted key"));
        }
        if !self.serves_environment_of(key) {
            return Decision::Refused(invalid_key("of the other environment"));
        }
        match self.lookup(&KeyDigest::of(key)).into_answer() {
            Ok(answer) => self.key_principal(answer, parts).into(),
            Err(pending) => Decision::Waiting(Waiting(pending)),
        }
    }

    /// `C5`
    #[inline]
    fn serves_environment_of(&self, key: &[u8]) -> bool {
        let Some(served) = self.environment else {
            return true;
        };
        Environment::of(key).is_none_or(|of_key| of_key == served)
    }

    /// A store that panics is one that cannot answer.
    #[inline]
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        catch_unwind(AssertUnwindSafe(|| self.store.lookup(digest)))
            .unwrap_or_else(|_| Lookup::ready(Err(panicked())))
    }

    #[inline]
    fn key_principal(&self, answer: LookupAnswer, parts: &Parts) -> Result<Principal, Rejection> {
        let record = match answer {
            Ok(Some(record)) => record,
            Ok(None) => return Err(invalid_key("unknown")),
            Err(error) => {
                observe::store_failed(&error);
                return Err(RejectionKind::AuthUnavailable.into());
            }
        };
        let now = self.clock.unix_seconds();
        if record.is_revoked() {
            return Err(invalid_key("revoked"));
        }
        if record.is_expired_at(now) {
            return Err(invalid_key("expired"));
        }
        if !self.is_from_allowed_address(&record, parts) {
            let rejection = Rejection::new(RejectionKind::IpNotAllowed);
            return Err(rejection.of(record.into_principal()));
        }
        record.stamp_last_used(now);
        self.check_requirement(record.into_principal(), parts)
    }

    /// `C22`–`C24`. Nobody looks for the client's address unless somebody asks for it.
    #[inline]
    fn is_from_allowed_address(&self, record: &KeyRecord, parts: &Parts) -> bool {
        let allowlist = record.allowlist();
        allowlist.is_empty() || allowlist.permits(self.client_ip.client_ip(parts))
    }

    #[cfg(feature = "jwt")]
    fn session_principal(&self, token: &str, parts: &Parts) -> Result<Principal, Rejection> {
        use crate::jwt::JwtRefusal;

        let Some(verifier) = &self.jwt else {
            return Err(invalid_session("no verifier is configured"));
        };
        let principal = match verifier.verify(token, self.clock.unix_seconds()) {
            Ok(principal) => principal,
            Err(JwtRefusal::Invalid(cause)) => return Err(invalid_session(cause)),
            Err(JwtRefusal::KeySetUnavailable) => return Err(RejectionKind::AuthUnavailable.into()),
        };
        if !self.accepts_role_of(&principal) {
            let rejection =
                Rejection::because(RejectionKind::UnauthorizedRole, "not of the layer's roles");
            return Err(rejection.of(principal));
        }
        self.check_requirement(principal, parts)
    }

    #[cfg(not(feature = "jwt"))]
    fn session_principal(&self, _token: &str, _parts: &Parts) -> Result<Principal, Rejection> {
        Err(invalid_session("no verifier is configured"))
    }

    /// `C17`
    #[cfg(feature = "jwt")]
    fn accepts_role_of(&self, user: &Principal) -> bool {
        let Some(accepted) = &self.accepted_roles else {
            return true;
        };
        user.role().is_some_and(|role| accepted.contains(role))
    }

    /// The request's own requirement, or else the layer's.
    #[inline]
    fn check_requirement(
        &self,
        principal: Principal,
        parts: &Parts,
    ) -> Result<Principal, Rejection> {
        let requirement = parts.extensions.get().unwrap_or(&self.requirement);
        requirement.check(&principal)?;
        Ok(principal)
    }
}

fn invalid_key(cause: &'static str) -> Rejection {
    Rejection::because(RejectionKind::InvalidApiKey, cause)
}

fn invalid_session(cause: &'static str) -> Rejection {
    Rejection::because(RejectionKind::InvalidSessionToken, cause)
}

fn panicked() -> StoreError {
    observe::store_panicked();
    StoreError::new("it panicked")
}

/// A store's answer that takes time.
pub(crate) struct Waiting(PendingLookup);

impl Future for Waiting {
    type Output = LookupAnswer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LookupAnswer> {
        let lookup = self.0.as_mut();
        let poll = catch_unwind(AssertUnwindSafe(|| lookup.poll(cx)));
        Poll::Ready(ready!(
            poll.unwrap_or_else(|_| Poll::Ready(Err(panicked())))
        ))
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting(..)")
    }
}
