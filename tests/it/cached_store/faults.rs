//! T20: a store that fails, hangs, flaps or is slow. Never a 401, never a wait of more than 300 milliseconds, and nothing
//! served beyond its time.

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

/// Lets time pass for timers and caches alike.
async fn pass(service: &Service, seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
    service.clock.advance(seconds);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_down_a_cold_key_is_503_and_the_first_request_after_works() {
    for mood in DOWN {
        let service = Service::over(Database::new());
        service.database.is(mood);
        for _ in 0..3 {
            assert_unavailable_in_time(&service, &format!("{mood:?}")).await;
            pass(&service, 1).await;
        }
        service.database.is(Mood::Answers);
        assert_eq!(service.status().await, StatusCode::OK, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_down_a_warm_key_works_until_its_time_is_over() {
    for mood in DOWN {
        let service = Service::over(Database::new());
        assert_eq!(service.status().await, StatusCode::OK, "{mood:?}");
        service.database.is(mood);
        pass(&service, 29).await;
        assert_eq!(service.status().await, StatusCode::OK, "{mood:?}");
        pass(&service, 1).await;
        assert_unavailable_in_time(&service, &format!("{mood:?}")).await;

        service.database.is(Mood::Answers);
        pass(&service, 1).await;
        assert_eq!(service.status().await, StatusCode::OK, "{mood:?}");
    }
}

/// It is asked anew each time: that it cannot tell is nothing to remember.
#[tokio::test(start_paused = true)]
async fn a_flapping_store_is_believed_each_time_it_answers() {
    let service = Service::over(Database::new());
    for _ in 0..20 {
        service.database.is(Mood::Fails);
        assert_unavailable_in_time(&service, "down").await;
        service.database.is(Mood::Answers);
        assert_eq!(service.status().await, StatusCode::OK);
        service.store.flush();
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_is_503_at_the_deadline_and_still_fills_the_cache() {
    let service = Service::over(Database::new());
    service.database.is(Mood::Takes(Duration::from_millis(400)));
    assert_unavailable_in_time(&service, "slow").await;
    sleep(Duration::from_millis(200)).await;
    let (took, status) = timed(service.status()).await;
    assert_eq!((took, status), (Duration::ZERO, StatusCode::OK));
    assert_eq!(service.database.calls(), 1);
}

/// A second load is begun beside the one that is overdue, and whichever ends first answers for both.
#[tokio::test(start_paused = true)]
async fn whoever_comes_after_the_deadline_is_answered_by_the_load_that_was_overdue() {
    let service = Service::over(Database::new());
    service.database.is(Mood::Takes(Duration::from_millis(900)));
    assert_unavailable_in_time(&service, "slow").await;
    sleep(Duration::from_millis(500)).await;
    service.database.is(Mood::Hangs);
    let (took, status) = timed(service.status()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(took <= Duration::from_millis(151), "{took:?}");
    assert_eq!(service.database.calls(), 2);
}

/// The load that has hung is not waited for by those who come later, however soon that is.
#[tokio::test(start_paused = true)]
async fn a_store_that_wakes_up_is_asked_anew_though_an_old_load_hangs() {
    let service = Service::over(Database::new());
    service.database.is(Mood::Hangs);
    assert_unavailable_in_time(&service, "hung").await;
    service.database.is(Mood::Answers);
    let (took, status) = timed(service.status()).await;
    assert_eq!((took, status), (Duration::ZERO, StatusCode::OK));
}

/// Nor is it, when a load beside it has failed meanwhile.
#[tokio::test(start_paused = true)]
async fn a_store_that_wakes_up_is_asked_anew_though_a_second_load_has_failed() {
    let service = Service::over(Database::new());
    service.database.is(Mood::Hangs);
    assert_unavailable_in_time(&service, "hung").await;
    service.database.is(Mood::Fails);
    let second = service.spawn_request();
    sleep(Duration::from_millis(10)).await;
    service.database.is(Mood::Answers);
    let (took, status) = timed(service.status()).await;
    assert_eq!((took, status), (Duration::ZERO, StatusCode::OK));
    assert_eq!(second.await.unwrap(), StatusCode::OK);
}

/// One load's failure is not everybody's, while another of the same flight may still answer.
#[tokio::test(start_paused = true)]
async fn a_failed_load_beside_an_overdue_one_lets_that_one_answer() {
    let service = Service::over(Database::new());
    service.database.is(Mood::Takes(Duration::from_millis(400)));
    assert_unavailable_in_time(&service, "slow").await;
    service.database.is(Mood::Fails);
    assert_eq!(service.status().await, StatusCode::OK);
    assert_eq!(service.database.calls(), 2);
}

/// Nor is it where an invalidation has struck the flight out meanwhile.
#[tokio::test(start_paused = true)]
async fn an_overdue_load_that_fails_lets_one_answer_that_an_invalidation_has_met() {
    let service = Service::over(Database::new());
    service
        .database
        .is(Mood::FailsAfter(Duration::from_millis(400)));
    assert_unavailable_in_time(&service, "slow").await;
    service.database.is(Mood::Takes(Duration::from_millis(200)));
    let later = service.spawn_request();
    sleep(Duration::from_millis(50)).await;
    service.store.flush();
    let (took, status) = timed(later).await;
    assert_eq!(status.unwrap(), StatusCode::OK);
    assert!(took >= Duration::from_millis(150), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_can_be_set() {
    let service = Service::with(Database::new(), |store| {
        store.with_load_deadline(Duration::from_millis(20))
    });
    service.database.is(Mood::Hangs);
    let (took, _) = timed(service.status()).await;
    assert!(took <= Duration::from_millis(21), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_without_end_is_none() {
    let service = Service::with(Database::new(), |store| {
        store.with_load_deadline(Duration::MAX)
    });
    service.database.is(Mood::Takes(Duration::from_secs(60)));
    assert_eq!(service.status().await, StatusCode::OK);
}
