//! A cache is a store, and a registry where its store is one: it holds to what both promise.

use coverbase_auth::{ApiKey, CachedStore, KeyRecord, MemoryStore, testing::key_store_contract};

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_store_holds_to_the_contract() {
    key_store_contract::key_store(async |keys: Vec<(ApiKey, KeyRecord)>| {
        let store = MemoryStore::new();
        for (key, record) in keys {
            store.insert(&key, record);
        }
        CachedStore::new(store)
    })
    .await;
    let store = CachedStore::new(MemoryStore::new());
    key_store_contract::key_registry(async || store.clone()).await;
    key_store_contract::last_used(
        async || store.clone(),
        async |_: &CachedStore<MemoryStore>| {},
    )
    .await;
}
