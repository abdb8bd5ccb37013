//! A key set that is fetched, and fetched again: one task a set, which is the only one that ever fetches (C12).
//!
//! Requests read what it has published last and wait for nothing, but for one case: a token whose `kid` is not there may
//! be signed by a key that is newer than the set, and waits for the fetch that will tell.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, info, warn};

use crate::jwt::keys::{Fault, KeySetError, Keys, RefusedKey};
use crate::jwt::missing::{Fetching, KeyMissing};
use crate::jwt::source::{FetchError, JwksSource};

/// From the first byte sent to the last one read, all redirects and discovery included.
const DEADLINE: Duration = Duration::from_secs(2);

/// How often a set is fetched without a reason. What its server says of caching changes nothing: how long a key works
/// after its issuer has withdrawn it is for this side to decide.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// How long all unknown `kid`s together wait for the next fetch, whatever caused the last one.
const UNKNOWN_KID_INTERVAL: Duration = Duration::from_secs(10);

/// How long the last good set is believed.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The pauses after failures: they double from the one to the other.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How many requests may wait for a fetch; beyond, they are answered 503 at once (T14).
const MAX_WAITING: usize = 1024;

/// How many refused keys a warning names.
const MAX_NAMED: usize = 16;

const TARGET: &str = "coverbase_auth";

/// The readers' end. The task ends with the last of its clones.
#[derive(Debug)]
pub(crate) struct FetchedKeys {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    unknown_kid: Notify,
}

#[derive(Debug)]
struct State {
    /// The last good set, for an hour.
    keys: Option<Arc<Keys>>,
    /// Whether the last fetch has given a good set: only then is a `kid` that is not there unknown, and not unanswered.
    is_answered: bool,
    fetch: Fetch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetch {
    UnderWay,
    /// None is, and no token causes one before this moment.
    Idle(Instant),
    /// There is no task any more: its runtime has ended.
    Never,
}

impl FetchedKeys {
    /// Starts to fetch.
    pub(crate) fn spawn(source: impl JwksSource) -> Result<Self, KeySetError> {
        let runtime = Handle::try_current().map_err(|_| {
            Fault::Setup(
                "no tokio runtime to fetch the key set in: make the `KeySet` inside one, as in `#[tokio::main]`".into(),
            )
        })?;
        let (state, _) = watch::channel(State {
            keys: None,
            is_answered: false,
            fetch: Fetch::UnderWay,
        });
        let shared = Arc::new(Shared {
            state,
            unknown_kid: Notify::new(),
        });
        let task = runtime.spawn(renew(Arc::clone(&shared), Arc::new(source)));
        Ok(Self {
            shared,
            task: task.abort_handle(),
        })
    }

    pub(crate) fn keys(&self) -> Option<Arc<Keys>> {
        self.shared.state.borrow().keys.clone()
    }

    /// What to do about a `kid` that [`keys`](Self::keys) did not have. Nothing of it is kept, so that nobody can fill a
    /// memory with it (T14).
    pub(crate) fn missing(&self, kid: &str) -> KeyMissing {
        let now = Instant::now();
        {
            let state = self.shared.state.borrow();
            if !state.may_change(now) && !state.has(kid) {
                return if state.is_answered {
                    KeyMissing::Unknown
                } else {
                    KeyMissing::Unavailable
                };
            }
        }
        if self.shared.state.receiver_count() >= MAX_WAITING {
            return KeyMissing::Unavailable;
        }
        if self.shared.begin_if_due(now) {
            self.shared.unknown_kid.notify_one();
        }
        let mut state = self.shared.state.subscribe();
        KeyMissing::Fetching(Fetching::new(async move {
            let _ = state.wait_for(|state| state.fetch != Fetch::UnderWay).await;
        }))
    }
}

impl Drop for FetchedKeys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    /// Whether to wait is worth it.
    fn may_change(&self, now: Instant) -> bool {
        match self.fetch {
            Fetch::UnderWay => true,
            Fetch::Idle(until) => until <= now,
            Fetch::Never => false,
        }
    }

    fn has(&self, kid: &str) -> bool {
        self.keys
            .as_ref()
            .is_some_and(|keys| keys.key(kid).is_some())
    }

    /// Puts other keys in the place of these.
    fn replace(&mut self, keys: Option<Arc<Keys>>) {
        if let Some(old) = std::mem::replace(&mut self.keys, keys) {
            old.supersede();
        }
    }
}

impl Shared {
    /// Whether this call has begun a fetch.
    fn begin_if_due(&self, now: Instant) -> bool {
        let mut begins = false;
        self.state.send_if_modified(|state| {
            begins = state.fetch != Fetch::UnderWay && state.may_change(now);
            if begins {
                state.fetch = Fetch::UnderWay;
            }
            false
        });
        begins
    }

    fn is_under_way(&self) -> bool {
        self.state.borrow().fetch == Fetch::UnderWay
    }
}

/// Fetches the set now, at intervals, and when tokens ask for it.
async fn renew(shared: Arc<Shared>, source: Arc<dyn JwksSource>) {
    let _closing = Closing(&shared);
    let mut failures = 0;
    // The last good set, as it was fetched.
    let mut json = Bytes::new();
    let mut expires_at = Instant::now();
    loop {
        let begun_at = Instant::now();
        shared
            .state
            .send_modify(|state| state.fetch = Fetch::UnderWay);
        let fetched = fetch(Arc::clone(&source)).await;
        let new_keys = fetched.and_then(|fetched| {
            let is_same = !json.is_empty() && fetched == json;
            let keys = if is_same {
                None
            } else {
                Some(keys_of(&fetched)?)
            };
            json = fetched;
            Ok(keys)
        });
        let is_answered = new_keys.is_ok();
        match &new_keys {
            Ok(keys) => {
                failures = 0;
                expires_at = begun_at + LIFETIME;
                keys.iter().for_each(|keys| log_replaced(&*source, keys));
            }
            Err(error) => {
                failures += 1;
                warn!(target: TARGET, source = ?source, error = %error, failures, "the key set cannot be fetched");
            }
        }
        shared.state.send_modify(|state| {
            if let Ok(Some(keys)) = new_keys {
                state.replace(Some(Arc::new(keys)));
            }
            state.is_answered = is_answered;
            state.fetch = Fetch::Idle(begun_at + UNKNOWN_KID_INTERVAL);
        });

        let next = Instant::now() + pause(failures);
        loop {
            tokio::select! {
                () = sleep_until(next) => break,
                // A fetch that has begun for another reason meanwhile may have answered already.
                () = shared.unknown_kid.notified() => if shared.is_under_way() { break },
                () = sleep_until(expires_at), if !json.is_empty() => {
                    json = Bytes::new();
                    shared.state.send_modify(|state| state.replace(None));
                    error!(target: TARGET, source = ?source, "the key set is an hour old: its tokens are answered 503");
                }
            }
        }
    }
}

/// In a task of its own, so that a source that panics fails, and no more.
async fn fetch(source: Arc<dyn JwksSource>) -> Result<Bytes, FetchError> {
    let mut task = JoinSet::new();
    task.spawn(async move { source.fetch().await });
    match timeout(DEADLINE, task.join_next()).await {
        Ok(Some(Ok(fetched))) => fetched,
        Ok(_) => Err(FetchError::new("its source panicked")),
        Err(_) => Err(FetchError::new("no answer within 2 seconds")),
    }
}

fn keys_of(json: &[u8]) -> Result<Keys, FetchError> {
    Keys::from_jwks(json).map_err(FetchError::new)
}

/// A tenth more or less, so that the instances of a fleet do not fetch at one moment.
fn pause(failures: u32) -> Duration {
    let pause = match failures.checked_sub(1) {
        None => INTERVAL,
        Some(doublings) => {
            let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX).max(1);
            BACK_OFF.0.saturating_mul(factor).min(BACK_OFF.1)
        }
    };
    let random = RandomState::new().hash_one(failures) as f64 / u64::MAX as f64;
    pause.mul_f64(0.9 + 0.2 * random)
}

fn log_replaced(source: &dyn JwksSource, keys: &Keys) {
    info!(target: TARGET, source = ?source, usable = keys.len(), "the key set was replaced");
    let refused = keys.refused();
    if !refused.is_empty() {
        let named = refused.iter().take(MAX_NAMED).map(RefusedKey::to_string);
        let named = named.collect::<Vec<_>>().join("; ");
        warn!(target: TARGET, source = ?source, refused = refused.len(), keys = %named, "keys of the key set are not used");
    }
}

/// A set that nobody renews must not be believed for ever: without its task, it has no keys.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| {
            state.replace(None);
            state.is_answered = false;
            state.fetch = Fetch::Never;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::jwt::test_issuer::TestIssuer;

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
            Answer::Set(" ".repeat(crate::jwt::keys::MAX_BYTES + 1)),
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
        wait(keys.missing(KID)).await;
        assert!(is_unavailable(&keys, KID));

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
        assert_eq!(pause(u32::MAX).as_secs() / 10, pause(40).as_secs() / 10);
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
}
