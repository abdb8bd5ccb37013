//! Errors of an administrative request, and the response to each.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;
use serde_json::json;

use crate::{
    authenticator::{Rejection, RejectionKind},
    client_ip::InvalidCidr,
    credential::GeneratorUnavailable,
    json::JsonError,
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
        let mut response = Response::new(Bytes::from(json!({"detail": detail}).to_string()));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
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

/// A value of a request body that does not fit the schema. Serializes to one error of a FastAPI response: `loc`, `msg` and
/// `type`.
///
/// ```
/// use coverbase_auth::key_admin::CreateKey;
///
/// let error = CreateKey::from_json(b"{}").unwrap_err();
/// assert_eq!(error.to_string(), "body.name: Field required");
/// assert_eq!(serde_json::to_string(&error)?, r#"{"loc":["body","name"],"msg":"Field required","type":"missing"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvalidField {
    #[serde(rename = "loc")]
    location: Vec<Segment>,
    #[serde(rename = "msg")]
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// One step from the body to the invalid value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Segment {
    Member(&'static str),
    Item(usize),
}

impl InvalidField {
    /// An error of the body itself.
    pub(super) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            location: vec![Segment::Member("body")],
            message: message.into(),
            kind,
        }
    }

    /// The same error in the member `name` of the body.
    pub(super) fn in_member(mut self, name: &'static str) -> Self {
        self.location.insert(1, Segment::Member(name));
        self
    }

    /// The same error in an item of the list in the body, before [`in_member`](Self::in_member) names that list.
    pub(super) fn in_item(mut self, position: usize) -> Self {
        self.location.insert(1, Segment::Item(position));
        self
    }
}

impl From<JsonError> for InvalidField {
    fn from(error: JsonError) -> Self {
        Self::new("json_invalid", format!("JSON decode error: {error}"))
    }
}

impl fmt::Display for InvalidField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, segment) in self.location.iter().enumerate() {
            match segment {
                Segment::Member(name) if depth == 0 => f.write_str(name)?,
                Segment::Member(name) => write!(f, ".{name}")?,
                Segment::Item(position) => write!(f, "[{position}]")?,
            }
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for InvalidField {}
