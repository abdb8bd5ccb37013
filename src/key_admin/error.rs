//! Errors of an administrative request, and the response to each.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use crate::{
    authenticator::{Rejection, RejectionKind},
    client_ip::InvalidCidr,
    credential::GeneratorUnavailable,
    invalid_field::InvalidField,
    key_store::StoreError,
    response, telemetry,
};

/// Why a request to [`KeyAdmin`](crate::KeyAdmin) failed. A request that failed has changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KeyAdminError {
    /// The caller lacks the right, the key or organization does not exist, or the store is unavailable.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The name is empty or consists of white space: `400 invalid_name` (`C39`).
    #[error("Name cannot be empty.")]
    InvalidName,
    /// The body does not fit its schema: 422 in FastAPI's shape (`C39`).
    #[error(transparent)]
    InvalidField(#[from] InvalidField),
    /// An entry of the allowlist is not a CIDR: 422 (`C42`).
    #[error(transparent)]
    InvalidCidr(#[from] InvalidCidr),
}

impl KeyAdminError {
    /// Returns the response that the contract prescribes, with status, headers and body.
    ///
    /// ```
    /// use coverbase_auth::key_admin::KeyAdminError;
    ///
    /// let response = KeyAdminError::InvalidName.to_response();
    /// assert_eq!(response.status(), 400);
    /// assert_eq!(response.body(), r#"{"detail":{"code":"invalid_name","message":"Name cannot be empty."}}"#);
    /// ```
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let (status, detail) = match self {
            Self::Rejected(rejection) => return response::envelope(rejection.clone()),
            Self::InvalidName => {
                let detail = json!({"code": "invalid_name", "message": self.to_string()});
                (StatusCode::BAD_REQUEST, detail)
            }
            Self::InvalidField(field) => (StatusCode::UNPROCESSABLE_ENTITY, json!([field])),
            Self::InvalidCidr(cidr) => {
                let error = "Invalid CIDR in api_ip_allowlist";
                let detail = json!({"error": error, "value": cidr.value()});
                (StatusCode::UNPROCESSABLE_ENTITY, detail)
            }
        };
        let body = json!({"detail": detail}).to_string();
        response::with_body(status, "application/json", body.into())
    }
}

impl From<RejectionKind> for KeyAdminError {
    fn from(kind: RejectionKind) -> Self {
        Self::Rejected(kind.into())
    }
}

/// Logs the error and becomes a rejection of kind [`AuthUnavailable`](RejectionKind::AuthUnavailable).
impl From<StoreError> for KeyAdminError {
    fn from(error: StoreError) -> Self {
        telemetry::store_failed(&error);
        RejectionKind::AuthUnavailable.into()
    }
}

impl From<GeneratorUnavailable> for KeyAdminError {
    fn from(error: GeneratorUnavailable) -> Self {
        StoreError::new(error).into()
    }
}
