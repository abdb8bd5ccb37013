//! Every store satisfies the contract ([`key_store_contract`]), and the contract fails for a store that breaks a rule.

use std::time::Duration;

use async_trait::async_trait;
use coverbase_auth::{
    ApiKey, IpAllowlist, KeyDigest, KeyId, KeyRecord, KeyRegistry, KeyStore, Lookup, MemoryStore,
    OrgId, StoreError, key_store::Revocation, testing::key_store_contract,
};

async fn holding(keys: Vec<(ApiKey, KeyRecord)>) -> MemoryStore {
    let store = MemoryStore::new();
    for (key, record) in keys {
        store.insert(&key, record);
    }
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_store_satisfies_the_contract() {
    key_store_contract::key_store(holding).await;
    let store = MemoryStore::new();
    key_store_contract::key_registry(async || store.clone()).await;
    key_store_contract::last_used(async || store.clone(), async |_: &MemoryStore| {}).await;
}

#[cfg(feature = "cache")]
#[tokio::test(flavor = "multi_thread")]
async fn cached_store_satisfies_the_contract() {
    use coverbase_auth::CachedStore;

    key_store_contract::key_store(async |keys| CachedStore::new(holding(keys).await)).await;
    let store = CachedStore::new(MemoryStore::new());
    key_store_contract::key_registry(async || store.clone()).await;
    let flush = async |_: &CachedStore<MemoryStore>| {};
    key_store_contract::last_used(async || store.clone(), flush).await;
}

#[cfg(feature = "redb")]
#[tokio::test(flavor = "multi_thread")]
async fn redb_store_satisfies_the_contract() {
    use coverbase_auth::RedbStore;

    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(folder.path().join("keys.redb")).unwrap();
    key_store_contract::key_store(async |keys: Vec<(ApiKey, KeyRecord)>| {
        for (key, record) in keys {
            let (org_id, allowlist) = (record.org_id().clone(), record.allowlist().clone());
            store.create(key.digest(), record).await.unwrap();
            store.set_allowlist(&org_id, allowlist).await.unwrap();
        }
        store.clone()
    })
    .await;
    key_store_contract::key_registry(async || store.clone()).await;
    let flush = async |store: &RedbStore| store.flush().await.unwrap();
    key_store_contract::last_used(async || store.clone(), flush).await;
}

/// A rule that a store can break.
#[derive(Debug, Clone, Copy)]
enum Fault {
    FailsOnUnknownKeys,
    ListsNewestFirst,
    ListsLiveKeysOnly,
    FindsOtherOrganizationsKeys,
    RotatesInTwoSteps,
    RotatesDeadKeys,
    RevokesFirstEachTime,
    KeepsTheRecordsAllowlist,
    SetsTheAllowlistForNewKeysOnly,
}

#[test]
fn contract_fails_for_a_store_that_breaks_a_rule() {
    for fault in [
        Fault::FailsOnUnknownKeys,
        Fault::ListsNewestFirst,
        Fault::ListsLiveKeysOnly,
        Fault::FindsOtherOrganizationsKeys,
        Fault::RotatesInTwoSteps,
        Fault::RotatesDeadKeys,
        Fault::RevokesFirstEachTime,
        Fault::KeepsTheRecordsAllowlist,
        Fault::SetsTheAllowlistForNewKeysOnly,
    ] {
        let run = std::thread::spawn(move || {
            let store = Faulty(fault, MemoryStore::new());
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(key_store_contract::key_registry(async || store.clone()));
        });
        assert!(run.join().is_err(), "{fault:?}");
    }
}

/// A store that breaks one rule.
#[derive(Debug, Clone)]
struct Faulty(Fault, MemoryStore);

impl KeyStore for Faulty {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        let store = self.clone();
        let digest = *digest;
        Lookup::pending(async move {
            let found = store.1.lookup(&digest).await?;
            if found.is_none() && matches!(store.0, Fault::FailsOnUnknownKeys) {
                return Err(StoreError::new("no row"));
            }
            Ok(found)
        })
    }
}

#[async_trait]
impl KeyRegistry for Faulty {
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError> {
        let (org_id, allowlist) = (record.org_id().clone(), record.allowlist().clone());
        self.1.create(digest, record).await?;
        if matches!(self.0, Fault::KeepsTheRecordsAllowlist) && !allowlist.is_empty() {
            self.1.set_allowlist(&org_id, allowlist).await?;
        }
        Ok(())
    }

    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        let mut keys = self.1.list(org_id).await?;
        match self.0 {
            Fault::ListsNewestFirst => keys.reverse(),
            Fault::ListsLiveKeysOnly => keys.retain(|key| !key.is_revoked()),
            _ => {}
        }
        Ok(keys)
    }

    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        if matches!(self.0, Fault::FindsOtherOrganizationsKeys) {
            return Ok(Some(KeyRecord::new(key_id.clone(), org_id.clone())));
        }
        self.1.find(org_id, key_id).await
    }

    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError> {
        let org_id = replacement.org_id().clone();
        match self.0 {
            Fault::RotatesInTwoSteps => {
                let old = self.1.find(&org_id, key_id).await?;
                if !old.is_some_and(|old| old.is_live_at(now)) {
                    return Ok(false);
                }
                // Long enough for concurrent rotations to reach this line.
                tokio::time::sleep(Duration::from_millis(50)).await;
                self.1.create(digest, replacement).await?;
                self.1.revoke(&org_id, key_id, now).await?;
                Ok(true)
            }
            Fault::RotatesDeadKeys => {
                self.1.create(digest, replacement).await?;
                Ok(self.1.revoke(&org_id, key_id, now).await?.is_some())
            }
            _ => self.1.rotate(key_id, digest, replacement, now).await,
        }
    }

    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        let mut revocation = self.1.revoke(org_id, key_id, now).await?;
        if matches!(self.0, Fault::RevokesFirstEachTime) {
            revocation.iter_mut().for_each(|it| it.is_first = true);
        }
        Ok(revocation)
    }

    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError> {
        self.1.allowlist(org_id).await
    }

    async fn set_allowlist(
        &self,
        org_id: &OrgId,
        allowlist: IpAllowlist,
    ) -> Result<(), StoreError> {
        let has_keys = !self.1.list(org_id).await?.is_empty();
        if has_keys && matches!(self.0, Fault::SetsTheAllowlistForNewKeysOnly) {
            return Ok(());
        }
        self.1.set_allowlist(org_id, allowlist).await
    }
}
