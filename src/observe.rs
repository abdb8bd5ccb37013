//! What the service's own log learns: one event an outcome, target `coverbase_auth`, and never a token (`C33`).
//!
//! What a client wrote (a path) is recorded with `Debug`, which escapes line breaks and control bytes.

use http::request::Parts;
use tracing::{debug, error, info, warn};

use crate::{
    key_store::StoreError,
    principal::Principal,
    rejection::{Rejection, RejectionKind},
};

const TARGET: &str = "coverbase_auth";

#[inline]
pub(crate) fn admitted(principal: &Principal) {
    debug!(
        target: TARGET,
        kind = ?principal.kind(),
        id = ?principal.id(),
        org_id = ?principal.org_id().as_str(),
        "admitted"
    );
}

pub(crate) fn refused(rejection: &Rejection, parts: &Parts) {
    macro_rules! event {
        ($level:ident, $message:literal) => {
            $level!(
                target: TARGET,
                kind = ?rejection.kind(),
                cause = rejection.cause(),
                id = rejection.principal().map(|principal| tracing::field::debug(principal.id())),
                org_id = rejection.principal().map(|principal| tracing::field::debug(principal.org_id().as_str())),
                method = ?parts.method.as_str(),
                path = ?parts.uri.path(),
                $message
            )
        };
    }
    match rejection.kind() {
        RejectionKind::AuthNotConfigured => event!(
            error,
            "a requirement met a request that no CoverbaseAuthLayer has authenticated: add the layer, outside of RequireLayer and of the extractors"
        ),
        RejectionKind::AuthUnavailable => event!(warn, "refused: authentication is unavailable"),
        _ => event!(info, "refused"),
    }
}

pub(crate) fn store_failed(error: &StoreError) {
    warn!(target: TARGET, error = %error, "the key store failed");
}

pub(crate) fn store_panicked() {
    error!(target: TARGET, "the key store panicked; the request is answered 503");
}
