//! What a request waits for before it can be decided: the key store, or a fetch of the key set.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

#[cfg(feature = "jwt")]
use crate::jwt::Fetching;
use crate::{
    key_store::{LookupAnswer, PendingLookup, StoreError},
    telemetry,
};

pub(crate) enum Waiting {
    Key(StoreAnswer),
    #[cfg(feature = "jwt")]
    KeySet(Fetching),
}

/// The result of [`Waiting`].
pub(crate) enum Awaited {
    Key(LookupAnswer),
    /// The fetch has ended: the request is decided anew.
    #[cfg(feature = "jwt")]
    KeySet,
}

/// A lookup that takes time. A store that panics in it is one that cannot answer (T19).
pub(crate) struct StoreAnswer {
    lookup: PendingLookup,
    #[cfg(feature = "metrics")]
    since: std::time::Instant,
}

impl Waiting {
    pub(super) fn for_key(lookup: PendingLookup) -> Self {
        Self::Key(StoreAnswer {
            lookup,
            #[cfg(feature = "metrics")]
            since: std::time::Instant::now(),
        })
    }
}

impl Future for Waiting {
    type Output = Awaited;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Awaited> {
        match &mut *self {
            Self::Key(answer) => Pin::new(answer).poll(cx).map(Awaited::Key),
            #[cfg(feature = "jwt")]
            Self::KeySet(fetching) => Pin::new(fetching).poll(cx).map(|()| Awaited::KeySet),
        }
    }
}

impl Future for StoreAnswer {
    type Output = LookupAnswer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LookupAnswer> {
        let lookup = self.lookup.as_mut();
        let poll = catch_unwind(AssertUnwindSafe(|| lookup.poll(cx)));
        let answer = ready!(poll.unwrap_or_else(|_| Poll::Ready(Err(store_panicked()))));
        #[cfg(feature = "metrics")]
        telemetry::lookup_waited(self.since.elapsed());
        Poll::Ready(answer)
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting(..)")
    }
}

pub(super) fn store_panicked() -> StoreError {
    telemetry::store_panicked();
    StoreError::new("the key store panicked during a lookup")
}
