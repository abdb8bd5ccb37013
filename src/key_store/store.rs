//! The interfaces of a key store, and its answers.

use std::{
    error::Error,
    fmt,
    future::Future,
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
/// A store that has its answer at hand gives [`Lookup::ready`], and the request is decided without an allocation. One
/// that must ask somebody gives [`Lookup::pending`]:
///
/// ```
/// use coverbase_auth::{KeyDigest, KeyRecord, KeyStore, Lookup, StoreError};
///
/// #[derive(Debug, Clone)]
/// struct Directory;
///
/// impl Directory {
///     async fn find(&self, digest: [u8; 32]) -> Result<Option<KeyRecord>, std::io::Error> {
///         // ask a database
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
    /// The record under `digest`. `Ok(None)`: there is none, and the request is answered 401. `Err`: the store cannot
    /// tell, and the request is answered 503 (`C31`). Expired and revoked keys may be returned as they are: the layer
    /// refuses them.
    fn lookup(&self, digest: &KeyDigest) -> Lookup;

    /// The record of a key as it was presented: what the layer asks. By default its digest is looked up. A store whose
    /// service verifies secrets itself, and knows no digest of ours, hands it the secret here; it must not keep it (`C7`).
    ///
    /// ```
    /// use coverbase_auth::{KeyDigest, KeyRecord, KeyStore, Lookup, StoreError, key_store::PresentedKey};
    ///
    /// /// A service that has kept keys before, and verifies them in its own way.
    /// #[derive(Debug, Clone)]
    /// struct Elsewhere;
    ///
    /// impl Elsewhere {
    ///     async fn verify(&self, secret: String) -> Result<Option<KeyRecord>, std::io::Error> {
    ///         // ask it, over TLS
    /// #       let _ = secret;
    ///         Ok(None)
    ///     }
    /// }
    ///
    /// impl KeyStore for Elsewhere {
    ///     fn lookup(&self, _: &KeyDigest) -> Lookup {
    ///         Lookup::ready(Err(StoreError::new("it is asked by secrets alone")))
    ///     }
    ///
    ///     fn lookup_presented(&self, key: &PresentedKey<'_>) -> Lookup {
    ///         let (service, secret) = (self.clone(), key.expose_secret().to_owned());
    ///         Lookup::pending(async move { service.verify(secret).await.map_err(StoreError::new) })
    ///     }
    /// }
    /// ```
    #[inline]
    fn lookup_presented(&self, key: &PresentedKey<'_>) -> Lookup {
        self.lookup(key.digest())
    }

    /// How a cache in front of this store hears of changes. `None`, the default: it does not, and believes what it has
    /// read until that has aged.
    ///
    /// ```
    /// use coverbase_auth::{ApiKey, KeyDigest, KeyStore, Lookup, MemoryStore};
    /// use coverbase_auth::key_store::{Invalidation, Invalidations};
    ///
    /// #[derive(Debug)]
    /// struct Announced {
    ///     keys: MemoryStore, // for the sake of the example
    ///     invalidations: Invalidations,
    /// }
    ///
    /// impl Announced {
    ///     fn remove(&self, key: &ApiKey) {
    ///         // in the database first, then:
    ///         self.invalidations.publish(&Invalidation::Key(key.digest()));
    ///     }
    /// }
    ///
    /// impl KeyStore for Announced {
    ///     fn lookup(&self, digest: &KeyDigest) -> Lookup {
    ///         self.keys.lookup(digest)
    ///     }
    ///
    ///     fn invalidations(&self) -> Option<&Invalidations> {
    ///         Some(&self.invalidations)
    ///     }
    /// }
    /// ```
    fn invalidations(&self) -> Option<&Invalidations> {
        None
    }
}

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

/// What a store answers: the record, nothing, or that it cannot tell.
pub(crate) type LookupAnswer = Result<Option<KeyRecord>, StoreError>;

/// The answer of a [`KeyStore`], at once or later. It can be awaited.
///
/// ```
/// use coverbase_auth::{KeyRecord, Lookup};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), coverbase_auth::StoreError> {
/// let known = Lookup::ready(Ok(Some(KeyRecord::new("ak_1", "org_acme"))));
/// let unknown = Lookup::pending(async { Ok(None) });
/// assert!(known.await?.is_some());
/// assert!(unknown.await?.is_none());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Lookup(LookupState);

enum LookupState {
    Ready(Option<LookupAnswer>),
    Pending(PendingLookup),
}

pub(crate) type PendingLookup = Pin<Box<dyn Future<Output = LookupAnswer> + Send>>;

impl Lookup {
    /// An answer that is at hand.
    ///
    /// ```
    /// use coverbase_auth::{KeyDigest, KeyRecord, KeyStore, Lookup};
    ///
    /// /// The one key of a small service, from its configuration.
    /// #[derive(Debug)]
    /// struct OnlyKey(KeyDigest, KeyRecord);
    ///
    /// impl KeyStore for OnlyKey {
    ///     fn lookup(&self, digest: &KeyDigest) -> Lookup {
    ///         Lookup::ready(Ok((*digest == self.0).then(|| self.1.clone())))
    ///     }
    /// }
    /// ```
    #[inline]
    pub const fn ready(answer: Result<Option<KeyRecord>, StoreError>) -> Self {
        Self(LookupState::Ready(Some(answer)))
    }

    /// An answer that takes time. The future is polled by the request that caused it, and dropped when its caller
    /// hangs up.
    pub fn pending(
        answer: impl Future<Output = Result<Option<KeyRecord>, StoreError>> + Send + 'static,
    ) -> Self {
        Self(LookupState::Pending(Box::pin(answer)))
    }

    /// The answer, or the future that will give it.
    #[inline]
    pub(crate) fn into_answer(self) -> Result<LookupAnswer, PendingLookup> {
        match self.0 {
            LookupState::Ready(answer) => Ok(answer.unwrap_or(Ok(None))),
            LookupState::Pending(future) => Err(future),
        }
    }
}

impl Future for Lookup {
    type Output = Result<Option<KeyRecord>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            LookupState::Ready(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            LookupState::Pending(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            LookupState::Ready(_) => "Lookup::ready(..)",
            LookupState::Pending(_) => "Lookup::pending(..)",
        })
    }
}

/// The store cannot tell whether there is such a key: the request is answered 503, never 401 (`C31`).
///
/// ```
/// use coverbase_auth::StoreError;
///
/// let error = StoreError::new(std::io::Error::other("connection refused"));
/// assert_eq!(error.to_string(), "the key store cannot answer: connection refused");
/// ```
#[derive(Debug, Clone)]
pub struct StoreError(Arc<dyn Error + Send + Sync>);

impl StoreError {
    /// Wraps what went wrong. It is logged, so it must hold no secret (`C33`).
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into().into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key store cannot answer: {}", self.0)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// Where keys are made, listed, rotated and revoked.
///
/// The rules (who may, names, lifetimes) are [`KeyAdmin`](crate::KeyAdmin)'s; a registry keeps rows. Every call names
/// the organization, and an id of another one is not there (`C20`). A change is in effect on every instance, for each
/// request that begins after its answer.
///
/// ```
/// use coverbase_auth::{ApiKey, Environment, IpAllowlist, KeyRecord, KeyRegistry, MemoryStore, OrgId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (registry, acme) = (MemoryStore::new(), OrgId::from("org_acme"));
/// let (key, next) = (ApiKey::generate(Environment::Test), ApiKey::generate(Environment::Test));
/// registry.create(key.digest(), KeyRecord::new("ak_1", "org_acme")).await?;
/// registry.set_allowlist(&acme, IpAllowlist::parse(["192.0.2.0/24"])?).await?;
///
/// let replacement = KeyRecord::new("ak_2", "org_acme");
/// assert!(registry.rotate(&"ak_1".into(), next.digest(), replacement, 1_700_000_000).await?);
/// assert!(registry.find(&acme, &"ak_1".into()).await?.is_some_and(|key| key.is_revoked()));
/// assert_eq!(registry.allowlist(&acme).await?.to_strings(), ["192.0.2.0/24"]);
///
/// assert!(registry.revoke(&acme, &"ak_2".into(), 1_700_000_060).await?.is_some());
/// assert_eq!(registry.list(&acme).await?.len(), 2);
/// assert!(registry.list(&"org_other".into()).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait KeyRegistry: fmt::Debug + Send + Sync + 'static {
    /// Adds a key under its organization's allowlist, whatever allowlist `record` carries. A digest or an id that is taken
    /// is an error, and stays whose it is.
    async fn create(&self, digest: KeyDigest, record: KeyRecord) -> Result<(), StoreError>;

    /// Every key of the organization, revoked and expired ones too, oldest first; those of one second by their ids.
    async fn list(&self, org_id: &OrgId) -> Result<Vec<KeyRecord>, StoreError>;

    /// The key, live or not.
    async fn find(&self, org_id: &OrgId, key_id: &KeyId) -> Result<Option<KeyRecord>, StoreError>;

    /// Revokes the key and adds its replacement as one step, if the key is live at `now`; `false`, and nothing done, if
    /// it is not or is not there. Of two calls for one key, one answers `true` (`C40`). What [`create`](Self::create) says of
    /// allowlists, digests and ids holds for the replacement.
    async fn rotate(
        &self,
        key_id: &KeyId,
        digest: KeyDigest,
        replacement: KeyRecord,
        now: u64,
    ) -> Result<bool, StoreError>;

    /// Revokes the key; `None` if it is not there.
    async fn revoke(
        &self,
        org_id: &OrgId,
        key_id: &KeyId,
        now: u64,
    ) -> Result<Option<Revocation>, StoreError>;

    /// The organization's allowlist; unrestricted for one that has never set any (`C22`).
    async fn allowlist(&self, org_id: &OrgId) -> Result<IpAllowlist, StoreError>;

    /// Replaces the organization's allowlist, for all of its keys.
    async fn set_allowlist(&self, org_id: &OrgId, allowlist: IpAllowlist)
    -> Result<(), StoreError>;
}
