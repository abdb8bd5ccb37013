//! A call on its way.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, OnceLock},
    time::Instant,
};

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri,
    uri::PathAndQuery,
};

use super::{
    AuditSink,
    call::{ApiCall, CallTarget, Outcome, RouteTemplate},
    id::AuditRecordId,
    record::AuditRecord,
    text::is_request_id,
};
use crate::{
    authenticator::{Slot, Witness},
    clock::Clock,
    principal::Principal,
    telemetry::{observe, redact},
};

/// Outside of it nothing is recorded (`C34`).
const RECORDED: &str = "/v1/";

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What all requests of one layer share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) sink: Arc<dyn AuditSink>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) route: Option<Arc<RouteFn>>,
}

type RouteFn = dyn Fn(&Method, &Uri) -> Option<Cow<'static, str>> + Send + Sync;

/// Leaves its record when it is dropped, however that comes about, if the credential has resolved by then.
pub(super) struct PendingCall {
    shared: Arc<Shared>,
    call: Arc<ApiCall>,
    brought_id: Option<HeaderValue>,
    started: Instant,
}

impl PendingCall {
    #[inline]
    pub(super) fn begin<B>(shared: &Arc<Shared>, request: &mut Request<B>) -> Self {
        let target = original_uri(request).path_and_query();
        let target = target.map_or("", PathAndQuery::as_str);
        let is_recorded = target.starts_with(RECORDED);
        let brought_id = brought_id(request.headers()).cloned();
        let call = Arc::new(ApiCall {
            id: AuditRecordId::at(shared.clock.unix_millis()),
            method: shown_method(request.method()),
            target: CallTarget::of(if is_recorded { target } else { "" }),
            route: route_of(shared, request).map_or_else(OnceLock::new, OnceLock::from),
            request_id: brought_id
                .as_ref()
                .and_then(|id| Some(id.to_str().ok()?.into())),
            caller: Mutex::default(),
            outcome: Outcome::default(),
        });
        if is_recorded {
            make_witness(&call, request.extensions_mut());
        }
        Self {
            shared: Arc::clone(shared),
            call,
            brought_id,
            started: Instant::now(),
        }
    }

    /// Notes what came out, and tells the caller the id.
    #[inline]
    pub(super) fn complete<B>(mut self, response: &mut Response<B>) {
        let call = &self.call;
        call.outcome.set_status(response.status());
        if call.route.get().is_none()
            && let Some(route) = matched_path(response.extensions())
        {
            call.route.get_or_init(|| route);
        }
        let id = self.brought_id.take().or_else(|| minted_id(call.id));
        if let Some(id) = id {
            response.headers_mut().insert(&X_REQUEST_ID, id);
        }
    }
}

impl Drop for PendingCall {
    #[inline]
    fn drop(&mut self) {
        let Some(caller) = self.call.caller() else {
            return;
        };
        self.call.outcome.set_duration(self.started.elapsed());
        let record = AuditRecord::of_call(caller.principal, Arc::clone(&self.call));
        let sink = &self.shared.sink;
        // A sink that panics has lost a record; the call is none the worse for it (`C35`).
        if catch_unwind(AssertUnwindSafe(|| sink.record(record))).is_err() {
            observe::audit_sink_panicked();
        }
    }
}

#[inline]
fn shown_method(method: &Method) -> Method {
    let shown = redact::method(method);
    if shown == method.as_str() {
        method.clone()
    } else {
        Method::from_bytes(shown.as_bytes()).unwrap_or_default()
    }
}

/// The URI before any `Router::nest` has shortened it.
#[inline]
fn original_uri<B>(request: &Request<B>) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(uri)) = request.extensions().get() {
        return uri;
    }
    request.uri()
}

#[inline]
fn route_of<B>(shared: &Shared, request: &Request<B>) -> Option<RouteTemplate> {
    match &shared.route {
        Some(route) => route(request.method(), request.uri()).map(RouteTemplate::Named),
        None => matched_path(request.extensions()),
    }
}

#[cfg(feature = "axum")]
#[inline]
fn matched_path(extensions: &Extensions) -> Option<RouteTemplate> {
    extensions.get().cloned().map(RouteTemplate::Matched)
}

#[cfg(not(feature = "axum"))]
fn matched_path(_: &Extensions) -> Option<RouteTemplate> {
    None
}

/// Puts a slot for the decision into `extensions`. Where the layer stands inside of it, by mistake, the decision is past:
/// calls are recorded then, refusals cannot be.
#[inline]
fn make_witness(call: &Arc<ApiCall>, extensions: &mut Extensions) {
    if let Some(principal) = Principal::of(extensions) {
        observe::audit_is_inside();
        call.resolved(principal.clone(), None);
        return;
    }
    let witness: Arc<dyn Witness> = call.clone();
    match extensions.get_mut::<Slot>() {
        Some(slot) => slot.witness = Some(witness),
        None => {
            extensions.insert(Slot {
                witness: Some(witness),
                ..Slot::default()
            });
        }
    }
}

#[inline]
fn brought_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut ids = headers.get_all(&X_REQUEST_ID).iter();
    let id = ids.next().filter(|id| is_request_id(id.as_bytes()))?;
    ids.next().is_none().then_some(id)
}

#[inline]
fn minted_id(id: AuditRecordId) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(id.to_string())).ok()
}
