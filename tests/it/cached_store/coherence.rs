//! T8: from a change's answer on, no request sees what was before it.

use std::time::Duration;

use coverbase_auth::{
    ApiKey, CachedStore, CoverbaseAuthLayer, Environment, IpAllowlist, KeyRecord, KeyRegistry,
    MemoryStore, key_store::Invalidation,
};
use http::StatusCode;

use super::{Database, KEY, KEY_ID, Mood, NOW, ORG, Service, answer, key};

/// What can happen to a key, and what a request gets afterwards.
#[derive(Debug, Clone, Copy)]
enum Change {
    Revoked,
    Rotated,
    AllowlistSet,
    /// Unannounced; then the whole cache is told to forget.
    Flushed,
    /// Unannounced; then the cache is told to forget the key.
    Evicted,
    /// While nothing was heard of changes.
    Missed,
}

const ANNOUNCED: [Change; 3] = [Change::Revoked, Change::Rotated, Change::AllowlistSet];
const UNANNOUNCED: [Change; 2] = [Change::Flushed, Change::Evicted];

impl Change {
    const fn status(self) -> StatusCode {
        match self {
            Self::AllowlistSet => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    async fn happens(self, service: &Service) {
        let rows = &service.database.rows;
        match self {
            Self::Revoked => revoke(rows).await,
            Self::Rotated => rotate(rows).await,
            Self::AllowlistSet => {
                let elsewhere = IpAllowlist::parse(["198.51.100.0/24"]).unwrap();
                rows.set_allowlist(&ORG.into(), elsewhere).await.unwrap();
            }
            Self::Flushed => {
                revoke(rows).await;
                service.store.flush();
            }
            Self::Evicted => {
                revoke(rows).await;
                service.store.evict(&key().digest());
            }
            Self::Missed => {
                let invalidations = service.database.invalidations.as_ref().unwrap();
                invalidations.publish(&Invalidation::Lost);
                revoke(rows).await;
                invalidations.publish(&Invalidation::Resumed);
            }
        }
    }
}

async fn revoke(registry: &impl KeyRegistry) {
    let revoked = registry.revoke(&ORG.into(), &KEY_ID.into(), NOW).await;
    assert!(revoked.unwrap().unwrap().is_first);
}

async fn rotate(registry: &impl KeyRegistry) {
    let digest = ApiKey::generate(Environment::Live).digest();
    let replacement = KeyRecord::new("ak_new", ORG);
    let rotated = registry
        .rotate(&KEY_ID.into(), digest, replacement, NOW)
        .await;
    assert!(rotated.unwrap());
}

/// Every change, on a store that announces those which are announced and on one that does not.
fn every_change() -> impl Iterator<Item = (Change, Service)> {
    let announced = ANNOUNCED.into_iter().chain([Change::Missed]);
    let announced = announced.map(|change| (change, Service::over(Database::new())));
    let unannounced = UNANNOUNCED.into_iter();
    let unannounced =
        unannounced.map(|change| (change, Service::over(Database::without_announcements())));
    announced.chain(unannounced)
}

#[tokio::test(start_paused = true)]
async fn a_change_reaches_what_is_cached() {
    for (change, service) in every_change() {
        assert_eq!(service.status().await, StatusCode::OK, "{change:?}");
        assert_eq!(service.status().await, StatusCode::OK, "{change:?}");
        assert_eq!(service.database.calls(), 1, "{change:?}");

        change.happens(&service).await;
        assert_eq!(service.status().await, change.status(), "{change:?}");
        assert_eq!(service.database.calls(), 2, "{change:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_from_before_the_change_is_not_kept() {
    for (change, service) in every_change() {
        service.database.is(Mood::HoldsBack);
        let before = service.spawn_request();
        service.database.has_read().await;
        change.happens(&service).await;
        service.database.release();
        assert_eq!(before.await.unwrap(), StatusCode::OK, "it began before");

        service.database.is(Mood::Answers);
        assert_eq!(service.status().await, change.status(), "{change:?}");
        assert_eq!(service.database.calls(), 2, "{change:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_from_before_the_change_is_not_joined_and_replaces_nothing() {
    for (change, service) in every_change() {
        service.database.is(Mood::HoldsBack);
        let before = service.spawn_request();
        service.database.has_read().await;
        change.happens(&service).await;

        service.database.is(Mood::Answers);
        assert_eq!(service.status().await, change.status(), "{change:?}");
        service.database.release();
        assert_eq!(before.await.unwrap(), StatusCode::OK, "it began before");
        assert_eq!(service.status().await, change.status(), "{change:?}");
        assert_eq!(service.database.calls(), 2, "{change:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_looked_for_too_early_works_from_its_creation_on() {
    let service = Service::over(Database::new());
    let key = ApiKey::generate(Environment::Live);
    let status = async || {
        let answer = answer(&service.layer, key.expose_secret()).await;
        answer.status()
    };
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
    let record = KeyRecord::new("ak_new", ORG);
    let created = service.database.rows.create(key.digest(), record).await;
    created.unwrap();
    assert_eq!(status().await, StatusCode::OK);
}

// C10: the layer asks the clock each time, and the cache does not help a key over its end.
#[tokio::test(start_paused = true)]
async fn a_key_that_expires_while_it_is_loaded_or_cached_is_refused() {
    for mood in [Mood::Answers, Mood::HoldsBack] {
        let service = Service::over(Database::new());
        let record = KeyRecord::new(KEY_ID, ORG).with_expires_at(NOW + 5);
        service.database.rows.insert(&key(), record);
        service.database.is(mood);
        service.database.release();

        let before = service.spawn_request();
        if matches!(mood, Mood::HoldsBack) {
            service.database.has_read().await;
        }
        assert_eq!(before.await.unwrap(), StatusCode::OK);
        service.clock.advance(4);
        assert_eq!(service.status().await, StatusCode::OK);
        service.clock.advance(1);
        assert_eq!(service.status().await, StatusCode::UNAUTHORIZED);
        assert_eq!(service.database.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_outlives_the_time_to_live_is_not_kept() {
    let service = Service::over(Database::new());
    service.database.is(Mood::HoldsBack);
    let before = service.spawn_request();
    service.database.has_read().await;
    service.clock.advance(30);
    service.database.release();
    assert_eq!(before.await.unwrap(), StatusCode::OK);

    service.database.is(Mood::Answers);
    assert_eq!(service.status().await, StatusCode::OK);
    assert_eq!(service.database.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_cached_while_changes_go_unnoticed() {
    let service = Service::over(Database::new());
    assert_eq!(service.status().await, StatusCode::OK);
    let invalidations = service.database.invalidations.clone().unwrap();
    invalidations.publish(&Invalidation::Lost);
    for calls in 2..5 {
        assert_eq!(service.status().await, StatusCode::OK);
        assert_eq!(service.database.calls(), calls);
    }

    service.database.is(Mood::HoldsBack);
    let before = service.spawn_request();
    service.database.has_read().await;
    invalidations.publish(&Invalidation::Resumed);
    service.database.release();
    assert_eq!(before.await.unwrap(), StatusCode::OK);

    service.database.is(Mood::Answers);
    for _ in 0..3 {
        assert_eq!(service.status().await, StatusCode::OK);
        assert_eq!(
            service.database.calls(),
            6,
            "the load from before is not kept"
        );
    }
}

/// A cache that is made while the way is lost hears of it at once.
#[tokio::test(start_paused = true)]
async fn a_cache_that_comes_late_knows_that_changes_go_unnoticed() {
    let database = Database::new();
    let invalidations = database.invalidations.clone().unwrap();
    invalidations.publish(&Invalidation::Lost);
    let service = Service::over(database);
    for calls in 1..3 {
        assert_eq!(service.status().await, StatusCode::OK);
        assert_eq!(service.database.calls(), calls);
    }
}

/// What is forgotten is what was announced, and no more.
#[tokio::test(start_paused = true)]
async fn a_change_leaves_the_keys_of_others_cached() {
    let service = Service::over(Database::new());
    let other = ApiKey::generate(Environment::Live);
    let rows = &service.database.rows;
    rows.insert(&other, KeyRecord::new("ak_other", "org_other"));
    assert_eq!(service.status().await, StatusCode::OK);
    for change in [Change::AllowlistSet, Change::Revoked] {
        answer(&service.layer, other.expose_secret()).await;
        let calls = service.database.calls();
        change.happens(&service).await;
        answer(&service.layer, other.expose_secret()).await;
        assert_eq!(service.database.calls(), calls, "{change:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn caches_can_be_stacked() {
    let database = Database::new();
    let inner = CachedStore::new(database.clone());
    let outer = CachedStore::new(inner.clone()).with_ttl(Duration::from_secs(60));
    let layer = CoverbaseAuthLayer::new(outer.clone());
    for _ in 0..2 {
        assert_eq!(answer(&layer, KEY).await.status(), StatusCode::OK);
    }
    assert_eq!((inner.stats().hits, outer.stats().hits), (0, 1));
    revoke(&database.rows).await;
    assert_eq!(answer(&layer, KEY).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(database.calls(), 2);
}

/// A registry that announces nothing; administered through the cache, its changes are announced by that.
mod unannounced {
    use async_trait::async_trait;
    use coverbase_auth::{
        KeyDigest, KeyId, KeyStore, Lookup, OrgId, StoreError, key_store::Revocation,
        testing::TestClock,
    };

    use super::*;

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
    async fn a_rotation_through_the_cache_is_seen_by_it() {
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
    async fn a_creation_and_an_allowlist_through_the_cache_are_seen_by_it() {
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
    async fn a_revocation_whose_answer_was_lost_is_seen_too() {
        let (store, layer) = cached();
        assert_eq!(answer(&layer, KEY).await.status(), StatusCode::OK);
        let answered = store.revoke(&ORG.into(), &KEY_ID.into(), NOW).await;
        answered.unwrap_err();
        assert_eq!(answer(&layer, KEY).await.status(), StatusCode::UNAUTHORIZED);
    }
}
