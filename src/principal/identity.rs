//! Who is calling: what an admitted request carries in its extensions.

use std::{borrow::Cow, fmt, sync::Arc};

use crate::{
    client_ip::IpAllowlist,
    clock::Moment,
    credential::{KeyDigest, KeyId},
    principal::{LastUsed, OrgId, Scopes, UsageLog},
};

/// Who is calling, proved by a credential that the layer has checked.
///
/// Nobody outside this crate can make one, so a handler that has one need not ask again. It is an `Arc`, cheap to
/// clone, and lies in the extensions of every request that [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer) admits.
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
/// It cannot be made by hand, but for tests ([`testing`](crate::testing), feature `test-util`):
///
/// ```compile_fail
/// let forged = coverbase_auth::Principal { identity: todo!() };
/// ```
///
#[cfg_attr(feature = "test-util", doc = "```")]
#[cfg_attr(not(feature = "test-util"), doc = "```ignore")]
/// use coverbase_auth::{KeyRecord, Role, Scope, testing};
///
/// let key = testing::service_account(KeyRecord::new("ak_1", "org_acme").with_scopes([Scope::AUDIT_READ]));
/// assert_eq!((key.id(), key.role()), ("ak_1", None));
/// assert_eq!(key.key_id(), Some(&"ak_1".into()));
/// assert!(key.scopes().contains(&Scope::AUDIT_READ));
///
/// let user = testing::user("user_1", "org_acme", Role::MEMBER);
/// assert_eq!((user.id(), user.role()), ("user_1", Some(&Role::MEMBER)));
/// assert_eq!((user.session_id(), user.org_slug()), (Some("sess_test"), None));
/// assert!(user.scopes().is_empty() && user.key_id().is_none());
/// ```
#[derive(Clone)]
pub struct Principal {
    identity: Identity,
}

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
    /// A person, by a session token of the dashboard.
    User,
}

/// All that is known of a key: its own `Arc` is the principal's, so that admitting a request copies one pointer.
///
/// In the order of use: what each request reads lies in the first two lines of cache, counters and all.
#[derive(Clone)]
#[repr(C)]
pub(crate) struct ServiceAccountIdentity {
    /// What a store in memory finds it under; elsewhere it lies empty.
    pub(crate) digest: KeyDigest,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Moment,
    pub(crate) revoked_at: Moment,
    pub(crate) last_used: LastUsed,
    /// Where a copy's uses are counted.
    pub(crate) copy_of: Option<Arc<Self>>,
    pub(crate) allowlist: IpAllowlist,
    pub(crate) usage_log: Option<UsageLog>,
    pub(crate) org_id: OrgId,
    pub(crate) key_id: KeyId,
    pub(crate) labels: Labels,
    pub(crate) created_at: u64,
}

impl ServiceAccountIdentity {
    #[inline]
    pub(crate) fn last_used(&self) -> &LastUsed {
        let original = self.copy_of.as_deref().unwrap_or(self);
        &original.last_used
    }
}

/// As a record of the key, whichever copy it is.
impl fmt::Debug for ServiceAccountIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountIdentity")
            .field("digest", &self.digest)
            .field("key_id", &self.key_id)
            .field("org_id", &self.org_id)
            .field("labels", &self.labels)
            .field("scopes", &self.scopes)
            .field("allowlist", &self.allowlist)
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .field("revoked_at", &self.revoked_at)
            .field("last_used", self.last_used())
            .finish_non_exhaustive()
    }
}

/// A key's name, and the user who made it: one block of memory for both.
#[derive(Clone)]
pub(crate) struct Labels {
    text: Box<str>,
    name_len: u32,
    has_creator: bool,
}

impl Labels {
    pub(crate) fn new(name: &str, created_by: Option<&str>) -> Self {
        Self {
            text: [name, created_by.unwrap_or_default()].concat().into(),
            name_len: u32::try_from(name.len()).unwrap_or(u32::MAX),
            has_creator: created_by.is_some(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.split().0
    }

    pub(crate) fn created_by(&self) -> Option<&str> {
        self.has_creator.then(|| self.split().1)
    }

    fn split(&self) -> (&str, &str) {
        let split = self.text.split_at_checked(self.name_len as usize);
        split.unwrap_or((&self.text, ""))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labels")
            .field("name", &self.name())
            .field("created_by", &self.created_by())
            .finish()
    }
}

/// What a session token says of its user.
#[derive(Debug)]
pub(crate) struct UserIdentity {
    pub(crate) org_id: OrgId,
    pub(crate) org_slug: Option<Box<str>>,
    pub(crate) user_id: Box<str>,
    pub(crate) role: Option<Role>,
    pub(crate) session_id: Option<Box<str>>,
    pub(crate) scopes: Scopes,
}

impl Principal {
    pub(crate) const fn service_account(identity: Arc<ServiceAccountIdentity>) -> Self {
        Self {
            identity: Identity::ServiceAccount(identity),
        }
    }

    #[cfg_attr(
        not(any(test, feature = "jwt", feature = "test-util")),
        expect(dead_code, reason = "users come from tokens, or from tests")
    )]
    pub(crate) fn user(identity: UserIdentity) -> Self {
        Self {
            identity: Identity::User(Arc::new(identity)),
        }
    }

    pub(crate) const fn new(identity: Identity) -> Self {
        Self { identity }
    }

    /// Whether it is a key or a user.
    #[must_use]
    pub const fn kind(&self) -> PrincipalKind {
        match self.identity {
            Identity::ServiceAccount(_) => PrincipalKind::ServiceAccount,
            Identity::User(_) => PrincipalKind::User,
        }
    }

    /// The organization that all it reads and writes belongs to (`C6`, `C15`).
    #[must_use]
    pub fn org_id(&self) -> &OrgId {
        match &self.identity {
            Identity::ServiceAccount(account) => &account.org_id,
            Identity::User(user) => &user.org_id,
        }
    }

    /// The scopes that it carries: none, for a user of the dashboard.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        match &self.identity {
            Identity::ServiceAccount(account) => &account.scopes,
            Identity::User(user) => &user.scopes,
        }
    }

    /// The public id of the key; `None` for a user.
    #[must_use]
    pub fn key_id(&self) -> Option<&KeyId> {
        self.as_service_account().map(|account| &account.key_id)
    }

    /// The name that its owner gave the key; `None` for a user.
    #[must_use]
    pub fn key_name(&self) -> Option<&str> {
        self.as_service_account()
            .map(|account| account.labels.name())
    }

    /// The user's id, the token's `sub`; `None` for a key.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.as_user().map(|user| &*user.user_id)
    }

    /// The user's role in the organization; `None` for a key, and for a user whose token names none.
    #[must_use]
    pub fn role(&self) -> Option<&Role> {
        self.as_user().and_then(|user| user.role.as_ref())
    }

    /// The id of the user's session, the token's `sid`; `None` for a key, and for a user whose issuer names none.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.as_user().and_then(|user| user.session_id.as_deref())
    }

    /// The organization's short name, where the token carries one.
    #[must_use]
    pub fn org_slug(&self) -> Option<&str> {
        self.as_user().and_then(|user| user.org_slug.as_deref())
    }

    /// The key's id or the user's: one name for either, as logs want it.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.identity {
            Identity::ServiceAccount(account) => account.key_id.as_str(),
            Identity::User(user) => &user.user_id,
        }
    }

    /// When the key expires, in Unix seconds; `None` for one that does not, and for a user.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        self.as_service_account()?.expires_at.unix_seconds()
    }

    pub(crate) fn into_identity(self) -> Identity {
        self.identity
    }

    fn as_service_account(&self) -> Option<&ServiceAccountIdentity> {
        match &self.identity {
            Identity::ServiceAccount(account) => Some(account),
            Identity::User(_) => None,
        }
    }

    fn as_user(&self) -> Option<&UserIdentity> {
        match &self.identity {
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

/// A user's role in an organization, compared whole, with its case, and without Clerk's prefix `org:` (`C15`).
///
/// ```
/// use coverbase_auth::Role;
///
/// assert_eq!(Role::new("org:admin"), Role::ADMIN);
/// assert_eq!(Role::new("billing").as_str(), "billing");
/// assert_ne!(Role::new("org:org:admin"), Role::ADMIN);
/// ```
///
/// The roles of the contract are constants:
///
/// ```
/// use coverbase_auth::{Requirement, Role};
///
/// let of_the_house = [Role::ADMIN, Role::MEMBER, Role::SILOED_MEMBER, Role::AUXILIARY_MEMBER];
/// let others = [Role::GUEST, Role::SERVICE_ACCOUNT];
/// let requirement = Requirement::roles(of_the_house);
/// # let _ = (others, requirement);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(Cow<'static, str>);

impl Role {
    /// Administers the organization; the only one who may grant scopes (`C19`).
    pub const ADMIN: Self = Self(Cow::Borrowed("admin"));
    /// A member with a part in some reviews only.
    pub const AUXILIARY_MEMBER: Self = Self(Cow::Borrowed("auxiliary_member"));
    /// Somebody from outside.
    pub const GUEST: Self = Self(Cow::Borrowed("guest"));
    /// An ordinary member.
    pub const MEMBER: Self = Self(Cow::Borrowed("member"));
    /// A user that stands for a program. Keys have no role: no `Role` in a requirement admits one.
    pub const SERVICE_ACCOUNT: Self = Self(Cow::Borrowed("service_account"));
    /// A member who sees their own part of the organization.
    pub const SILOED_MEMBER: Self = Self(Cow::Borrowed("siloed_member"));

    /// A role by its name, of which one leading `org:` is dropped.
    #[must_use]
    pub fn new(role: impl AsRef<str>) -> Self {
        let role = role.as_ref();
        match role.strip_prefix("org:").unwrap_or(role) {
            "admin" => Self::ADMIN,
            "auxiliary_member" => Self::AUXILIARY_MEMBER,
            "guest" => Self::GUEST,
            "member" => Self::MEMBER,
            "service_account" => Self::SERVICE_ACCOUNT,
            "siloed_member" => Self::SILOED_MEMBER,
            other => Self(Cow::Owned(other.to_owned())),
        }
    }

    /// The role's name, without `org:`.
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

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Role({:?})", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // C15
    #[test]
    fn a_role_is_compared_whole_and_with_its_case() {
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
