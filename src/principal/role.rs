//! The role of a user in an organization.

use std::{borrow::Cow, fmt};

/// The role of a user in an organization (`C15`).
///
/// Roles are compared as whole, case-sensitive strings, without Clerk's prefix `org:`. The roles of the contract are
/// constants; every other name is a custom role.
///
/// ```
/// use coverbase_auth::Role;
///
/// assert_eq!(Role::new("org:admin"), Role::ADMIN);
/// assert_eq!(Role::new("billing").as_str(), "billing");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(Cow<'static, str>);

impl Role {
    /// An administrator of the organization. Only administrators can grant scopes (`C19`).
    pub const ADMIN: Self = Self(Cow::Borrowed("admin"));
    /// A member who takes part in some reviews only.
    pub const AUXILIARY_MEMBER: Self = Self(Cow::Borrowed("auxiliary_member"));
    /// A user from outside the organization.
    pub const GUEST: Self = Self(Cow::Borrowed("guest"));
    /// An ordinary member.
    pub const MEMBER: Self = Self(Cow::Borrowed("member"));
    /// A user account that a program signs in with. API keys have no role, so this role never admits one.
    pub const SERVICE_ACCOUNT: Self = Self(Cow::Borrowed("service_account"));
    /// A member who sees only their own part of the organization.
    pub const SILOED_MEMBER: Self = Self(Cow::Borrowed("siloed_member"));

    /// Returns the role named `role`, without one leading `org:`.
    #[must_use]
    pub fn new(role: impl AsRef<str>) -> Self {
        let role = role.as_ref();
        let name = role.strip_prefix("org:").unwrap_or(role);
        Self(Cow::Owned(name.to_owned()))
    }

    /// Returns the name of the role, without `org:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Role {
    fn from(role: &str) -> Self {
        Self::new(role)
    }
}

impl From<String> for Role {
    fn from(role: String) -> Self {
        Self::new(role)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // C15
    #[test]
    fn role_is_compared_whole_and_case_sensitive() {
        assert_eq!(Role::new("org:admin"), Role::ADMIN);
        assert_eq!(Role::new("admin"), Role::ADMIN);
        for other in [
            "Admin",
            "ORG:admin",
            "admin ",
            "org:org:admin",
            "administrator",
            "org:",
            "",
            "org:admin,member",
        ] {
            assert_ne!(Role::new(other), Role::ADMIN, "{other}");
        }
    }
}
