//! Where keys are found, and where they are administered.
//!
//! [`KeyStore`] is all that the layer asks of a store: one method. [`KeyRegistry`] is what
//! [`KeyAdmin`](crate::KeyAdmin) needs beside it.

#[cfg(feature = "cache")]
mod cached;
#[cfg(feature = "test-util")]
pub mod contract;
mod invalidations;
mod memory;
#[cfg(feature = "redb")]
pub(crate) mod redb;
mod table;

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;

#[cfg(feature = "cache")]
pub use self::cached::{CacheStats, CachedStore};
#[cfg(feature = "redb")]
pub use self::redb::{OpenError, OpenErrorKind, RedbStore};
pub use self::{
    invalidations::{Invalidation, Invalidations},
    memory::MemoryStore,
};
pub use crate::usage::{Usage, UsageLog};
use crate::{
    allowlist::IpAllowlist,
    api_key::{KeyDigest, KeyId},
    clock::Moment,
    org_id::OrgId,
    principal::{Labels, Principal, ServiceAccountIdentity},
    scope::Scopes,
    usage::LastUsed,
};

/// Finds the record of a presented key.
///
/// A store that has its answer at hand gives [`Lookup::ready`], and the request is decided without an allocation. One
/// that must ask somebody gives [`Lookup::pending`]:
///
/// ```
/// use coverbase_auth::{KeyDigest, KeyRecord, KeyStore, Lookup, StoreError};
///
/// #[derive(Debug, Clone)]
/// struct Directory;
///
/// impl Directory {
///     async fn find(&self, digest: [u8; 32]) -> Result<Option<KeyRecord>, std::io::Error> {
///         // ask a database
/// #       let _ = digest;
///         Ok(Some(KeyRecord::new("ak_6sLyzf0Xz0Cq", "org_acme").with_name("ci")))
///     }
/// }
///
/// impl KeyStore for Directory {
///     fn lookup(&self, digest: &KeyDigest) -> Lookup {
///         let (directory, digest) = (self.clone(), *digest.as_bytes());
///         Lookup::pending(async move { directory.find(digest).await.map_err(StoreError::new) })
///     }
/// }
/// ```
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// The record under `digest`. `Ok(None)`: there is none, and the request is answered 401. `Err`: the store cannot
    /// tell, and the request is answered 503 (`C31`). Expired and revoked keys may be returned as they are: the layer
    /// refuses them.
    fn lookup(&self, digest: &KeyDigest) -> Lookup;

    /// How a cache in front of this store hears of changes. `None`, the default: it does not, and believes what it has
    /// read until that has aged.
    fn invalidations(&self) -> Option<&Invalidations> {
        None
    }
}

impl<S: KeyStore + ?Sized> KeyStore for Arc<S> {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        (**self).lookup(digest)
    }

    fn invalidations(&self) -> Option<&Invalidations> {
        (**self).invalidations()
    }
}

/// What a store answers: the record, nothing, or that it cannot tell.
pub(crate) type LookupAnswer = Result<Option<KeyRecord>, StoreError>;

/// The answer of a [`KeyStore`], at once or later. It can be awaited.
#[must_use]
pub struct Lookup(LookupState);

enum LookupState {
    Ready(Option<LookupAnswer>),
    Pending(PendingLookup),
}

pub(crate) type PendingLookup = Pin<Box<dyn Future<Output = LookupAnswer> + Send>>;

impl Lookup {
    /// An answer that is at hand.
    #[inline]
    pub const fn ready(answer: Result<Option<KeyRecord>, StoreError>) -> Self {
        Self(LookupState::Ready(Some(answer)))
    }

    /// An answer that takes time. The future is polled by the request that caused it, and dropped when its caller
    /// hangs up.
    pub fn pending(
        answer: impl Future<Output = Result<Option<KeyRecord>, StoreError>> + Send + 'static,
    ) -> Self {
        Self(LookupState::Pending(Box::pin(answer)))
    }

    /// The answer, or the future that will give it.
    #[inline]
    pub(crate) fn into_answer(self) -> Result<LookupAnswer, PendingLookup> {
        match self.0 {
            LookupState::Ready(answer) => Ok(answer.unwrap_or(Ok(None))),
            LookupState::Pending(future) => Err(future),
        }
    }
}

impl Future for Lookup {
    type Output = Result<Option<KeyRecord>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            LookupState::Ready(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            LookupState::Pending(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            LookupState::Ready(_) => "Lookup::ready(..)",
            LookupState::Pending(_) => "Lookup::pending(..)",
        })
    }
}

/// The store cannot tell whether there is such a key: the request is answered 503, never 401 (`C31`).
///
/// ```
/// use coverbase_auth::StoreError;
///
/// let error = StoreError::new(std::io::Error::other("connection refused"));
/// assert_eq!(error.to_string(), "the key store cannot answer: connection refused");
/// ```
#[derive(Debug, Clone)]
pub struct StoreError(Arc<dyn Error + Send + Sync>);

impl StoreError {
    /// Wraps what went wrong. It is logged, so it must hold no secret (`C33`).
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into().into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key store cannot answer: {}", self.0)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

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
    fn under(self, digest: KeyDigest) -> Self {
        if self.0.digest == digest {
            return self;
        }
        self.change(|key| key.digest = digest)
    }

    #[inline]
    fn digest(&self) -> &KeyDigest {
        &self.0.digest
    }

    fn change(mut self, change: impl FnOnce(&mut ServiceAccountIdentity)) -> Self {
        change(Arc::make_mut(&mut self.0));
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
        self.0.last_used.unix_seconds()
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
    #[must_use]
    pub fn is_live_at(&self, now: u64) -> bool {
        !self.is_revoked() && !self.is_expired_at(now)
    }

    #[inline]
    pub(crate) fn stamp_last_used(&self, now: u64) {
        if self.0.last_used.stamp(now)
            && let Some(log) = &self.0.usage_log
        {
            log.note(&self.0.org_id, &self.0.key_id, now);
        }
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
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Revocation {
    /// The key as it stands now.
    pub record: KeyRecord,
    /// Whether this call revoked it; `false` where it had been revoked before (`C41`).
    pub is_first: bool,
}

impl Revocation {
    /// For those who implement a [`KeyRegistry`].
    #[must_use]
    pub const fn new(record: KeyRecord, is_first: bool) -> Self {
        Self { record, is_first }
    }
}

/// Where keys are made, listed, rotated and revoked.
///
/// The rules (who may, names, lifetimes) are [`KeyAdmin`](crate::KeyAdmin)'s; a registry keeps rows. Every call names
/// the organization, and an id of another one is not there (`C20`). A change is in effect on every instance, for each
/// request that begins after its answer.
#[async_trait]
pub trait KeyRegistry: fmt::Debug + Send + Sync + 'static {
    /// Adds a key under its organization's allowlist, whatever allowlist `record` carries. A digest or an id that is taken
    /// is an error, and stays whose it is.
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError>;

    /// Every key of the organization, revoked and expired ones too, oldest first; those of one second by their ids.
    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError>;

    /// The key, live or not.
    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError>;

    /// Revokes the key and adds its replacement as one step, if the key is live at `now`; `false`, and nothing done, if
    /// it is not or is not there. Of two calls for one key, one answers `true` (`C40`). What [`create`](Self::create) says of
    /// allowlists, digests and ids holds for the replacement.
    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError>;

    /// Revokes the key; `None` if it is not there.
    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError>;

    /// The organization's allowlist; unrestricted for one that has never set any (`C22`).
    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError>;

    /// Replaces the organization's allowlist, for all of its keys.
    async fn set_allowlist(&self, org_id: &OrgId, allowlist: IpAllowlist)
    -> Result<(), StoreError>;
}
