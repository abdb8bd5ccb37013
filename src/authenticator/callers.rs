//! Ways to the principal of a request that can fail with a [`Rejection`].

use http::Extensions;

use super::rejection::{Rejection, RejectionKind};
use crate::{
    principal::{OrgScoped, Principal, ServiceAccount, User},
    telemetry,
};

impl Principal {
    /// Returns the principal from the extensions of an admitted request; `None` if no layer has authenticated the request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Returns the principal, or the rejection to answer with if no layer has authenticated the request (`C21`).
    ///
    /// # Errors
    ///
    /// [`RejectionKind::AuthNotConfigured`], which is logged as an error.
    ///
    /// ```
    /// use coverbase_auth::{Principal, Rejection};
    ///
    /// fn list_vendors(request: &http::Request<()>) -> Result<String, Rejection> {
    ///     let caller = Principal::required(request.extensions())?;
    ///     Ok(format!("vendors of {}", caller.org_id()))
    /// }
    /// assert!(list_vendors(&http::Request::new(())).is_err());
    /// ```
    pub fn required(extensions: &Extensions) -> Result<&Self, Rejection> {
        Self::of(extensions).ok_or_else(|| {
            telemetry::principal_missing();
            RejectionKind::AuthNotConfigured.into()
        })
    }
}

impl TryFrom<Principal> for ServiceAccount {
    type Error = Rejection;

    /// Rejects a user with [`RejectionKind::UnauthorizedRole`]: the user lacks the role of a service account (`C16`).
    fn try_from(principal: Principal) -> Result<Self, Rejection> {
        Self::of(principal)
            .map_err(|user| Rejection::new(RejectionKind::UnauthorizedRole).with_principal(user))
    }
}

impl TryFrom<Principal> for User {
    type Error = Rejection;

    /// Rejects a key with [`RejectionKind::InsufficientScope`] and no scope: none would be sufficient (`C18`).
    fn try_from(principal: Principal) -> Result<Self, Rejection> {
        Self::of(principal)
            .map_err(|key| Rejection::new(RejectionKind::InsufficientScope).with_principal(key))
    }
}

impl<T> OrgScoped<T> {
    /// Returns the value to a principal of its organization.
    ///
    /// # Errors
    ///
    /// [`RejectionKind::NotFound`] for a principal of another organization (`C20`).
    pub fn visible_to(self, principal: &Principal) -> Result<T, Rejection> {
        self.value_for(principal)
            .ok_or_else(|| RejectionKind::NotFound.into())
    }
}
