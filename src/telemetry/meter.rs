//! The numbers of the layer, by the `metrics` facade. What they are called is in `manual/observability.md`.

use std::time::Duration;

use metrics::{counter, histogram};

use crate::{
    authenticator::{Rejection, RejectionKind},
    credential::Presented,
    principal::{Principal, PrincipalKind},
};

/// Counts under labels that are known at compile time: for others the facade allocates, with no recorder too.
macro_rules! count {
    ($name:literal, $($label:literal => $value:literal),+) => {
        counter!($name, $($label => $value),+).increment(1)
    };
}

pub(crate) fn admitted(principal: &Principal) {
    match principal.kind() {
        PrincipalKind::ServiceAccount => {
            count!("coverbase_auth.decisions", "outcome" => "admitted", "credential" => "api_key");
        }
        PrincipalKind::User => {
            count!("coverbase_auth.decisions", "outcome" => "admitted", "credential" => "session_token");
        }
    }
}

pub(crate) fn let_through() {
    count!("coverbase_auth.decisions", "outcome" => "public", "credential" => "none");
}

pub(crate) fn refused(rejection: &Rejection) {
    macro_rules! decision {
        ($credential:literal) => {
            count!("coverbase_auth.decisions", "outcome" => "refused", "credential" => $credential)
        };
    }
    match rejection.credential() {
        Presented::ApiKey => decision!("api_key"),
        Presented::SessionToken => decision!("session_token"),
        Presented::Unrecognized => decision!("unrecognized"),
        Presented::Nothing => decision!("none"),
    }
    refused_because(rejection.kind());
}

/// By the answer's code; the kinds that have none are named as they are.
fn refused_because(kind: RejectionKind) {
    macro_rules! by_kind {
        ($($kind:ident => $error_type:literal,)+) => {
            match kind {
                $(RejectionKind::$kind => {
                    count!("coverbase_auth.refusals", "error.type" => $error_type);
                })+
            }
        };
    }
    by_kind! {
        MissingCredential => "missing_credential",
        MalformedCredential => "malformed_credential",
        InvalidApiKey => "invalid_api_key",
        InvalidSessionToken => "invalid_session_token",
        UnauthorizedRole => "unauthorized_role",
        InsufficientScope => "insufficient_scope",
        ScopeGrantForbidden => "scope_grant_forbidden",
        IpNotAllowed => "ip_not_allowed",
        ApiKeyNotFound => "api_key_not_found",
        OrgNotFound => "org_not_found",
        NotFound => "not_found",
        AuthUnavailable => "auth_unavailable",
        AuthNotConfigured => "auth_not_configured",
    }
}

pub(crate) fn lookup_waited(duration: Duration) {
    histogram!("coverbase_auth.lookup.duration").record(duration.as_secs_f64());
}

#[cfg(feature = "audit")]
pub(crate) fn audit_queue_depth(depth: usize) {
    metrics::gauge!("coverbase_auth.audit.queue.depth").set(depth as f64);
}

#[cfg(feature = "audit")]
pub(crate) fn audit_records_dropped(count: u64) {
    counter!("coverbase_auth.audit.dropped").increment(count);
}
