//! Keys in the memory of one process.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::{BTreeSet, HashMap},
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    Invalidation, Invalidations, KeyRecord, KeyRegistry, KeyStore, Lookup, Revocation, StoreError,
    table::RecordTable,
};
use crate::{
    client_ip::IpAllowlist,
    credential::{ApiKey, KeyDigest, KeyId},
    principal::OrgId,
};

/// Keys in memory: for tests, for single instances, and as the thing that other stores are measured against.
///
/// Reading waits for nobody but a write to one of 256 shards, and allocates nothing, but that a thread makes a copy of a key
/// that it and others are asked for again and again. Clones share their keys.
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

/// The records lie under their digests, for reading, and by their ids in their organizations, whose lock makes each
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
    keys: BTreeSet<ById>,
}

/// A record where its id is looked for: a pointer, in place of an id and a digest.
struct ById(KeyRecord);

impl Borrow<KeyId> for ById {
    fn borrow(&self) -> &KeyId {
        self.0.key_id()
    }
}

impl Ord for ById {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key_id().cmp(other.0.key_id())
    }
}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ById {}

impl Organization {
    fn key(&self, key_id: &KeyId) -> Option<KeyRecord> {
        self.keys.get(key_id).map(|by_id| by_id.0.clone())
    }
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
        self.put_in(organization, record.under(key.digest()));
    }

    fn put_in(&self, organization: &mut Organization, record: KeyRecord) {
        let digest = *record.digest();
        let replaced = organization.keys.replace(ById(record.clone()));
        let replaced = replaced.map(|by_id| *by_id.0.digest());
        if let Some(replaced) = replaced.filter(|replaced| *replaced != digest) {
            self.shared.records.remove(&replaced);
            self.publish(&Invalidation::Key(replaced));
        }
        self.shared.records.insert(record);
        self.publish(&Invalidation::Key(digest));
    }

    fn publish(&self, invalidation: &Invalidation) {
        self.shared.invalidations.publish(invalidation);
    }

    fn record(&self, digest: &KeyDigest) -> Option<KeyRecord> {
        self.shared.records.get(digest)
    }

    /// Nobody takes a key over by making it anew.
    fn is_free_in(
        &self,
        organization: &Organization,
        record: &KeyRecord,
    ) -> Result<(), StoreError> {
        if organization.keys.contains(record.key_id()) {
            return Err(StoreError::new("the id of the new key is taken"));
        }
        if self.record(record.digest()).is_some() {
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
    pub(super) fn key(&self, org_id: &OrgId, key_id: &KeyId) -> Option<KeyRecord> {
        self.organizations().get(org_id)?.key(key_id)
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
        let keys = mem::take(&mut organization.keys).into_iter();
        let keys = keys.map(|by_id| by_id.0.with_allowlist(allowlist.clone()));
        organization.keys = keys
            .map(|record| {
                self.shared.records.insert(record.clone());
                ById(record)
            })
            .collect();
        organization.allowlist = allowlist;
        self.publish(&Invalidation::Organization(org_id.clone()));
    }

    /// Records as they are, new or changed, and nobody sees some of them without the others in a list.
    #[cfg(feature = "redb")]
    pub(super) fn put(&self, records: impl IntoIterator<Item = KeyRecord>) {
        let mut organizations = self.organizations();
        for record in records {
            let organization = organizations.entry(record.org_id().clone()).or_default();
            self.put_in(organization, record);
        }
    }

    #[cfg(feature = "redb")]
    pub(super) fn is_free(&self, record: &KeyRecord) -> Result<(), StoreError> {
        let mut organizations = self.organizations();
        let organization = organizations.entry(record.org_id().clone()).or_default();
        self.is_free_in(organization, record)
    }

    /// A use that was noted on a record that has been replaced since.
    #[cfg(feature = "redb")]
    pub(super) fn note_use(&self, usage: &super::Usage) {
        if let Some(record) = self.key(&usage.org_id, &usage.key_id) {
            record.note_last_used(usage.last_used_at);
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
        let record = record.under(digest);
        self.is_free_in(organization, &record)?;
        let record = record.with_allowlist(organization.allowlist.clone());
        self.put_in(organization, record);
        Ok(())
    }

    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        let organizations = self.organizations();
        let organization = organizations.get(org_id);
        let keys = organization.into_iter().flat_map(|org| &org.keys);
        let mut records: Vec<_> = keys.map(|by_id| by_id.0.clone()).collect();
        records.sort_by_key(KeyRecord::created_at);
        Ok(records)
    }

    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        Ok(self.key(org_id, key_id))
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
        let old = organization.key(key_id);
        let Some(old) = old.filter(|old| old.is_live_at(now)) else {
            return Ok(false);
        };
        let replacement = replacement.under(digest);
        self.is_free_in(organization, &replacement)?;
        let replacement = replacement.with_allowlist(organization.allowlist.clone());
        // The old key dies first. Until this call answers nobody has the new secret, so no caller sees a gap.
        self.put_in(organization, old.with_revoked_at(now));
        self.put_in(organization, replacement);
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
        let Some(record) = organization.key(key_id) else {
            return Ok(None);
        };
        if record.is_revoked() {
            return Ok(Some(Revocation::new(record, false)));
        }
        let revoked = record.with_revoked_at(now);
        self.put_in(organization, revoked.clone());
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
