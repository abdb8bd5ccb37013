//! A key set that one background task fetches again and again (C12).
//!
//! Requests read the last published state. Only a token that this state does not verify waits for a fetch.

use std::{
    error::Error,
    hash::{BuildHasher as _, RandomState},
    iter,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tracing::{error, info, warn};

use super::{
    error::{KeySetError, UnusableKey},
    source::JwksSource,
    verification_keys::{Keys, Signed, Unverified},
};
use crate::jwt::rejection::JwtRejection;

/// The deadline of one fetch, with redirects and discovery.
const DEADLINE: Duration = Duration::from_secs(2);

/// The time between fetches. HTTP caching headers are ignored: how long a withdrawn key is accepted is decided here.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The time between fetches that tokens cause.
const TOKEN_INTERVAL: Duration = Duration::from_secs(10);

/// How long the last good set is used.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The first and the longest pause after failures. The pause doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The time to the next fetch after the task has ended with its runtime.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// How many requests can wait for a fetch. Further ones are answered 503 at once (T14).
const MAX_WAITING: usize = 1024;

/// How many unusable keys a warning names.
const MAX_NAMED: usize = 16;

const TARGET: &str = "coverbase_auth";

/// The handle of requests. Dropping it ends the task.
#[derive(Debug)]
pub(crate) struct FetchedKeys {
    state: watch::Sender<State>,
    task: AbortHandle,
}

#[derive(Debug)]
struct State {
    /// The last good set, for an hour.
    keys: Option<Arc<Keys>>,
    /// Whether the last fetch succeeded. If it failed, an unknown `kid` may be in the issuer's set.
    is_current: bool,
    /// When a token can cause the next fetch; `None` while one is wanted or under way.
    due: Option<Instant>,
}

impl FetchedKeys {
    /// Starts the task.
    pub(crate) fn spawn(source: impl JwksSource) -> Result<Self, KeySetError> {
        let runtime = Handle::try_current().map_err(|_| {
            KeySetError::new("no tokio runtime to fetch the key set in: build the `KeySet` inside one, as in `#[tokio::main]`")
        })?;
        let (state, wanted) = watch::channel(State {
            keys: None,
            is_current: false,
            due: None,
        });
        let task = runtime.spawn(renew(state.clone(), wanted, Arc::new(source)));
        let task = task.abort_handle();
        Ok(Self { state, task })
    }

    pub(crate) fn keys(&self) -> Option<Arc<Keys>> {
        self.state.borrow().keys.clone()
    }

    /// Verifies with the last published keys. If they do not verify the token, a newer set may (C12): the issuer may have
    /// added a key, or replaced one under the same `kid`.
    pub(crate) fn verify(&self, signed: &Signed<'_>) -> Result<Arc<Keys>, JwtRejection> {
        let keys = self.keys();
        let unverified = match &keys {
            None => Unverified::UnknownKid,
            Some(keys) => match keys.verify(signed) {
                Ok(()) => return Ok(Arc::clone(keys)),
                Err(unverified) => unverified,
            },
        };
        Err(self.rejection(keys.as_ref(), unverified))
    }

    /// Nothing of the token is kept, so tokens cannot fill the memory (T14).
    fn rejection(&self, tried: Option<&Arc<Keys>>, unverified: Unverified) -> JwtRejection {
        let now = Instant::now();
        let is_due = |state: &State| state.due.is_some_and(|due| due <= now);
        {
            let state = self.state.borrow();
            let may_change = state.due.is_none()
                || is_due(&state)
                || tried.map(Arc::as_ptr) != state.keys.as_ref().map(Arc::as_ptr);
            if unverified == Unverified::UnusableKey || !may_change {
                return if unverified == Unverified::UnknownKid && !state.is_current {
                    JwtRejection::KeySetUnavailable
                } else {
                    unverified.reason().into()
                };
            }
        }
        // The task is a receiver too.
        if self.state.receiver_count() > MAX_WAITING {
            return JwtRejection::KeySetUnavailable;
        }
        self.state.send_if_modified(|state| {
            let begins = is_due(state);
            if begins {
                state.due = None;
            }
            begins
        });
        let mut state = self.state.subscribe();
        JwtRejection::Waiting(Box::pin(async move {
            let _ = state.wait_for(|state| state.due.is_some()).await;
        }))
    }
}

impl Drop for FetchedKeys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn replace(&mut self, keys: Option<Arc<Keys>>) {
        if let Some(old) = std::mem::replace(&mut self.keys, keys) {
            old.supersede();
        }
    }
}

/// The task: fetches the set now, at intervals, and when tokens ask for it.
async fn renew(
    state: watch::Sender<State>,
    mut wanted: watch::Receiver<State>,
    source: Arc<dyn JwksSource>,
) {
    let _closing = Closing(&state);
    let mut failures = 0;
    // The last good set as it was fetched; empty when it has expired.
    let mut last = Bytes::new();
    let mut expires_at = Instant::now();
    loop {
        let begun_at = Instant::now();
        state.send_modify(|state| state.due = None);
        let new_keys = match fetch(Arc::clone(&source)).await {
            Ok(json) if !last.is_empty() && json == last => Ok(None),
            Ok(json) => Keys::from_jwks(&json)
                .map(|keys| {
                    last = json;
                    Some(Arc::new(keys))
                })
                .map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match &new_keys {
            Ok(keys) => {
                failures = 0;
                expires_at = begun_at + LIFETIME;
                keys.iter().for_each(|keys| log_replaced(&*source, keys));
            }
            Err(error) => {
                failures += 1;
                warn!(target: TARGET, ?source, %error, failures, "the key set cannot be fetched");
            }
        }
        state.send_modify(|state| {
            state.is_current = new_keys.is_ok();
            if let Ok(Some(keys)) = new_keys {
                state.replace(Some(keys));
            }
            state.due = Some(begun_at + TOKEN_INTERVAL);
        });

        let next = Instant::now() + pause(failures);
        loop {
            tokio::select! {
                () = sleep_until(next) => break,
                _ = wanted.wait_for(|state| state.due.is_none()) => break,
                () = sleep_until(expires_at), if !last.is_empty() => {
                    last = Bytes::new();
                    state.send_modify(|state| state.replace(None));
                    error!(target: TARGET, ?source, "the key set has expired an hour after its last fetch: session tokens are answered 503");
                }
            }
        }
    }
}

/// Fetches in a task of its own, so that a panic of the source is a failed fetch.
async fn fetch(source: Arc<dyn JwksSource>) -> Result<Bytes, String> {
    let mut task = JoinSet::new();
    task.spawn(async move { source.fetch().await });
    match timeout(DEADLINE, task.join_next()).await {
        Ok(Some(Ok(fetched))) => fetched.map_err(|error| with_causes(&*error)),
        Ok(_) => Err("the source panicked".into()),
        Err(_) => Err("no answer within 2 seconds".into()),
    }
}

fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |error| (*error).source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// The time until the next fetch, with 10 % jitter so that the instances of a fleet do not fetch at one moment.
fn pause(failures: u32) -> Duration {
    let pause = match failures.checked_sub(1) {
        None => INTERVAL,
        Some(doublings) => (FIRST_PAUSE * (1 << doublings.min(6))).min(LONGEST_PAUSE),
    };
    let random = RandomState::new().hash_one(failures) as f64 / u64::MAX as f64;
    pause.mul_f64(0.9 + 0.2 * random)
}

fn log_replaced(source: &dyn JwksSource, keys: &Keys) {
    info!(target: TARGET, ?source, usable = keys.len(), "the key set was replaced");
    let unusable = &keys.unusable;
    if !unusable.is_empty() {
        let named: Vec<_> = unusable
            .iter()
            .map(UnusableKey::to_string)
            .take(MAX_NAMED)
            .collect();
        let (unusable, keys) = (unusable.len(), named.join("; "));
        warn!(target: TARGET, ?source, unusable, %keys, "keys of the key set are not used");
    }
}

/// Removes the keys when the task ends: without it they would never expire.
struct Closing<'a>(&'a watch::Sender<State>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| {
            state.replace(None);
            state.is_current = false;
            state.due = Some(Instant::now() + NEVER);
        });
    }
}

#[cfg(test)]
mod tests;
