//! The id of an organization.

use std::{fmt, sync::Arc};

/// The id of an organization, such as `org_2x9…`. Two ids are equal if their text is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgId(
    /// A thin pointer, since every key of the organization holds one.
    Arc<Box<str>>,
);

impl OrgId {
    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for OrgId {
    fn from(id: &str) -> Self {
        Self(Arc::new(id.into()))
    }
}

impl From<String> for OrgId {
    fn from(id: String) -> Self {
        Self(Arc::new(id.into()))
    }
}

impl fmt::Display for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
