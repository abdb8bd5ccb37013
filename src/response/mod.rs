//! How a rejection is written: status, headers and body, for HTTP and gRPC clients.
//!
//! [`Render`] is the interface, [`JsonEnvelope`] the default and [`ProblemJson`] RFC 9457; gRPC requests are answered by
//! [`GrpcStatus`]. The headers that no renderer may leave out are added here. Imports `authenticator` and what is below it.

mod challenge;
pub(crate) mod grpc;
pub(crate) mod render;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response,
    header::{CACHE_CONTROL, ETAG, LAST_MODIFIED, RETRY_AFTER, WWW_AUTHENTICATE},
    request::Parts,
};

pub(crate) use self::{
    grpc::{GrpcStatus, is_grpc},
    render::{JsonEnvelope, Render, with_body},
};
use crate::{
    authenticator::{Rejection, RejectionKind},
    telemetry,
};

/// Logs the rejection of `request` and returns its answer.
pub(crate) fn respond(
    render: &dyn Render,
    rejection: Rejection,
    request: &Parts,
) -> Response<Bytes> {
    log(&rejection, request);
    let mut response = if is_grpc(request) {
        GrpcStatus::new().render(&rejection, request)
    } else {
        render.render(&rejection, request)
    };
    complete(&mut response, rejection);
    response
}

/// Returns the contract's envelope for a rejection that is no longer beside its request.
pub(crate) fn envelope(rejection: Rejection) -> Response<Bytes> {
    let mut response = if rejection.is_of_grpc {
        GrpcStatus::new().answer(&rejection)
    } else {
        JsonEnvelope::new().answer(&rejection)
    };
    complete(&mut response, rejection);
    response
}

/// Writes the event and the metrics of a rejection.
pub(crate) fn log(rejection: &Rejection, request: &Parts) {
    telemetry::rejected(&telemetry::Rejected {
        name: rejection.kind().answer().name,
        reason: rejection.reason,
        #[cfg(feature = "metrics")]
        credential: rejection.credential(),
        principal: rejection
            .principal()
            .map(|principal| (principal.id(), principal.org_id().as_str())),
        status: rejection.kind().status(),
        method: &request.method,
        path: request.uri.path(),
    });
}

/// Adds the headers of the rejection that do not depend on the renderer (`C30`, `C31`). A gRPC client finds them in its
/// metadata.
pub(crate) fn add_headers(headers: &mut HeaderMap, rejection: &Rejection) {
    if let Some(challenge) = challenge::of(rejection) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if rejection.kind() == RejectionKind::AuthUnavailable {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
}

fn complete(response: &mut Response<Bytes>, rejection: Rejection) {
    let headers = response.headers_mut();
    add_headers(headers, &rejection);
    let has_validators = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    if !has_validators && !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response.extensions_mut().insert(rejection);
}
