//! The authenticated caller that an admitted request carries in its extensions.

use std::{fmt, sync::Arc};

use super::{LastUsed, OrgId, Role, Scopes, UsageLog};
use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
};

/// The authenticated caller of a request: an API key or a user.
///
/// [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer) inserts it into the extensions of every request that it admits.
/// It cannot be constructed outside this crate: holding a `Principal` proves that the request was authenticated. A
/// clone copies one pointer.
///
/// ```
/// use coverbase_auth::{Principal, PrincipalKind};
///
/// fn greet(principal: &Principal) -> String {
///     match principal.kind() {
///         PrincipalKind::ServiceAccount => format!("key {:?} of {}", principal.key_name(), principal.org_id()),
///         PrincipalKind::User => format!("user {:?} of {}", principal.user_id(), principal.org_id()),
///         _ => principal.org_id().to_string(),
///     }
/// }
/// ```
///
/// ```compile_fail
/// let forged = coverbase_auth::Principal(todo!());
/// ```
///
/// Tests construct principals with [`testing`](crate::testing) (feature `test-util`):
///
#[cfg_attr(feature = "test-util", doc = "```")]
#[cfg_attr(not(feature = "test-util"), doc = "```ignore")]
/// use coverbase_auth::{KeyRecord, Role, Scope, testing};
///
/// let key = testing::service_account(KeyRecord::new("ak_1", "org_acme").with_scopes([Scope::AUDIT_READ]));
/// assert_eq!((key.id(), key.role()), ("ak_1", None));
///
/// let user = testing::user("user_1", "org_acme", Role::MEMBER);
/// assert_eq!((user.id(), user.role()), ("user_1", Some(&Role::MEMBER)));
/// ```
#[derive(Clone)]
pub struct Principal(pub(crate) Identity);

#[derive(Clone)]
pub(crate) enum Identity {
    ServiceAccount(Arc<ServiceAccountIdentity>),
    User(Arc<UserIdentity>),
}

/// The two kinds of principal (`C4`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrincipalKind {
    /// An API key, which acts as its organization's service account (`C6`).
    ServiceAccount,
    /// A user, authenticated by a session token.
    User,
}

/// The state of a key. A [`KeyRecord`](crate::KeyRecord) and the principals made from it share one `Arc`, so admitting
/// a request copies one pointer.
#[derive(Debug, Clone)]
pub(crate) struct ServiceAccountIdentity {
    /// The digest under which `MemoryStore` indexes the record; all zeros in records of other stores.
    pub(crate) digest: KeyDigest,
    pub(crate) org_id: OrgId,
    pub(crate) key_id: KeyId,
    pub(crate) name: Box<str>,
    pub(crate) scopes: Scopes,
    pub(crate) allowlist: IpAllowlist,
    pub(crate) created_at: u64,
    pub(crate) created_by: Option<Box<str>>,
    pub(crate) expires_at: Option<u64>,
    pub(crate) revoked_at: Option<u64>,
    pub(crate) last_used: LastUsed,
    pub(crate) usage_log: Option<UsageLog>,
}

/// The claims of a session token about its user.
#[derive(Debug, Clone)]
pub(crate) struct UserIdentity {
    pub(crate) org_id: OrgId,
    pub(crate) org_slug: Option<Box<str>>,
    pub(crate) user_id: Box<str>,
    pub(crate) role: Option<Role>,
    pub(crate) session_id: Option<Box<str>>,
    pub(crate) scopes: Scopes,
}

impl Principal {
    /// Returns whether the principal is a key or a user.
    #[must_use]
    pub const fn kind(&self) -> PrincipalKind {
        match self.0 {
            Identity::ServiceAccount(_) => PrincipalKind::ServiceAccount,
            Identity::User(_) => PrincipalKind::User,
        }
    }

    /// Returns the organization of the principal (`C6`, `C15`).
    #[must_use]
    pub fn org_id(&self) -> &OrgId {
        match &self.0 {
            Identity::ServiceAccount(account) => &account.org_id,
            Identity::User(user) => &user.org_id,
        }
    }

    /// Returns the scopes of the principal. Users of the dashboard have none.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        match &self.0 {
            Identity::ServiceAccount(account) => &account.scopes,
            Identity::User(user) => &user.scopes,
        }
    }

    /// Returns the public id of the key; `None` for a user.
    #[must_use]
    pub fn key_id(&self) -> Option<&KeyId> {
        self.as_service_account().map(|account| &account.key_id)
    }

    /// Returns the name of the key; `None` for a user.
    #[must_use]
    pub fn key_name(&self) -> Option<&str> {
        self.as_service_account().map(|account| &*account.name)
    }

    /// Returns the user's id, the token's `sub`; `None` for a key.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.as_user().map(|user| &*user.user_id)
    }

    /// Returns the user's role in the organization; `None` for a key, and for a user whose token names no role.
    #[must_use]
    pub fn role(&self) -> Option<&Role> {
        self.as_user().and_then(|user| user.role.as_ref())
    }

    /// Returns the id of the session, the token's `sid`; `None` for a key, and for a token without `sid`.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.as_user().and_then(|user| user.session_id.as_deref())
    }

    /// Returns the short name of the organization, if the token carries one.
    #[must_use]
    pub fn org_slug(&self) -> Option<&str> {
        self.as_user().and_then(|user| user.org_slug.as_deref())
    }

    /// Returns the id of the key or of the user, for logs.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.0 {
            Identity::ServiceAccount(account) => account.key_id.as_str(),
            Identity::User(user) => &user.user_id,
        }
    }

    /// Returns when the key expires, in Unix seconds; `None` for a key that does not expire, and for a user.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        self.as_service_account()?.expires_at
    }

    fn as_service_account(&self) -> Option<&ServiceAccountIdentity> {
        match &self.0 {
            Identity::ServiceAccount(account) => Some(account),
            Identity::User(_) => None,
        }
    }

    fn as_user(&self) -> Option<&UserIdentity> {
        match &self.0 {
            Identity::ServiceAccount(_) => None,
            Identity::User(user) => Some(user),
        }
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("kind", &self.kind())
            .field("id", &self.id())
            .field("org_id", self.org_id())
            .field("role", &self.role())
            .field("scopes", self.scopes())
            .finish()
    }
}
