//! Refusals for gRPC clients, with `http` headers alone.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header::CONTENT_TYPE, request::Parts};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{authenticator::Rejection, response::Render};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// `Percent-Byte-Unencoded` is 0x20–0x24 and 0x26–0x7E:
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses>
const MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// A trailers-only answer: HTTP 200, `grpc-status` and `grpc-message` in the headers, no body (`C32`).
///
/// The layer gives it to every request whose content type is `application/grpc`, so naming it is only for services that
/// speak nothing else and want it even where a client left the content type out.
///
/// ```
/// use coverbase_auth::{CoverbaseAuthLayer, GrpcStatus, MemoryStore};
///
/// let layer = CoverbaseAuthLayer::new(MemoryStore::new()).with_render(GrpcStatus::new());
/// # let _ = layer;
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcStatus(());

impl GrpcStatus {
    /// The answer that gRPC clients understand.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl GrpcStatus {
    pub(crate) fn answer(self, rejection: &Rejection) -> Response<Bytes> {
        let answer = rejection.kind().answer();
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(GRPC_STATUS, HeaderValue::from_static(answer.grpc_status));
        let message = utf8_percent_encode(answer.message, MESSAGE).to_string();
        if let Ok(message) = HeaderValue::try_from(message) {
            headers.insert(GRPC_MESSAGE, message);
        }
        response
    }
}

impl Render for GrpcStatus {
    fn render(&self, rejection: &Rejection, _request: &Parts) -> Response<Bytes> {
        self.answer(rejection)
    }
}

/// `application/grpc`, alone or followed by `+proto`, `;…` and the like.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let Some((name, rest)) =
        content_type.and_then(|it| it.split_at_checked("application/grpc".len()))
    else {
        return false;
    };
    name.eq_ignore_ascii_case(b"application/grpc")
        && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    // C32
    #[test]
    fn grpc_is_recognized_by_its_content_type() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(is_grpc(&headers), expected, "{content_type}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
