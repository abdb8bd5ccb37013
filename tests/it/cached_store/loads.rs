//! How often the store is called: once for concurrent lookups of a key, and for a bounded number of keys at a time.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use coverbase_auth::{ApiKey, CachedStore, Environment, KeyRecord, KeyStore};
use http::StatusCode;
use tokio::{task::yield_now, time::sleep};

use super::{Database, KEY_ID, Mood, ORG, Service, answer, key, timed};

const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

async fn all_begun() {
    for _ in 0..10 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn thousand_callers_of_a_cold_key_are_one_load() {
    let service = Service::over(Database::new());
    service.database.set_mood(Mood::HoldsBack);
    let callers: Vec<_> = (0..1_000).map(|_| service.spawn_request()).collect();
    service.database.has_read().await;
    all_begun().await;
    service.database.release();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(service.database.calls(), 1);
    let stats = service.store.stats();
    assert_eq!((stats.hits, stats.misses, stats.loads), (0, 1_000, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousand_callers_on_several_threads_are_one_load() {
    let patient = |store: CachedStore<Database>| store.with_load_deadline(Duration::MAX);
    let service = Service::with(Database::new(), patient);
    for round in 1..=20 {
        let callers: Vec<_> = (0..1_000).map(|_| service.spawn_request()).collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), StatusCode::OK);
        }
        assert_eq!(service.database.calls(), round);
        service.store.evict(&key().digest());
    }
}

#[tokio::test(start_paused = true)]
async fn load_goes_on_when_its_caller_disconnects() {
    let service = Service::over(Database::new());
    service.database.set_mood(Mood::HoldsBack);
    let first = service.spawn_request();
    service.database.has_read().await;
    let second = service.spawn_request();
    all_begun().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());

    service.database.release();
    assert_eq!(second.await.unwrap(), StatusCode::OK);
    assert_eq!(service.status().await, StatusCode::OK);
    assert_eq!(service.database.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn load_fills_the_cache_when_all_callers_disconnect() {
    let service = Service::over(Database::new());
    service.database.set_mood(Mood::HoldsBack);
    let only = service.spawn_request();
    service.database.has_read().await;
    only.abort();
    service.database.release();
    all_begun().await;
    assert_eq!(service.status().await, StatusCode::OK);
    assert_eq!(service.database.calls(), 1);
}

// T19
#[tokio::test(start_paused = true)]
async fn panicking_load_is_503_and_the_next_one_works() {
    for mood in [Mood::Panics, Mood::PanicsAtOnce] {
        let service = Service::over(Database::new());
        service.database.set_mood(mood);
        let callers: Vec<_> = (0..10).map(|_| service.spawn_request()).collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), UNAVAILABLE, "{mood:?}");
        }
        let calls = service.database.calls();
        service.database.set_mood(Mood::Answers);
        assert_eq!(service.status().await, StatusCode::OK, "{mood:?}");
        assert_eq!(service.database.calls(), calls + 1, "{mood:?}");
    }
}

// T14
#[tokio::test(start_paused = true)]
async fn lookup_beyond_the_bound_on_loads_is_503_at_once() {
    let service = Service::with(Database::new(), |store| store.with_max_loads(2));
    assert_eq!(service.status().await, StatusCode::OK);
    service.database.set_mood(Mood::HoldsBack);
    let others = ["ak_live_1", "ak_live_2"].map(|other| {
        let layer = service.layer.clone();
        tokio::spawn(async move { answer(&layer, other).await.status() })
    });
    service.database.has_read().await;
    service.database.has_read().await;

    let (took, rejected) = timed(answer(&service.layer, "ak_live_3")).await;
    assert_eq!(rejected.status(), UNAVAILABLE);
    assert_eq!(took, Duration::ZERO);
    assert_eq!(service.database.calls(), 3, "the store is not called");
    assert_eq!(
        service.status().await,
        StatusCode::OK,
        "a cached key needs no load"
    );

    let joins = tokio::spawn({
        let layer = service.layer.clone();
        async move { answer(&layer, "ak_live_2").await.status() }
    });
    all_begun().await;
    service.database.release();
    service.database.release();
    for other in others.into_iter().chain([joins]) {
        assert_eq!(other.await.unwrap(), StatusCode::UNAUTHORIZED);
    }
    service.database.set_mood(Mood::Answers);
    let unknown = answer(&service.layer, "ak_live_3").await;
    assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn invalidated_load_counts_until_it_ends() {
    let service = Service::with(Database::new(), |store| store.with_max_loads(2));
    service.database.set_mood(Mood::Hangs);
    let hung = [(); 2].map(|()| {
        let hung = service.store.lookup(&key().digest());
        service.store.evict(&key().digest());
        hung
    });
    assert_eq!(service.status().await, UNAVAILABLE);
    assert_eq!(service.database.calls(), 2);
    drop(hung);

    sleep(Duration::from_secs(2)).await;
    service.database.set_mood(Mood::Answers);
    assert_eq!(
        service.status().await,
        StatusCode::OK,
        "hung loads end at their lifetime"
    );
}

#[tokio::test(start_paused = true)]
async fn unknown_key_is_loaded_again_after_the_negative_ttl() {
    let service = Service::over(Database::new());
    let status = async || answer(&service.layer, "ak_live_invented").await.status();
    for (seconds, calls) in [(0, 1), (1, 1), (1, 2), (1, 2)] {
        service.clock.advance(seconds);
        assert_eq!(status().await, StatusCode::UNAUTHORIZED);
        assert_eq!(service.database.calls(), calls);
    }
}

// T4
#[tokio::test(start_paused = true)]
async fn wall_clock_step_expires_no_entry() {
    let service = Service::over(Database::new());
    for time in [0, 3_600, -3_600] {
        service.clock.set(super::NOW.saturating_add_signed(time));
        assert_eq!(service.status().await, StatusCode::OK);
    }
    assert_eq!(service.database.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn zero_ttl_or_capacity_caches_nothing() {
    for configure in [
        |store: CachedStore<Database>| store.with_ttl(Duration::ZERO),
        |store: CachedStore<Database>| store.with_capacity(0),
    ] {
        let service = Service::with(Database::new(), configure);
        for calls in 1..4 {
            assert_eq!(service.status().await, StatusCode::OK);
            assert_eq!(service.database.calls(), calls);
        }
    }
}

// T14
#[tokio::test(start_paused = true)]
async fn unknown_keys_evict_each_other_and_no_known_key() {
    let service = Service::with(Database::new(), |store| {
        store.with_capacity(1).with_negative_capacity(100)
    });
    assert_eq!(service.status().await, StatusCode::OK);
    for _ in 0..1_000 {
        let invented = ApiKey::generate(Environment::Live);
        answer(&service.layer, invented.expose_secret()).await;
    }
    assert_eq!(service.store.stats().evictions, 900);
    assert_eq!(service.status().await, StatusCode::OK);
    assert_eq!(service.database.calls(), 1_001);
}

#[test]
fn lookup_without_a_runtime_is_an_error_and_blocks_no_later_one() {
    let service = Service::over(Database::new());
    let lookup = service.store.lookup(&key().digest());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.unwrap();
    runtime.block_on(lookup).unwrap_err();
    assert_eq!(runtime.block_on(service.status()), StatusCode::OK);
}

#[test]
fn waiting_without_a_runtime_is_an_error() {
    let service = Service::over(Database::new());
    service
        .database
        .set_mood(Mood::Takes(Duration::from_millis(1)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let ask = || service.store.lookup(&key().digest());
    let (first, second, third) = runtime.block_on(async { (ask(), ask(), ask()) });
    let mut context = Context::from_waker(Waker::noop());
    for outside in [first, second] {
        let answer = pin!(outside).poll(&mut context);
        assert!(matches!(answer, Poll::Ready(Err(_))), "{answer:?}");
    }
    assert!(runtime.block_on(third).unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn cached_record_is_that_of_the_store() {
    let service = Service::over(Database::new());
    let record = KeyRecord::new(KEY_ID, ORG).with_name("ci");
    service.database.rows.insert(&key(), record);
    for _ in 0..2 {
        let found = service.store.lookup(&key().digest()).await.unwrap();
        assert_eq!(found.unwrap().name(), "ci");
    }
}
