//! The keys in memory, and the rules of administrative changes to them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use dashmap::DashMap;

use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    key_store::{Invalidation, Invalidations, KeyRecord, Revocation, StoreError},
    principal::OrgId,
};

#[derive(Default)]
pub(super) struct Keys {
    pub(super) records: DashMap<KeyDigest, KeyRecord>,
    /// The same records by organization and id. An administrative step holds this lock from its first read to its last
    /// write; lookups do not take it.
    organizations: Mutex<HashMap<OrgId, Organization>>,
    pub(super) invalidations: Invalidations,
}

#[derive(Default)]
struct Organization {
    allowlist: IpAllowlist,
    keys: BTreeMap<KeyId, KeyRecord>,
}

impl Keys {
    /// Locks the keys for one administrative step. A panic cannot leave a step half done, so a poisoned lock is usable.
    pub(super) fn lock(&self) -> LockedKeys<'_> {
        let organizations = self.organizations.lock();
        LockedKeys {
            keys: self,
            organizations: organizations.unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Exclusive access to the keys of a [`MemoryStore`](super::MemoryStore).
///
/// `creation`, `rotation` and `revocation` decide what a step writes, and `put` writes it. A durable store commits the
/// records in between.
pub(crate) struct LockedKeys<'a> {
    keys: &'a Keys,
    organizations: MutexGuard<'a, HashMap<OrgId, Organization>>,
}

impl LockedKeys<'_> {
    /// Returns the key, live or not.
    pub(crate) fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Option<KeyRecord> {
        self.organizations.get(org_id)?.keys.get(key_id).cloned()
    }

    /// Returns the keys of the organization, oldest first; keys of the same second in the order of their ids.
    pub(crate) fn list(&self, org_id: &OrgId) -> Vec<KeyRecord> {
        let organization = self.organizations.get(org_id);
        let keys = organization.into_iter().flat_map(|it| it.keys.values());
        let mut keys: Vec<_> = keys.cloned().collect();
        keys.sort_by_key(KeyRecord::created_at);
        keys
    }

    pub(crate) fn allowlist(&self, org_id: &OrgId) -> IpAllowlist {
        let organization = self.organizations.get(org_id);
        organization.map_or_else(IpAllowlist::new, |it| it.allowlist.clone())
    }

    /// Returns the record that creates a key. An id or a digest that exists is an error, so that no key can be replaced.
    pub(crate) fn creation(
        &self,
        digest: KeyDigest,
        record: KeyRecord,
    ) -> Result<KeyRecord, StoreError> {
        if self.find(record.org_id(), record.key_id()).is_some() {
            return Err(StoreError::new("the id of the new key exists"));
        }
        if self.keys.records.contains_key(&digest) {
            return Err(StoreError::new("the digest of the new key exists"));
        }
        let allowlist = self.allowlist(record.org_id());
        let record = record.change(|record| record.digest = digest);
        Ok(record.with_allowlist(allowlist))
    }

    /// Returns the records that a rotation writes: the revoked key, then its replacement. `None` if the key is not live.
    pub(crate) fn rotation(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<Option<[KeyRecord; 2]>, StoreError> {
        let old = self.find(replacement.org_id(), key_id);
        let Some(old) = old.filter(|old| old.is_live_at(now)) else {
            return Ok(None);
        };
        let replacement = self.creation(digest, replacement)?;
        Ok(Some([old.with_revoked_at(now), replacement]))
    }

    /// Returns the revocation of a key, whose record is to be written if it is the first. `None` if there is no such key.
    pub(crate) fn revocation(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Option<Revocation> {
        let record = self.find(org_id, key_id)?;
        if record.is_revoked() {
            return Some(Revocation::new(record, false));
        }
        Some(Revocation::new(record.with_revoked_at(now), true))
    }

    /// Stores the record under its digest, in place of a record with the same id.
    pub(crate) fn put(&mut self, record: KeyRecord) {
        let digest = *record.digest();
        let organization = self.organizations.entry(record.org_id().clone());
        let keys = &mut organization.or_default().keys;
        let replaced = keys.insert(record.key_id().clone(), record.clone());
        if let Some(replaced) = replaced.filter(|replaced| *replaced.digest() != digest) {
            self.keys.records.remove(replaced.digest());
            self.publish(&Invalidation::Key(*replaced.digest()));
        }
        self.keys.records.insert(digest, record);
        self.publish(&Invalidation::Key(digest));
    }

    pub(crate) fn set_allowlist(&mut self, org_id: &OrgId, allowlist: IpAllowlist) {
        let organization = self.organizations.entry(org_id.clone()).or_default();
        for record in organization.keys.values_mut() {
            *record = record.clone().with_allowlist(allowlist.clone());
            let digest = *record.digest();
            self.keys.records.insert(digest, record.clone());
        }
        organization.allowlist = allowlist;
        self.publish(&Invalidation::Organization(org_id.clone()));
    }

    fn publish(&self, invalidation: &Invalidation) {
        self.keys.invalidations.publish(invalidation);
    }
}
