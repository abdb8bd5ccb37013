mod tokens;

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
use crate::{jwt::algorithm::Algorithm, testing::TestIssuer};

/// The result of a fetch.
#[derive(Clone, Debug)]
enum Answer {
    Set(String),
    Failure,
    Panic,
    Silence,
}

/// Gives the answers in turn, and the last one again and again.
#[derive(Clone, Debug)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    fetches: Arc<AtomicUsize>,
}

#[async_trait]
impl JwksSource for Script {
    async fn fetch(&self) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
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
            Answer::Failure => Err("connection refused".into()),
            Answer::Panic => panic!("a bug"),
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

    /// Replaces the answers.
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

/// A set whose first fetch has ended.
async fn fetched(script: &Script) -> FetchedKeys {
    let keys = FetchedKeys::spawn(script.clone()).unwrap();
    wait(verify(&keys, "")).await;
    keys
}

/// Verifies a token of this `kid` with a wrong signature.
fn verify(keys: &FetchedKeys, kid: &str) -> JwtRejection {
    let signed = Signed {
        kid,
        algorithm: Algorithm::Es256,
        message: b"",
        signature: b"",
    };
    keys.verify(&signed).unwrap_err()
}

/// Waits as a request does, and returns for how long.
async fn wait(rejection: JwtRejection) -> Duration {
    let JwtRejection::Waiting(fetching) = rejection else {
        panic!("not waiting: {rejection:?}");
    };
    let begun_at = Instant::now();
    fetching.await;
    begun_at.elapsed()
}

fn has(keys: &FetchedKeys, kid: &str) -> bool {
    let signed = Signed {
        kid,
        algorithm: Algorithm::Es256,
        message: b"",
        signature: b"",
    };
    let verify = |keys: Arc<Keys>| keys.verify(&signed) == Err(Unverified::WrongSignature);
    keys.keys().is_some_and(verify)
}

fn is_invalid(keys: &FetchedKeys, kid: &str) -> bool {
    matches!(verify(keys, kid), JwtRejection::Invalid(_))
}

fn is_unavailable(keys: &FetchedKeys, kid: &str) -> bool {
    matches!(verify(keys, kid), JwtRejection::KeySetUnavailable)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn error_without_runtime_names_the_fix() {
    let error = FetchedKeys::spawn(Script::new([])).unwrap_err().to_string();
    assert!(error.contains("build the `KeySet` inside one"), "{error}");
}

#[test]
fn error_shows_every_cause() {
    #[derive(Debug, thiserror::Error)]
    #[error("the vault is sealed")]
    struct Sealed(#[source] std::io::Error);

    let error = Sealed(std::io::Error::other("no quorum"));
    assert_eq!(with_causes(&error), "the vault is sealed: no quorum");
}

// C12
// C12, T14
// C12
// C12: the issuer may have replaced the key and kept its `kid`.
// C12a
// A token that was tried with keys that have been replaced since is verified again, and not rejected.
#[tokio::test(start_paused = true)]
async fn set_is_fetched_at_intervals() {
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
async fn bad_set_does_not_replace_the_last_one() {
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
        let waited = wait(verify(&keys, "")).await;
        assert!(waited <= DEADLINE, "{answer:?}: {waited:?}");
        assert!(has(&keys, KID), "{answer:?}");
        // The `kid` may be in the set that could not be read.
        assert!(is_unavailable(&keys, ""), "{answer:?}");
        sleep(seconds(2)).await;
        assert!(has(&keys, NEXT_KID), "{answer:?}");
    }
}

// T16
#[tokio::test(start_paused = true)]
async fn last_good_set_is_used_for_an_hour() {
    let the_set = set();
    let script = Script::new([the_set.clone()]);
    let keys = fetched(&script).await;
    let first = keys.keys().unwrap();
    script.then([Answer::Failure]);
    sleep(LIFETIME - seconds(1)).await;
    assert!(has(&keys, KID) && !first.are_superseded());
    sleep(seconds(2)).await;
    assert!(!has(&keys, KID) && first.are_superseded());
    assert!(!is_invalid(&keys, KID));

    // The same set is accepted again.
    script.then([the_set]);
    sleep(seconds(70)).await;
    assert!(has(&keys, KID));
}

#[tokio::test(start_paused = true)]
async fn same_set_again_extends_its_lifetime_only() {
    let script = Script::new([set()]);
    let keys = fetched(&script).await;
    let first = keys.keys().unwrap();
    sleep(LIFETIME * 2).await;
    assert!(script.fetches() > 10);
    assert!(Arc::ptr_eq(&first, &keys.keys().unwrap()) && !first.are_superseded());
}

#[tokio::test(start_paused = true)]
async fn pause_doubles_with_each_failure() {
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
async fn task_ends_when_the_set_is_dropped() {
    let script = Script::new([set()]);
    let keys = fetched(&script).await;
    let task = keys.task.clone();
    assert!(!task.is_finished());
    advance(seconds(10)).await;
    let waiting = verify(&keys, KID);
    drop(keys);
    wait(waiting).await;
    sleep(INTERVAL * 3).await;
    assert!(task.is_finished());
    assert_eq!(script.fetches(), 1);
}

#[test]
fn set_has_no_keys_after_its_runtime_has_ended() {
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
