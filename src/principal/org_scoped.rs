//! What belongs to an organization, and to nobody else.

use std::fmt;

use crate::{
    authenticator::{Rejection, RejectionKind},
    principal::{OrgId, Principal},
};

/// A value that is an organization's own: whoever is of another one is told that it does not exist (`C20`).
///
/// A store that gives `OrgScoped<Report>` for an id leaves no way to the report but the one that asks whose it is. What is
/// missing is answered in the same words:
///
/// ```
/// use coverbase_auth::{OrgScoped, Principal, Rejection, RejectionKind};
/// # struct Report;
/// # fn find(id: u64) -> Option<OrgScoped<Report>> { None }
///
/// fn report(caller: &Principal, id: u64) -> Result<Report, Rejection> {
///     find(id).ok_or(RejectionKind::NotFound)?.visible_to(caller)
/// }
/// ```
#[derive(Clone)]
pub struct OrgScoped<T> {
    org_id: OrgId,
    value: T,
}

impl<T> OrgScoped<T> {
    /// A value of the organization `org_id`.
    ///
    /// ```
    /// use coverbase_auth::OrgScoped;
    ///
    /// let report = OrgScoped::new("org_acme", "spending");
    /// assert_eq!(report.org_id().as_str(), "org_acme");
    /// assert!(!format!("{report:?}").contains("spending"));
    /// ```
    pub fn new(org_id: impl Into<OrgId>, value: T) -> Self {
        Self {
            org_id: org_id.into(),
            value,
        }
    }

    /// Whose it is.
    pub const fn org_id(&self) -> &OrgId {
        &self.org_id
    }

    /// The value, for a principal of its organization.
    ///
    /// # Errors
    ///
    /// [`RejectionKind::NotFound`] for every other one.
    pub fn visible_to(self, principal: &Principal) -> Result<T, Rejection> {
        if principal.owns(&self.org_id) {
            Ok(self.value)
        } else {
            Err(RejectionKind::NotFound.into())
        }
    }
}

/// Without the value.
impl<T> fmt::Debug for OrgScoped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrgScoped")
            .field("org_id", &self.org_id)
            .finish_non_exhaustive()
    }
}

impl Principal {
    /// Whether what belongs to `org_id` is the caller's (`C6`, `C20`).
    ///
    /// ```
    /// use coverbase_auth::{OrgId, Principal};
    ///
    /// fn mine<'a>(caller: &Principal, owners: &'a [OrgId]) -> Vec<&'a OrgId> {
    ///     owners.iter().filter(|owner| caller.owns(owner)).collect()
    /// }
    /// ```
    #[must_use]
    pub fn owns(&self, org_id: &OrgId) -> bool {
        self.org_id() == org_id
    }
}
