use std::{fs, path::Path, sync::Arc};

use super::{
    error::{KeySetError, UnusableKey},
    verification_keys::{Keys, Signed, Unverified},
};
#[cfg(feature = "jwks")]
use super::{fetched::FetchedKeys, https::HttpsJwks, source::JwksSource};
use crate::jwt::rejection::JwtRejection;

/// The public keys of one issuer, found by `kid` (C12).
///
/// Each issuer of a [`JwtVerifier`](crate::JwtVerifier) has its own set, so a `kid` of one issuer never selects a key of
/// another. Cloning is cheap; clones share one set.
///
/// # Which keys are used
///
/// Entries that cannot be used are set aside, see [`unusable_keys`](Self::unusable_keys), and do not affect the others
/// (C12a). An entry is not used
///
/// - without a `kid`, or if another entry has the same `kid` and algorithm and a different key;
/// - if its `use` is not `sig`, or its `key_ops` lack `verify`;
/// - if it is symmetric, or contains a private key;
/// - if it is an RSA key with a modulus under 2048 or over 8192 bits, or an exponent that is even or under 65537;
/// - if its curve is not P-256, P-384 or Ed25519, or its point is not on the curve;
/// - if its `alg` is not an [`Algorithm`](crate::Algorithm) of its type.
///
/// A key verifies the algorithm in its `alg`. Without `alg` it verifies every algorithm of its type.
///
/// ```
/// use coverbase_auth::KeySet;
///
/// // Starts without users if the key set is broken.
/// let keys = KeySet::from_file("/etc/coverbase/jwks.json").unwrap_or_else(|error| {
///     eprintln!("{error}: session tokens are answered 503");
///     KeySet::unavailable()
/// });
/// # let _ = keys;
/// ```
#[derive(Clone, Debug)]
pub struct KeySet(Source);

#[derive(Clone, Debug)]
enum Source {
    Fixed(Arc<Keys>),
    #[cfg(feature = "jwks")]
    Fetched(Arc<FetchedKeys>),
    Unavailable,
}

impl KeySet {
    /// Reads a JWK Set (RFC 7517 §5), as an issuer publishes it.
    ///
    /// # Errors
    ///
    /// If `json` is larger than 256 KiB, not strict JSON, has no array `keys`, or none of its keys is usable.
    ///
    /// ```
    /// use coverbase_auth::KeySet;
    ///
    /// let keys = KeySet::from_jwks(r#"{"keys": [{
    ///     "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "ins_1",
    ///     "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    ///     "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
    /// }]}"#)?;
    /// assert!(keys.unusable_keys().is_empty());
    ///
    /// let error = KeySet::from_jwks(r#"{"keys": [{"kty": "RSA", "use": "enc", "kid": "ins_2"}]}"#).unwrap_err();
    /// assert_eq!(error.to_string(), r#"no usable key in the JWKS: key "ins_2": its `use` is "enc", not "sig""#);
    /// # Ok::<(), coverbase_auth::jwt::KeySetError>(())
    /// ```
    pub fn from_jwks(json: impl AsRef<[u8]>) -> Result<Self, KeySetError> {
        let keys = Keys::from_jwks(json.as_ref())?;
        Ok(Self(Source::Fixed(Arc::new(keys))))
    }

    /// Reads a JWK Set from a file, once.
    ///
    /// # Errors
    ///
    /// As [`from_jwks`](Self::from_jwks), and if the file cannot be read. The error names the file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeySetError> {
        let path = path.as_ref();
        fs::read(path)
            .map_err(|error| KeySetError::new(format!("the key set cannot be read: {error}")))
            .and_then(Self::from_jwks)
            .map_err(|error| error.at(path.display()))
    }

    /// Fetches the set at `url`, at once and again at intervals: [`HttpsJwks::url`] as a [source](Self::from_source).
    ///
    /// # Errors
    ///
    /// If `url` is neither `https` nor on loopback, the system has no root certificates, or this is called outside a tokio
    /// runtime. A failed fetch is no error: a service can start before its issuer.
    ///
    /// ```no_run
    /// use coverbase_auth::{JwtVerifier, KeySet};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), coverbase_auth::jwt::KeySetError> {
    /// let keys = KeySet::url("https://clerk.example.com/.well-known/jwks.json")?;
    /// let verifier = JwtVerifier::new("https://clerk.example.com", keys);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "jwks")]
    pub fn url(url: impl AsRef<str>) -> Result<Self, KeySetError> {
        Self::from_source(HttpsJwks::url(url)?)
    }

    /// Fetches the set of the OpenID provider `issuer` (OpenID Connect Discovery §4): [`HttpsJwks::openid`] as a
    /// [source](Self::from_source).
    ///
    /// # Errors
    ///
    /// As [`url`](Self::url).
    #[cfg(feature = "jwks")]
    pub fn openid(issuer: impl Into<String>) -> Result<Self, KeySetError> {
        Self::from_source(HttpsJwks::openid(issuer)?)
    }

    /// Fetches the set from `source` in a background task, at once and again at intervals. The task ends when the last
    /// clone of the set is dropped.
    ///
    /// - A fetch has a deadline of 2 seconds. It is repeated every 5 minutes, and 1 to 60 seconds after a failure, with 10 %
    ///   jitter. HTTP caching headers are ignored.
    /// - A token with an unknown `kid` or a wrong signature causes a fetch if the last one began 10 seconds ago or earlier, and
    ///   is decided on with its result (C12). A token that verifies never waits.
    /// - A set replaces the previous one only if it has at most 256 KiB and a usable key. Unusable keys are logged once for
    ///   each change.
    /// - Without a successful fetch the last keys are used for an hour. After that, and before the first fetch succeeds, tokens
    ///   are answered `503` (C31). An unknown `kid` is answered `503` while the last fetch has failed.
    ///
    /// # Errors
    ///
    /// If this is called outside a tokio runtime. The runtime needs its time and I/O drivers.
    ///
    /// ```no_run
    /// use coverbase_auth::{KeySet, jwt::HttpsJwks};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let source = HttpsJwks::url("https://id.corp.example/jwks.json")?
    ///     .with_root_certificates(std::fs::read("/etc/ssl/corp.pem")?)?;
    /// let keys = KeySet::from_source(source)?;
    /// # let _ = keys;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "jwks")]
    pub fn from_source(source: impl JwksSource) -> Result<Self, KeySetError> {
        Ok(Self(Source::Fetched(Arc::new(FetchedKeys::spawn(source)?))))
    }

    /// Returns a set without keys: every JWT is answered `503` with `Retry-After` (C31). API keys are unaffected.
    #[must_use]
    pub fn unavailable() -> Self {
        Self(Source::Unavailable)
    }

    /// Returns whether the set has keys now, for a readiness probe.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.keys().is_some()
    }

    /// Returns the entries of the set that are not used, each with the reason.
    #[must_use]
    pub fn unusable_keys(&self) -> Vec<UnusableKey> {
        self.keys()
            .map_or_else(Vec::new, |keys| keys.unusable.clone())
    }

    fn keys(&self) -> Option<Arc<Keys>> {
        match &self.0 {
            Source::Fixed(keys) => Some(Arc::clone(keys)),
            #[cfg(feature = "jwks")]
            Source::Fetched(keys) => keys.keys(),
            Source::Unavailable => None,
        }
    }

    /// Verifies a signature and returns the keys that did.
    pub(crate) fn verify(&self, signed: &Signed<'_>) -> Result<Arc<Keys>, JwtRejection> {
        match &self.0 {
            Source::Fixed(keys) => {
                keys.verify(signed).map_err(Unverified::reason)?;
                Ok(Arc::clone(keys))
            }
            #[cfg(feature = "jwks")]
            Source::Fetched(keys) => keys.verify(signed),
            Source::Unavailable => Err(JwtRejection::KeySetUnavailable),
        }
    }
}

#[cfg(test)]
mod tests;
