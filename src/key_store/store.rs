//! The traits of a key store, and their results.

use std::{
    error::Error,
    fmt,
    future::{self, Future, Ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;

use super::{Invalidations, KeyRecord, PresentedKey, Revocation};
use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    principal::OrgId,
};

/// Finds the record of a presented key.
///
/// A store that has its answer in memory returns [`Lookup::ready`], and the request is decided without an allocation. A
/// store that does I/O returns [`Lookup::pending`]:
///
/// ```
/// use coverbase_auth::{KeyDigest, KeyRecord, KeyStore, Lookup, StoreError};
///
/// #[derive(Debug, Clone)]
/// struct Directory;
///
/// impl Directory {
///     async fn find(&self, digest: [u8; 32]) -> Result<Option<KeyRecord>, std::io::Error> {
///         // query a database
/// #       let _ = digest;
///         Ok(Some(KeyRecord::new("ak_6sLyzf0Xz0Cq", "org_acme").with_name("ci")))
///     }
/// }
///
/// impl KeyStore for Directory {
///     fn lookup(&self, digest: &KeyDigest) -> Lookup {
///         let (directory, digest) = (self.clone(), *digest.as_bytes());
///         Lookup::pending(async move { directory.find(digest).await.map_err(StoreError::new) })
///     }
/// }
/// ```
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// Looks up the record of `digest`.
    ///
    /// `Ok(None)` means that there is no such key: the request is answered 401. `Err` means that the store cannot tell:
    /// the request is answered 503 (`C31`). Expired and revoked keys may be returned; the layer rejects them.
    fn lookup(&self, digest: &KeyDigest) -> Lookup;

    /// Looks up the record of a presented key. This is the method that the layer calls.
    ///
    /// The default looks up the digest of the key. Override it for a service that verifies secrets itself and knows no
    /// digests; the store must not keep the secret (`C7`).
    ///
    /// ```
    /// use coverbase_auth::{KeyDigest, KeyRecord, KeyStore, Lookup, StoreError, key_store::PresentedKey};
    ///
    /// /// A key service that verifies secrets itself.
    /// #[derive(Debug, Clone)]
    /// struct KeyService;
    ///
    /// impl KeyService {
    ///     async fn verify(&self, secret: String) -> Result<Option<KeyRecord>, std::io::Error> {
    ///         // send it over TLS
    /// #       let _ = secret;
    ///         Ok(None)
    ///     }
    /// }
    ///
    /// impl KeyStore for KeyService {
    ///     fn lookup(&self, _: &KeyDigest) -> Lookup {
    ///         Lookup::ready(Err(StoreError::new("the key service needs the secret")))
    ///     }
    ///
    ///     fn lookup_presented(&self, key: &PresentedKey<'_>) -> Lookup {
    ///         let (service, secret) = (self.clone(), key.expose_secret().to_owned());
    ///         Lookup::pending(async move { service.verify(secret).await.map_err(StoreError::new) })
    ///     }
    /// }
    /// ```
    fn lookup_presented(&self, key: &PresentedKey<'_>) -> Lookup {
        self.lookup(key.digest())
    }

    /// Returns the channel on which the store announces its changes to the caches in front of it.
    ///
    /// The default is `None`: a cache keeps what it has read until its time to live is over.
    fn invalidations(&self) -> Option<&Invalidations> {
        None
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: KeyStore + ?Sized> KeyStore for Arc<S> {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        (**self).lookup(digest)
    }

    fn lookup_presented(&self, key: &PresentedKey<'_>) -> Lookup {
        (**self).lookup_presented(key)
    }

    fn invalidations(&self) -> Option<&Invalidations> {
        (**self).invalidations()
    }
}

pub(crate) type LookupAnswer = Result<Option<KeyRecord>, StoreError>;

pub(crate) type PendingLookup = Pin<Box<dyn Future<Output = LookupAnswer> + Send>>;

/// The result of a lookup, ready or pending. It is a future.
#[must_use]
pub struct Lookup(Result<Ready<LookupAnswer>, PendingLookup>);

impl Lookup {
    /// Creates a lookup whose result is known.
    ///
    /// ```
    /// use coverbase_auth::{KeyDigest, KeyRecord, KeyStore, Lookup};
    ///
    /// /// A store of one key.
    /// #[derive(Debug)]
    /// struct OnlyKey(KeyDigest, KeyRecord);
    ///
    /// impl KeyStore for OnlyKey {
    ///     fn lookup(&self, digest: &KeyDigest) -> Lookup {
    ///         Lookup::ready(Ok((*digest == self.0).then(|| self.1.clone())))
    ///     }
    /// }
    /// ```
    pub fn ready(answer: Result<Option<KeyRecord>, StoreError>) -> Self {
        Self(Ok(future::ready(answer)))
    }

    /// Creates a lookup whose result takes time. The request polls the future, and drops it when its caller disconnects.
    pub fn pending(
        answer: impl Future<Output = Result<Option<KeyRecord>, StoreError>> + Send + 'static,
    ) -> Self {
        Self(Err(Box::pin(answer)))
    }

    /// Returns the answer, or the future that resolves to it.
    pub(crate) fn into_answer(self) -> Result<LookupAnswer, PendingLookup> {
        self.0.map(Ready::into_inner)
    }
}

impl Future for Lookup {
    type Output = Result<Option<KeyRecord>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(answer) => Pin::new(answer).poll(cx),
            Err(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup(..)")
    }
}

/// The error of a store that cannot answer: the request is answered 503, never 401 (`C31`).
#[derive(Debug, Clone, thiserror::Error)]
#[error("the key store cannot answer: {0}")]
pub struct StoreError(#[source] Arc<dyn Error + Send + Sync>);

impl StoreError {
    /// Wraps the cause. It is logged, so it must not contain a secret (`C33`).
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into().into())
    }
}

/// Creates, lists, rotates and revokes keys.
///
/// A registry stores rows; [`KeyAdmin`](crate::KeyAdmin) holds the rules of who may change them. Every method names the
/// organization, and treats a key of another organization as missing (`C20`). A change applies on every instance to each
/// request that begins after its answer.
#[async_trait]
pub trait KeyRegistry: fmt::Debug + Send + Sync + 'static {
    /// Adds a key. It gets the allowlist of its organization, whatever allowlist `record` has.
    ///
    /// # Errors
    ///
    /// If the digest or the id exists, which leaves the existing key as it is, or if the store cannot answer.
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError>;

    /// Returns every key of the organization, revoked and expired keys included, oldest first; keys of the same second in
    /// the order of their ids.
    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError>;

    /// Returns the key, live or not.
    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError>;

    /// Revokes the key and adds its replacement, in one atomic step.
    ///
    /// Returns `false`, and changes nothing, if the key is missing or not live at `now`. Of concurrent calls for one key,
    /// one returns `true` (`C40`). The replacement is subject to the rules of [`create`](Self::create).
    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError>;

    /// Revokes the key; `None` if there is no such key.
    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError>;

    /// Returns the allowlist of the organization; the empty one if it was never set (`C22`).
    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError>;

    /// Replaces the allowlist of the organization, for all of its keys.
    async fn set_allowlist(&self, org_id: &OrgId, allowlist: IpAllowlist)
    -> Result<(), StoreError>;
}
