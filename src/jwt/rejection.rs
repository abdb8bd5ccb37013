use std::pin::Pin;

/// Why a token is invalid: a fixed text for the log, without a part of the token.
pub(crate) type Reason = &'static str;

/// Why a token yields no principal.
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

/// Completes when the fetch under way has ended, with a new key set or without.
pub(crate) type Fetching = Pin<Box<dyn Future<Output = ()> + Send>>;

impl From<Reason> for JwtRejection {
    fn from(reason: Reason) -> Self {
        Self::Invalid(reason)
    }
}

#[cfg(test)]
impl std::fmt::Debug for JwtRejection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Invalid(reason) => reason,
            Self::KeySetUnavailable => "the key set is unavailable",
            Self::Waiting(_) => "the key set is being fetched",
        })
    }
}
