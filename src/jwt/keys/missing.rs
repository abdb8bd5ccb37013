//! What becomes of a token whose `kid` is not in the key set.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// Why a set has no key of a `kid`.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "jwks"),
    expect(dead_code, reason = "nothing is fetched")
)]
pub(crate) enum KeyMissing {
    /// There is none.
    Unknown,
    /// The set cannot tell: 503, never 401 (C31).
    Unavailable,
    /// The set is being fetched, and may have it then (C12).
    Fetching(Fetching),
}

/// Completes when the fetch that is under way has ended, in whatever way.
pub(crate) struct Fetching(Pin<Box<dyn Future<Output = ()> + Send>>);

#[cfg(feature = "jwks")]
impl Fetching {
    pub(crate) fn new(end: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(end))
    }
}

impl Future for Fetching {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Fetching {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fetching(..)")
    }
}
