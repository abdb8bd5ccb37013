//! A key as stores keep it.

use std::{fmt, sync::Arc};

use crate::{
    client_ip::IpAllowlist,
    clock::Moment,
    credential::{KeyDigest, KeyId},
    principal::{Labels, LastUsed, OrgId, Principal, Scopes, ServiceAccountIdentity, UsageLog},
};

/// A key as a store knows it: whose it is, what it may do, and until when.
///
/// It is built once, when the row is read, and holds the finished [`Principal`]: a request that it opens
/// copies one pointer. Times are Unix seconds.
///
/// ```
/// use coverbase_auth::{KeyRecord, Scope};
///
/// let record = KeyRecord::new("ak_6sLyzf0Xz0Cq", "org_acme")
///     .with_name("ci")
///     .with_scopes([Scope::AUDIT_READ])
///     .with_expires_at(1_900_000_000);
/// assert!(!record.is_expired_at(1_899_999_999));
/// assert!(record.is_expired_at(1_900_000_000));
/// ```
///
/// A store makes it of a row, and a row of it:
///
/// ```
/// use coverbase_auth::{IpAllowlist, KeyRecord};
///
/// let record = KeyRecord::new("ak_6sLyzf0Xz0Cq", "org_acme")
///     .with_name("ci")
///     .with_allowlist(IpAllowlist::parse(["192.0.2.0/24"])?)
///     .with_created_at(1_700_000_000)
///     .with_created_by("user_1")
///     .with_last_used_at(1_700_000_060);
/// assert_eq!((record.key_id().as_str(), record.org_id().as_str()), ("ak_6sLyzf0Xz0Cq", "org_acme"));
/// assert_eq!((record.name(), record.created_by()), ("ci", Some("user_1")));
/// assert_eq!((record.created_at(), record.expires_at()), (1_700_000_000, None));
/// assert_eq!(record.last_used_at(), Some(1_700_000_060));
/// assert_eq!(record.allowlist().to_strings(), ["192.0.2.0/24"]);
/// assert!(record.scopes().is_empty());
/// # Ok::<(), coverbase_auth::InvalidCidr>(())
/// ```
#[derive(Clone)]
pub struct KeyRecord(Arc<ServiceAccountIdentity>);

impl KeyRecord {
    /// A key without scopes, allowlist and expiry.
    pub fn new(key_id: impl Into<KeyId>, org_id: impl Into<OrgId>) -> Self {
        Self(Arc::new(ServiceAccountIdentity {
            digest: KeyDigest::from_bytes([0; 32]),
            org_id: org_id.into(),
            key_id: key_id.into(),
            labels: Labels::new("", None),
            scopes: Scopes::new(),
            allowlist: IpAllowlist::default(),
            created_at: 0,
            expires_at: Moment::NONE,
            revoked_at: Moment::NONE,
            last_used: LastUsed::default(),
            copy_of: None,
            usage_log: None,
        }))
    }

    /// The name that its owner gave it.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        self.change(|key| key.labels = Labels::new(&name.into(), key.labels.created_by()))
    }

    /// What it may do (`C9`).
    #[must_use]
    pub fn with_scopes(self, scopes: impl IntoIterator<Item = crate::Scope>) -> Self {
        self.change(|key| key.scopes = scopes.into_iter().collect())
    }

    /// From where it may be used: its organization's allowlist (`C22`).
    #[must_use]
    pub fn with_allowlist(self, allowlist: IpAllowlist) -> Self {
        self.change(|key| key.allowlist = allowlist)
    }

    /// When it was made, in Unix seconds.
    #[must_use]
    pub fn with_created_at(self, unix_seconds: u64) -> Self {
        self.change(|key| key.created_at = unix_seconds)
    }

    /// The user who made it.
    #[must_use]
    pub fn with_created_by(self, user_id: impl Into<String>) -> Self {
        self.change(|key| key.labels = Labels::new(key.labels.name(), Some(&user_id.into())))
    }

    /// From which second on it is expired (`C10`).
    #[must_use]
    pub fn with_expires_at(self, unix_seconds: u64) -> Self {
        self.change(|key| key.expires_at = Moment::at(unix_seconds))
    }

    /// When it was last used, in Unix seconds.
    #[must_use]
    pub fn with_last_used_at(self, unix_seconds: u64) -> Self {
        self.change(|key| key.last_used = LastUsed::at(unix_seconds))
    }

    /// Where its uses are noted, for a store that writes them behind.
    ///
    /// ```
    /// use coverbase_auth::{KeyRecord, key_store::UsageLog};
    ///
    /// let log = UsageLog::new();
    /// let record = KeyRecord::new("ak_1", "org_acme").with_usage_log(log.clone());
    /// # let _ = record;
    /// // Now and then the store writes what the log has heard.
    /// for usage in log.drain() {
    ///     println!("{} of {} was used at {}", usage.key_id, usage.org_id, usage.last_used_at);
    /// }
    /// ```
    #[must_use]
    pub fn with_usage_log(self, log: UsageLog) -> Self {
        self.change(|key| key.usage_log = Some(log))
    }

    /// The key as it stands once revoked: it opens nothing and carries nothing (`C10`, `C41`).
    #[must_use]
    pub fn with_revoked_at(self, unix_seconds: u64) -> Self {
        self.change(|key| {
            key.revoked_at = Moment::at(unix_seconds);
            key.scopes = Scopes::new();
        })
    }

    /// The key as a store in memory finds it.
    pub(super) fn under(self, digest: KeyDigest) -> Self {
        if self.0.digest == digest && self.0.copy_of.is_none() {
            return self;
        }
        self.change(|key| key.digest = digest)
    }

    #[inline]
    pub(super) fn digest(&self) -> &KeyDigest {
        &self.0.digest
    }

    /// The same key once more, for a thread of its own. Whenever either is used, both have been.
    pub(super) fn copied(&self) -> Self {
        Self(Arc::new(ServiceAccountIdentity {
            copy_of: Some(Arc::clone(&self.0)),
            ..(*self.0).clone()
        }))
    }

    pub(super) fn is_copy_of(&self, other: &Self) -> bool {
        let original = self.0.copy_of.as_ref();
        original.is_some_and(|original| Arc::ptr_eq(original, &other.0))
    }

    /// What has been changed is a copy of nothing.
    fn change(mut self, change: impl FnOnce(&mut ServiceAccountIdentity)) -> Self {
        let key = Arc::make_mut(&mut self.0);
        if let Some(original) = key.copy_of.take() {
            key.last_used = original.last_used.clone();
        }
        change(key);
        self
    }

    /// The public id.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.0.key_id
    }

    /// The organization that it belongs to.
    #[must_use]
    pub fn org_id(&self) -> &OrgId {
        &self.0.org_id
    }

    /// The name that its owner gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.labels.name()
    }

    /// What it may do.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// From where it may be used.
    #[must_use]
    pub fn allowlist(&self) -> &IpAllowlist {
        &self.0.allowlist
    }

    /// When it was made.
    #[must_use]
    pub fn created_at(&self) -> u64 {
        self.0.created_at
    }

    /// The user who made it; `None` where a key did, or nobody knows.
    #[must_use]
    pub fn created_by(&self) -> Option<&str> {
        self.0.labels.created_by()
    }

    /// From which second on it is expired.
    #[must_use]
    pub fn expires_at(&self) -> Option<u64> {
        self.0.expires_at.unix_seconds()
    }

    /// Since when it is revoked.
    #[must_use]
    pub fn revoked_at(&self) -> Option<u64> {
        self.0.revoked_at.unix_seconds()
    }

    /// When it last opened a request.
    #[must_use]
    pub fn last_used_at(&self) -> Option<u64> {
        self.0.last_used().unix_seconds()
    }

    /// `now >= expires_at` (`C10`).
    #[must_use]
    #[inline]
    pub fn is_expired_at(&self, now: u64) -> bool {
        let expires_at = self.0.expires_at.unix_seconds();
        expires_at.is_some_and(|expires_at| now >= expires_at)
    }

    /// Whether it has been revoked; from the revocation on, whatever the clock says (`C10`).
    #[must_use]
    #[inline]
    pub fn is_revoked(&self) -> bool {
        self.0.revoked_at.unix_seconds().is_some()
    }

    /// Whether it opens anything at `now`.
    ///
    /// ```
    /// use coverbase_auth::KeyRecord;
    ///
    /// let record = KeyRecord::new("ak_1", "org_acme").with_expires_at(1_900_000_000);
    /// assert!(record.is_live_at(1_899_999_999));
    /// assert!(!record.is_live_at(1_900_000_000));
    /// let revoked = record.with_revoked_at(1_800_000_000);
    /// assert!(revoked.is_revoked() && !revoked.is_live_at(1_700_000_000));
    /// assert_eq!(revoked.revoked_at(), Some(1_800_000_000));
    /// ```
    #[must_use]
    pub fn is_live_at(&self, now: u64) -> bool {
        !self.is_revoked() && !self.is_expired_at(now)
    }

    #[inline]
    pub(crate) fn stamp_last_used(&self, now: u64) {
        if self.0.last_used().stamp(now)
            && let Some(log) = &self.0.usage_log
        {
            log.note(&self.0.org_id, &self.0.key_id, now);
        }
    }

    /// A use that was counted elsewhere.
    #[cfg(feature = "redb")]
    pub(super) fn note_last_used(&self, unix_seconds: u64) {
        self.0.last_used().stamp(unix_seconds);
    }

    #[inline]
    pub(crate) fn into_principal(self) -> Principal {
        Principal::service_account(self.0)
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyRecord").field(&*self.0).finish()
    }
}

/// What a revocation did.
///
/// ```
/// use coverbase_auth::{KeyRecord, key_store::Revocation};
///
/// let revoked = KeyRecord::new("ak_1", "org_acme").with_revoked_at(1_700_000_000);
/// let again = Revocation::new(revoked, false);
/// assert!(again.record.is_revoked() && !again.is_first);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Revocation {
    /// The key as it stands now.
    pub record: KeyRecord,
    /// Whether this call revoked it; `false` where it had been revoked before (`C41`).
    pub is_first: bool,
}

impl Revocation {
    /// For those who implement a [`KeyRegistry`](super::KeyRegistry).
    #[must_use]
    pub const fn new(record: KeyRecord, is_first: bool) -> Self {
        Self { record, is_first }
    }
}
