//! What all requests of one layer share: the authenticator, and what becomes of its decisions.

use bytes::Bytes;
use http::{HeaderMap, Response, header::AUTHORIZATION, request::Parts};

use crate::{
    authenticator::Authenticator, observe, principal::Principal, refusal, rejection::Rejection,
    render::Renderer,
};

#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) authenticator: Authenticator,
    pub(crate) renderer: Renderer,
    pub(crate) strips_credential: bool,
}

impl Gate {
    /// Prepares an admitted request for the inner service, to which its credential is marked sensitive (`C33`).
    #[inline]
    pub(crate) fn admit(&self, parts: &mut Parts, principal: Principal) {
        observe::admitted(&principal);
        self.tell_outer_layers(parts, &principal);
        if self.strips_credential {
            parts.headers.remove(AUTHORIZATION);
        } else if let Some(credential) = parts.headers.get_mut(AUTHORIZATION) {
            credential.set_sensitive(true);
        }
        principal.put_into(&mut parts.extensions);
    }

    /// Prepares a request that nobody has to answer for (`C1`): what it may present is not read, and kept as secret as if it
    /// had been.
    pub(crate) fn let_through(&self, parts: &mut Parts) {
        observe::let_through(parts);
        if self.strips_credential {
            parts.headers.remove(AUTHORIZATION);
        } else {
            mark_credentials_sensitive(&mut parts.headers);
        }
    }

    /// Answers a refused request, whose credentials, there may be several, are marked sensitive to the renderer.
    pub(crate) fn refuse(&self, rejection: Rejection, parts: &mut Parts) -> Response<Bytes> {
        if let Some(principal) = rejection.principal() {
            self.tell_outer_layers(parts, principal);
        }
        mark_credentials_sensitive(&mut parts.headers);
        refusal::respond(&self.renderer, rejection, parts)
    }

    /// The credential has resolved, whatever else is decided (`C34`).
    #[inline]
    fn tell_outer_layers(&self, parts: &Parts, principal: &Principal) {
        #[cfg(feature = "audit")]
        if let Some(slot) = parts.extensions.get::<crate::decision_slot::DecisionSlot>() {
            slot.fill(principal, self.authenticator.client_ip.client_ip(parts));
        }
        #[cfg(not(feature = "audit"))]
        let _ = (parts, principal);
    }
}

fn mark_credentials_sensitive(headers: &mut HeaderMap) {
    let credentials = headers
        .iter_mut()
        .filter(|(name, _)| **name == AUTHORIZATION);
    for (_, credential) in credentials {
        credential.set_sensitive(true);
    }
}
