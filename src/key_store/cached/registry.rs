//! Administration through a cache.

use async_trait::async_trait;

use super::CachedStore;
use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    key_store::{
        Invalidation, Invalidations, KeyRecord, KeyRegistry, KeyStore, Revocation, StoreError,
    },
    principal::OrgId,
};

/// Delegates to the store. If the store has no [`Invalidations`], the cache announces the changes that are made through it.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: KeyStore + KeyRegistry> KeyRegistry for CachedStore<S> {
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError> {
        let _announced = self.announces([Invalidation::Key(digest)]);
        self.store.create(digest, record).await
    }

    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        self.store.list(org_id).await
    }

    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.store.find(org_id, key_id).await
    }

    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError> {
        let org_id = replacement.org_id().clone();
        let _announced = self.announces([
            Invalidation::Organization(org_id),
            Invalidation::Key(digest),
        ]);
        self.store.rotate(key_id, digest, replacement, now).await
    }

    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        let _announced = self.announces([Invalidation::Organization(org_id.clone())]);
        self.store.revoke(org_id, key_id, now).await
    }

    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError> {
        self.store.allowlist(org_id).await
    }

    async fn set_allowlist(
        &self,
        org_id: &OrgId,
        allowlist: IpAllowlist,
    ) -> Result<(), StoreError> {
        let _announced = self.announces([Invalidation::Organization(org_id.clone())]);
        self.store.set_allowlist(org_id, allowlist).await
    }
}

impl<S: KeyStore> CachedStore<S> {
    fn announces<const N: usize>(&self, changes: [Invalidation; N]) -> Option<Announced<'_, N>> {
        let announced = || Announced(&self.invalidations, changes);
        self.store.invalidations().is_none().then(announced)
    }
}

/// Announces changes when it is dropped, because a change whose answer was an error or was dropped may be committed.
struct Announced<'a, const N: usize>(&'a Invalidations, [Invalidation; N]);

impl<const N: usize> Drop for Announced<'_, N> {
    fn drop(&mut self) {
        for change in &self.1 {
            self.0.publish(change);
        }
    }
}
