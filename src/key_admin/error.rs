//! Why an administrative request is not carried out, and its answer.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::{
    authenticator::{Rejection, RejectionKind},
    client_ip::InvalidCidr,
    credential::GeneratorUnavailable,
    json::JsonError,
    key_store::StoreError,
    principal::Scopes,
    response, telemetry,
};

/// Why a request of [`KeyAdmin`](super::KeyAdmin) is not carried out. Nothing has been changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KeyAdminError {
    /// The caller may not, or what it names is not there, or the store does not answer.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The name is empty, or nothing but white space: `400 invalid_name` (`C39`).
    #[error("Name cannot be empty.")]
    InvalidName,
    /// The body does not fit its schema: 422, in FastAPI's shape (`C39`).
    #[error(transparent)]
    InvalidField(#[from] InvalidField),
    /// An entry of the allowlist is not a CIDR: 422 (`C42`).
    #[error(transparent)]
    InvalidCidr(#[from] InvalidCidr),
}

impl KeyAdminError {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Rejected(rejection) => rejection.kind().status(),
            Self::InvalidName => StatusCode::BAD_REQUEST,
            Self::InvalidField(_) | Self::InvalidCidr(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// The whole answer, in the contract's envelope.
    ///
    /// ```
    /// use coverbase_auth::key_admin::KeyAdminError;
    ///
    /// let answer = KeyAdminError::InvalidName.to_response();
    /// assert_eq!(answer.status(), 400);
    /// assert_eq!(answer.body(), r#"{"detail":{"code":"invalid_name","message":"Name cannot be empty."}}"#);
    /// ```
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let detail = match self {
            Self::Rejected(rejection) => return response::envelope(rejection.clone()),
            Self::InvalidName => json!({"code": "invalid_name", "message": self.to_string()}),
            Self::InvalidField(field) => json!([field.to_json()]),
            Self::InvalidCidr(cidr) => {
                json!({"error": "Invalid CIDR in api_ip_allowlist", "value": cidr.value()})
            }
        };
        let mut response = Response::new(Bytes::from(json!({"detail": detail}).to_string()));
        *response.status_mut() = self.status();
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

/// What is wrong with one field of a body, as FastAPI says it: where, what, and a type to switch on.
///
/// ```
/// use coverbase_auth::key_admin::CreateKey;
///
/// let error = CreateKey::from_json(b"{}").unwrap_err();
/// assert_eq!(error.to_string(), "body.name: Field required");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    path: Vec<PathSegment>,
    kind: &'static str,
    message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathSegment {
    Name(&'static str),
    Position(usize),
}

impl InvalidField {
    /// An error at `body` itself, or below it where [`at`](Self::at) says so.
    fn body(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            kind,
            message: message.into(),
        }
    }

    /// The same error one level further in.
    fn at(mut self, segment: PathSegment) -> Self {
        self.path.insert(0, segment);
        self
    }

    pub(super) fn field(self, name: &'static str) -> Self {
        self.at(PathSegment::Name(name))
    }

    pub(super) fn item(self, position: usize) -> Self {
        self.at(PathSegment::Position(position))
    }

    pub(super) fn missing() -> Self {
        Self::body("missing", "Field required")
    }

    pub(super) fn not_a_string() -> Self {
        Self::body("string_type", "Input should be a valid string")
    }

    pub(super) fn not_a_list() -> Self {
        Self::body("list_type", "Input should be a valid list")
    }

    pub(super) fn not_an_integer() -> Self {
        Self::body("int_type", "Input should be a valid integer")
    }

    pub(super) fn below(least: u64) -> Self {
        let message = format!("Input should be greater than or equal to {least}");
        Self::body("greater_than_equal", message)
    }

    pub(super) fn above(most: u64) -> Self {
        let message = format!("Input should be less than or equal to {most}");
        Self::body("less_than_equal", message)
    }

    pub(super) fn name_too_long(most: usize) -> Self {
        let message = format!("String should have at most {most} characters");
        Self::body("string_too_long", message).field("name")
    }

    pub(super) fn name_with_nul() -> Self {
        Self::body(
            "string_pattern_mismatch",
            "String should not contain U+0000",
        )
        .field("name")
    }

    pub(super) fn unknown_scope(position: usize, grantable: &Scopes) -> Self {
        let names: Vec<_> = grantable.iter().map(|scope| format!("'{scope}'")).collect();
        let message = format!("Input should be one of {}", names.join(", "));
        Self::body("enum", message).item(position).field("scopes")
    }

    fn to_json(&self) -> Value {
        let path = self.path.iter().map(|segment| match segment {
            PathSegment::Name(name) => json!(name),
            PathSegment::Position(position) => json!(position),
        });
        let loc: Vec<Value> = std::iter::once(json!("body")).chain(path).collect();
        json!({"loc": loc, "msg": self.message, "type": self.kind})
    }
}

impl From<JsonError> for InvalidField {
    fn from(error: JsonError) -> Self {
        Self::body("json_invalid", format!("JSON decode error: {error}"))
    }
}

impl std::fmt::Display for InvalidField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("body")?;
        for segment in &self.path {
            match segment {
                PathSegment::Name(name) => write!(f, ".{name}")?,
                PathSegment::Position(position) => write!(f, "[{position}]")?,
            }
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for InvalidField {}
