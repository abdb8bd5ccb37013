//! A key set that is fetched, and fetched again: one task a set, which is the only one that ever fetches (C12).
//!
//! Requests read what it has published last and wait for nothing, but for one case: a token whose `kid` is not there may
//! be signed by a key that is newer than the set, and waits for the fetch that will tell.

#[cfg(test)]
mod tests;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tracing::{error, info, warn};

use crate::jwt::keys::{
    missing::{Fetching, KeyMissing},
    source::{FetchError, JwksSource},
    verification_keys::{Fault, KeySetError, Keys, RefusedKey},
};

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
