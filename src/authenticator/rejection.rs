//! Why a request is refused: the one table from the kind of refusal to its answer.

use std::fmt;

use http::{HeaderValue, StatusCode};

use crate::{
    authenticator::challenge::Challenge,
    credential::{CredentialError, Presented},
    principal::{Principal, PrincipalKind, Scopes},
    requirement::Requirement,
};

/// A refusal.
///
/// What a client sees of it is decided by its [kind](Self::kind) alone. It also lies in the **response's** extensions, so
/// that an outer layer can tell refusals apart without reading bodies:
///
/// ```
/// use coverbase_auth::{Rejection, RejectionKind};
///
/// fn is_store_trouble<B>(response: &http::Response<B>) -> bool {
///     let rejection = response.extensions().get::<Rejection>();
///     rejection.is_some_and(|rejection| rejection.kind() == RejectionKind::AuthUnavailable)
/// }
/// ```
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    cause: &'static str,
    credential: Presented,
    is_of_grpc: bool,
    required: Scopes,
    principal: Option<Principal>,
}

/// The ways in which a request can be refused, with the answer to each (`C29`–`C32`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// No bearer credential: 401 (`C3`).
    MissingCredential,
    /// A bearer credential that could not be read: 401 (`C3`).
    MalformedCredential,
    /// An unknown, expired or revoked key, or one of the other environment: 401 (`C8`, `C5`).
    InvalidApiKey,
    /// An invalid, expired or foreign session token: 401 (`C16`).
    InvalidSessionToken,
    /// A valid session whose role is not accepted: 401 (`C16`).
    UnauthorizedRole,
    /// A valid key without the scope: 403 (`C18`).
    InsufficientScope,
    /// Scopes that the caller may not grant: 403 (`C19`).
    ScopeGrantForbidden,
    /// A key's request from outside its organization's allowlist: 403 (`C23`, `C24`).
    IpNotAllowed,
    /// No such key in the caller's organization: 404 (`C20`).
    ApiKeyNotFound,
    /// Not the caller's organization: 404 (`C42`).
    OrgNotFound,
    /// Nothing here: 404 (`C44`).
    NotFound,
    /// The store or the key set cannot answer: 503 (`C31`).
    AuthUnavailable,
    /// The layers are out of order, or a requirement met a request that no layer has authenticated: 500 (`C21`).
    AuthNotConfigured,
}

/// A row of the table.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The value of the envelope's `detail.code`; `None` where `detail` is the message itself.
    pub(crate) code: Option<&'static str>,
    pub(crate) message: &'static str,
    /// The whole body of the contract's envelope.
    pub(crate) json: &'static str,
    pub(crate) challenge: Option<Challenge>,
    /// <https://grpc.io/docs/guides/status-codes/>
    pub(crate) grpc_status: &'static str,
}

macro_rules! answer {
    (@build $status:ident, $code:expr, $message:literal, $json:expr, $challenge:expr, $grpc:literal) => {
        &Answer {
            status: StatusCode::$status,
            code: $code,
            message: $message,
            json: $json,
            challenge: $challenge,
            grpc_status: $grpc,
        }
    };
    ($status:ident, $message:literal, $challenge:expr, grpc $grpc:literal) => {
        answer!(@build $status, None, $message, concat!(r#"{"detail":""#, $message, r#""}"#), $challenge, $grpc)
    };
    ($status:ident, $code:literal, $message:literal, $challenge:expr, grpc $grpc:literal) => {
        answer!(@build $status, Some($code), $message, concat!(r#"{"detail":{"code":""#, $code, r#"","message":""#, $message, r#""}}"#), $challenge, $grpc)
    };
}

impl RejectionKind {
    /// Every kind there is.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 13] = [
        Self::MissingCredential,
        Self::MalformedCredential,
        Self::InvalidApiKey,
        Self::InvalidSessionToken,
        Self::UnauthorizedRole,
        Self::InsufficientScope,
        Self::ScopeGrantForbidden,
        Self::IpNotAllowed,
        Self::ApiKeyNotFound,
        Self::OrgNotFound,
        Self::NotFound,
        Self::AuthUnavailable,
        Self::AuthNotConfigured,
    ];

    /// The table of `C29`, `C30` and `C32`.
    #[rustfmt::skip]
    pub(crate) const fn answer(self) -> &'static Answer {
        use Challenge::{InsufficientScope, InvalidToken, Plain};
        match self {
            Self::MissingCredential | Self::MalformedCredential =>
                answer!(UNAUTHORIZED, "Not authenticated", Some(Plain), grpc "16"),
            Self::InvalidApiKey =>
                answer!(UNAUTHORIZED, "Invalid or expired API key.", Some(InvalidToken), grpc "16"),
            Self::InvalidSessionToken =>
                answer!(UNAUTHORIZED, "Invalid or expired session token.", Some(InvalidToken), grpc "16"),
            Self::UnauthorizedRole =>
                answer!(UNAUTHORIZED, "Unauthorized role.", Some(Plain), grpc "16"),
            Self::InsufficientScope =>
                answer!(FORBIDDEN, "insufficient_scope", "This API key does not carry the scope that this request requires.", Some(InsufficientScope), grpc "7"),
            Self::ScopeGrantForbidden =>
                answer!(FORBIDDEN, "scope_grant_forbidden", "Only an organization admin may grant scopes to an API key.", None, grpc "7"),
            Self::IpNotAllowed =>
                answer!(FORBIDDEN, "ip_not_allowed", "This request originates from an IP address that is not in your organization's API allowlist.", None, grpc "7"),
            Self::ApiKeyNotFound =>
                answer!(NOT_FOUND, "api_key_not_found", "API key not found.", None, grpc "5"),
            Self::OrgNotFound =>
                answer!(NOT_FOUND, "org_not_found", "Organization not found.", None, grpc "5"),
            Self::NotFound =>
                answer!(NOT_FOUND, "Not Found", None, grpc "5"),
            Self::AuthUnavailable =>
                answer!(SERVICE_UNAVAILABLE, "auth_unavailable", "Authentication is temporarily unavailable. Please retry.", None, grpc "14"),
            Self::AuthNotConfigured =>
                answer!(INTERNAL_SERVER_ERROR, "auth_not_configured", "This route requires authentication, and the service has not set it up.", None, grpc "13"),
        }
    }

    const fn mostly_presented(self) -> Presented {
        match self {
            Self::InvalidApiKey => Presented::ApiKey,
            Self::InvalidSessionToken => Presented::SessionToken,
            _ => Presented::Nothing,
        }
    }

    /// The status of the answer, over HTTP.
    ///
    /// ```
    /// use coverbase_auth::RejectionKind;
    ///
    /// assert_eq!(RejectionKind::IpNotAllowed.status(), http::StatusCode::FORBIDDEN);
    /// ```
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.answer().status
    }

    /// The `code` of the answer; `None` for those whose `detail` is plain text.
    ///
    /// ```
    /// use coverbase_auth::RejectionKind;
    ///
    /// assert_eq!(RejectionKind::IpNotAllowed.code(), Some("ip_not_allowed"));
    /// assert_eq!(RejectionKind::InvalidApiKey.code(), None);
    /// ```
    #[must_use]
    pub const fn code(self) -> Option<&'static str> {
        self.answer().code
    }

    /// The text for the caller.
    ///
    /// ```
    /// use coverbase_auth::RejectionKind;
    ///
    /// assert_eq!(RejectionKind::UnauthorizedRole.message(), "Unauthorized role.");
    /// ```
    #[must_use]
    pub const fn message(self) -> &'static str {
        self.answer().message
    }
}

impl Rejection {
    pub(crate) const fn new(kind: RejectionKind) -> Self {
        Self::because(kind, "")
    }

    /// A refusal with what the service's own log may know and the client may not, such as which of unknown, expired and
    /// revoked a key was (`C8`).
    pub(crate) const fn because(kind: RejectionKind, cause: &'static str) -> Self {
        Self {
            kind,
            cause,
            credential: kind.mostly_presented(),
            is_of_grpc: false,
            required: Scopes::new(),
            principal: None,
        }
    }

    /// Remembers whether it is a gRPC client that it is for, where it leaves its request before it is answered (`C32`).
    #[cfg(feature = "axum")]
    pub(crate) fn of_grpc(self, is_of_grpc: bool) -> Self {
        Self { is_of_grpc, ..self }
    }

    pub(crate) const fn is_of_grpc(&self) -> bool {
        self.is_of_grpc
    }

    /// Remembers whose request it was: the credential had been resolved before the refusal (`C34`).
    pub(crate) fn of(self, principal: Principal) -> Self {
        Self {
            principal: Some(principal),
            ..self
        }
    }

    /// Corrects what its kind says of the credential.
    pub(crate) const fn presented(mut self, credential: Presented) -> Self {
        self.credential = credential;
        self
    }

    /// What the request had presented, as far as anybody had looked.
    #[cfg(feature = "metrics")]
    pub(crate) fn credential(&self) -> Presented {
        match self.principal.as_ref().map(Principal::kind) {
            Some(PrincipalKind::ServiceAccount) => Presented::ApiKey,
            Some(PrincipalKind::User) => Presented::SessionToken,
            None => self.credential,
        }
    }

    /// What it was refused for.
    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The scopes that would have opened the way; empty where no scope would.
    #[must_use]
    pub const fn required_scopes(&self) -> &Scopes {
        &self.required
    }

    /// Whose request it was, where the credential was good and something else was not.
    ///
    /// ```
    /// use coverbase_auth::{Principal, Rejection, Scope};
    ///
    /// /// For a log, which may know more than the client.
    /// fn line(rejection: &Rejection) -> String {
    ///     let who = rejection.principal().map_or("nobody", Principal::id);
    ///     let missing: Vec<_> = rejection.required_scopes().iter().map(Scope::as_str).collect();
    ///     format!("{who}: {rejection} It takes {missing:?}.")
    /// }
    /// # let _ = line;
    /// ```
    #[must_use]
    pub const fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    pub(crate) const fn cause(&self) -> &'static str {
        self.cause
    }

    /// The `WWW-Authenticate` value of the answer (`C30`).
    pub(crate) fn challenge(&self) -> Option<HeaderValue> {
        let challenge = self.kind.answer().challenge?;
        Some(challenge.header(&self.required))
    }

    /// The `Retry-After` value of the answer, in seconds (`C31`).
    pub(crate) fn retry_after(&self) -> Option<HeaderValue> {
        (self.kind == RejectionKind::AuthUnavailable).then(|| HeaderValue::from_static("1"))
    }
}

impl From<RejectionKind> for Rejection {
    fn from(kind: RejectionKind) -> Self {
        Self::new(kind)
    }
}

impl From<CredentialError> for Rejection {
    fn from(error: CredentialError) -> Self {
        Self::new(match error {
            CredentialError::Missing => RejectionKind::MissingCredential,
            CredentialError::Malformed => RejectionKind::MalformedCredential,
        })
    }
}

impl Requirement {
    /// Whether `principal` may pass. The layer and [`RequireLayer`](crate::RequireLayer) ask no other question.
    ///
    /// # Errors
    ///
    /// [`RejectionKind::InsufficientScope`] for a key, [`RejectionKind::UnauthorizedRole`] for a user (`C18`).
    ///
    /// ```
    /// use coverbase_auth::{Principal, Rejection, Requirement, Role};
    ///
    /// /// Where no layer stands around the one thing that takes an administrator.
    /// fn purge(caller: &Principal) -> Result<(), Rejection> {
    ///     Requirement::roles([Role::ADMIN]).check(caller)?;
    ///     // …
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn check(&self, principal: &Principal) -> Result<(), Rejection> {
        if self.is_met_by(principal) {
            Ok(())
        } else {
            Err(self.refusal_of(principal))
        }
    }

    #[cold]
    fn refusal_of(&self, principal: &Principal) -> Rejection {
        let rejection = match principal.kind() {
            PrincipalKind::ServiceAccount => Rejection {
                required: self.scopes_of_a_key(),
                ..Rejection::new(RejectionKind::InsufficientScope)
            },
            PrincipalKind::User => Rejection::new(RejectionKind::UnauthorizedRole),
        };
        rejection.of(principal.clone())
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("cause", &self.cause)
            .field("credential", &self.credential)
            .field("required", &self.required)
            .field("principal", &self.principal)
            .finish()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.message())
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    // C29: the bodies are written out in full, and say what the table says.
    #[test]
    fn every_body_is_the_envelope_of_its_row() {
        for kind in RejectionKind::ALL {
            let answer = kind.answer();
            let detail = match answer.code {
                None => json!(answer.message),
                Some(code) => json!({"code": code, "message": answer.message}),
            };
            let body: Value = serde_json::from_str(answer.json).unwrap();
            assert_eq!(body, json!({"detail": detail}), "{kind:?}");
        }
    }

    // C30, C32
    #[test]
    fn every_401_challenges_and_maps_to_unauthenticated() {
        for kind in RejectionKind::ALL {
            let answer = kind.answer();
            let challenged = answer.status == 401 || kind == RejectionKind::InsufficientScope;
            assert_eq!(answer.challenge.is_some(), challenged, "{kind:?}");
            let grpc = match answer.status.as_u16() {
                401 => "16",
                403 => "7",
                404 => "5",
                503 => "14",
                500 => "13",
                other => panic!("{other} has no gRPC status in C32"),
            };
            assert_eq!(answer.grpc_status, grpc, "{kind:?}");
        }
    }
}
