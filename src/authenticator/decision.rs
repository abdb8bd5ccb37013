//! The checks of a request, in order.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use http::request::Parts;

use super::{
    rejection::{Rejection, RejectionKind},
    required::Required,
    waiting::{Awaited, Waiting, store_panicked},
};
#[cfg(feature = "jwt")]
use crate::jwt::JwtRejection;
#[cfg(feature = "audit")]
use crate::requirement::Route;
use crate::{
    client_ip::ClientIpSource,
    clock::{Clock, SystemClock},
    credential::{Credential, Environment, KeyFormat},
    key_store::{KeyStore, Lookup, LookupAnswer, PresentedKey},
    principal::{Principal, Role},
    requirement::{Requirement, RouteTable},
    telemetry,
};

/// The configuration of a layer, as far as the decision needs it.
#[derive(Debug, Clone)]
pub(crate) struct Authenticator {
    pub(crate) store: Arc<dyn KeyStore>,
    #[cfg(feature = "jwt")]
    pub(crate) jwt: Option<crate::jwt::JwtVerifier>,
    pub(crate) key_format: KeyFormat,
    pub(crate) environment: Option<Environment>,
    pub(crate) accepted_roles: Option<Arc<[Role]>>,
    pub(crate) client_ip: ClientIpSource,
    pub(crate) routes: Option<RouteTable>,
    pub(crate) requirement: Requirement,
    pub(crate) clock: Arc<dyn Clock>,
}

pub(crate) enum Decision {
    /// `None`: the route is public, so that the request needs no credential and gets no principal (C1).
    Admitted(Option<Principal>),
    Rejected(Rejection),
    /// The key store or the key set has to be asked first; then [`Authenticator::conclude`].
    Waiting(Waiting),
}

impl From<Result<Principal, Rejection>> for Decision {
    fn from(result: Result<Principal, Rejection>) -> Self {
        match result {
            Ok(principal) => Self::Admitted(Some(principal)),
            Err(rejection) => Self::Rejected(rejection),
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
            routes: None,
            requirement: Requirement::authenticated(),
            clock: Arc::new(SystemClock),
        }
    }

    pub(crate) fn decide(&self, parts: &Parts) -> Decision {
        let required = self.required(parts);
        if required.is_public() {
            return Decision::Admitted(None);
        }
        match Credential::from_headers(&parts.headers) {
            Ok(Credential::ApiKey(key)) => self.decide_key(key, parts, &required),
            Ok(Credential::Jwt(token)) => self.decide_session(token, &required),
            Ok(Credential::Unrecognized) => {
                let rejection = invalid_key("the token is neither an API key nor a JWT");
                Decision::Rejected(rejection.with_credential("unrecognized"))
            }
            Err(error) => Decision::Rejected(error.into()),
        }
    }

    /// Decides on a request that has waited.
    pub(crate) fn conclude(
        &self,
        answer: Awaited,
        parts: &Parts,
    ) -> Result<Option<Principal>, Rejection> {
        match answer {
            Awaited::Key(answer) => {
                let required = self.required(parts);
                self.key_principal(answer, parts, &required).map(Some)
            }
            #[cfg(feature = "jwt")]
            Awaited::KeySet => match self.decide(parts) {
                Decision::Admitted(principal) => Ok(principal),
                Decision::Rejected(rejection) => Err(rejection),
                // A request waits for one fetch: a chain of fetches could hold it without bound.
                Decision::Waiting(_) => Err(unavailable("session_token")),
            },
        }
    }

    /// Returns the path of the row that matches the request.
    #[cfg(feature = "audit")]
    pub(crate) fn route_of<'a>(&'a self, parts: &'a Parts) -> Option<&'a str> {
        match self.routes.as_ref()?.routes_of(parts).0 {
            Route::Row { path, .. } => Some(path),
            Route::Every { .. } | Route::Unmatched(_) => None,
        }
    }

    fn required<'a>(&'a self, parts: &'a Parts) -> Required<'a> {
        Required::of(parts, self.routes.as_ref(), &self.requirement)
    }

    fn decide_key(&self, key: &[u8], parts: &Parts, required: &Required<'_>) -> Decision {
        if !self.key_format.admits(key) {
            return Decision::Rejected(invalid_key("the key was not minted by this crate"));
        }
        if !self.accepts_environment_of(key) {
            return Decision::Rejected(invalid_key("the key is of the other environment"));
        }
        let lookup = || self.store.lookup_presented(&PresentedKey::new(key));
        let lookup = catch_unwind(AssertUnwindSafe(lookup));
        let lookup = lookup.unwrap_or_else(|_| Lookup::ready(Err(store_panicked())));
        match lookup.into_answer() {
            Ok(answer) => self.key_principal(answer, parts, required).into(),
            Err(pending) => Decision::Waiting(Waiting::for_key(pending)),
        }
    }

    // C5
    fn accepts_environment_of(&self, key: &[u8]) -> bool {
        let of_key = self.environment.and_then(|_| Environment::of(key));
        of_key.is_none() || of_key == self.environment
    }

    #[cfg(feature = "jwt")]
    fn decide_session(&self, token: &str, required: &Required<'_>) -> Decision {
        let Some(verifier) = &self.jwt else {
            return Decision::Rejected(no_verifier());
        };
        match verifier.verify(token, self.clock.unix_seconds()) {
            Ok(user) => self.user_principal(user, required).into(),
            Err(JwtRejection::Invalid(reason)) => Decision::Rejected(invalid_session(reason)),
            Err(JwtRejection::KeySetUnavailable) => {
                Decision::Rejected(unavailable("session_token"))
            }
            Err(JwtRejection::Waiting(fetching)) => Decision::Waiting(Waiting::KeySet(fetching)),
        }
    }

    #[cfg(not(feature = "jwt"))]
    fn decide_session(&self, _token: &str, _required: &Required<'_>) -> Decision {
        Decision::Rejected(no_verifier())
    }

    fn key_principal(
        &self,
        answer: LookupAnswer,
        parts: &Parts,
        required: &Required<'_>,
    ) -> Result<Principal, Rejection> {
        let record = match answer {
            Ok(Some(record)) => record,
            Ok(None) => return Err(invalid_key("the key is unknown")),
            Err(error) => {
                telemetry::store_failed(&error);
                return Err(unavailable("api_key"));
            }
        };
        let now = self.clock.unix_seconds();
        if record.is_revoked() {
            return Err(invalid_key("the key is revoked"));
        }
        if record.is_expired_at(now) {
            return Err(invalid_key("the key is expired"));
        }
        // C22–C24
        if !record.allowlist().is_empty() {
            let client_ip = self.client_ip.client_ip(parts);
            if !record.allowlist().permits(client_ip) {
                let reason = match client_ip {
                    Some(_) => "the client address is not in the allowlist",
                    None => "the client address is unknown: see ClientIpSource",
                };
                let rejection = Rejection::with_reason(RejectionKind::IpNotAllowed, reason);
                return Err(rejection.with_principal(record.into_principal()));
            }
        }
        record.stamp_last_used(now);
        required.check(record.into_principal())
    }

    #[cfg(feature = "jwt")]
    fn user_principal(
        &self,
        user: Principal,
        required: &Required<'_>,
    ) -> Result<Principal, Rejection> {
        // C17
        let is_accepted = self
            .accepted_roles
            .as_ref()
            .is_none_or(|accepted| user.role().is_some_and(|role| accepted.contains(role)));
        if !is_accepted {
            let reason = "the role is not one that the layer accepts";
            let rejection = Rejection::with_reason(RejectionKind::UnauthorizedRole, reason);
            return Err(rejection.with_principal(user));
        }
        required.check(user)
    }
}

fn invalid_key(reason: &'static str) -> Rejection {
    Rejection::with_reason(RejectionKind::InvalidApiKey, reason)
}

fn invalid_session(reason: &'static str) -> Rejection {
    Rejection::with_reason(RejectionKind::InvalidSessionToken, reason)
}

fn no_verifier() -> Rejection {
    invalid_session("the layer has no JwtVerifier: see CoverbaseAuthLayer::with_jwt")
}

fn unavailable(credential: &'static str) -> Rejection {
    Rejection::new(RejectionKind::AuthUnavailable).with_credential(credential)
}
