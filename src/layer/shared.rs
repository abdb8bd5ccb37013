//! The configuration that all requests of one layer share, and what follows from a decision.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, header::AUTHORIZATION, request::Parts};

use super::recording::Recording;
use crate::{
    authenticator::{Authenticator, Rejection},
    principal::{Principal, PrincipalKind},
    response::{self, Render},
    telemetry,
};

#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(super) authenticator: Authenticator,
    pub(super) render: Arc<dyn Render>,
    pub(super) strips_credential: bool,
    #[cfg(feature = "audit")]
    pub(super) audit: Option<Arc<dyn crate::audit::AuditSink>>,
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
        match decision {
            Ok(principal) => {
                if self.strips_credential {
                    parts.headers.remove(AUTHORIZATION);
                }
                if let Some(principal) = principal {
                    recording.identified(self, &principal, &parts);
                    let is_user = principal.kind() == PrincipalKind::User;
                    telemetry::admitted(is_user, principal.id(), principal.org_id().as_str());
                    parts.extensions.insert(principal);
                } else {
                    telemetry::public(&parts.method, &parts.uri);
                }
                Ok(parts)
            }
            Err(rejection) => {
                if let Some(principal) = rejection.principal() {
                    recording.identified(self, principal, &parts);
                }
                Err(response::respond(&*self.render, rejection, &parts))
            }
        }
    }
}
