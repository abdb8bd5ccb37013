//! Principals of a known kind, for handlers that accept only keys or only users.

use std::sync::Arc;

use crate::{
    credential::KeyId,
    principal::{Identity, OrgId, Principal, Role, Scopes, ServiceAccountIdentity, UserIdentity},
};

/// A principal that is an API key.
///
/// In axum it is an extractor. A user is rejected with `401 Unauthorized role.` (`C16`).
///
/// ```
/// use coverbase_auth::{Principal, Rejection, ServiceAccount};
///
/// fn sync_cursor(caller: Principal) -> Result<String, Rejection> {
///     let account = ServiceAccount::try_from(caller)?;
///     Ok(format!("{}/{}", account.org_id(), account.key_id()))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ServiceAccount(Arc<ServiceAccountIdentity>);

impl ServiceAccount {
    /// Returns the principal unchanged if it is a user.
    pub(crate) fn of(principal: Principal) -> Result<Self, Principal> {
        match principal.0 {
            Identity::ServiceAccount(account) => Ok(Self(account)),
            Identity::User(user) => Err(User(user).into()),
        }
    }

    /// Returns the organization of the key, which owns all that the key reads and writes (`C6`).
    #[must_use]
    pub fn org_id(&self) -> &OrgId {
        &self.0.org_id
    }

    /// Returns the public id of the key.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.0.key_id
    }

    /// Returns the name of the key.
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.0.name
    }

    /// Returns the scopes of the key (`C9`).
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }
}

impl From<ServiceAccount> for Principal {
    fn from(account: ServiceAccount) -> Self {
        Self(Identity::ServiceAccount(account.0))
    }
}

/// A principal that is a user with a session of the dashboard.
///
/// In axum it is an extractor. A key is rejected with `403 insufficient_scope` that names no scope, since none would be
/// sufficient (`C18`).
///
/// ```
/// use coverbase_auth::{Principal, Rejection, Role, User};
///
/// fn greeting(caller: Principal) -> Result<String, Rejection> {
///     let user = User::try_from(caller)?;
///     Ok(format!("{}, {}", user.user_id(), user.role().map_or("without a role", Role::as_str)))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct User(Arc<UserIdentity>);

impl User {
    /// Returns the principal unchanged if it is a key.
    pub(crate) fn of(principal: Principal) -> Result<Self, Principal> {
        match principal.0 {
            Identity::User(user) => Ok(Self(user)),
            Identity::ServiceAccount(account) => Err(ServiceAccount(account).into()),
        }
    }

    /// Returns the organization of the session (`C15`).
    #[must_use]
    pub fn org_id(&self) -> &OrgId {
        &self.0.org_id
    }

    /// Returns the short name of the organization, if the token carries one.
    #[must_use]
    pub fn org_slug(&self) -> Option<&str> {
        self.0.org_slug.as_deref()
    }

    /// Returns the id of the user, the token's `sub`.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.0.user_id
    }

    /// Returns the role of the user in the organization, if the token names one.
    #[must_use]
    pub fn role(&self) -> Option<&Role> {
        self.0.role.as_ref()
    }

    /// Returns the id of the session, the token's `sid`, if the issuer has sessions.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.0.session_id.as_deref()
    }
}

impl From<User> for Principal {
    fn from(user: User) -> Self {
        Self(Identity::User(user.0))
    }
}
