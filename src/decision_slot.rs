//! How a layer outside of the decision learns whom the request's credential turned out to be.

use std::{net::IpAddr, sync::Arc};

use crate::principal::Principal;

/// Lies in the extensions of a request, put there by an outer layer, and is filled by the decision: at most once, and not
/// at all where the credential was not good.
#[derive(Clone)]
pub(crate) struct DecisionSlot(Arc<dyn Witness>);

/// What the outer layer keeps of the slot.
pub(crate) trait Witness: Send + Sync + 'static {
    /// `client_ip` is the very address that the allowlist is checked against (`C37`).
    fn resolved(&self, principal: &Principal, client_ip: Option<IpAddr>);
}

impl DecisionSlot {
    #[inline]
    pub(crate) fn of(witness: Arc<impl Witness>) -> Self {
        Self(witness)
    }

    #[inline]
    pub(crate) fn fill(&self, principal: &Principal, client_ip: Option<IpAddr>) {
        self.0.resolved(principal, client_ip);
    }
}
