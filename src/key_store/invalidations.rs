//! What a store tells the caches in front of it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::{credential::KeyDigest, principal::OrgId};

/// Something that a cache must no longer believe.
///
/// It only ever takes away: nothing in it is trusted, so a forged one costs a load and gains nothing (T17).
///
/// ```
/// use coverbase_auth::{ApiKey, Environment, key_store::{Invalidation, Invalidations}};
///
/// /// What a store does that hears of changes by a connection of its own.
/// fn on_reconnect(invalidations: &Invalidations) {
///     invalidations.publish(&Invalidation::Resumed);
/// }
///
/// let key = ApiKey::generate(Environment::Test);
/// assert_ne!(Invalidation::Key(key.digest()), Invalidation::Lost);
/// # on_reconnect(&Invalidations::new());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalidation {
    /// The key under this digest has changed.
    Key(KeyDigest),
    /// Something that all keys of this organization share has changed.
    Organization(OrgId),
    /// Changes may go unnoticed from here on: nothing that is cached is to be served.
    Lost,
    /// Changes are noticed again: what was cached before is gone, and caching begins anew.
    Resumed,
}

/// Takes invalidations in, before [`Invalidations::publish`] returns.
pub(crate) trait Subscriber: Send + Sync {
    fn invalidate(&self, invalidation: &Invalidation);
}

/// The way from a store to the caches in front of it. Clones are one way.
///
/// A store publishes a change when it is committed and before it answers whoever asked for it; a cache
/// ([`KeyStore::invalidations`](super::KeyStore::invalidations)) has let go of the entry when `publish` returns. So no
/// request that begins after a revocation's answer finds the key.
///
/// ```
/// use coverbase_auth::key_store::{Invalidation, Invalidations};
///
/// let invalidations = Invalidations::new();
/// invalidations.publish(&Invalidation::Organization("org_acme".into()));
/// ```
#[derive(Clone, Default)]
pub struct Invalidations {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    is_lost: bool,
    subscribers: Vec<Weak<dyn Subscriber>>,
}

impl Invalidations {
    /// A way that nobody listens to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells every cache, and returns when each has let go.
    pub fn publish(&self, invalidation: &Invalidation) {
        let mut shared = self.shared();
        match invalidation {
            Invalidation::Lost => shared.is_lost = true,
            Invalidation::Resumed => shared.is_lost = false,
            Invalidation::Key(_) | Invalidation::Organization(_) => {}
        }
        shared.subscribers.retain(|subscriber| {
            let subscriber = subscriber.upgrade();
            if let Some(subscriber) = &subscriber {
                subscriber.invalidate(invalidation);
            }
            subscriber.is_some()
        });
    }

    /// From here on `subscriber` hears of everything, and at once of a way that is lost.
    #[cfg_attr(
        not(any(feature = "cache", feature = "test-util")),
        expect(dead_code, reason = "caches alone subscribe, and tests")
    )]
    pub(crate) fn subscribe(&self, subscriber: Weak<dyn Subscriber>) {
        let mut shared = self.shared();
        if let Some(subscriber) = subscriber.upgrade().filter(|_| shared.is_lost) {
            subscriber.invalidate(&Invalidation::Lost);
        }
        shared.subscribers.push(subscriber);
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Invalidations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invalidations")
            .field("subscribers", &self.shared().subscribers.len())
            .finish_non_exhaustive()
    }
}
