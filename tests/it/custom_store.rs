//! The custom store of the examples satisfies the contract.

use std::collections::HashMap;

use coverbase_auth::{ApiKey, CachedStore, KeyRecord, testing::key_store_contract};
use serde_json::{Value, json};

#[allow(dead_code, reason = "the example has its own main")]
#[path = "../../examples/custom_store.rs"]
mod example;

#[tokio::test]
async fn store_over_a_key_service_satisfies_the_contract() {
    let service = async |keys: Vec<(ApiKey, KeyRecord)>| {
        let keys = keys.iter().map(|(key, record)| {
            let secret = key.expose_secret().to_owned();
            (secret, service_json(record))
        });
        example::stub(keys.collect::<HashMap<_, _>>())
            .await
            .unwrap()
    };
    key_store_contract::key_store(service).await;
    key_store_contract::key_store(async |keys| CachedStore::new(service(keys).await)).await;
}

fn service_json(record: &KeyRecord) -> Value {
    let scopes: Vec<_> = record.scopes().iter().map(ToString::to_string).collect();
    json!({
        "id": record.key_id().as_str(),
        "subject": record.org_id().as_str(),
        "name": record.name(),
        "scopes": scopes,
        "claims": {"allowlist": record.allowlist().to_strings()},
        "expiration": record.expires_at().map(|seconds| seconds * 1000),
        "revoked": record.is_revoked(),
    })
}
