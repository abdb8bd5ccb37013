//! Instances on a real PostgreSQL. These tests are ignored by default because they need one; `tests/run` runs them.

mod cluster;
mod connect;
mod fleet;
mod hostile;
mod outage;
mod proxy;
#[cfg(feature = "full")]
mod service;
mod store;

use std::time::Duration;

use coverbase_auth::{
    ApiKey, Environment, KeyDigest, KeyRecord, KeyRegistry, KeyStore, OrgId, PostgresStore,
};

use self::cluster::Database;

const NOW: u64 = 1_700_000_000;

/// Connects another instance.
async fn instance(database: &Database<'_>) -> PostgresStore {
    PostgresStore::connect(&database.url()).await.unwrap()
}

/// Creates a key of `org_acme`.
async fn create(store: &impl KeyRegistry, id: &str) -> KeyDigest {
    let digest = ApiKey::generate(Environment::Live).digest();
    let record = KeyRecord::new(id, "org_acme").with_created_at(NOW);
    store.create(digest, record).await.unwrap();
    digest
}

async fn is_live(store: &impl KeyStore, digest: &KeyDigest) -> bool {
    let record = store.lookup(digest).await.unwrap();
    record.is_some_and(|record| record.is_live_at(NOW))
}

fn acme() -> OrgId {
    "org_acme".into()
}

/// Repeats a check until it holds.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let patience = Duration::from_secs(10);
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let outcome = tokio::time::timeout(patience, asking).await;
    assert!(
        outcome.is_ok(),
        "did not happen within {patience:?}: {what}"
    );
}
