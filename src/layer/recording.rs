//! The layer's side of the audit log. Without the feature `audit` it does nothing.

use http::{Response, request::Parts};

use super::Shared;
use crate::principal::Principal;

/// The call that a request is recorded as, if the layer has an audit sink.
pub(super) struct Recording {
    #[cfg(feature = "audit")]
    call: Option<crate::audit::recorder::CallInProgress>,
}

#[cfg(feature = "audit")]
impl Recording {
    pub(super) fn begin(shared: &Shared, parts: &Parts) -> Self {
        let sink = shared.audit.clone();
        let clock = &*shared.authenticator.clock;
        Self {
            call: sink.map(|sink| crate::audit::recorder::CallInProgress::new(sink, clock, parts)),
        }
    }

    pub(super) fn identified(&mut self, shared: &Shared, principal: &Principal, parts: &Parts) {
        let authenticator = &shared.authenticator;
        if let Some(call) = &mut self.call {
            let client_ip = || authenticator.client_ip.client_ip(parts);
            call.identified(principal, parts, client_ip, authenticator.route_of(parts));
        }
    }

    /// Completes the record when the response head is there.
    pub(super) fn complete<B>(&mut self, response: &mut Response<B>) {
        if let Some(call) = self.call.take() {
            let outcome = outcome(response);
            call.complete(response, outcome);
        }
    }
}

#[cfg(feature = "audit")]
fn outcome<B>(response: &Response<B>) -> crate::audit::call::Outcome {
    let grpc_status = response.headers().get("grpc-status");
    let grpc_status = grpc_status.and_then(|status| status.to_str().ok()?.parse().ok());
    // The HTTP status of a gRPC answer is 200, whatever it says.
    let rejection: Option<&crate::Rejection> = response.extensions().get();
    let status = match rejection {
        Some(rejection) if grpc_status.is_some() => rejection.kind().status(),
        _ => response.status(),
    };
    crate::audit::call::Outcome {
        status: status.as_u16(),
        grpc_status,
    }
}

#[cfg(not(feature = "audit"))]
impl Recording {
    pub(super) fn begin(_: &Shared, _: &Parts) -> Self {
        Self {}
    }

    pub(super) fn identified(&mut self, _: &Shared, _: &Principal, _: &Parts) {}

    pub(super) fn complete<B>(&mut self, _: &mut Response<B>) {}
}
