//! The whole answer to a refused request, the same wherever it is refused.

use bytes::Bytes;
use http::{
    Response,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
    request::Parts,
};

use crate::{
    grpc::{self, GrpcStatus},
    observe,
    rejection::Rejection,
    render::{JsonEnvelope, Render, Renderer},
};

/// Logs the refusal and answers it: gRPC requests in their own way (`C32`), all others as `renderer` does.
pub(crate) fn respond(
    renderer: &Renderer,
    rejection: Rejection,
    request: Parts,
) -> Response<Bytes> {
    observe::refused(&rejection, &request);
    if grpc::is_grpc(&request.headers) {
        let response = GrpcStatus::new().render(&rejection, &request);
        with_rejection(response, rejection)
    } else {
        with_headers(renderer.render(&rejection, request), rejection)
    }
}

/// The contract's envelope, for a refusal that is no longer beside its request.
pub(crate) fn envelope(rejection: Rejection) -> Response<Bytes> {
    with_headers(JsonEnvelope::new().answer(&rejection), rejection)
}

/// Adds what no renderer may forget (`C30`, `C31`).
fn with_headers(mut response: Response<Bytes>, rejection: Rejection) -> Response<Bytes> {
    let headers = response.headers_mut();
    if let Some(challenge) = rejection.challenge() {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(retry_after) = rejection.retry_after() {
        headers.insert(RETRY_AFTER, retry_after);
    }
    with_rejection(response, rejection)
}

fn with_rejection(mut response: Response<Bytes>, rejection: Rejection) -> Response<Bytes> {
    response.extensions_mut().insert(rejection);
    response
}
