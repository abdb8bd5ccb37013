//! Why a request is rejected: the one table from the kind of a rejection to its answer.

use http::StatusCode;

use crate::{
    credential::CredentialError,
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
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .kind.message())]
pub struct Rejection {
    kind: RejectionKind,
    /// For the service's log. It may say more than the client may know: which of unknown, expired and revoked a key was
    /// (`C8`).
    pub(crate) reason: &'static str,
    /// The kind of credential that the request presented, as metrics name it.
    credential: &'static str,
    /// Whether it answers a gRPC request, for code that answers without the request at hand (`C32`).
    pub(crate) is_of_grpc: bool,
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
    pub(crate) status: StatusCode,
    /// The name in events and metrics, and the envelope's `detail.code` unless the row is plain.
    pub(crate) name: &'static str,
    pub(crate) message: &'static str,
    /// Whether the envelope's `detail` is the message itself.
    is_plain: bool,
}

impl RejectionKind {
    /// The table of `C29`.
    #[rustfmt::skip]
    pub(crate) const fn answer(self) -> Answer {
        let (status, name, message, is_plain) = match self {
            Self::MissingCredential => (StatusCode::UNAUTHORIZED, "missing_credential",
                "Not authenticated", true),
            Self::MalformedCredential => (StatusCode::UNAUTHORIZED, "malformed_credential",
                "Not authenticated", true),
            Self::InvalidApiKey => (StatusCode::UNAUTHORIZED, "invalid_api_key",
                "Invalid or expired API key.", true),
            Self::InvalidSessionToken => (StatusCode::UNAUTHORIZED, "invalid_session_token",
                "Invalid or expired session token.", true),
            Self::UnauthorizedRole => (StatusCode::UNAUTHORIZED, "unauthorized_role",
                "Unauthorized role.", true),
            Self::InsufficientScope => (StatusCode::FORBIDDEN, "insufficient_scope",
                "This API key does not carry the scope that this request requires.", false),
            Self::ScopeGrantForbidden => (StatusCode::FORBIDDEN, "scope_grant_forbidden",
                "Only an organization admin may grant scopes to an API key.", false),
            Self::IpNotAllowed => (StatusCode::FORBIDDEN, "ip_not_allowed",
                "This request originates from an IP address that is not in your organization's API allowlist.", false),
            Self::ApiKeyNotFound => (StatusCode::NOT_FOUND, "api_key_not_found",
                "API key not found.", false),
            Self::OrgNotFound => (StatusCode::NOT_FOUND, "org_not_found",
                "Organization not found.", false),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found",
                "Not Found", true),
            Self::AuthUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "auth_unavailable",
                "Authentication is temporarily unavailable. Please retry.", false),
            Self::AuthNotConfigured => (StatusCode::INTERNAL_SERVER_ERROR, "auth_not_configured",
                "This route requires authentication, and the service has not set it up.", false),
        };
        Answer { status, name, message, is_plain }
    }

    /// Returns the gRPC status of the answer (`C32`, <https://grpc.io/docs/guides/status-codes/>).
    pub(crate) const fn grpc_status(self) -> u8 {
        match self.status() {
            StatusCode::UNAUTHORIZED => 16,
            StatusCode::FORBIDDEN => 7,
            StatusCode::NOT_FOUND => 5,
            StatusCode::SERVICE_UNAVAILABLE => 14,
            _ => 13,
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
        let answer = self.answer();
        if answer.is_plain {
            None
        } else {
            Some(answer.name)
        }
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

    /// Returns a rejection with a reason for the service's log.
    pub(crate) const fn with_reason(kind: RejectionKind, reason: &'static str) -> Self {
        let credential = match kind {
            RejectionKind::InvalidApiKey => "api_key",
            RejectionKind::InvalidSessionToken => "session_token",
            _ => "none",
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

    /// Marks the rejection as the answer to a gRPC request, or not.
    #[cfg(feature = "axum")]
    pub(crate) fn of_grpc(self, is_of_grpc: bool) -> Self {
        Self { is_of_grpc, ..self }
    }

    /// Adds the principal, whose credential had been accepted before the rejection (`C34`).
    pub(crate) fn with_principal(self, principal: Principal) -> Self {
        Self {
            principal: Some(principal),
            ..self
        }
    }

    pub(crate) const fn with_credential(mut self, credential: &'static str) -> Self {
        self.credential = credential;
        self
    }

    /// Returns the kind of credential that the request presented.
    #[cfg(feature = "metrics")]
    pub(crate) fn credential(&self) -> &'static str {
        match self.principal.as_ref().map(Principal::kind) {
            Some(PrincipalKind::ServiceAccount) => "api_key",
            Some(PrincipalKind::User) => "session_token",
            None => self.credential,
        }
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ALL: [RejectionKind; 13] = [
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

    // C32
    #[test]
    fn every_status_has_its_grpc_status() {
        for kind in ALL {
            let grpc = match kind.status().as_u16() {
                401 => 16,
                403 => 7,
                404 => 5,
                503 => 14,
                500 => 13,
                other => panic!("C32 has no gRPC status for {other}"),
            };
            assert_eq!(kind.grpc_status(), grpc, "{kind:?}");
        }
    }
}
