//! A key store that fails on demand.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;

use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    key_store::{
        Invalidations, KeyRecord, KeyRegistry, KeyStore, Lookup, PresentedKey, Revocation,
        StoreError,
    },
    principal::OrgId,
};

/// A key store that fails on demand, to test what a service does while its store is down (`C31`).
///
/// ```
/// use coverbase_auth::{ApiKey, Environment, KeyRecord, KeyStore, MemoryStore, testing::FaultyStore};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let key = ApiKey::generate(Environment::Test);
/// let keys = MemoryStore::new();
/// keys.insert(&key, KeyRecord::new("ak_1", "org_acme"));
///
/// let store = FaultyStore::new(keys);
/// store.fail_next(1);
/// assert!(store.lookup(&key.digest()).await.is_err());
/// assert!(store.lookup(&key.digest()).await.unwrap().is_some());
///
/// store.fail();
/// assert!(store.lookup(&key.digest()).await.is_err());
/// store.recover();
/// assert!(store.lookup(&key.digest()).await.is_ok());
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct FaultyStore<S> {
    inner: S,
    /// The calls that still fail; `usize::MAX` means every call.
    faults_left: Arc<AtomicUsize>,
}

impl<S> FaultyStore<S> {
    /// Creates a store that answers as `inner` does. Clones fail together.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            faults_left: Arc::default(),
        }
    }

    /// Makes every call fail.
    pub fn fail(&self) {
        self.fail_next(usize::MAX);
    }

    /// Makes the next `calls` calls fail.
    pub fn fail_next(&self, calls: usize) {
        self.faults_left.store(calls, Ordering::SeqCst);
    }

    /// Makes every call succeed again.
    pub fn recover(&self) {
        self.fail_next(0);
    }

    fn inner(&self) -> Result<&S, StoreError> {
        let spend = |left| match left {
            usize::MAX => Some(left),
            _ => left.checked_sub(1),
        };
        let ordering = Ordering::SeqCst;
        match self.faults_left.fetch_update(ordering, ordering, spend) {
            Ok(_) => Err(StoreError::new("the store was told to fail")),
            Err(_) => Ok(&self.inner),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: KeyStore> KeyStore for FaultyStore<S> {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        let failed = |error| Lookup::ready(Err(error));
        self.inner()
            .map_or_else(failed, |store| store.lookup(digest))
    }

    fn lookup_presented(&self, key: &PresentedKey<'_>) -> Lookup {
        let failed = |error| Lookup::ready(Err(error));
        self.inner()
            .map_or_else(failed, |store| store.lookup_presented(key))
    }

    fn invalidations(&self) -> Option<&Invalidations> {
        self.inner.invalidations()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: KeyRegistry> KeyRegistry for FaultyStore<S> {
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError> {
        self.inner()?.create(digest, record).await
    }

    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        self.inner()?.list(org_id).await
    }

    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.inner()?.find(org_id, key_id).await
    }

    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError> {
        let store = self.inner()?;
        store.rotate(key_id, digest, replacement, now).await
    }

    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        self.inner()?.revoke(org_id, key_id, now).await
    }

    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError> {
        self.inner()?.allowlist(org_id).await
    }

    async fn set_allowlist(
        &self,
        org_id: &OrgId,
        allowlist: IpAllowlist,
    ) -> Result<(), StoreError> {
        self.inner()?.set_allowlist(org_id, allowlist).await
    }
}
