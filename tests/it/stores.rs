//! Every store holds to the same rules ([`contract`]).

use coverbase_auth::{ApiKey, KeyRecord, KeyRegistry, MemoryStore, key_store::contract};

#[tokio::test(flavor = "multi_thread")]
async fn memory_holds_to_the_contract() {
    contract::key_store(async |keys: Vec<(ApiKey, KeyRecord)>| {
        let store = MemoryStore::new();
        for (key, record) in keys {
            store.insert(&key, record);
        }
        store
    })
    .await;
    let store = MemoryStore::new();
    contract::key_registry(async || store.clone()).await;
    contract::last_used(async || store.clone(), async |_: &MemoryStore| {}).await;
}

#[cfg(feature = "redb")]
#[tokio::test(flavor = "multi_thread")]
async fn redb_holds_to_the_contract() {
    use coverbase_auth::RedbStore;

    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(folder.path().join("keys.redb")).unwrap();
    contract::key_store(async |keys: Vec<(ApiKey, KeyRecord)>| {
        for (key, record) in keys {
            let (org_id, allowlist) = (record.org_id().clone(), record.allowlist().clone());
            store.create(key.digest(), record).await.unwrap();
            store.set_allowlist(&org_id, allowlist).await.unwrap();
        }
        store.clone()
    })
    .await;
    contract::key_registry(async || store.clone()).await;
    let flush = async |store: &RedbStore| store.flush().await.unwrap();
    contract::last_used(async || store.clone(), flush).await;
}
