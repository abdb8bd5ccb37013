//! From a [`Rejection`] to bytes on the wire.

use std::{fmt, mem, sync::Arc};

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE, request::Parts,
};
use serde_json::json;

use crate::authenticator::{Rejection, RejectionKind};

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
        self.answer_in(
            rejection,
            &mut HeaderMap::with_capacity(2),
            &mut Extensions::new(),
        )
    }

    /// The answer in maps that have had their use, such as a refused request's: it costs no more memory than it came with.
    #[inline]
    fn answer_in(
        self,
        rejection: &Rejection,
        headers: &mut HeaderMap,
        extensions: &mut Extensions,
    ) -> Response<Bytes> {
        let json = rejection.kind().answer().json;
        let mut response = Response::new(Bytes::from_static(json.as_bytes()));
        *response.status_mut() = self.status(rejection.kind());
        headers.clear();
        extensions.clear();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        mem::swap(response.headers_mut(), headers);
        mem::swap(response.extensions_mut(), extensions);
        response
    }
}

/// What a layer renders with.
#[derive(Debug, Clone)]
pub(crate) enum Renderer {
    /// The contract's envelope, which takes the request's memory.
    Envelope(JsonEnvelope),
    Custom(Arc<dyn Render>),
}

impl Renderer {
    pub(crate) fn custom(render: impl Render) -> Self {
        Self::Custom(Arc::new(render))
    }

    #[inline]
    pub(crate) fn render(&self, rejection: &Rejection, request: &mut Parts) -> Response<Bytes> {
        match self {
            Self::Envelope(envelope) => {
                envelope.answer_in(rejection, &mut request.headers, &mut request.extensions)
            }
            Self::Custom(render) => render.render(rejection, request),
        }
    }
}

impl Default for Renderer {
    fn default() -> Self {
        Self::Envelope(JsonEnvelope::new())
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
        let mut response = Response::new(problem.to_string().into());
        *response.status_mut() = answer.status;
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}
