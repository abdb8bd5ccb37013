//! The whole answer to a refused request, the same wherever it is refused.

use bytes::Bytes;
use http::{
    HeaderMap, Request, Response,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
    request::Parts,
};

use crate::{
    authenticator::Rejection,
    response::{GrpcStatus, JsonEnvelope, Render, Renderer, is_grpc},
    telemetry::observe,
};

/// Logs the refusal and answers it: gRPC requests in their own way (`C32`), all others as `renderer` does.
#[inline]
pub(crate) fn respond(
    renderer: &Renderer,
    rejection: Rejection,
    request: &mut Parts,
) -> Response<Bytes> {
    observe::refused(&rejection, request);
    let mut response = if is_grpc(&request.headers) {
        GrpcStatus::new().render(&rejection, request)
    } else {
        renderer.render(&rejection, request)
    };
    complete(&mut response, rejection);
    response
}

/// The same, where the request has not been taken apart.
#[cold]
pub(crate) fn respond_to<B>(
    renderer: &Renderer,
    rejection: Rejection,
    request: Request<B>,
) -> Response<Bytes> {
    let (mut parts, _) = request.into_parts();
    respond(renderer, rejection, &mut parts)
}

/// The contract's envelope, for a refusal that is no longer beside its request.
pub(crate) fn envelope(rejection: Rejection) -> Response<Bytes> {
    let mut response = if rejection.is_of_grpc() {
        GrpcStatus::new().answer(&rejection)
    } else {
        JsonEnvelope::new().answer(&rejection)
    };
    complete(&mut response, rejection);
    response
}

#[inline]
fn complete(response: &mut Response<Bytes>, rejection: Rejection) {
    add_headers(response.headers_mut(), &rejection);
    response.extensions_mut().insert(rejection);
}

/// Adds what no renderer may forget (`C30`, `C31`). A gRPC client finds it in its metadata.
#[inline]
pub(crate) fn add_headers(headers: &mut HeaderMap, rejection: &Rejection) {
    if let Some(challenge) = rejection.challenge() {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(retry_after) = rejection.retry_after() {
        headers.insert(RETRY_AFTER, retry_after);
    }
}
