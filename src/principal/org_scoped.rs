//! Values that belong to one organization (C20).

use std::fmt;

use crate::principal::{OrgId, Principal};

/// A value that belongs to one organization. For a principal of another organization it does not exist (`C20`).
///
/// A store that returns `OrgScoped<Report>` for an id makes its callers check the organization. A missing report and one of
/// another organization are then answered alike:
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
    /// Returns a value of the organization `org_id`.
    pub fn new(org_id: impl Into<OrgId>, value: T) -> Self {
        Self {
            org_id: org_id.into(),
            value,
        }
    }

    /// Returns the organization that owns the value.
    pub const fn org_id(&self) -> &OrgId {
        &self.org_id
    }

    pub(crate) fn value_for(self, principal: &Principal) -> Option<T> {
        principal.owns(&self.org_id).then_some(self.value)
    }
}

/// Shows the organization, not the value.
impl<T> fmt::Debug for OrgScoped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrgScoped")
            .field("org_id", &self.org_id)
            .finish_non_exhaustive()
    }
}

impl Principal {
    /// Returns whether `org_id` is the organization of the principal (`C6`, `C20`).
    #[must_use]
    pub fn owns(&self, org_id: &OrgId) -> bool {
        self.org_id() == org_id
    }
}
