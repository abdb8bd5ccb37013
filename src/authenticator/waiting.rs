//! What a request waits for before it can be decided: the key store, or a fetch of the key set.

use std::{
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

/// A key store that panics while a request waits for it is one that cannot answer (T19).
pub(crate) enum Waiting {
    Key {
        lookup: PendingLookup,
        #[cfg(feature = "metrics")]
        since: std::time::Instant,
    },
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

impl Waiting {
    pub(super) fn for_key(lookup: PendingLookup) -> Self {
        Self::Key {
            lookup,
            #[cfg(feature = "metrics")]
            since: std::time::Instant::now(),
        }
    }
}

impl Future for Waiting {
    type Output = Awaited;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Awaited> {
        match &mut *self {
            Self::Key {
                lookup,
                #[cfg(feature = "metrics")]
                since,
            } => {
                let poll = catch_unwind(AssertUnwindSafe(|| lookup.as_mut().poll(cx)));
                let answer = ready!(poll.unwrap_or_else(|_| Poll::Ready(Err(store_panicked()))));
                #[cfg(feature = "metrics")]
                telemetry::lookup_waited(since.elapsed());
                Poll::Ready(Awaited::Key(answer))
            }
            #[cfg(feature = "jwt")]
            Self::KeySet(fetching) => Pin::new(fetching).poll(cx).map(|()| Awaited::KeySet),
        }
    }
}

pub(super) fn store_panicked() -> StoreError {
    telemetry::store_panicked();
    StoreError::new("the key store panicked during a lookup")
}
