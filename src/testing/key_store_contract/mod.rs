//! The contract tests that every key store must pass.
//!
//! [`key_store`] tests the lookups of a [`KeyStore`], [`key_registry`] the administration of a [`KeyRegistry`], and
//! [`last_used`] how a store writes the last uses of keys. A store that breaks a rule panics with the name of the rule.
//!
//! Each test uses its own organizations and keys with random ids, so all tests can share one store, which may contain
//! other keys.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests, and a panic is how one fails"
)]

mod administration;
mod allowlists;
mod fixtures;
mod lookups;
mod publishing;
mod rotation;
mod usage;

use self::fixtures::SharedStore;
use crate::{
    credential::ApiKey,
    key_store::{KeyRecord, KeyRegistry, KeyStore},
};

/// Tests the lookups of a store. `make` returns a store that holds the given keys.
///
/// # Panics
///
/// If the store breaks a rule.
///
/// ```
/// use coverbase_auth::{ApiKey, KeyRecord, MemoryStore, testing::key_store_contract};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// key_store_contract::key_store(async |keys: Vec<(ApiKey, KeyRecord)>| {
///     let store = MemoryStore::new();
///     for (key, record) in keys {
///         store.insert(&key, record);
///     }
///     store
/// })
/// .await;
/// # }
/// ```
pub async fn key_store<S: KeyStore>(make: impl AsyncFn(Vec<(ApiKey, KeyRecord)>) -> S) {
    lookups::key_similar_to_an_existing_one_is_unknown(&make).await;
    lookups::record_is_found_as_stored(&make).await;
    lookups::dead_key_is_not_live(&make).await;
}

/// Tests the administration of keys. `make` is called once for each test, and may return the same store every time.
///
/// Clones must share one store, as the instances of a service do. The tests need tokio; with `flavor = "multi_thread"`
/// concurrent calls run in parallel.
///
/// # Panics
///
/// If the store breaks a rule.
///
/// ```
/// use coverbase_auth::{MemoryStore, testing::key_store_contract};
///
/// # #[tokio::main]
/// # async fn main() {
/// let store = MemoryStore::new();
/// key_store_contract::key_registry(async || store.clone()).await;
/// # }
/// ```
pub async fn key_registry<S: KeyStore + KeyRegistry + Clone>(make: impl AsyncFn() -> S) {
    let store = async || SharedStore(make().await);
    administration::record_is_returned_whole(store().await).await;
    administration::existing_digest_or_id_is_an_error(store().await).await;
    administration::list_is_oldest_first(store().await).await;
    administration::thousand_keys_are_all_listed(store().await).await;
    administration::key_of_another_organization_is_missing(store().await).await;
    administration::odd_ids_match_nothing(store().await).await;

    rotation::rotation_is_atomic(store().await).await;
    rotation::only_live_keys_are_rotated(store().await).await;
    rotation::one_of_concurrent_rotations_is_done(store().await).await;
    rotation::key_is_rotated_or_revoked(store().await).await;

    rotation::revocation_is_final(store().await).await;
    rotation::one_of_concurrent_revocations_is_first(store().await).await;

    publishing::change_is_published_when_it_is_done(store().await).await;

    allowlists::allowlist_is_returned_as_set(store().await).await;
    allowlists::allowlist_applies_to_every_key(store().await).await;
    allowlists::new_key_gets_the_allowlist_of_its_organization(store().await).await;
    allowlists::concurrent_creation_gets_the_new_allowlist(store().await).await;
}

/// Tests the last uses of keys (`C38`). `flush` makes the store write what it has not written yet.
///
/// # Panics
///
/// If the store breaks a rule.
///
/// ```
/// use coverbase_auth::{MemoryStore, testing::key_store_contract};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// key_store_contract::last_used(async || MemoryStore::new(), async |_: &MemoryStore| {}).await;
/// # }
/// ```
pub async fn last_used<S: KeyStore + KeyRegistry + Clone>(
    make: impl AsyncFn() -> S,
    flush: impl AsyncFn(&S),
) {
    let store = async || SharedStore(make().await);
    usage::newest_use_is_written(store().await, &flush).await;
    usage::use_outlives_a_change(store().await, &flush).await;
}
