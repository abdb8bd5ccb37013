//! One event for each outcome, never with a token.

use std::fmt;

use http::{Method, StatusCode, Uri};
use tracing::{Span, debug, error, field, info, warn};

#[cfg(feature = "metrics")]
use super::metrics;
use super::redact;

const TARGET: &str = "coverbase_auth";

/// A rejected request, as events and metrics show it.
pub(crate) struct Rejected<'a> {
    /// The name of the rejection's kind.
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
    #[cfg(feature = "metrics")]
    pub(crate) credential: &'static str,
    /// The ids of the principal and of its organization, if the credential was accepted.
    pub(crate) principal: Option<(&'a str, &'a str)>,
    pub(crate) status: StatusCode,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
}

pub(crate) fn admitted(is_user: bool, id: &str, org_id: &str) {
    debug!(
        target: TARGET,
        credential = if is_user { "session_token" } else { "api_key" },
        enduser.id = ?id,
        coverbase.org.id = ?org_id,
        "admitted"
    );
    record_in_span(id, org_id);
    #[cfg(feature = "metrics")]
    metrics::admitted(is_user);
}

pub(crate) fn public(method: &Method, uri: &Uri) {
    #[cfg(feature = "metrics")]
    metrics::public();
    debug!(
        target: TARGET,
        {
            http.request.method = redact::method(method),
            url.path = ?Excerpt(&redact::path(uri.path()))
        },
        "public route: not authenticated"
    );
}

pub(crate) fn rejected(rejected: &Rejected<'_>) {
    macro_rules! event {
        ($level:ident, $message:literal) => {
            $level!(
                target: TARGET,
                {
                    "error.type" = rejected.name,
                    reason = rejected.reason,
                    enduser.id = rejected.principal.map(|(id, _)| field::debug(id)),
                    coverbase.org.id = rejected.principal.map(|(_, org_id)| field::debug(org_id)),
                    http.request.method = redact::method(rejected.method),
                    url.path = ?Excerpt(&redact::path(rejected.path))
                },
                $message
            )
        };
    }
    if let Some((id, org_id)) = rejected.principal {
        record_in_span(id, org_id);
    }
    #[cfg(feature = "metrics")]
    metrics::rejected(rejected);
    match rejected.status {
        StatusCode::INTERNAL_SERVER_ERROR => event!(
            error,
            "no CoverbaseAuthLayer has authenticated this request: put the layer around the RequireLayer or the handler"
        ),
        StatusCode::SERVICE_UNAVAILABLE => event!(warn, "rejected: authentication is unavailable"),
        _ => event!(info, "rejected"),
    }
}

/// Fills the fields that the span around the request has declared.
fn record_in_span(id: &str, org_id: &str) {
    if tracing::dispatcher::has_been_set() {
        let span = Span::current();
        span.record("enduser.id", id);
        span.record("coverbase.org.id", org_id);
    }
}

pub(crate) fn principal_missing() {
    error!(
        target: TARGET,
        "a handler asked for the principal of a request that no CoverbaseAuthLayer has authenticated: add the layer, or take an Option<Principal> where the route is public"
    );
}

pub(crate) fn store_failed(error: &dyn fmt::Display) {
    warn!(target: TARGET, error = ?Excerpt(&error.to_string()), "the key store failed");
}

pub(crate) fn store_panicked() {
    error!(target: TARGET, "the key store panicked during a lookup; the request is answered 503");
}

#[cfg(feature = "audit")]
pub(crate) fn audit_sink_panicked() {
    error!(target: TARGET, "the audit sink panicked; one audit record is lost");
}

#[cfg(feature = "audit")]
pub(crate) fn audit_store_failed(error: &dyn fmt::Display) {
    warn!(target: TARGET, error = ?Excerpt(&error.to_string()), "the audit store failed; its records stay queued and are retried");
}

#[cfg(feature = "audit")]
pub(crate) fn audit_records_dropped(count: u64, is_first: bool) {
    #[cfg(feature = "metrics")]
    metrics::audit_records_dropped(count);
    if is_first {
        warn!(target: TARGET, count, "dropping audit records: the queue is full (see the metric coverbase_auth.audit.dropped)");
    }
}

/// Foreign text on one line of at most 1,000 characters; `Debug` escapes line breaks and control characters (T13).
struct Excerpt<'a>(&'a str);

impl fmt::Debug for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(1000) {
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or_default()),
            None => fmt::Debug::fmt(self.0, f),
        }
    }
}
