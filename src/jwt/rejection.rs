use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// Why a token is invalid: a fixed text for the log, without a part of the token.
pub(crate) type Reason = &'static str;

/// Why a token yields no principal.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "jwks"),
    expect(dead_code, reason = "only fetched key sets are waited for")
)]
pub(crate) enum JwtRejection {
    /// The token is invalid: a 401 (C16).
    Invalid(Reason),
    /// The key set cannot answer: a 503 (C31).
    KeySetUnavailable,
    /// Not decided yet: the key set is being fetched, and the token is to be verified again after that (C12).
    Waiting(Fetching),
}

impl From<Reason> for JwtRejection {
    fn from(reason: Reason) -> Self {
        Self::Invalid(reason)
    }
}

/// Completes when the fetch under way has ended, with a new key set or without.
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
