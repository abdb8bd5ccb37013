//! What every store must hold, as tests to run against one: the crate's own, and yours.
//!
//! [`key_store`] is for a [`KeyStore`] alone, [`key_registry`] for one that is administered too, [`last_used`] for one that
//! writes uses behind. Each calls every test of its kind, and a store that breaks a rule panics with the rule.
//!
//! A test uses organizations and keys of its own, with random ids: all of them may share one store, and it may hold
//! other keys already.

#![allow(
    clippy::panic,
    reason = "these are tests, and a panic is how one fails"
)]

mod administration;
mod allowlists;
mod changes;
mod lookups;
mod usage;

use std::fmt;

use crate::{
    client_ip::IpAllowlist,
    credential::{ApiKey, Environment, KeyDigest, KeyId},
    key_store::{KeyRecord, KeyRegistry, KeyStore, PresentedKey, StoreError},
    principal::{OrgId, Scope},
};

/// The tests of a store that is only asked. `make` gives one that holds these keys.
///
/// # Panics
///
/// When the store breaks a rule.
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
    lookups::an_unknown_key_is_none(&make).await;
    lookups::a_digest_is_compared_whole(&make).await;
    lookups::a_record_is_found_as_it_was_put(&make).await;
    lookups::a_dead_key_is_not_live(&make).await;
}

/// The tests of a store that is administered. `make` is called once for each, and may give the same store every time.
///
/// Clones must be one store, as they are for each instance of a service. It runs on tokio; with `flavor = "multi_thread"` the
/// races are real ones.
///
/// # Panics
///
/// When the store breaks a rule.
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
    administration::a_record_comes_back_whole(make().await).await;
    administration::a_taken_digest_or_id_stays_whose_it_is(make().await).await;
    administration::a_list_is_the_organizations_oldest_first(make().await).await;
    administration::a_thousand_keys_are_all_there(make().await).await;
    administration::another_organizations_key_is_not_there(make().await).await;
    administration::odd_ids_name_nothing(make().await).await;

    changes::a_rotation_is_one_step(make().await).await;
    changes::only_a_live_key_is_rotated(make().await).await;
    changes::of_two_rotations_one_is_done(make().await).await;
    changes::a_revocation_is_for_good(make().await).await;
    changes::of_many_revocations_one_is_the_first(make().await).await;
    changes::a_key_is_rotated_or_revoked(make().await).await;
    changes::a_change_is_published_when_it_is_done(make().await).await;

    allowlists::an_allowlist_comes_back_as_it_was_set(make().await).await;
    allowlists::an_allowlist_holds_for_each_key_of_its_organization(make().await).await;
    allowlists::a_new_key_falls_under_its_organizations_allowlist(make().await).await;
    allowlists::no_key_slips_past_a_changing_allowlist(make().await).await;
}

/// The tests of when keys were last used. `flush` writes what the store has yet to write, if it writes behind.
///
/// # Panics
///
/// When the store breaks a rule.
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
    usage::a_use_is_written(make().await, &flush).await;
    usage::the_newest_use_stays(make().await, &flush).await;
    usage::a_use_survives_a_change(make().await, &flush).await;
}

/// The time of these tests, in Unix seconds.
const NOW: u64 = 1_700_000_000;

fn new_org() -> OrgId {
    OrgId::from(new_id().as_str().replace("ak_", "org_"))
}

fn new_id() -> KeyId {
    KeyId::try_generate().unwrap_or_else(|error| panic!("{error}"))
}

fn new_key() -> ApiKey {
    ApiKey::generate(Environment::Live)
}

fn new_record(org_id: &OrgId) -> KeyRecord {
    KeyRecord::new(new_id(), org_id.clone()).with_created_at(NOW)
}

/// A record with something unusual in every field.
fn rich_record(org_id: &OrgId) -> KeyRecord {
    new_record(org_id)
        .with_name("Zoë's \"CI\" ключ 🔑\\ \t\r\n\u{1b}[31m %_ '; DROP TABLE keys; --")
        .with_scopes([
            Scope::AUDIT_READ,
            Scope::from_static("reports:export"),
            Scope::KEYS_MANAGE,
            Scope::from_static("!#[]~'"),
        ])
        .with_expires_at(NOW + 3_153_600_000)
        .with_created_by("user_2x9")
        .with_last_used_at(NOW - 1)
}

fn allowlist(networks: &[&str]) -> IpAllowlist {
    IpAllowlist::parse(networks).unwrap_or_else(|error| panic!("{error}"))
}

/// Creates the key, and gives what it is found by.
async fn created<S: KeyRegistry>(store: &S, record: KeyRecord) -> KeyDigest {
    let digest = new_key().digest();
    answer("create", store.create(digest, record).await);
    digest
}

async fn lookup<S: KeyStore>(store: &S, digest: &KeyDigest) -> Option<KeyRecord> {
    answer("lookup", store.lookup(digest).await)
}

/// What the layer is told of a key.
async fn presented<S: KeyStore>(store: &S, key: &ApiKey) -> Option<KeyRecord> {
    let record = store.lookup_presented(&PresentedKey::from(key)).await;
    answer("lookup_presented", record)
}

async fn is_live<S: KeyStore>(store: &S, digest: &KeyDigest) -> bool {
    let record = lookup(store, digest).await;
    record.is_some_and(|record| record.is_live_at(NOW))
}

async fn found<S: KeyRegistry>(store: &S, record: &KeyRecord) -> KeyRecord {
    let found = store.find(record.org_id(), record.key_id()).await;
    answer("find", found).unwrap_or_else(|| panic!("find: {:?} is there", record.key_id()))
}

async fn listed<S: KeyRegistry>(store: &S, org_id: &OrgId) -> Vec<KeyRecord> {
    answer("list", store.list(org_id).await)
}

/// What a store answers while nothing is wrong with it.
#[track_caller]
fn answer<T>(call: &str, result: Result<T, StoreError>) -> T {
    result.unwrap_or_else(|error| panic!("{call}: {error}"))
}

/// Every field, so that two records can be compared.
fn fields(record: &KeyRecord) -> impl PartialEq + fmt::Debug + use<> {
    let times = (
        record.created_at(),
        record.expires_at(),
        record.revoked_at(),
        record.last_used_at(),
    );
    let by = record.created_by().map(ToOwned::to_owned);
    let what = (record.scopes().clone(), record.allowlist().clone());
    let who = (record.org_id().clone(), record.key_id().clone());
    (who, record.name().to_owned(), what, by, times)
}
