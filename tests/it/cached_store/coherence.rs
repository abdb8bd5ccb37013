//! No request that begins after a change is answered sees the state before it (T8).

use std::time::Duration;

use coverbase_auth::{
    ApiKey, CachedStore, CoverbaseAuthLayer, Environment, IpAllowlist, KeyRecord, KeyRegistry,
    key_store::Invalidation,
};
use http::StatusCode;

use super::{Database, KEY, KEY_ID, Mood, NOW, ORG, Service, answer, key};

/// A change to a key.
#[derive(Debug, Clone, Copy)]
enum Change {
    Revoked,
    Rotated,
    AllowlistSet,
    /// Not announced; the whole cache is flushed.
    Flushed,
    /// Not announced; the key is evicted.
    Evicted,
    /// Made while announcements were lost.
    Missed,
}

const ANNOUNCED: [Change; 3] = [Change::Revoked, Change::Rotated, Change::AllowlistSet];
const UNANNOUNCED: [Change; 2] = [Change::Flushed, Change::Evicted];

impl Change {
    /// The status of a request after the change.
    const fn status(self) -> StatusCode {
        match self {
            Self::AllowlistSet => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    async fn apply(self, service: &Service) {
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

/// Every change, with a service over a store that announces it or does not.
fn every_change() -> impl Iterator<Item = (Change, Service)> {
    let announced = ANNOUNCED.into_iter().chain([Change::Missed]);
    let announced = announced.map(|change| (change, Service::over(Database::new())));
    let unannounced = UNANNOUNCED.into_iter();
    let unannounced =
        unannounced.map(|change| (change, Service::over(Database::without_announcements())));
    announced.chain(unannounced)
}

#[tokio::test(start_paused = true)]
async fn cached_key_sees_a_change() {
    for (change, service) in every_change() {
        assert_eq!(service.status().await, StatusCode::OK, "{change:?}");
        assert_eq!(service.status().await, StatusCode::OK, "{change:?}");
        assert_eq!(service.database.calls(), 1, "{change:?}");

        change.apply(&service).await;
        assert_eq!(service.status().await, change.status(), "{change:?}");
        assert_eq!(service.database.calls(), 2, "{change:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn load_that_began_before_a_change_is_not_cached() {
    for (change, service) in every_change() {
        service.database.set_mood(Mood::HoldsBack);
        let before = service.spawn_request();
        service.database.has_read().await;
        change.apply(&service).await;
        service.database.release();
        assert_eq!(
            before.await.unwrap(),
            StatusCode::OK,
            "it began before the change"
        );

        service.database.set_mood(Mood::Answers);
        assert_eq!(service.status().await, change.status(), "{change:?}");
        assert_eq!(service.database.calls(), 2, "{change:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn load_that_began_before_a_change_is_not_joined() {
    for (change, service) in every_change() {
        service.database.set_mood(Mood::HoldsBack);
        let before = service.spawn_request();
        service.database.has_read().await;
        change.apply(&service).await;

        service.database.set_mood(Mood::Answers);
        assert_eq!(service.status().await, change.status(), "{change:?}");
        service.database.release();
        assert_eq!(
            before.await.unwrap(),
            StatusCode::OK,
            "it began before the change"
        );
        assert_eq!(service.status().await, change.status(), "{change:?}");
        assert_eq!(service.database.calls(), 2, "{change:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn key_cached_as_unknown_works_after_its_creation() {
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

// C10
#[tokio::test(start_paused = true)]
async fn key_that_expires_in_the_cache_is_rejected() {
    for mood in [Mood::Answers, Mood::HoldsBack] {
        let service = Service::over(Database::new());
        let record = KeyRecord::new(KEY_ID, ORG).with_expires_at(NOW + 5);
        service.database.rows.insert(&key(), record);
        service.database.set_mood(mood);
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
async fn load_that_outlives_the_time_to_live_is_not_cached() {
    let service = Service::over(Database::new());
    service.database.set_mood(Mood::HoldsBack);
    let before = service.spawn_request();
    service.database.has_read().await;
    service.clock.advance(30);
    service.database.release();
    assert_eq!(before.await.unwrap(), StatusCode::OK);

    service.database.set_mood(Mood::Answers);
    assert_eq!(service.status().await, StatusCode::OK);
    assert_eq!(service.database.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_cached_while_announcements_are_lost() {
    let service = Service::over(Database::new());
    assert_eq!(service.status().await, StatusCode::OK);
    let invalidations = service.database.invalidations.clone().unwrap();
    invalidations.publish(&Invalidation::Lost);
    for calls in 2..5 {
        assert_eq!(service.status().await, StatusCode::OK);
        assert_eq!(service.database.calls(), calls);
    }

    service.database.set_mood(Mood::HoldsBack);
    let before = service.spawn_request();
    service.database.has_read().await;
    invalidations.publish(&Invalidation::Resumed);
    service.database.release();
    assert_eq!(before.await.unwrap(), StatusCode::OK);

    service.database.set_mood(Mood::Answers);
    for _ in 0..3 {
        assert_eq!(service.status().await, StatusCode::OK);
        assert_eq!(
            service.database.calls(),
            6,
            "a load that began while announcements were lost is not cached"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn new_cache_knows_that_announcements_are_lost() {
    let database = Database::new();
    let invalidations = database.invalidations.clone().unwrap();
    invalidations.publish(&Invalidation::Lost);
    let service = Service::over(database);
    for calls in 1..3 {
        assert_eq!(service.status().await, StatusCode::OK);
        assert_eq!(service.database.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn change_leaves_keys_of_other_organizations_cached() {
    let service = Service::over(Database::new());
    let other = ApiKey::generate(Environment::Live);
    let rows = &service.database.rows;
    rows.insert(&other, KeyRecord::new("ak_other", "org_other"));
    assert_eq!(service.status().await, StatusCode::OK);
    for change in [Change::AllowlistSet, Change::Revoked] {
        answer(&service.layer, other.expose_secret()).await;
        let calls = service.database.calls();
        change.apply(&service).await;
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
