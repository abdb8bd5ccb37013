//! Rejections for gRPC clients (C32).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, header::CONTENT_TYPE, request::Parts};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Render;
use crate::authenticator::Rejection;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The rejection's code as metadata, so that clients need not compare messages.
pub(crate) const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");

/// gRPC sends the bytes 0x20–0x24 and 0x26–0x7E as they are:
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses>
const MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// Writes a trailers-only gRPC answer: HTTP 200 with `grpc-status`, `grpc-message` and `x-error-code` as headers, and no
/// body (`C32`).
///
/// The layer answers every gRPC request (`POST` with content type `application/grpc` or `application/grpc-web`) like this,
/// whatever its renderer. Use it as the renderer of a service that only speaks gRPC.
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcStatus(());

impl GrpcStatus {
    /// Returns the renderer.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }

    pub(crate) fn answer(self, rejection: &Rejection) -> Response<Bytes> {
        let answer = rejection.kind().answer();
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(
            GRPC_STATUS,
            u16::from(rejection.kind().grpc_status()).into(),
        );
        headers.insert(ERROR_CODE, HeaderValue::from_static(answer.name));
        let message = utf8_percent_encode(answer.message, MESSAGE).to_string();
        if let Ok(message) = HeaderValue::try_from(message) {
            headers.insert(GRPC_MESSAGE, message);
        }
        response
    }
}

impl Render for GrpcStatus {
    fn render(&self, rejection: &Rejection, request: &Parts) -> Response<Bytes> {
        let mut response = self.answer(rejection);
        if let Some(content_type) = grpc_content_type(request) {
            response.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        response
    }
}

pub(crate) fn is_grpc(request: &Parts) -> bool {
    grpc_content_type(request).is_some()
}

/// Returns the content type of the answer to a gRPC request; `None` for any other request.
fn grpc_content_type(request: &Parts) -> Option<HeaderValue> {
    if request.method != Method::POST {
        return None;
    }
    let content_type = request.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let end = content_type.find(['+', ';', ' ']);
    let (name, _) = content_type.split_at_checked(end.unwrap_or(content_type.len()))?;
    let known = [
        "application/grpc",
        "application/grpc-web",
        "application/grpc-web-text",
    ];
    let known = known
        .into_iter()
        .find(|known| name.eq_ignore_ascii_case(known));
    known.map(HeaderValue::from_static)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(method: Method, content_type: &'static str) -> Option<String> {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = method;
        let content_type = HeaderValue::from_static(content_type);
        parts.headers.insert(CONTENT_TYPE, content_type);
        let answer = grpc_content_type(&parts)?;
        Some(answer.to_str().unwrap().to_owned())
    }

    // C32
    #[test]
    fn grpc_request_is_recognized_by_method_and_content_type() {
        for (content_type, expected) in [
            ("application/grpc", Some("application/grpc")),
            ("application/grpc+proto", Some("application/grpc")),
            ("Application/gRPC; charset=utf-8", Some("application/grpc")),
            ("application/grpc-web+proto", Some("application/grpc-web")),
            (
                "application/grpc-web-text",
                Some("application/grpc-web-text"),
            ),
            ("application/grpc-other", None),
            ("application/json", None),
            ("", None),
        ] {
            let answer = answered(Method::POST, content_type);
            assert_eq!(answer.as_deref(), expected, "{content_type}");
            assert_eq!(answered(Method::GET, content_type), None);
        }
    }
}
