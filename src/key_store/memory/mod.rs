//! Keys in the memory of one process.
//!
//! `keys` holds the rules of administrative changes, which the redb store shares.

mod keys;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use self::keys::Keys;
pub(crate) use self::keys::LockedKeys;
use super::{Invalidations, KeyRecord, KeyRegistry, KeyStore, Lookup, Revocation, StoreError};
use crate::{
    client_ip::IpAllowlist,
    credential::{ApiKey, KeyDigest, KeyId},
    principal::OrgId,
};

/// A key store in memory, for tests and for services that load their keys at start.
///
/// A lookup allocates nothing and takes the read lock of one shard. Clones share their keys.
///
/// ```
/// use coverbase_auth::{ApiKey, CoverbaseAuthLayer, Environment, KeyRecord, MemoryStore};
///
/// let store = MemoryStore::new();
/// let key = ApiKey::generate(Environment::Live);
/// store.insert(&key, KeyRecord::new("ak_6sLyzf0Xz0Cq", "org_acme").with_name("ci"));
///
/// let layer = CoverbaseAuthLayer::new(store.clone());
/// # let _ = layer;
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Keys>);

impl MemoryStore {
    /// Creates a store without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores `record` under the digest of `key`. A record without an allowlist gets the allowlist of its organization.
    pub fn insert(&self, key: &ApiKey, record: KeyRecord) {
        let mut keys = self.lock();
        let mut record = record.change(|record| record.digest = key.digest());
        if record.allowlist().is_empty() {
            let allowlist = keys.allowlist(record.org_id());
            record = record.with_allowlist(allowlist);
        }
        keys.put(record);
    }

    pub(super) fn lock(&self) -> LockedKeys<'_> {
        self.0.lock()
    }
}

impl KeyStore for MemoryStore {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        let record = self.0.records.get(digest);
        Lookup::ready(Ok(record.map(|record| record.clone())))
    }

    fn invalidations(&self) -> Option<&Invalidations> {
        Some(&self.0.invalidations)
    }
}

#[async_trait]
impl KeyRegistry for MemoryStore {
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError> {
        let mut keys = self.lock();
        let record = keys.creation(digest, record)?;
        keys.put(record);
        Ok(())
    }

    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        Ok(self.lock().list(org_id))
    }

    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        Ok(self.lock().find(org_id, key_id))
    }

    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError> {
        let mut keys = self.lock();
        let Some(records) = keys.rotation(key_id, digest, replacement, now)? else {
            return Ok(false);
        };
        for record in records {
            keys.put(record);
        }
        Ok(true)
    }

    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        let mut keys = self.lock();
        let revocation = keys.revocation(org_id, key_id, now);
        if let Some(first) = revocation.as_ref().filter(|it| it.is_first) {
            keys.put(first.record.clone());
        }
        Ok(revocation)
    }

    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError> {
        Ok(self.lock().allowlist(org_id))
    }

    async fn set_allowlist(
        &self,
        org_id: &OrgId,
        allowlist: IpAllowlist,
    ) -> Result<(), StoreError> {
        self.lock().set_allowlist(org_id, allowlist);
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("keys", &self.0.records.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        thread,
    };

    use super::*;
    use crate::credential::Environment;

    fn found(store: &MemoryStore, key: &ApiKey) -> Option<KeyRecord> {
        let answer = store.lookup(&key.digest()).into_answer();
        answer.unwrap_or_else(|_| panic!("pending")).unwrap()
    }

    // C41
    #[test]
    fn lookup_after_a_change_sees_the_change() {
        const CHANGES: u64 = 2_000;
        let (store, key) = (MemoryStore::new(), ApiKey::generate(Environment::Test));
        let answered = AtomicU64::new(0);
        let version = || found(&store, &key).map_or(0, |record| record.created_at());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let at_least = answered.load(Ordering::Acquire);
                        assert!(version() >= at_least);
                        if at_least == CHANGES {
                            break;
                        }
                    }
                });
            }
            for number in 1..=CHANGES {
                let record = KeyRecord::new("ak_1", "org_acme").with_created_at(number);
                store.insert(&key, record);
                answered.store(number, Ordering::Release);
            }
        });
    }

    #[test]
    fn insert_with_an_existing_id_replaces_the_key() {
        let store = MemoryStore::new();
        let (old, new) = (
            ApiKey::generate(Environment::Test),
            ApiKey::generate(Environment::Test),
        );
        for key in [&old, &new] {
            store.insert(key, KeyRecord::new("ak_1", "org_acme"));
        }
        assert!(found(&store, &old).is_none());
        assert!(found(&store, &new).is_some());
    }
}
