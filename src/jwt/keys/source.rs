use std::{error::Error, fmt};

use async_trait::async_trait;
use bytes::Bytes;

/// Fetches the JWK Set of an issuer.
///
/// [`KeySet::url`](crate::KeySet::url) uses [`HttpsJwks`](crate::jwt::HttpsJwks). Implement the trait for an issuer behind a
/// proxy, for a secret store, or to use another HTTP client:
///
/// ```no_run
/// use bytes::Bytes;
/// use coverbase_auth::{KeySet, jwt::JwksSource};
/// use std::error::Error;
///
/// #[derive(Debug)]
/// struct Vault;
///
/// #[async_trait::async_trait]
/// impl JwksSource for Vault {
///     async fn fetch(&self) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
///         Ok(tokio::fs::read("/run/secrets/jwks.json").await?.into())
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
    /// If the set cannot be fetched. The previous keys are used for up to an hour. The error is logged with every cause, so
    /// it must not contain a secret (C33).
    async fn fetch(&self) -> Result<Bytes, Box<dyn Error + Send + Sync>>;
}
