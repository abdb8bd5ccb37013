//! A principal whose kind is known: for handlers that serve keys alone, or users alone.

use std::{fmt, sync::Arc};

use crate::{
    authenticator::{Rejection, RejectionKind},
    credential::KeyId,
    principal::{Identity, OrgId, Principal, Role, Scopes, ServiceAccountIdentity, UserIdentity},
};

/// A principal that is an API key.
///
/// In axum it is an extractor. A user is refused `401 Unauthorized role.`: what they lack is the role of a service account
/// (`C16`).
///
/// ```
/// use coverbase_auth::{Principal, Rejection, ServiceAccount};
///
/// fn sync_cursor(caller: Principal) -> Result<String, Rejection> {
///     let account = ServiceAccount::try_from(caller)?;
///     Ok(format!("{}/{}", account.org_id(), account.key_id()))
/// }
/// ```
#[derive(Clone)]
pub struct ServiceAccount(Arc<ServiceAccountIdentity>);

impl ServiceAccount {
    /// The organization that all it reads and writes belongs to (`C6`).
    #[must_use]
    pub fn org_id(&self) -> &OrgId {
        &self.0.org_id
    }

    /// The public id of the key.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.0.key_id
    }

    /// The name that its owner gave the key.
    ///
    /// ```
    /// use coverbase_auth::ServiceAccount;
    ///
    /// fn greeting(account: &ServiceAccount) -> String {
    ///     format!("hello, {} ({})", account.key_name(), account.key_id())
    /// }
    /// ```
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.0.name
    }

    /// What the key may do (`C9`).
    ///
    /// ```
    /// use coverbase_auth::{Scope, ServiceAccount};
    ///
    /// /// Every key may list vendors; some see where they bank.
    /// fn columns(account: &ServiceAccount) -> &'static [&'static str] {
    ///     if account.scopes().contains(&Scope::BANKING_READ) { &["name", "iban"] } else { &["name"] }
    /// }
    /// ```
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }
}

impl TryFrom<Principal> for ServiceAccount {
    type Error = Rejection;

    fn try_from(principal: Principal) -> Result<Self, Rejection> {
        match principal.into_identity() {
            Identity::ServiceAccount(account) => Ok(Self(account)),
            Identity::User(user) => {
                let rejection = Rejection::new(RejectionKind::UnauthorizedRole);
                Err(rejection.of(User(user).into()))
            }
        }
    }
}

impl From<ServiceAccount> for Principal {
    fn from(account: ServiceAccount) -> Self {
        Self::service_account(account.0)
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Principal::from(self.clone()).fmt(f)
    }
}

/// A principal that is a person, by a session of the dashboard.
///
/// In axum it is an extractor. A key is refused `403 insufficient_scope`, with no scope named: none would do (`C18`).
///
/// ```
/// use coverbase_auth::{Principal, Rejection, Role, User};
///
/// fn greeting(caller: Principal) -> Result<String, Rejection> {
///     let user = User::try_from(caller)?;
///     Ok(format!("{}, {}", user.user_id(), user.role().map_or("without a role", Role::as_str)))
/// }
/// ```
#[derive(Clone)]
pub struct User(Arc<UserIdentity>);

impl User {
    /// The organization that the session is for (`C15`).
    #[must_use]
    pub fn org_id(&self) -> &OrgId {
        &self.0.org_id
    }

    /// The organization's short name, where the token carries one.
    ///
    /// ```
    /// use coverbase_auth::User;
    ///
    /// fn dashboard(user: &User) -> String {
    ///     format!("https://app.example.com/{}", user.org_slug().unwrap_or(user.org_id().as_str()))
    /// }
    /// ```
    #[must_use]
    pub fn org_slug(&self) -> Option<&str> {
        self.0.org_slug.as_deref()
    }

    /// The user's id, the token's `sub`.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.0.user_id
    }

    /// The user's role in the organization, where the token names one.
    #[must_use]
    pub fn role(&self) -> Option<&Role> {
        self.0.role.as_ref()
    }

    /// The id of the session, the token's `sid`, where its issuer has sessions.
    ///
    /// ```
    /// use coverbase_auth::User;
    ///
    /// fn is_of_session(user: &User, draft_by: &str) -> bool {
    ///     user.session_id() == Some(draft_by)
    /// }
    /// ```
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.0.session_id.as_deref()
    }
}

impl TryFrom<Principal> for User {
    type Error = Rejection;

    fn try_from(principal: Principal) -> Result<Self, Rejection> {
        match principal.into_identity() {
            Identity::User(user) => Ok(Self(user)),
            Identity::ServiceAccount(account) => {
                let rejection = Rejection::new(RejectionKind::InsufficientScope);
                Err(rejection.of(ServiceAccount(account).into()))
            }
        }
    }
}

impl From<User> for Principal {
    fn from(user: User) -> Self {
        Self::new(Identity::User(user.0))
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Principal::from(self.clone()).fmt(f)
    }
}
