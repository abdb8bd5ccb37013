//! Keys in the memory of one process.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    Invalidation, Invalidations, KeyRecord, KeyRegistry, KeyStore, Lookup, Revocation, StoreError,
    table::RecordTable,
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
    records: RecordTable,
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
        self.put_in(organization, key.digest(), record);
    }

    fn put_in(&self, organization: &mut Organization, digest: KeyDigest, record: KeyRecord) {
        let replaced = organization.keys.insert(record.key_id().clone(), digest);
        if let Some(replaced) = replaced.filter(|replaced| *replaced != digest) {
            self.shared.records.remove(&replaced);
            self.publish(&Invalidation::Key(replaced));
        }
        self.shared.records.insert(digest, record);
        self.publish(&Invalidation::Key(digest));
    }

    fn publish(&self, invalidation: &Invalidation) {
        self.shared.invalidations.publish(invalidation);
    }

    fn record(&self, digest: &KeyDigest) -> Option<KeyRecord> {
        self.shared.records.get(digest)
    }

    fn entry_in(
        &self,
        organization: &Organization,
        key_id: &KeyId,
    ) -> Option<(KeyDigest, KeyRecord)> {
        let digest = *organization.keys.get(key_id)?;
        Some((digest, self.record(&digest)?))
    }

    /// Nobody takes a key over by making it anew.
    fn is_free_in(
        &self,
        organization: &Organization,
        digest: &KeyDigest,
        record: &KeyRecord,
    ) -> Result<(), StoreError> {
        if organization.keys.contains_key(record.key_id()) {
            return Err(StoreError::new("the id of the new key is taken"));
        }
        if self.record(digest).is_some() {
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

/// For a store that keeps its keys here, and somewhere durable besides.
impl MemoryStore {
    pub(super) fn entry(&self, org_id: &OrgId, key_id: &KeyId) -> Option<(KeyDigest, KeyRecord)> {
        self.entry_in(self.organizations().get(org_id)?, key_id)
    }

    pub(super) fn allowlist_of(&self, org_id: &OrgId) -> IpAllowlist {
        let organizations = self.organizations();
        let organization = organizations.get(org_id);
        organization
            .map(|organization| organization.allowlist.clone())
            .unwrap_or_default()
    }

    pub(super) fn replace_allowlist(&self, org_id: &OrgId, allowlist: IpAllowlist) {
        let mut organizations = self.organizations();
        let organization = organizations.entry(org_id.clone()).or_default();
        organization.allowlist = allowlist.clone();
        for digest in organization.keys.values() {
            if let Some(record) = self.record(digest) {
                let record = record.with_allowlist(allowlist.clone());
                self.shared.records.insert(*digest, record);
            }
        }
        self.publish(&Invalidation::Organization(org_id.clone()));
    }

    /// Records as they are, new or changed, and nobody sees some of them without the others in a list.
    #[cfg(feature = "redb")]
    pub(super) fn put(&self, records: impl IntoIterator<Item = (KeyDigest, KeyRecord)>) {
        let mut organizations = self.organizations();
        for (digest, record) in records {
            let organization = organizations.entry(record.org_id().clone()).or_default();
            self.put_in(organization, digest, record);
        }
    }

    #[cfg(feature = "redb")]
    pub(super) fn is_free(&self, digest: &KeyDigest, record: &KeyRecord) -> Result<(), StoreError> {
        let mut organizations = self.organizations();
        let organization = organizations.entry(record.org_id().clone()).or_default();
        self.is_free_in(organization, digest, record)
    }

    /// A use that was noted on a record that has been replaced since.
    #[cfg(feature = "redb")]
    pub(super) fn note_use(&self, usage: &super::Usage) {
        if let Some((_, record)) = self.entry(&usage.org_id, &usage.key_id) {
            record.0.last_used.stamp(usage.last_used_at);
        }
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
        self.is_free_in(organization, &digest, &record)?;
        let record = record.with_allowlist(organization.allowlist.clone());
        self.put_in(organization, digest, record);
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
        Ok(self.entry(org_id, key_id).map(|(_, record)| record))
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
        let old = self.entry_in(organization, key_id);
        let Some((old_digest, old)) = old.filter(|(_, old)| old.is_live_at(now)) else {
            return Ok(false);
        };
        self.is_free_in(organization, &digest, &replacement)?;
        // The old key dies first. Until this call answers nobody has the new secret, so no caller sees a gap.
        self.put_in(organization, old_digest, old.with_revoked_at(now));
        let replacement = replacement.with_allowlist(organization.allowlist.clone());
        self.put_in(organization, digest, replacement);
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
        let Some((digest, record)) = self.entry_in(organization, key_id) else {
            return Ok(None);
        };
        if record.is_revoked() {
            return Ok(Some(Revocation::new(record, false)));
        }
        let revoked = record.with_revoked_at(now);
        self.put_in(organization, digest, revoked.clone());
        Ok(Some(Revocation::new(revoked, true)))
    }

    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError> {
        Ok(self.allowlist_of(org_id))
    }

    async fn set_allowlist(
        &self,
        org_id: &OrgId,
        allowlist: IpAllowlist,
    ) -> Result<(), StoreError> {
        self.replace_allowlist(org_id, allowlist);
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
