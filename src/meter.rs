//! The numbers of the layer, by the `metrics` facade. What they are called is in `manual/observability.md`.

use std::time::Duration;

use http::HeaderMap;
use metrics::{counter, gauge, histogram};

use crate::{
    credential::Credential,
    principal::{Principal, PrincipalKind},
    rejection::{Rejection, RejectionKind},
};

pub(crate) fn admitted(principal: &Principal) {
    let credential = credential_of(principal);
    counter!("coverbase_auth.decisions", "outcome" => "admitted", "credential" => credential)
        .increment(1);
}

pub(crate) fn let_through() {
    counter!("coverbase_auth.decisions", "outcome" => "public", "credential" => "none")
        .increment(1);
}

pub(crate) fn refused(rejection: &Rejection, headers: &HeaderMap) {
    let credential = match rejection.principal() {
        Some(principal) => credential_of(principal),
        None => credential_in(headers),
    };
    let error_type = error_type(rejection.kind());
    counter!(
        "coverbase_auth.decisions",
        "outcome" => "refused", "credential" => credential, "error.type" => error_type
    )
    .increment(1);
}

pub(crate) fn lookup_waited(duration: Duration) {
    histogram!("coverbase_auth.lookup.duration").record(duration.as_secs_f64());
}

#[cfg(feature = "audit")]
pub(crate) fn audit_queue_depth(depth: usize) {
    gauge!("coverbase_auth.audit.queue.depth").set(depth as f64);
}

#[cfg(feature = "audit")]
pub(crate) fn audit_records_dropped(count: u64) {
    counter!("coverbase_auth.audit.dropped").increment(count);
}

const fn credential_of(principal: &Principal) -> &'static str {
    match principal.kind() {
        PrincipalKind::ServiceAccount => "api_key",
        PrincipalKind::User => "session_token",
    }
}

fn credential_in(headers: &HeaderMap) -> &'static str {
    match Credential::from_headers(headers) {
        Ok(Credential::ApiKey(_)) => "api_key",
        Ok(Credential::Jwt(_)) => "session_token",
        Ok(Credential::Unrecognized) => "unrecognized",
        Err(_) => "none",
    }
}

/// The answer's code; those that have none are named as they are.
fn error_type(kind: RejectionKind) -> &'static str {
    match kind {
        RejectionKind::MissingCredential => "missing_credential",
        RejectionKind::MalformedCredential => "malformed_credential",
        RejectionKind::InvalidApiKey => "invalid_api_key",
        RejectionKind::InvalidSessionToken => "invalid_session_token",
        RejectionKind::UnauthorizedRole => "unauthorized_role",
        RejectionKind::NotFound => "not_found",
        RejectionKind::InsufficientScope
        | RejectionKind::ScopeGrantForbidden
        | RejectionKind::IpNotAllowed
        | RejectionKind::ApiKeyNotFound
        | RejectionKind::OrgNotFound
        | RejectionKind::AuthUnavailable
        | RejectionKind::AuthNotConfigured => kind.code().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_type_of_its_own() {
        let types = RejectionKind::ALL.map(error_type);
        assert!(!types.contains(&""));
        let different: std::collections::HashSet<_> = types.into_iter().collect();
        assert_eq!(different.len(), RejectionKind::ALL.len());
    }
}
