//! Test helpers for services that use the layer, and the contract tests that every store must pass.
//!
//! Only this module can create a [`Principal`] outside the layer, so the feature `test-util` belongs under
//! `dev-dependencies`. [The manual](crate::manual::testing) shows how to use it. It may import every other module.

#[cfg(feature = "audit")]
pub mod audit_contract;
mod clock;
mod faulty_store;
#[cfg(feature = "jwt")]
mod issuer;
#[cfg(feature = "test-util")]
pub mod key_store_contract;

#[cfg(feature = "jwt")]
pub use self::issuer::{TestIssuer, TestToken};
pub use self::{clock::TestClock, faulty_store::FaultyStore};
use crate::{
    key_store::KeyRecord,
    principal::{Identity, OrgId, Principal, Role, Scopes, UserIdentity},
};

/// Creates the principal of a request that was authenticated with the key of `record`.
///
/// ```
/// use coverbase_auth::{KeyRecord, Scope, testing};
///
/// let record = KeyRecord::new("ak_1", "org_acme").with_scopes([Scope::AUDIT_READ]);
/// let principal = testing::service_account(record);
/// assert_eq!(principal.org_id().as_str(), "org_acme");
/// ```
#[must_use]
pub fn service_account(record: KeyRecord) -> Principal {
    record.into_principal()
}

/// Creates the principal of a request by a user of the dashboard. `None` is a session without a role.
///
/// ```
/// use coverbase_auth::{KeyAdmin, Role, testing};
///
/// let admin = testing::user("user_1", "org_acme", Role::ADMIN);
/// let without_role = testing::user("user_2", "org_acme", None);
/// assert!(KeyAdmin::requirement().check(&admin).is_ok());
/// assert!(KeyAdmin::requirement().check(&without_role).is_err());
/// ```
#[must_use]
pub fn user(
    user_id: impl Into<String>,
    org_id: impl Into<OrgId>,
    role: impl Into<Option<Role>>,
) -> Principal {
    let user = UserIdentity {
        org_id: org_id.into(),
        org_slug: None,
        user_id: user_id.into().into(),
        role: role.into(),
        session_id: Some("sess_test".into()),
        scopes: Scopes::new(),
    };
    Principal(Identity::User(user.into()))
}
