//! Every store holds to the same rules ([`contract`]).

use coverbase_auth::{ApiKey, KeyRecord, MemoryStore, key_store::contract};

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
