//! What the service's own log learns: one event an outcome, target `coverbase_auth`, and never a token (`C33`).
//!
//! What a stranger wrote (a path, a database's message) is recorded as an [`Excerpt`].

use std::fmt;

use http::{Method, Uri, request::Parts};
use tracing::{debug, error, info, warn};

#[cfg(feature = "metrics")]
use crate::telemetry::meter;
use crate::{
    authenticator::{Rejection, RejectionKind},
    key_store::StoreError,
    principal::Principal,
    telemetry::redact,
};

const TARGET: &str = "coverbase_auth";

#[inline]
pub(crate) fn admitted(principal: &Principal) {
    debug!(
        target: TARGET,
        kind = ?principal.kind(),
        enduser.id = ?principal.id(),
        coverbase.org.id = ?principal.org_id().as_str(),
        "admitted"
    );
    name_in_span(principal);
    #[cfg(feature = "metrics")]
    meter::admitted(principal);
}

/// For the fields that the span around the request has declared.
#[inline]
fn name_in_span(principal: &Principal) {
    if tracing::dispatcher::has_been_set() {
        let span = tracing::Span::current();
        span.record("enduser.id", principal.id());
        span.record("coverbase.org.id", principal.org_id().as_str());
    }
}

pub(crate) fn let_through(method: &Method, uri: &Uri) {
    #[cfg(feature = "metrics")]
    meter::let_through();
    debug!(
        target: TARGET,
        {
            http.request.method = redact::method(method),
            url.path = ?Excerpt(&redact::path(uri.path()))
        },
        "let through: the route is public"
    );
}

pub(crate) fn refused(rejection: &Rejection, parts: &Parts) {
    macro_rules! event {
        ($level:ident, $message:literal) => {
            $level!(
                target: TARGET,
                {
                    "error.type" = ?rejection.kind(),
                    cause = rejection.cause(),
                    enduser.id = rejection.principal().map(|principal| tracing::field::debug(principal.id())),
                    coverbase.org.id = rejection.principal().map(|principal| tracing::field::debug(principal.org_id().as_str())),
                    http.request.method = redact::method(&parts.method),
                    url.path = ?Excerpt(&redact::path(parts.uri.path()))
                },
                $message
            )
        };
    }
    if let Some(principal) = rejection.principal() {
        name_in_span(principal);
    }
    #[cfg(feature = "metrics")]
    meter::refused(rejection);
    match rejection.kind() {
        RejectionKind::AuthNotConfigured => event!(
            error,
            "the layers are incomplete or out of order: CoverbaseAuthLayer must stand inside of RequirementsLayer, and outside of RequireLayer and of the extractors"
        ),
        RejectionKind::AuthUnavailable => event!(warn, "refused: authentication is unavailable"),
        _ => event!(info, "refused"),
    }
}

/// Where there is no request at hand to tell which it was.
pub(crate) fn principal_missing() {
    error!(
        target: TARGET,
        "a handler asked for the principal of a request that no CoverbaseAuthLayer has authenticated: add the layer, or ask for no principal where the route is public"
    );
}

pub(crate) fn store_failed(error: &StoreError) {
    warn!(target: TARGET, error = ?Excerpt(&error.to_string()), "the key store failed");
}

pub(crate) fn store_panicked() {
    error!(target: TARGET, "the key store panicked; the request is answered 503");
}

#[cfg(feature = "audit")]
pub(crate) fn audit_is_inside() {
    error!(
        target: TARGET,
        "the AuditLayer stands inside of CoverbaseAuthLayer and sees no refusals: put it outside"
    );
}

#[cfg(feature = "audit")]
pub(crate) fn audit_sink_panicked() {
    error!(target: TARGET, "the audit sink panicked; the record is lost");
}

#[cfg(feature = "audit")]
pub(crate) fn audit_store_failed(error: &StoreError) {
    let error = std::error::Error::source(error).map(ToString::to_string);
    let error = error.unwrap_or_default();
    warn!(target: TARGET, error = ?Excerpt(&error), "the audit store failed; the records are kept for another attempt");
}

#[cfg(feature = "audit")]
pub(crate) fn audit_records_dropped(count: u64, is_news: bool) {
    #[cfg(feature = "metrics")]
    meter::audit_records_dropped(count);
    if is_news {
        warn!(target: TARGET, count, "audit records are lost; the counter goes on");
    }
}

#[cfg(feature = "audit")]
pub(crate) fn audit_queue_depth(depth: usize) {
    #[cfg(feature = "metrics")]
    meter::audit_queue_depth(depth);
    #[cfg(not(feature = "metrics"))]
    let _ = depth;
}

/// A stranger's text on one line of bounded length: `Debug` escapes line breaks and control bytes (T13), and what is
/// longer than a thousand characters is cut.
struct Excerpt<'a>(&'a str);

impl fmt::Debug for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(1000) {
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or_default()),
            None => fmt::Debug::fmt(self.0, f),
        }
    }
}
