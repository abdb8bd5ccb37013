//! Renderers: from a [`Rejection`] to status, headers and body.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use serde_json::json;

use crate::authenticator::{Rejection, RejectionKind};

/// Writes the answer to a rejected request: status, headers and body.
///
/// The layer adds `WWW-Authenticate`, `Retry-After` and `Cache-Control: no-store` (`C30`, `C31`), and answers gRPC requests
/// itself (`C32`).
///
/// ```
/// use bytes::Bytes;
/// use coverbase_auth::{Rejection, Render};
/// use http::{Response, request::Parts};
///
/// #[derive(Debug)]
/// struct Terse;
///
/// impl Render for Terse {
///     fn render(&self, rejection: &Rejection, _request: &Parts) -> Response<Bytes> {
///         let mut response = Response::new(Bytes::from_static(b"no\n"));
///         *response.status_mut() = rejection.kind().status();
///         response
///     }
/// }
/// ```
pub trait Render: fmt::Debug + Send + Sync + 'static {
    /// Returns the answer to `request`.
    fn render(&self, rejection: &Rejection, request: &Parts) -> Response<Bytes>;
}

/// The contract's envelope (`C29`): `{"detail":"…"}` and `{"detail":{"code":"…","message":"…"}}`.
///
/// ```
/// use coverbase_auth::{CoverbaseAuthLayer, JsonEnvelope, MemoryStore};
///
/// let layer = CoverbaseAuthLayer::new(MemoryStore::new())
///     .with_render(JsonEnvelope::new().with_forbidden_for_missing_credential());
/// # let _ = layer;
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonEnvelope {
    missing_is_forbidden: bool,
}

impl JsonEnvelope {
    /// Returns the contract's envelope.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            missing_is_forbidden: false,
        }
    }

    /// Answers a missing or malformed credential with 403 in place of 401, for clients of older FastAPI services (`C30`).
    #[must_use]
    pub const fn with_forbidden_for_missing_credential(self) -> Self {
        Self {
            missing_is_forbidden: true,
        }
    }

    pub(crate) fn answer(self, rejection: &Rejection) -> Response<Bytes> {
        let kind = rejection.kind();
        let detail = match kind.code() {
            Some(code) => json!({"code": code, "message": kind.message()}),
            None => json!(kind.message()),
        };
        let body = json!({"detail": detail}).to_string().into();
        let is_missing = matches!(
            kind,
            RejectionKind::MissingCredential | RejectionKind::MalformedCredential
        );
        let status = match kind.status() {
            _ if self.missing_is_forbidden && is_missing => StatusCode::FORBIDDEN,
            status => status,
        };
        with_body(status, "application/json", body)
    }
}

impl Render for JsonEnvelope {
    fn render(&self, rejection: &Rejection, _request: &Parts) -> Response<Bytes> {
        self.answer(rejection)
    }
}

pub(crate) fn with_body(
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Writes problem details (RFC 9457, `application/problem+json`), with the contract's code as a member `code`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemJson(());

impl ProblemJson {
    /// Returns the renderer; its problems are of the type `about:blank`.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Render for ProblemJson {
    fn render(&self, rejection: &Rejection, _request: &Parts) -> Response<Bytes> {
        let answer = rejection.kind().answer();
        let mut problem = json!({
            "type": "about:blank",
            "title": answer.status.canonical_reason(),
            "status": answer.status.as_u16(),
            "detail": answer.message,
        });
        if let (Some(code), Some(members)) = (rejection.kind().code(), problem.as_object_mut()) {
            members.insert("code".to_owned(), code.into());
        }
        let body = problem.to_string().into();
        with_body(answer.status, "application/problem+json", body)
    }
}
