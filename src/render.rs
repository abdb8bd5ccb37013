//! From a [`Rejection`] to bytes on the wire.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use serde_json::json;

use crate::rejection::{Rejection, RejectionKind};

/// Writes a refusal's answer: status, headers and body.
///
/// The layer adds `WWW-Authenticate` and `Retry-After` where the contract wants them (`C30`, `C31`), and answers gRPC
/// requests itself (`C32`).
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
    /// The answer to `request`, which is refused.
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
    /// The envelope as the contract has it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            missing_is_forbidden: false,
        }
    }

    /// Answers a missing or malformed credential with 403, as services on an old FastAPI did. RFC 9110 §15.5.2 wants 401
    /// (`C30`).
    #[must_use]
    pub const fn with_forbidden_for_missing_credential(self) -> Self {
        Self {
            missing_is_forbidden: true,
        }
    }

    fn status(self, kind: RejectionKind) -> StatusCode {
        let is_missing = matches!(
            kind,
            RejectionKind::MissingCredential | RejectionKind::MalformedCredential
        );
        if self.missing_is_forbidden && is_missing {
            StatusCode::FORBIDDEN
        } else {
            kind.status()
        }
    }
}

impl Render for JsonEnvelope {
    fn render(&self, rejection: &Rejection, _request: &Parts) -> Response<Bytes> {
        self.answer(rejection)
    }
}

impl JsonEnvelope {
    pub(crate) fn answer(self, rejection: &Rejection) -> Response<Bytes> {
        let answer = rejection.kind().answer();
        response(
            self.status(rejection.kind()),
            HeaderValue::from_static("application/json"),
            Bytes::from_static(answer.json.as_bytes()),
        )
    }
}

/// Problem details of RFC 9457, `application/problem+json`, with the contract's code as a member `code`.
///
/// ```
/// use coverbase_auth::{CoverbaseAuthLayer, MemoryStore, ProblemJson};
///
/// let layer = CoverbaseAuthLayer::new(MemoryStore::new()).with_render(ProblemJson::new());
/// # let _ = layer;
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemJson(());

impl ProblemJson {
    /// Problem details of the type `about:blank`.
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
        if let (Some(code), Some(members)) = (answer.code, problem.as_object_mut()) {
            members.insert("code".to_owned(), code.into());
        }
        response(
            answer.status,
            HeaderValue::from_static("application/problem+json"),
            problem.to_string().into(),
        )
    }
}

fn response(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // Room for the challenge too.
    *response.headers_mut() = HeaderMap::with_capacity(2);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
