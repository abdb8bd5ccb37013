//! What all requests of one layer share: the authenticator, and what becomes of its decisions.

use bytes::Bytes;
use http::{Request, Response, header::AUTHORIZATION, request::Parts};

use crate::{
    authenticator::{Authenticator, Rejection, Slot},
    credential,
    principal::Principal,
    response::{Renderer, refusal},
    telemetry::observe,
};

#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) authenticator: Authenticator,
    pub(crate) renderer: Renderer,
    pub(crate) strips_credential: bool,
}

impl Gate {
    /// Prepares an admitted request for the inner service.
    #[inline]
    pub(crate) fn admit<B>(&self, request: &mut Request<B>, principal: Principal) {
        observe::admitted(&principal);
        if self.strips_credential {
            request.headers_mut().remove(AUTHORIZATION);
        }
        let extensions = request.extensions_mut();
        let Some(slot) = extensions.get_mut::<Slot>() else {
            extensions.insert(principal);
            return;
        };
        let witness = slot.witness.take();
        let witnessed = witness.map(|witness| (witness, principal.clone()));
        if slot.holds_principal {
            slot.principal = Some(principal);
        } else {
            extensions.insert(principal);
        }
        if let Some((witness, principal)) = witnessed {
            let client_ip = self.authenticator.client_ip.client_ip_of(request);
            witness.resolved(principal, client_ip);
        }
    }

    /// Prepares a request that nobody has to answer for (`C1`): what it may present is not read, and kept as secret as if it
    /// had been.
    pub(crate) fn let_through<B>(&self, request: &mut Request<B>) {
        observe::let_through(request.method(), request.uri());
        if self.strips_credential {
            request.headers_mut().remove(AUTHORIZATION);
        } else {
            credential::mark_sensitive(request.headers_mut());
        }
    }

    /// Answers a refused request. Its credential may have resolved (`C34`).
    pub(crate) fn refuse(&self, rejection: Rejection, parts: &mut Parts) -> Response<Bytes> {
        if let Some(principal) = rejection.principal()
            && let Some(slot) = parts.extensions.get_mut::<Slot>()
            && let Some(witness) = slot.witness.take()
        {
            let client_ip = self.authenticator.client_ip.client_ip(parts);
            witness.resolved(principal.clone(), client_ip);
        }
        refusal::respond(&self.renderer, rejection, parts)
    }
}
