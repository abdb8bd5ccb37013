//! Why a request is rejected: the one table from the kind of a rejection to its answer.

use std::fmt;

use http::StatusCode;

use crate::{
    credential::{CredentialError, CredentialKind},
    principal::{Principal, PrincipalKind, Scopes},
    requirement::Requirement,
};

/// The reason why a request is rejected.
///
/// Its [kind](Self::kind) alone decides what the client sees. A rejection also lies in the extensions of the **response**,
/// so that an outer layer can tell rejections apart without reading bodies:
///
/// ```
/// use coverbase_auth::{Rejection, RejectionKind};
///
/// fn is_store_failure<B>(response: &http::Response<B>) -> bool {
///     let rejection = response.extensions().get::<Rejection>();
///     rejection.is_some_and(|rejection| rejection.kind() == RejectionKind::AuthUnavailable)
/// }
/// ```
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    reason: &'static str,
    credential: CredentialKind,
    is_of_grpc: bool,
    required: Scopes,
    principal: Option<Principal>,
}

/// The kinds of rejection, with the answer to each (`C29`–`C32`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// 401: no bearer credential (`C3`).
    MissingCredential,
    /// 401: a bearer credential that cannot be read (`C3`).
    MalformedCredential,
    /// 401: an unknown, expired or revoked key, or a key of the other environment (`C8`, `C5`).
    InvalidApiKey,
    /// 401: an invalid, expired or foreign session token (`C16`).
    InvalidSessionToken,
    /// 401: a valid session whose role is not accepted (`C16`).
    UnauthorizedRole,
    /// 403: a valid key without the scope (`C18`).
    InsufficientScope,
    /// 403: scopes that the caller may not grant (`C19`).
    ScopeGrantForbidden,
    /// 403: a key's request from outside its organization's allowlist (`C23`, `C24`).
    IpNotAllowed,
    /// 404: the caller's organization has no such key (`C20`).
    ApiKeyNotFound,
    /// 404: the organization is not the caller's (`C42`).
    OrgNotFound,
    /// 404: no such route or resource (`C44`).
    NotFound,
    /// 503: the key store or the key set cannot answer (`C31`).
    AuthUnavailable,
    /// 500: a requirement found no authenticated principal (`C21`).
    AuthNotConfigured,
}

/// A row of the table.
pub(crate) struct Answer {
    /// The name in events and metrics.
    pub(crate) name: &'static str,
    pub(crate) status: StatusCode,
    /// The envelope's `detail.code`; `None` if `detail` is the message itself.
    pub(crate) code: Option<&'static str>,
    pub(crate) message: &'static str,
    /// The whole body of the contract's envelope.
    pub(crate) json: &'static str,
    pub(crate) challenge: Option<Challenge>,
    /// <https://grpc.io/docs/guides/status-codes/>
    pub(crate) grpc_status: u8,
}

/// The kind of the `WWW-Authenticate` value (`C30`, RFC 6750 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Challenge {
    Plain,
    InvalidToken,
    InsufficientScope,
}

/// Builds an [`Answer`] with its JSON body as a constant.
macro_rules! answer {
    ($status:ident, $grpc:literal, $challenge:expr, $name:literal, plain $message:literal) => {
        answer!(
            $status,
            $grpc,
            $challenge,
            $name,
            None,
            $message,
            concat!(r#"{"detail":""#, $message, r#""}"#)
        )
    };
    ($status:ident, $grpc:literal, $challenge:expr, $code:literal, $message:literal) => {
        answer!(
            $status,
            $grpc,
            $challenge,
            $code,
            Some($code),
            $message,
            concat!(
                r#"{"detail":{"code":""#,
                $code,
                r#"","message":""#,
                $message,
                r#""}}"#
            )
        )
    };
    ($status:ident, $grpc:literal, $challenge:expr, $name:literal, $code:expr, $message:literal, $json:expr) => {
        &Answer {
            name: $name,
            status: StatusCode::$status,
            code: $code,
            message: $message,
            json: $json,
            challenge: $challenge,
            grpc_status: $grpc,
        }
    };
}

impl RejectionKind {
    /// The table of `C29`, `C30` and `C32`.
    #[rustfmt::skip]
    pub(crate) const fn answer(self) -> &'static Answer {
        use Challenge::{InsufficientScope, InvalidToken, Plain};
        match self {
            Self::MissingCredential => answer!(UNAUTHORIZED, 16, Some(Plain),
                "missing_credential", plain "Not authenticated"),
            Self::MalformedCredential => answer!(UNAUTHORIZED, 16, Some(Plain),
                "malformed_credential", plain "Not authenticated"),
            Self::InvalidApiKey => answer!(UNAUTHORIZED, 16, Some(InvalidToken),
                "invalid_api_key", plain "Invalid or expired API key."),
            Self::InvalidSessionToken => answer!(UNAUTHORIZED, 16, Some(InvalidToken),
                "invalid_session_token", plain "Invalid or expired session token."),
            Self::UnauthorizedRole => answer!(UNAUTHORIZED, 16, Some(Plain),
                "unauthorized_role", plain "Unauthorized role."),
            Self::InsufficientScope => answer!(FORBIDDEN, 7, Some(InsufficientScope),
                "insufficient_scope", "This API key does not carry the scope that this request requires."),
            Self::ScopeGrantForbidden => answer!(FORBIDDEN, 7, None,
                "scope_grant_forbidden", "Only an organization admin may grant scopes to an API key."),
            Self::IpNotAllowed => answer!(FORBIDDEN, 7, None,
                "ip_not_allowed", "This request originates from an IP address that is not in your organization's API allowlist."),
            Self::ApiKeyNotFound => answer!(NOT_FOUND, 5, None,
                "api_key_not_found", "API key not found."),
            Self::OrgNotFound => answer!(NOT_FOUND, 5, None,
                "org_not_found", "Organization not found."),
            Self::NotFound => answer!(NOT_FOUND, 5, None,
                "not_found", plain "Not Found"),
            Self::AuthUnavailable => answer!(SERVICE_UNAVAILABLE, 14, None,
                "auth_unavailable", "Authentication is temporarily unavailable. Please retry."),
            Self::AuthNotConfigured => answer!(INTERNAL_SERVER_ERROR, 13, None,
                "auth_not_configured", "This route requires authentication, and the service has not set it up."),
        }
    }

    /// Returns the HTTP status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.answer().status
    }

    /// Returns the `code` of the answer; `None` for the kinds whose `detail` is plain text.
    #[must_use]
    pub const fn code(self) -> Option<&'static str> {
        self.answer().code
    }

    /// Returns the text for the client.
    #[must_use]
    pub const fn message(self) -> &'static str {
        self.answer().message
    }
}

impl Rejection {
    pub(crate) const fn new(kind: RejectionKind) -> Self {
        Self::with_reason(kind, "")
    }

    /// Returns a rejection with a reason for the service's log, which may say more than the client may know: which of
    /// unknown, expired and revoked a key was (`C8`).
    pub(crate) const fn with_reason(kind: RejectionKind, reason: &'static str) -> Self {
        let credential = match kind {
            RejectionKind::InvalidApiKey => CredentialKind::ApiKey,
            RejectionKind::InvalidSessionToken => CredentialKind::SessionToken,
            _ => CredentialKind::Missing,
        };
        Self {
            kind,
            reason,
            credential,
            is_of_grpc: false,
            required: Scopes::new(),
            principal: None,
        }
    }

    /// Marks the rejection as the answer to a gRPC request, for code that answers without the request at hand (`C32`).
    #[cfg(feature = "axum")]
    pub(crate) fn of_grpc(self, is_of_grpc: bool) -> Self {
        Self { is_of_grpc, ..self }
    }

    pub(crate) const fn is_of_grpc(&self) -> bool {
        self.is_of_grpc
    }

    /// Adds the principal, whose credential had been accepted before the rejection (`C34`).
    pub(crate) fn with_principal(self, principal: Principal) -> Self {
        Self {
            principal: Some(principal),
            ..self
        }
    }

    pub(crate) const fn with_credential(mut self, credential: CredentialKind) -> Self {
        self.credential = credential;
        self
    }

    /// Returns the kind of credential that the request presented.
    #[cfg(feature = "metrics")]
    pub(crate) fn credential(&self) -> CredentialKind {
        match self.principal.as_ref().map(Principal::kind) {
            Some(PrincipalKind::ServiceAccount) => CredentialKind::ApiKey,
            Some(PrincipalKind::User) => CredentialKind::SessionToken,
            None => self.credential,
        }
    }

    pub(crate) const fn reason(&self) -> &'static str {
        self.reason
    }

    /// Returns the kind of the rejection.
    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the scopes that a key needs for the request; empty if no scope would be sufficient.
    #[must_use]
    pub const fn required_scopes(&self) -> &Scopes {
        &self.required
    }

    /// Returns the principal of the request, if its credential was accepted.
    #[must_use]
    pub const fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
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
    /// Checks whether `principal` satisfies the requirement. The layer and [`RequireLayer`](crate::RequireLayer) use this
    /// function too.
    ///
    /// # Errors
    ///
    /// [`RejectionKind::InsufficientScope`] for a key, [`RejectionKind::UnauthorizedRole`] for a user (`C18`).
    ///
    /// ```
    /// use coverbase_auth::{Principal, Rejection, Requirement, Role};
    ///
    /// fn purge(caller: &Principal) -> Result<(), Rejection> {
    ///     Requirement::roles([Role::ADMIN]).check(caller)?;
    ///     // …
    ///     Ok(())
    /// }
    /// ```
    pub fn check(&self, principal: &Principal) -> Result<(), Rejection> {
        if self.is_met_by(principal) {
            return Ok(());
        }
        let rejection = match principal.kind() {
            PrincipalKind::ServiceAccount => Rejection {
                required: self.scopes_of_a_key(),
                ..Rejection::new(RejectionKind::InsufficientScope)
            },
            PrincipalKind::User => Rejection::new(RejectionKind::UnauthorizedRole),
        };
        Err(rejection.with_principal(principal.clone()))
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("reason", &self.reason)
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

    const ALL: [RejectionKind; 13] = [
        RejectionKind::MissingCredential,
        RejectionKind::MalformedCredential,
        RejectionKind::InvalidApiKey,
        RejectionKind::InvalidSessionToken,
        RejectionKind::UnauthorizedRole,
        RejectionKind::InsufficientScope,
        RejectionKind::ScopeGrantForbidden,
        RejectionKind::IpNotAllowed,
        RejectionKind::ApiKeyNotFound,
        RejectionKind::OrgNotFound,
        RejectionKind::NotFound,
        RejectionKind::AuthUnavailable,
        RejectionKind::AuthNotConfigured,
    ];

    // C29
    #[test]
    fn every_body_is_the_envelope_of_its_row() {
        for kind in ALL {
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
    fn every_401_has_a_challenge_and_every_status_its_grpc_code() {
        for kind in ALL {
            let answer = kind.answer();
            let is_challenged = answer.status == 401 || kind == RejectionKind::InsufficientScope;
            assert_eq!(answer.challenge.is_some(), is_challenged, "{kind:?}");
            let grpc = match answer.status.as_u16() {
                401 => 16,
                403 => 7,
                404 => 5,
                503 => 14,
                500 => 13,
                other => panic!("C32 has no gRPC status for {other}"),
            };
            assert_eq!(answer.grpc_status, grpc, "{kind:?}");
        }
    }
}
