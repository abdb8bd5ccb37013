//! The decision: a request in; admitted, refused or waiting out. It knows no tower.
//!
//! `C28` orders the checks: the credential, then the allowlist, then the requirement. Whoever fails one learns nothing of
//! the next.

mod challenge;
pub(crate) mod rejection;
pub(crate) mod slot;

use std::{
    future::Future,
    mem,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Extensions, HeaderMap, Request};

pub(crate) use self::{
    rejection::{Rejection, RejectionKind},
    slot::{OwnRequirements, Slot, Witness},
};
use crate::{
    client_ip::ClientIpSource,
    clock::{Clock, SystemClock},
    credential::{self, Credential, Environment, KeyFormat, Presented},
    key_store::{
        KeyRecord, KeyStore, Lookup, LookupAnswer, PendingLookup, PresentedKey, StoreError,
    },
    principal::{Principal, Role},
    requirement::Requirement,
    telemetry::observe,
};
#[cfg(feature = "jwt")]
use crate::{
    credential::PREFIX,
    jwt::{Fetching, JwtRejection},
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
    /// The request asks for no credential, and whoever makes it is nobody (`C1`).
    Public,
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

    /// From here on the request's credential is marked sensitive, unless the decision is that nobody asks for it.
    ///
    /// The request is not taken apart for it, which would copy its 230 bytes out and in again. Its extensions are one
    /// pointer, which stands aside while the headers are written to.
    #[inline]
    pub(crate) fn decide<B>(&self, request: &mut Request<B>) -> Decision {
        let extensions = mem::take(request.extensions_mut());
        let judged = self.judge(request.headers_mut(), &extensions);
        *request.extensions_mut() = extensions;
        match judged {
            Judged::Decided(decision) => decision,
            Judged::Restricted(key) => self.restricted_principal(key, request).into(),
        }
    }

    /// The decision on a request that has waited.
    pub(crate) fn conclude<B>(
        &self,
        answer: Awaited,
        request: &mut Request<B>,
    ) -> Result<Principal, Rejection> {
        match answer {
            Awaited::Key(answer) => self.restricted_principal(self.live_key(answer)?, request),
            #[cfg(feature = "jwt")]
            Awaited::KeySet => match self.decide(request) {
                Decision::Admitted(principal) => Ok(principal),
                Decision::Refused(rejection) => Err(rejection),
                // It has waited for the one fetch that there was: to wait for another is to wait for ever.
                Decision::Waiting(_) | Decision::Public => {
                    Err(unavailable(Presented::SessionToken))
                }
            },
        }
    }

    /// All that can be told without the rest of the request.
    fn judge(&self, headers: &mut HeaderMap, extensions: &Extensions) -> Judged {
        let required = OwnRequirements::of(extensions);
        if required.are_public() {
            return Judged::Decided(Decision::Public);
        }
        let decision = match self.identify(headers) {
            Claimed::Key(answer) => match self.live_key(answer) {
                Ok(key) if !key.record.allowlist().is_empty() => return Judged::Restricted(key),
                Ok(key) => self.key_principal(key, required).into(),
                Err(rejection) => Decision::Refused(rejection),
            },
            #[cfg(feature = "jwt")]
            Claimed::Session(principal) => self.session_principal(principal, required).into(),
            Claimed::Nothing(rejection) => Decision::Refused(rejection),
            Claimed::Pending(waiting) => Decision::Waiting(waiting),
        };
        Judged::Decided(decision)
    }

    /// Whose credential it is.
    #[inline]
    fn identify(&self, headers: &mut HeaderMap) -> Claimed {
        let token = match credential::taken_from(headers) {
            Ok(token) => token,
            Err(error) => return Claimed::Nothing(error.into()),
        };
        #[cfg(feature = "jwt")]
        if let Some(answer) = self.remembered_session(token) {
            return answer.into();
        }
        match Credential::from_token(token) {
            Ok(Credential::ApiKey(key)) => self.identify_key(key),
            Ok(Credential::Jwt(token)) => self.identify_session(token),
            Ok(Credential::Unrecognized) => {
                let rejection = invalid_key("neither kind of credential");
                Claimed::Nothing(rejection.presented(Presented::Unrecognized))
            }
            Err(error) => Claimed::Nothing(error.into()),
        }
    }

    #[inline]
    fn identify_key(&self, key: &[u8]) -> Claimed {
        if !self.key_format.admits(key) {
            return Claimed::Nothing(invalid_key("not a minted key"));
        }
        if !self.serves_environment_of(key) {
            return Claimed::Nothing(invalid_key("of the other environment"));
        }
        match self.lookup(&PresentedKey::new(key)).into_answer() {
            Ok(answer) => Claimed::Key(answer),
            Err(pending) => Claimed::Pending(Waiting::Key(StoreAnswer::new(pending))),
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
    fn lookup(&self, key: &PresentedKey<'_>) -> Lookup {
        catch_unwind(AssertUnwindSafe(|| self.store.lookup_presented(key)))
            .unwrap_or_else(|_| Lookup::ready(Err(panicked())))
    }

    /// The key, if it opens anything.
    // Always in line, as is `key_principal`: its result would go through memory in halves and be read back whole, which a
    // processor waits for.
    #[inline(always)]
    fn live_key(&self, answer: LookupAnswer) -> Result<LiveKey, Rejection> {
        let record = match answer {
            Ok(Some(record)) => record,
            Ok(None) => return Err(invalid_key("unknown")),
            Err(error) => {
                observe::store_failed(&error);
                return Err(unavailable(Presented::ApiKey));
            }
        };
        let now = self.clock.unix_seconds();
        if record.is_revoked() {
            return Err(invalid_key("revoked"));
        }
        if record.is_expired_at(now) {
            return Err(invalid_key("expired"));
        }
        Ok(LiveKey { record, now })
    }

    /// The principal of a key that may be restricted to addresses (`C22`–`C24`). Nobody looks for the client's unless
    /// somebody asks for it.
    fn restricted_principal<B>(
        &self,
        key: LiveKey,
        request: &mut Request<B>,
    ) -> Result<Principal, Rejection> {
        let allowlist = key.record.allowlist();
        if !allowlist.is_empty() {
            let client_ip = self.client_ip.client_ip_of(request);
            if !allowlist.permits(client_ip) {
                return Err(outside_of_allowlist(key.record, client_ip));
            }
        }
        self.key_principal(key, OwnRequirements::of(request.extensions()))
    }

    #[inline(always)]
    fn key_principal(
        &self,
        key: LiveKey,
        required: OwnRequirements<'_>,
    ) -> Result<Principal, Rejection> {
        key.record.stamp_last_used(key.now);
        self.check_requirement(key.record.into_principal(), required)
    }

    /// A token that is the same as one that has passed is well formed, signed and claims what it must.
    #[cfg(feature = "jwt")]
    #[inline]
    fn remembered_session(&self, token: &[u8]) -> Option<Result<Principal, JwtRejection>> {
        if token.starts_with(PREFIX.as_bytes()) {
            return None;
        }
        (self.jwt.as_ref()?).remembered(token, self.clock.unix_seconds())
    }

    #[cfg(feature = "jwt")]
    fn identify_session(&self, token: &str) -> Claimed {
        match &self.jwt {
            Some(verifier) => verifier.verify(token, self.clock.unix_seconds()).into(),
            None => Claimed::Nothing(invalid_session("no verifier is configured")),
        }
    }

    #[cfg(not(feature = "jwt"))]
    fn identify_session(&self, _token: &str) -> Claimed {
        Claimed::Nothing(invalid_session("no verifier is configured"))
    }

    #[cfg(feature = "jwt")]
    #[inline]
    fn session_principal(
        &self,
        principal: Principal,
        required: OwnRequirements<'_>,
    ) -> Result<Principal, Rejection> {
        if !self.accepts_role_of(&principal) {
            let rejection =
                Rejection::because(RejectionKind::UnauthorizedRole, "not of the layer's roles");
            return Err(rejection.of(principal));
        }
        self.check_requirement(principal, required)
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
        required: OwnRequirements<'_>,
    ) -> Result<Principal, Rejection> {
        required.check(&self.requirement, &principal)?;
        Ok(principal)
    }
}

enum Judged {
    Decided(Decision),
    /// A good key, if its organization's allowlist permits it.
    Restricted(LiveKey),
}

/// A key that opens something now.
struct LiveKey {
    record: KeyRecord,
    now: u64,
}

/// Whom a credential names, before anybody has looked at whether they may.
enum Claimed {
    Key(LookupAnswer),
    #[cfg(feature = "jwt")]
    Session(Principal),
    Nothing(Rejection),
    /// Somebody must be asked first.
    Pending(Waiting),
}

#[cfg(feature = "jwt")]
impl From<Result<Principal, JwtRejection>> for Claimed {
    #[inline]
    fn from(answer: Result<Principal, JwtRejection>) -> Self {
        match answer {
            Ok(principal) => Self::Session(principal),
            Err(JwtRejection::Invalid(cause)) => Self::Nothing(invalid_session(cause)),
            Err(JwtRejection::KeySetUnavailable) => {
                Self::Nothing(unavailable(Presented::SessionToken))
            }
            Err(JwtRejection::Waiting(fetching)) => Self::Pending(Waiting::KeySet(fetching)),
        }
    }
}

fn invalid_key(cause: &'static str) -> Rejection {
    Rejection::because(RejectionKind::InvalidApiKey, cause)
}

fn invalid_session(cause: &'static str) -> Rejection {
    Rejection::because(RejectionKind::InvalidSessionToken, cause)
}

fn outside_of_allowlist(record: KeyRecord, client_ip: Option<IpAddr>) -> Rejection {
    let cause = match client_ip {
        Some(_) => "not on the allowlist",
        None => "the client's address is unknown: see ClientIpSource",
    };
    Rejection::because(RejectionKind::IpNotAllowed, cause).of(record.into_principal())
}

fn unavailable(presented: Presented) -> Rejection {
    Rejection::new(RejectionKind::AuthUnavailable).presented(presented)
}

fn panicked() -> StoreError {
    observe::store_panicked();
    StoreError::new("it panicked")
}

/// What a request waits for.
pub(crate) enum Waiting {
    Key(StoreAnswer),
    /// A key set that is being fetched.
    #[cfg(feature = "jwt")]
    KeySet(Fetching),
}

/// What it has waited for.
pub(crate) enum Awaited {
    Key(LookupAnswer),
    /// The request is to be decided again, as if it were a new one.
    #[cfg(feature = "jwt")]
    KeySet,
}

impl Future for Waiting {
    type Output = Awaited;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Awaited> {
        match &mut *self {
            Self::Key(answer) => Pin::new(answer).poll(cx).map(Awaited::Key),
            #[cfg(feature = "jwt")]
            Self::KeySet(fetching) => Pin::new(fetching).poll(cx).map(|()| Awaited::KeySet),
        }
    }
}

/// A store's answer that takes time.
pub(crate) struct StoreAnswer {
    lookup: PendingLookup,
    #[cfg(feature = "metrics")]
    since: std::time::Instant,
}

impl StoreAnswer {
    fn new(lookup: PendingLookup) -> Self {
        Self {
            lookup,
            #[cfg(feature = "metrics")]
            since: std::time::Instant::now(),
        }
    }
}

impl Future for StoreAnswer {
    type Output = LookupAnswer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LookupAnswer> {
        let lookup = self.lookup.as_mut();
        let poll = catch_unwind(AssertUnwindSafe(|| lookup.poll(cx)));
        let answer = ready!(poll.unwrap_or_else(|_| Poll::Ready(Err(panicked()))));
        #[cfg(feature = "metrics")]
        crate::telemetry::meter::lookup_waited(self.since.elapsed());
        Poll::Ready(answer)
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting(..)")
    }
}
