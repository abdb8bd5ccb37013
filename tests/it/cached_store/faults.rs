//! A store that fails, hangs, flaps or is slow: never a 401, and never a wait of more than 300 milliseconds (T20).

use std::time::Duration;

use http::{StatusCode, header::RETRY_AFTER};
use tokio::time::sleep;

use super::{Database, KEY, Mood, Service, answer, timed};

const BOUND: Duration = Duration::from_millis(300);
const DOWN: [Mood; 4] = [Mood::Fails, Mood::Hangs, Mood::Panics, Mood::PanicsAtOnce];

/// C31
async fn assert_unavailable_in_time(service: &Service, why: &str) {
    let (took, answer) = timed(answer(&service.layer, KEY)).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{why}");
    assert!(answer.headers().contains_key(RETRY_AFTER), "{why}");
    assert!(took <= BOUND, "{why}: {took:?}");
}

/// Lets time pass for timers and for the cache.
async fn pass(service: &Service, seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
    service.clock.advance(seconds);
}

#[tokio::test(start_paused = true)]
async fn cold_key_is_503_while_the_store_is_down_and_works_after() {
    for mood in DOWN {
        let service = Service::over(Database::new());
        service.database.set_mood(mood);
        for _ in 0..3 {
            assert_unavailable_in_time(&service, &format!("{mood:?}")).await;
            pass(&service, 1).await;
        }
        service.database.set_mood(Mood::Answers);
        assert_eq!(service.status().await, StatusCode::OK, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn cached_key_works_while_the_store_is_down_until_its_ttl() {
    for mood in DOWN {
        let service = Service::over(Database::new());
        assert_eq!(service.status().await, StatusCode::OK, "{mood:?}");
        service.database.set_mood(mood);
        pass(&service, 29).await;
        assert_eq!(service.status().await, StatusCode::OK, "{mood:?}");
        pass(&service, 1).await;
        assert_unavailable_in_time(&service, &format!("{mood:?}")).await;

        service.database.set_mood(Mood::Answers);
        pass(&service, 1).await;
        assert_eq!(service.status().await, StatusCode::OK, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn error_is_not_cached() {
    let service = Service::over(Database::new());
    for _ in 0..20 {
        service.database.set_mood(Mood::Fails);
        assert_unavailable_in_time(&service, "down").await;
        service.database.set_mood(Mood::Answers);
        assert_eq!(service.status().await, StatusCode::OK);
        service.store.flush();
    }
}

#[tokio::test(start_paused = true)]
async fn slow_store_is_503_at_the_deadline_and_fills_the_cache() {
    let service = Service::over(Database::new());
    service
        .database
        .set_mood(Mood::Takes(Duration::from_millis(400)));
    assert_unavailable_in_time(&service, "slow").await;
    sleep(Duration::from_millis(200)).await;
    let (took, status) = timed(service.status()).await;
    assert_eq!((took, status), (Duration::ZERO, StatusCode::OK));
    assert_eq!(service.database.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn overdue_load_answers_later_lookups() {
    let service = Service::over(Database::new());
    service
        .database
        .set_mood(Mood::Takes(Duration::from_millis(900)));
    assert_unavailable_in_time(&service, "slow").await;
    sleep(Duration::from_millis(500)).await;
    service.database.set_mood(Mood::Hangs);
    let (took, status) = timed(service.status()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(took <= Duration::from_millis(151), "{took:?}");
    assert_eq!(service.database.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn recovered_store_is_asked_while_an_old_load_hangs() {
    let service = Service::over(Database::new());
    service.database.set_mood(Mood::Hangs);
    assert_unavailable_in_time(&service, "hung").await;
    service.database.set_mood(Mood::Answers);
    let (took, status) = timed(service.status()).await;
    assert_eq!((took, status), (Duration::ZERO, StatusCode::OK));
}

#[tokio::test(start_paused = true)]
async fn recovered_store_is_asked_after_a_second_load_failed() {
    let service = Service::over(Database::new());
    service.database.set_mood(Mood::Hangs);
    assert_unavailable_in_time(&service, "hung").await;
    service.database.set_mood(Mood::Fails);
    let second = service.spawn_request();
    sleep(Duration::from_millis(10)).await;
    service.database.set_mood(Mood::Answers);
    let (took, status) = timed(service.status()).await;
    assert_eq!((took, status), (Duration::ZERO, StatusCode::OK));
    assert_eq!(second.await.unwrap(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn overdue_load_answers_when_a_second_load_fails() {
    let service = Service::over(Database::new());
    service
        .database
        .set_mood(Mood::Takes(Duration::from_millis(400)));
    assert_unavailable_in_time(&service, "slow").await;
    service.database.set_mood(Mood::Fails);
    assert_eq!(service.status().await, StatusCode::OK);
    assert_eq!(service.database.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn invalidated_load_answers_when_an_overdue_one_fails() {
    let service = Service::over(Database::new());
    service
        .database
        .set_mood(Mood::FailsAfter(Duration::from_millis(400)));
    assert_unavailable_in_time(&service, "slow").await;
    service
        .database
        .set_mood(Mood::Takes(Duration::from_millis(200)));
    let later = service.spawn_request();
    sleep(Duration::from_millis(50)).await;
    service.store.flush();
    let (took, status) = timed(later).await;
    assert_eq!(status.unwrap(), StatusCode::OK);
    assert!(took >= Duration::from_millis(150), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn deadline_can_be_set() {
    let service = Service::with(Database::new(), |store| {
        store.with_load_deadline(Duration::from_millis(20))
    });
    service.database.set_mood(Mood::Hangs);
    let (took, _) = timed(service.status()).await;
    assert!(took <= Duration::from_millis(21), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn largest_deadline_does_not_overflow() {
    let service = Service::with(Database::new(), |store| {
        store.with_load_deadline(Duration::MAX)
    });
    service
        .database
        .set_mood(Mood::Takes(Duration::from_secs(60)));
    assert_eq!(service.status().await, StatusCode::OK);
}
