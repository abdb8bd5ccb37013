//! The cache announces changes that are made through it if its store announces nothing.

use async_trait::async_trait;
use coverbase_auth::{
    ApiKey, CachedStore, CoverbaseAuthLayer, Environment, IpAllowlist, KeyDigest, KeyId, KeyRecord,
    KeyRegistry, KeyStore, Lookup, MemoryStore, OrgId, StoreError, key_store::Revocation,
    testing::TestClock,
};
use http::StatusCode;

use super::{KEY, KEY_ID, NOW, ORG, answer, key};

/// A registry without announcements.
#[derive(Debug)]
struct Silent(MemoryStore);

impl KeyStore for Silent {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        self.0.lookup(digest)
    }
}

#[async_trait]
impl KeyRegistry for Silent {
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError> {
        self.0.create(digest, record).await
    }

    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        self.0.list(org_id).await
    }

    async fn find(&self, org: &OrgId, key: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        self.0.find(org, key).await
    }

    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError> {
        self.0.rotate(key_id, digest, replacement, now).await
    }

    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError> {
        self.0.revoke(org_id, key_id, now).await?;
        Err(StoreError::new("the connection broke after the commit"))
    }

    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError> {
        self.0.allowlist(org_id).await
    }

    async fn set_allowlist(&self, org: &OrgId, list: IpAllowlist) -> Result<(), StoreError> {
        self.0.set_allowlist(org, list).await
    }
}

fn cached() -> (CachedStore<Silent>, CoverbaseAuthLayer) {
    let rows = MemoryStore::new();
    rows.insert(&key(), KeyRecord::new(KEY_ID, ORG));
    let clock = TestClock::at(NOW);
    let store = CachedStore::new(Silent(rows)).with_clock(clock.clone());
    (
        store.clone(),
        CoverbaseAuthLayer::new(store).with_clock(clock),
    )
}

#[tokio::test(start_paused = true)]
async fn rotation_through_the_cache_is_seen() {
    let (store, layer) = cached();
    let new = ApiKey::generate(Environment::Live);
    assert_eq!(answer(&layer, KEY).await.status(), StatusCode::OK);
    let too_early = answer(&layer, new.expose_secret()).await;
    assert_eq!(too_early.status(), StatusCode::UNAUTHORIZED);

    let (key_id, replacement) = (KEY_ID.into(), KeyRecord::new("ak_new", ORG));
    let rotated = store.rotate(&key_id, new.digest(), replacement, NOW);
    assert!(rotated.await.unwrap());
    assert_eq!(answer(&layer, KEY).await.status(), StatusCode::UNAUTHORIZED);
    let now = answer(&layer, new.expose_secret()).await;
    assert_eq!(now.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn creation_and_allowlist_through_the_cache_are_seen() {
    let (store, layer) = cached();
    let new = ApiKey::generate(Environment::Live);
    let status = async || answer(&layer, new.expose_secret()).await.status();
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
    let record = KeyRecord::new("ak_new", ORG);
    store.create(new.digest(), record).await.unwrap();
    assert_eq!(status().await, StatusCode::OK);

    let elsewhere = IpAllowlist::parse(["198.51.100.0/24"]).unwrap();
    store.set_allowlist(&ORG.into(), elsewhere).await.unwrap();
    assert_eq!(status().await, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn revocation_whose_answer_was_an_error_is_seen() {
    let (store, layer) = cached();
    assert_eq!(answer(&layer, KEY).await.status(), StatusCode::OK);
    let answered = store.revoke(&ORG.into(), &KEY_ID.into(), NOW).await;
    answered.unwrap_err();
    assert_eq!(answer(&layer, KEY).await.status(), StatusCode::UNAUTHORIZED);
}
