//! The configuration that all requests of one layer share, and what follows from a decision.

use bytes::Bytes;
use http::{Response, header::AUTHORIZATION, request::Parts};

use super::recording::Recording;
use crate::{
    authenticator::{Authenticator, Rejection},
    principal::{Principal, PrincipalKind},
    response::{self, Renderer},
    telemetry,
};

#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(super) authenticator: Authenticator,
    pub(super) renderer: Renderer,
    pub(super) strips_credential: bool,
    #[cfg(feature = "audit")]
    pub(super) audit: Option<std::sync::Arc<dyn crate::audit::AuditSink>>,
}

impl Shared {
    /// Prepares the request for the inner service, or returns the answer to a rejected one.
    ///
    /// `decision` has no principal if the route is public.
    #[expect(
        clippy::result_large_err,
        reason = "the head of a response is not larger than that of a request"
    )]
    pub(super) fn apply(
        &self,
        decision: Result<Option<Principal>, Rejection>,
        mut parts: Parts,
        recording: &mut Recording,
    ) -> Result<Parts, Response<Bytes>> {
        match &decision {
            Ok(Some(principal)) => recording.identified(self, principal, &parts),
            Err(rejection) => {
                if let Some(principal) = rejection.principal() {
                    recording.identified(self, principal, &parts);
                }
            }
            Ok(None) => {}
        }
        match decision {
            Ok(principal) => {
                if self.strips_credential {
                    parts.headers.remove(AUTHORIZATION);
                }
                match principal {
                    Some(principal) => admit(principal, &mut parts),
                    None => telemetry::public(&parts.method, &parts.uri),
                }
                Ok(parts)
            }
            Err(rejection) => Err(response::respond(&self.renderer, rejection, &parts)),
        }
    }
}

fn admit(principal: Principal, parts: &mut Parts) {
    let is_user = principal.kind() == PrincipalKind::User;
    telemetry::admitted(is_user, principal.id(), principal.org_id().as_str());
    parts.extensions.insert(principal);
}
