//! What all requests of one layer share: the authenticator, and what becomes of its decisions.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Response, header::AUTHORIZATION, request::Parts};

use crate::{
    authenticator::Authenticator, credential, observe, principal::Principal, refusal,
    rejection::Rejection, render::Renderer, slot::Slot,
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
    pub(crate) fn admit(&self, parts: &mut Parts, principal: Principal) {
        observe::admitted(&principal);
        if self.strips_credential {
            parts.headers.remove(AUTHORIZATION);
        }
        let Some(slot) = parts.extensions.get_mut::<Slot>() else {
            parts.extensions.insert(principal);
            return;
        };
        let witness = slot.witness.take();
        let witnessed = witness.map(|witness| (witness, principal.clone()));
        if slot.holds_principal {
            slot.principal = Some(principal);
        } else {
            parts.extensions.insert(principal);
        }
        if let Some((witness, principal)) = witnessed {
            witness.resolved(principal, self.client_ip(parts));
        }
    }

    /// Prepares a request that nobody has to answer for (`C1`): what it may present is not read, and kept as secret as if it
    /// had been.
    pub(crate) fn let_through(&self, parts: &mut Parts) {
        observe::let_through(parts);
        if self.strips_credential {
            parts.headers.remove(AUTHORIZATION);
        } else {
            credential::mark_sensitive(&mut parts.headers);
        }
    }

    /// Answers a refused request. Its credential may have resolved (`C34`).
    pub(crate) fn refuse(&self, rejection: Rejection, parts: &mut Parts) -> Response<Bytes> {
        if let Some(principal) = rejection.principal()
            && let Some(slot) = parts.extensions.get_mut::<Slot>()
            && let Some(witness) = slot.witness.take()
        {
            witness.resolved(principal.clone(), self.client_ip(parts));
        }
        refusal::respond(&self.renderer, rejection, parts)
    }

    fn client_ip(&self, parts: &Parts) -> Option<IpAddr> {
        self.authenticator.client_ip.client_ip(parts)
    }
}
