//! The record of a key.

use std::sync::Arc;

use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    principal::{
        Identity, LastUsed, OrgId, Principal, Scope, Scopes, ServiceAccountIdentity, UsageLog,
    },
};

/// A key as a store returns it: its organization, its rights and its validity. Times are Unix seconds.
///
/// A store builds the record once, when it reads the row. The record holds the finished [`Principal`], so a request
/// that is authenticated with the key copies one pointer.
///
/// ```
/// use coverbase_auth::{IpAllowlist, KeyRecord, Scope};
///
/// let record = KeyRecord::new("ak_6sLyzf0Xz0Cq", "org_acme")
///     .with_name("ci")
///     .with_scopes([Scope::AUDIT_READ])
///     .with_allowlist(IpAllowlist::parse(["192.0.2.0/24"])?)
///     .with_expires_at(1_900_000_000);
/// assert!(record.is_live_at(1_899_999_999));
/// assert!(!record.is_live_at(1_900_000_000));
/// # Ok::<(), coverbase_auth::InvalidCidr>(())
/// ```
#[derive(Debug, Clone)]
pub struct KeyRecord(Arc<ServiceAccountIdentity>);

impl KeyRecord {
    /// Creates the record of a key without name, scopes, allowlist and expiry.
    pub fn new(key_id: impl Into<KeyId>, org_id: impl Into<OrgId>) -> Self {
        Self(Arc::new(ServiceAccountIdentity {
            digest: KeyDigest::from_bytes([0; 32]),
            org_id: org_id.into(),
            key_id: key_id.into(),
            name: "".into(),
            scopes: Scopes::new(),
            allowlist: IpAllowlist::default(),
            created_at: 0,
            created_by: None,
            expires_at: None,
            revoked_at: None,
            last_used: LastUsed::default(),
            usage_log: None,
        }))
    }

    /// Sets the name of the key.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        self.change(|key| key.name = name.into().into())
    }

    /// Sets the scopes of the key (`C9`).
    #[must_use]
    pub fn with_scopes(self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.change(|key| key.scopes = scopes.into_iter().collect())
    }

    /// Sets the networks that the key can be used from: the allowlist of its organization (`C22`).
    #[must_use]
    pub fn with_allowlist(self, allowlist: IpAllowlist) -> Self {
        self.change(|key| key.allowlist = allowlist)
    }

    /// Sets when the key was created.
    #[must_use]
    pub fn with_created_at(self, unix_seconds: u64) -> Self {
        self.change(|key| key.created_at = unix_seconds)
    }

    /// Sets the user who created the key.
    #[must_use]
    pub fn with_created_by(self, user_id: impl Into<String>) -> Self {
        self.change(|key| key.created_by = Some(user_id.into().into()))
    }

    /// Sets the second from which on the key is expired (`C10`).
    #[must_use]
    pub fn with_expires_at(self, unix_seconds: u64) -> Self {
        self.change(|key| key.expires_at = Some(unix_seconds))
    }

    /// Sets when the key was last used.
    #[must_use]
    pub fn with_last_used_at(self, unix_seconds: u64) -> Self {
        self.change(|key| key.last_used = LastUsed::at(unix_seconds))
    }

    /// Sets the log that uses of the key are noted in, for a store that writes them later.
    ///
    /// ```
    /// use coverbase_auth::{KeyRecord, key_store::UsageLog};
    ///
    /// let log = UsageLog::new();
    /// let record = KeyRecord::new("ak_1", "org_acme").with_usage_log(log.clone());
    /// # let _ = record;
    /// // A task of the store writes what the log has noted, every few seconds.
    /// for usage in log.drain() {
    ///     println!("{} of {} was used at {}", usage.key_id, usage.org_id, usage.last_used_at);
    /// }
    /// ```
    #[must_use]
    pub fn with_usage_log(self, log: UsageLog) -> Self {
        self.change(|key| key.usage_log = Some(log))
    }

    /// Revokes the key, which removes its scopes too (`C10`, `C41`).
    #[must_use]
    pub fn with_revoked_at(self, unix_seconds: u64) -> Self {
        self.change(|key| {
            key.revoked_at = Some(unix_seconds);
            key.scopes = Scopes::new();
        })
    }

    pub(super) fn change(mut self, change: impl FnOnce(&mut ServiceAccountIdentity)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Returns the public id of the key.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.0.key_id
    }

    /// Returns the organization of the key.
    #[must_use]
    pub fn org_id(&self) -> &OrgId {
        &self.0.org_id
    }

    /// Returns the name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the scopes of the key.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// Returns the networks that the key can be used from.
    #[must_use]
    pub fn allowlist(&self) -> &IpAllowlist {
        &self.0.allowlist
    }

    /// Returns when the key was created.
    #[must_use]
    pub fn created_at(&self) -> u64 {
        self.0.created_at
    }

    /// Returns the user who created the key; `None` if another key did, or if it is unknown.
    #[must_use]
    pub fn created_by(&self) -> Option<&str> {
        self.0.created_by.as_deref()
    }

    /// Returns the second from which on the key is expired.
    #[must_use]
    pub fn expires_at(&self) -> Option<u64> {
        self.0.expires_at
    }

    /// Returns when the key was revoked.
    #[must_use]
    pub fn revoked_at(&self) -> Option<u64> {
        self.0.revoked_at
    }

    /// Returns when a request was last authenticated with the key.
    #[must_use]
    pub fn last_used_at(&self) -> Option<u64> {
        self.0.last_used.unix_seconds()
    }

    /// Returns whether the key is expired: `now >= expires_at` (`C10`).
    #[must_use]
    pub fn is_expired_at(&self, now: u64) -> bool {
        self.expires_at().is_some_and(|end| now >= end)
    }

    /// Returns whether the key is revoked. A revocation takes effect at once, whatever time it carries (`C10`).
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.0.revoked_at.is_some()
    }

    /// Returns whether the key is neither revoked nor expired at `now`.
    #[must_use]
    pub fn is_live_at(&self, now: u64) -> bool {
        !self.is_revoked() && !self.is_expired_at(now)
    }

    pub(super) fn digest(&self) -> &KeyDigest {
        &self.0.digest
    }

    pub(crate) fn stamp_last_used(&self, now: u64) {
        if self.0.last_used.stamp(now)
            && let Some(log) = &self.0.usage_log
        {
            log.note(&self.0.org_id, &self.0.key_id, now);
        }
    }

    /// Sets the time of a use that the usage log has noted already.
    #[cfg(feature = "redb")]
    pub(super) fn note_last_used(&self, unix_seconds: u64) {
        self.0.last_used.stamp(unix_seconds);
    }

    pub(crate) fn into_principal(self) -> Principal {
        Principal(Identity::ServiceAccount(self.0))
    }
}

/// The result of a revocation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Revocation {
    /// The key after the call.
    pub record: KeyRecord,
    /// Whether this call revoked the key; `false` if it was revoked before (`C41`).
    pub is_first: bool,
}

impl Revocation {
    /// Creates the result, for implementers of a [`KeyRegistry`](super::KeyRegistry).
    #[must_use]
    pub const fn new(record: KeyRecord, is_first: bool) -> Self {
        Self { record, is_first }
    }
}
