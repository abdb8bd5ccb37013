//! What all requests of one layer share: the authenticator, and what becomes of its decisions.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, Response,
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
    #[inline]
    pub(crate) fn admit(&self, parts: &mut Parts, principal: Principal) {
        observe::admitted(&principal);
        if self.strips_credential {
            parts.headers.remove(AUTHORIZATION);
        }
        parts.extensions.insert(principal);
    }

    pub(crate) fn refuse(&self, rejection: Rejection, parts: &Parts) -> Response<Bytes> {
        refusal::respond(&*self.render, rejection, parts)
    }
}

/// `C33`: from here on `Debug` of the headers shows `Sensitive`, to a renderer as well as to the inner service.
#[inline]
pub(crate) fn mark_credential_sensitive(headers: &mut HeaderMap) {
    if let Entry::Occupied(mut values) = headers.entry(AUTHORIZATION) {
        for value in values.iter_mut() {
            value.set_sensitive(true);
        }
    }
}
