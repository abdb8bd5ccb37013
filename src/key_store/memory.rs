//! Keys in the memory of one process.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    Invalidation, Invalidations, KeyRecord, KeyRegistry, KeyStore, Lookup, Revocation, StoreError,
};
use crate::{
    allowlist::IpAllowlist,
    api_key::{ApiKey, KeyDigest, KeyId},
    org_id::OrgId,
};

/// Keys in memory: for tests, for single instances, and as the thing that other stores are measured against.
///
/// Reading takes no lock and allocates nothing. Clones share their keys.
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
pub struct MemoryStore {
    shared: Arc<Shared>,
}

/// The records lie under their digests, for reading. The organizations say which digests are whose; their lock makes each
/// administrative step one, and is held across nothing but memory.
#[derive(Default)]
struct Shared {
    records: papaya::HashMap<KeyDigest, KeyRecord, BuildHasherDefault<DigestHasher>>,
    organizations: Mutex<HashMap<OrgId, Organization>>,
    invalidations: Invalidations,
}

#[derive(Default)]
struct Organization {
    allowlist: IpAllowlist,
    keys: BTreeMap<KeyId, KeyDigest>,
}

impl MemoryStore {
    /// A store without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `record` under the digest of `key`. A record without an allowlist takes on its organization's, if that has
    /// been set.
    pub fn insert(&self, key: &ApiKey, record: KeyRecord) {
        let mut organizations = self.organizations();
        let organization = organizations.entry(record.org_id().clone()).or_default();
        let record = if record.allowlist().is_empty() {
            record.with_allowlist(organization.allowlist.clone())
        } else {
            record
        };
        self.put(organization, key.digest(), record);
    }

    fn put(&self, organization: &mut Organization, digest: KeyDigest, record: KeyRecord) {
        let replaced = organization.keys.insert(record.key_id().clone(), digest);
        let records = self.shared.records.pin();
        if let Some(replaced) = replaced.filter(|replaced| *replaced != digest) {
            records.remove(&replaced);
        }
        records.insert(digest, record);
        self.publish(&Invalidation::Key(digest));
    }

    fn publish(&self, invalidation: &Invalidation) {
        self.shared.invalidations.publish(invalidation);
    }

    fn record(&self, digest: &KeyDigest) -> Option<KeyRecord> {
        self.shared.records.pin().get(digest).cloned()
    }

    /// Nobody takes a key over by making it anew.
    fn free(
        &self,
        organization: &Organization,
        digest: &KeyDigest,
        record: &KeyRecord,
    ) -> Result<(), StoreError> {
        if organization.keys.contains_key(record.key_id()) {
            return Err(StoreError::new("the id of the new key is taken"));
        }
        if self.shared.records.pin().contains_key(digest) {
            return Err(StoreError::new("the digest of the new key is taken"));
        }
        Ok(())
    }

    /// Nothing under the lock can leave the organizations half changed, so a poisoned lock is none.
    fn organizations(&self) -> MutexGuard<'_, HashMap<OrgId, Organization>> {
        let organizations = self.shared.organizations.lock();
        organizations.unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for MemoryStore {
    #[inline]
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        Lookup::ready(Ok(self.record(digest)))
    }

    fn invalidations(&self) -> Option<&Invalidations> {
        Some(&self.shared.invalidations)
    }
}

#[async_trait]
impl KeyRegistry for MemoryStore {
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError> {
        let mut organizations = self.organizations();
        let organization = organizations.entry(record.org_id().clone()).or_default();
        self.free(organization, &digest, &record)?;
        let record = record.with_allowlist(organization.allowlist.clone());
        self.put(organization, digest, record);
        Ok(())
    }

    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        let organizations = self.organizations();
        let keys = organizations
            .get(org_id)
            .map(|organization| &organization.keys);
        let digests = keys.into_iter().flat_map(BTreeMap::values);
        let mut records: Vec<_> = digests.filter_map(|digest| self.record(digest)).collect();
        records.sort_by_key(KeyRecord::created_at);
        Ok(records)
    }

    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let organizations = self.organizations();
        let digest = organizations
            .get(org_id)
            .and_then(|org| org.keys.get(key_id));
        Ok(digest.and_then(|digest| self.record(digest)))
    }

    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError> {
        let mut organizations = self.organizations();
        let Some(organization) = organizations.get_mut(replacement.org_id()) else {
            return Ok(false);
        };
        let Some(rotated_digest) = organization.keys.get(key_id).copied() else {
            return Ok(false);
        };
        let Some(rotated) = self
            .record(&rotated_digest)
            .filter(|key| key.is_live_at(now))
        else {
            return Ok(false);
        };
        self.free(organization, &digest, &replacement)?;
        // The old key dies first. Until this call answers nobody has the new secret, so no caller sees a gap.
        self.put(organization, rotated_digest, rotated.with_revoked_at(now));
        let replacement = replacement.with_allowlist(organization.allowlist.clone());
        self.put(organization, digest, replacement);
        Ok(true)
    }

    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        let mut organizations = self.organizations();
        let Some(organization) = organizations.get_mut(org_id) else {
            return Ok(None);
        };
        let Some(digest) = organization.keys.get(key_id).copied() else {
            return Ok(None);
        };
        let Some(record) = self.record(&digest) else {
            return Ok(None);
        };
        if record.is_revoked() {
            return Ok(Some(Revocation::new(record, false)));
        }
        let revoked = record.with_revoked_at(now);
        self.put(organization, digest, revoked.clone());
        Ok(Some(Revocation::new(revoked, true)))
    }

    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError> {
        let organizations = self.organizations();
        let organization = organizations.get(org_id);
        Ok(organization
            .map(|organization| organization.allowlist.clone())
            .unwrap_or_default())
    }

    async fn set_allowlist(
        &self,
        org_id: &OrgId,
        allowlist: IpAllowlist,
    ) -> Result<(), StoreError> {
        let mut organizations = self.organizations();
        let organization = organizations.entry(org_id.clone()).or_default();
        organization.allowlist = allowlist.clone();
        let records = self.shared.records.pin();
        for digest in organization.keys.values() {
            records.update(*digest, |record| {
                record.clone().with_allowlist(allowlist.clone())
            });
        }
        self.publish(&Invalidation::Organization(org_id.clone()));
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("keys", &self.shared.records.len())
            .finish_non_exhaustive()
    }
}

/// A digest is its own hash.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
