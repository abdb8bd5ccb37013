use std::{error::Error, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

/// Where an issuer's JWK Set is fetched from.
///
/// [`HttpsJwks`](crate::jwt::HttpsJwks) is the one that [`KeySet::url`](crate::KeySet::url) uses. Bring your own for
/// an issuer behind a proxy, a secret store, or a client that your service has anyway:
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
    /// The JWK Set as it is now, in JSON (RFC 7517 §5).
    ///
    /// It is called by a task of its own, one call at a time, and dropped after 2 seconds. An answer of more than 256 KiB
    /// is not used: do not read more.
    ///
    /// # Errors
    ///
    /// When it cannot be had. The keys that were there go on for an hour.
    async fn fetch(&self) -> Result<Bytes, FetchError>;
}

/// A key set could not be fetched. It stands in the service's log, with every cause, and nowhere else.
///
/// ```
/// use coverbase_auth::jwt::FetchError;
///
/// assert_eq!(FetchError::new("the vault is sealed").to_string(), "the vault is sealed");
/// ```
#[derive(Clone, Debug)]
pub struct FetchError(Arc<dyn Error + Send + Sync>);

impl FetchError {
    /// Wraps what went wrong. It is logged, so it must hold no secret (C33).
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
    fn an_error_shows_every_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("the vault does not open")]
        struct Sealed(#[source] io::Error);

        let error = FetchError::new(Sealed(io::Error::other("its key is lost")));
        assert_eq!(
            error.to_string(),
            "the vault does not open: its key is lost"
        );
        assert_eq!(error.source().unwrap().to_string(), "its key is lost");
    }
}
