//! Recording a call: from the request's arrival to the response head, or to the moment when the caller hangs up.

use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Response, request::Parts};

use super::{
    AuditSink,
    call::{ApiCall, Outcome},
    id::AuditRecordId,
    record::AuditRecord,
    text::is_request_id,
};
use crate::{clock::Clock, principal::Principal, requirement::table::original_uri, telemetry};

/// Only calls of these paths are recorded (C34).
const RECORDED: &str = "/v1/";

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A call that has begun.
///
/// It becomes a record if the request's credential is accepted ([`identified`](Self::identified)), and is recorded exactly
/// once: when the response head is there, or when it is dropped before (T22).
pub(crate) struct CallInProgress {
    sink: Arc<dyn AuditSink>,
    id: AuditRecordId,
    request_id: HeaderValue,
    started: Instant,
    identified: Option<(Principal, ApiCall)>,
}

impl CallInProgress {
    pub(crate) fn new(sink: Arc<dyn AuditSink>, clock: &dyn Clock, parts: &Parts) -> Self {
        let id = AuditRecordId::at(clock.unix_millis());
        Self {
            sink,
            id,
            request_id: client_request_id(&parts.headers)
                .cloned()
                .or_else(|| HeaderValue::try_from(id.to_string()).ok())
                .unwrap_or(HeaderValue::from_static("-")),
            started: Instant::now(),
            identified: None,
        }
    }

    /// Notes whose call it is. `client_ip` and `route` are only computed if the call is recorded.
    pub(crate) fn identified(
        &mut self,
        principal: &Principal,
        parts: &Parts,
        client_ip: impl FnOnce() -> Option<IpAddr>,
        route: Option<&str>,
    ) {
        let uri = original_uri(parts);
        if !uri.path().starts_with(RECORDED) {
            return;
        }
        let request_id = self.request_id.to_str().unwrap_or_default().to_owned();
        let mut call = ApiCall::new(self.id, request_id, parts, uri);
        call.client_ip = client_ip();
        call.route = matched_path(&parts.extensions).or_else(|| route.map(str::to_owned));
        self.identified = Some((principal.clone(), call));
    }

    /// Completes the record with the response, and gives the response its `x-request-id`.
    pub(crate) fn complete<B>(mut self, response: &mut Response<B>, outcome: Outcome) {
        if let Some((_, call)) = &mut self.identified {
            call.outcome = Some(outcome);
            // A handler of a router inside the layer may report its route in the response.
            if let Some(route) = matched_path(response.extensions()) {
                call.route.get_or_insert(route);
            }
        }
        response
            .headers_mut()
            .insert(X_REQUEST_ID, self.request_id.clone());
    }
}

impl Drop for CallInProgress {
    fn drop(&mut self) {
        let Some((principal, mut call)) = self.identified.take() else {
            return;
        };
        let duration = self.started.elapsed().as_millis();
        call.duration_ms = u64::try_from(duration).unwrap_or(u64::MAX);
        let record = AuditRecord::of_call(principal, call);
        // A sink that panics loses this record, but the call goes on (C35).
        if catch_unwind(AssertUnwindSafe(|| self.sink.record(record))).is_err() {
            telemetry::audit_sink_panicked();
        }
    }
}

#[cfg(feature = "axum")]
fn matched_path(extensions: &Extensions) -> Option<String> {
    let path: &axum::extract::MatchedPath = extensions.get()?;
    Some(path.as_str().to_owned())
}

#[cfg(not(feature = "axum"))]
fn matched_path(_: &Extensions) -> Option<String> {
    None
}

/// Returns the request's own `x-request-id`, if it is the only one and fit for a log.
fn client_request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut ids = headers.get_all(&X_REQUEST_ID).iter();
    let id = ids.next().filter(|id| is_request_id(id.as_bytes()))?;
    ids.next().is_none().then_some(id)
}
