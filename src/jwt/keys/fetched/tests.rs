use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use tokio::time::{advance, sleep};

use super::*;
use crate::testing::TestIssuer;

/// What a fetch meets.
#[derive(Clone, Debug)]
enum Answer {
    Set(String),
    Failure,
    Panic,
    Silence,
}

/// Answers as it is told, the last way again and again.
#[derive(Clone, Debug)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    fetches: Arc<AtomicUsize>,
}

#[async_trait]
impl JwksSource for Script {
    async fn fetch(&self) -> Result<Bytes, FetchError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            let next = if answers.len() > 1 {
                answers.pop_front()
            } else {
                None
            };
            next.or_else(|| answers.front().cloned())
        };
        match answer.unwrap() {
            Answer::Set(json) => Ok(json.into()),
            Answer::Failure => Err(FetchError::new("refused")),
            Answer::Panic => panic!("a fault of the user's"),
            Answer::Silence => std::future::pending().await,
        }
    }
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            fetches: Arc::default(),
        }
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// Forgets what it was told before.
    fn then(&self, answers: impl IntoIterator<Item = Answer>) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
    }
}

const KID: &str = "ins_test_1";
const NEXT_KID: &str = "ins_test_2";

fn set() -> Answer {
    Answer::Set(TestIssuer::new("https://clerk.test").jwks_json())
}

fn rotated_set() -> Answer {
    let mut issuer = TestIssuer::new("https://clerk.test");
    issuer.rotate();
    Answer::Set(issuer.jwks_json())
}

/// A set that has ended its first fetch.
async fn fetched(script: &Script) -> FetchedKeys {
    let keys = FetchedKeys::spawn(script.clone()).unwrap();
    wait(keys.missing("")).await;
    keys
}

/// Waits as a request does, and says for how long.
async fn wait(missing: KeyMissing) -> Duration {
    let KeyMissing::Fetching(fetching) = missing else {
        panic!("nothing to wait for: {missing:?}");
    };
    let begun_at = Instant::now();
    fetching.await;
    begun_at.elapsed()
}

fn has(keys: &FetchedKeys, kid: &str) -> bool {
    keys.keys().is_some_and(|keys| keys.key(kid).is_some())
}

fn is_unknown(keys: &FetchedKeys, kid: &str) -> bool {
    matches!(keys.missing(kid), KeyMissing::Unknown)
}

fn is_unavailable(keys: &FetchedKeys, kid: &str) -> bool {
    matches!(keys.missing(kid), KeyMissing::Unavailable)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn without_a_runtime_the_error_says_what_to_do() {
    let error = FetchedKeys::spawn(Script::new([])).unwrap_err().to_string();
    assert!(error.contains("make the `KeySet` inside one"), "{error}");
}

// C12
#[tokio::test(start_paused = true)]
async fn the_first_fetch_is_waited_for_by_whoever_comes_meanwhile() {
    let script = Script::new([set()]);
    let keys = FetchedKeys::spawn(script.clone()).unwrap();
    assert!(!has(&keys, KID));
    let waits: Vec<_> = (0..100).map(|_| keys.missing(KID)).collect();
    for waiting in waits {
        wait(waiting).await;
    }
    assert!(has(&keys, KID));
    assert_eq!(script.fetches(), 1);
}

// C12, T14
#[tokio::test(start_paused = true)]
async fn unknown_kids_cause_one_fetch_in_ten_seconds() {
    let script = Script::new([set()]);
    let keys = fetched(&script).await;
    let retained = || Arc::strong_count(&keys.shared);
    let before = retained();
    for kid in 0..10_000 {
        assert!(is_unknown(&keys, &kid.to_string()));
    }
    assert_eq!(script.fetches(), 1);

    advance(seconds(10)).await;
    let waits: Vec<_> = (0..1000)
        .map(|kid| keys.missing(&kid.to_string()))
        .collect();
    for waiting in waits {
        wait(waiting).await;
    }
    for kid in 0..10_000 {
        assert!(is_unknown(&keys, &kid.to_string()));
    }
    assert_eq!(script.fetches(), 2);
    assert_eq!(
        (retained(), keys.shared.state.receiver_count()),
        (before, 0)
    );

    advance(seconds(10) - Duration::from_millis(1)).await;
    assert!(is_unknown(&keys, ""));
    sleep(seconds(60)).await;
    assert_eq!(script.fetches(), 2);
}

// C12
#[tokio::test(start_paused = true)]
async fn a_rotation_is_seen_by_the_first_token_of_the_new_key() {
    let script = Script::new([set()]);
    let keys = fetched(&script).await;
    script.then([rotated_set()]);
    advance(seconds(10)).await;
    wait(keys.missing(NEXT_KID)).await;
    assert!(has(&keys, NEXT_KID) && !has(&keys, KID));
}

// What was read of the set just before it was replaced must not refuse a token of the new one.
#[tokio::test(start_paused = true)]
async fn a_kid_that_has_come_meanwhile_is_not_unknown() {
    let keys = fetched(&Script::new([set()])).await;
    assert_eq!(wait(keys.missing(KID)).await, Duration::ZERO);
    assert!(is_unknown(&keys, NEXT_KID));
}

#[tokio::test(start_paused = true)]
async fn the_set_is_fetched_at_intervals() {
    let script = Script::new([set()]);
    let keys = fetched(&script).await;
    script.then([rotated_set()]);
    sleep(INTERVAL.mul_f64(0.89)).await;
    assert_eq!(script.fetches(), 1);
    sleep(INTERVAL.mul_f64(0.22)).await;
    assert_eq!(script.fetches(), 2);
    assert!(has(&keys, NEXT_KID));
    sleep(INTERVAL * 10).await;
    assert!(
        (11..=14).contains(&script.fetches()),
        "{}",
        script.fetches()
    );
}

// T16
#[tokio::test(start_paused = true)]
async fn only_a_good_set_takes_the_place_of_another() {
    let bad = [
        Answer::Failure,
        Answer::Panic,
        Answer::Silence,
        Answer::Set(String::new()),
        Answer::Set("{\"keys\":[]}".into()),
        Answer::Set("<html>".into()),
        Answer::Set(" ".repeat(crate::jwt::keys::verification_keys::MAX_BYTES + 1)),
    ];
    for answer in bad {
        let script = Script::new([set()]);
        let keys = fetched(&script).await;
        script.then([answer.clone(), rotated_set()]);
        advance(seconds(10)).await;
        let waited = wait(keys.missing("")).await;
        assert!(waited <= DEADLINE, "{answer:?}: {waited:?}");
        assert!(has(&keys, KID), "{answer:?}");
        // It may have been in the set that nobody could read.
        assert!(is_unavailable(&keys, ""), "{answer:?}");
        sleep(seconds(2)).await;
        assert!(has(&keys, NEXT_KID), "{answer:?}");
    }
}

// T16
#[tokio::test(start_paused = true)]
async fn the_last_good_set_is_believed_for_an_hour() {
    let the_set = set();
    let script = Script::new([the_set.clone()]);
    let keys = fetched(&script).await;
    let first = keys.keys().unwrap();
    script.then([Answer::Failure]);
    sleep(LIFETIME - seconds(1)).await;
    assert!(has(&keys, KID) && !first.are_superseded());
    sleep(seconds(2)).await;
    assert!(!has(&keys, KID) && first.are_superseded());
    assert!(!is_unknown(&keys, KID));

    // The same set again is a new beginning.
    script.then([the_set]);
    sleep(seconds(70)).await;
    assert!(has(&keys, KID));
}

#[tokio::test(start_paused = true)]
async fn the_same_set_again_changes_nothing_but_its_age() {
    let script = Script::new([set()]);
    let keys = fetched(&script).await;
    let first = keys.keys().unwrap();
    sleep(LIFETIME * 2).await;
    assert!(script.fetches() > 10);
    assert!(Arc::ptr_eq(&first, &keys.keys().unwrap()) && !first.are_superseded());
}

#[tokio::test(start_paused = true)]
async fn failures_are_repeated_ever_more_slowly() {
    let script = Script::new([Answer::Failure]);
    let keys = fetched(&script).await;
    assert!(is_unavailable(&keys, KID));
    let begun_at = Instant::now();
    let mut gaps = Vec::new();
    let mut last = begun_at;
    while gaps.len() < 9 {
        let before = script.fetches();
        while script.fetches() == before {
            sleep(Duration::from_millis(50)).await;
        }
        gaps.push(last.elapsed().as_secs_f64());
        last = Instant::now();
    }
    for (gap, expected) in gaps
        .iter()
        .zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0])
    {
        assert!((gap / expected - 1.0).abs() < 0.2, "{gaps:?}");
    }
    script.then([set()]);
    sleep(seconds(67)).await;
    assert!(has(&keys, KID));
    for failures in [8, 31, 32, 33, 34, u32::MAX] {
        let pause = pause(failures).as_secs_f64();
        assert!((pause / 60.0 - 1.0).abs() < 0.11, "{failures}: {pause}");
    }
}

// T14
#[tokio::test(start_paused = true)]
async fn only_so_many_requests_wait() {
    let keys = FetchedKeys::spawn(Script::new([Answer::Silence])).unwrap();
    let waits: Vec<_> = (0..MAX_WAITING).map(|_| keys.missing("")).collect();
    assert!(is_unavailable(&keys, ""));
    drop(waits);
    assert_eq!(wait(keys.missing("")).await, DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_set() {
    let script = Script::new([set()]);
    let keys = fetched(&script).await;
    let task = keys.task.clone();
    let waiting = keys.missing(KID);
    assert!(!task.is_finished());
    drop(keys);
    wait(waiting).await;
    sleep(INTERVAL * 3).await;
    assert!(task.is_finished());
    assert_eq!(script.fetches(), 1);
}

#[test]
fn a_set_whose_runtime_has_ended_has_no_keys() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let keys = runtime.block_on(fetched(&Script::new([set()])));
    let first = keys.keys().unwrap();
    drop(runtime);
    assert!(!has(&keys, KID) && first.are_superseded());
    assert!(is_unavailable(&keys, KID));
}

// Of a flood of tokens one begins the fetch.
#[tokio::test(start_paused = true)]
async fn a_fetch_begins_once_and_when_it_is_due() {
    let keys = fetched(&Script::new([set()])).await;
    let shared = &keys.shared;
    assert!(!shared.begin_if_due(Instant::now()), "it is not due");
    let due = Instant::now() + UNKNOWN_KID_INTERVAL;
    assert!(shared.begin_if_due(due));
    assert!(!shared.begin_if_due(due), "it is under way");
}

#[tokio::test(start_paused = true)]
async fn a_call_for_a_fetch_that_has_ended_meanwhile_causes_none() {
    let script = Script::new([set()]);
    let keys = fetched(&script).await;
    keys.shared.unknown_kid.notify_one();
    sleep(seconds(1)).await;
    assert_eq!(script.fetches(), 1);
    advance(UNKNOWN_KID_INTERVAL).await;
    assert!(keys.shared.begin_if_due(Instant::now()));
    keys.shared.unknown_kid.notify_one();
    sleep(seconds(1)).await;
    assert_eq!(script.fetches(), 2);
}
