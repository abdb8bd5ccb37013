//! What lies in a request's extensions for the decision: what the route requires of its caller, a place for the principal,
//! and who wants to hear of it.

use std::{net::IpAddr, sync::Arc};

use http::Extensions;

use crate::{
    authenticator::{Rejection, RejectionKind},
    principal::Principal,
    requirement::Requirement,
    telemetry::observe,
};

/// Laid down by outer layers, in one extension: the decision then reads one where it would read three, and makes no room of
/// its own where one of them has.
#[derive(Clone, Default)]
pub(crate) struct Slot {
    pub(crate) requirement: Option<Requirement>,
    /// Whether the principal lies here, and not in an extension of its own.
    pub(crate) holds_principal: bool,
    pub(crate) principal: Option<Principal>,
    pub(crate) witness: Option<Arc<dyn Witness>>,
}

/// An outer layer that learns whom the request's credential turned out to be: once at most, and not at all where the
/// credential was not good.
pub(crate) trait Witness: Send + Sync + 'static {
    /// `client_ip` is the very address that the allowlist is checked against (`C37`).
    fn resolved(&self, principal: Principal, client_ip: Option<IpAddr>);
}

impl Principal {
    /// The principal of an admitted request, or of the parts of one.
    ///
    /// It is found wherever the layer has put it: `extensions.get::<Principal>()` is the same, unless a
    /// [`RequirementsLayer`](crate::RequirementsLayer) makes slots.
    ///
    /// ```
    /// use coverbase_auth::Principal;
    ///
    /// let request = http::Request::new(());
    /// assert!(Principal::of(request.extensions()).is_none(), "no layer has admitted it");
    /// ```
    #[must_use]
    #[inline]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        let slot: Option<&Slot> = extensions.get();
        slot.and_then(|slot| slot.principal.as_ref())
            .or_else(|| extensions.get())
    }

    /// What [`of`](Self::of) finds, or the refusal that a handler answers with where no layer has authenticated the request;
    /// then an error is logged too (`C21`).
    ///
    /// ```
    /// use coverbase_auth::{Principal, Rejection, RejectionKind};
    ///
    /// fn vendors_of(request: &http::Request<()>) -> Result<String, Rejection> {
    ///     let caller = Principal::required(request.extensions())?;
    ///     Ok(format!("the vendors of {}", caller.org_id()))
    /// }
    /// let refused = vendors_of(&http::Request::new(())).unwrap_err();
    /// assert_eq!(refused.kind(), RejectionKind::AuthNotConfigured);
    /// ```
    ///
    /// # Errors
    ///
    /// [`RejectionKind::AuthNotConfigured`]
    pub fn required(extensions: &Extensions) -> Result<&Self, Rejection> {
        Self::of(extensions).ok_or_else(|| {
            observe::principal_missing();
            RejectionKind::AuthNotConfigured.into()
        })
    }
}

/// What a request carries of its own: by a slot, by a plain extension, or by both, and then both hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnRequirements<'a> {
    slot: Option<&'a Requirement>,
    extension: Option<&'a Requirement>,
}

impl<'a> OwnRequirements<'a> {
    #[inline]
    pub(crate) fn of(extensions: &'a Extensions) -> Self {
        let slot: Option<&Slot> = extensions.get();
        Self {
            slot: slot.and_then(|slot| slot.requirement.as_ref()),
            extension: extensions.get(),
        }
    }

    pub(crate) const fn are_none(self) -> bool {
        self.slot.is_none() && self.extension.is_none()
    }

    /// Whether there is one, and none that asks for a credential.
    #[inline]
    pub(crate) fn are_public(self) -> bool {
        match (self.slot, self.extension) {
            (Some(slot), Some(extension)) => slot.is_public() && extension.is_public(),
            (Some(one), None) | (None, Some(one)) => one.is_public(),
            (None, None) => false,
        }
    }

    /// Holds `principal` to them, or to `default` where there is none.
    #[inline]
    pub(crate) fn check(
        self,
        default: &Requirement,
        principal: &Principal,
    ) -> Result<(), Rejection> {
        match (self.slot, self.extension) {
            (Some(slot), Some(extension)) => {
                slot.check(principal)?;
                extension.check(principal)
            }
            (Some(one), None) | (None, Some(one)) => one.check(principal),
            (None, None) => default.check(principal),
        }
    }
}
