//! What all requests of one layer share: the authenticator, and what becomes of its decisions.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    Response,
    header::{AUTHORIZATION, Entry},
    request::Parts,
};

use crate::{
    authenticator::Authenticator, observe, principal::Principal, refusal, rejection::Rejection,
    render::Render,
};

#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) authenticator: Authenticator,
    pub(crate) render: Arc<dyn Render>,
    pub(crate) strips_credential: bool,
}

impl Gate {
    /// Prepares an admitted request for the inner service, to which its credential is marked sensitive (`C33`).
    #[inline]
    pub(crate) fn admit(&self, parts: &mut Parts, principal: Principal) {
        observe::admitted(&principal);
        if self.strips_credential {
            parts.headers.remove(AUTHORIZATION);
        } else if let Some(credential) = parts.headers.get_mut(AUTHORIZATION) {
            credential.set_sensitive(true);
        }
        parts.extensions.insert(principal);
    }

    /// Answers a refused request, whose credentials, there may be several, are marked sensitive to the renderer.
    pub(crate) fn refuse(&self, rejection: Rejection, mut parts: Parts) -> Response<Bytes> {
        if let Entry::Occupied(mut credentials) = parts.headers.entry(AUTHORIZATION) {
            for credential in credentials.iter_mut() {
                credential.set_sensitive(true);
            }
        }
        refusal::respond(&*self.render, rejection, &parts)
    }
}
