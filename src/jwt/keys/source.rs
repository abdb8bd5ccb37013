use std::{error::Error, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

/// Fetches the JWK Set of an issuer.
///
/// [`KeySet::url`](crate::KeySet::url) uses [`HttpsJwks`](crate::jwt::HttpsJwks). Implement the trait for an issuer behind a
/// proxy, for a secret store, or to use another HTTP client:
///
/// ```no_run
/// use bytes::Bytes;
/// use coverbase_auth::{KeySet, jwt::{FetchError, JwksSource}};
///
/// #[derive(Debug)]
/// struct Vault;
///
/// #[async_trait::async_trait]
/// impl JwksSource for Vault {
///     async fn fetch(&self) -> Result<Bytes, FetchError> {
///         let jwks = tokio::fs::read("/run/secrets/jwks.json").await;
///         jwks.map(Bytes::from).map_err(FetchError::new)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), coverbase_auth::jwt::KeySetError> {
/// let keys = KeySet::from_source(Vault)?;
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait JwksSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the present JWK Set in JSON (RFC 7517 §5).
    ///
    /// A background task calls this, one call at a time, and drops the future after 2 seconds. A set of more than 256 KiB is
    /// rejected, so an implementation need not read more.
    ///
    /// # Errors
    ///
    /// If the set cannot be fetched. The previous keys are used for up to an hour.
    async fn fetch(&self) -> Result<Bytes, FetchError>;
}

/// Why a key set could not be fetched. It is logged with every cause.
#[derive(Clone, Debug)]
pub struct FetchError(Arc<dyn Error + Send + Sync>);

impl FetchError {
    /// Wraps an error. It is logged, so it must not contain a secret (C33).
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into().into())
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn error_shows_every_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("the vault is sealed")]
        struct Sealed(#[source] io::Error);

        let error = FetchError::new(Sealed(io::Error::other("no quorum")));
        assert_eq!(error.to_string(), "the vault is sealed: no quorum");
        assert_eq!(error.source().unwrap().to_string(), "no quorum");
    }
}
