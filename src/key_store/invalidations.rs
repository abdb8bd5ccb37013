//! The channel on which a store announces its changes to the caches in front of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::{credential::KeyDigest, principal::OrgId};

/// A change that makes cached answers stale.
///
/// An invalidation only removes cached answers, so a forged one cannot admit a request (T17).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalidation {
    /// The key with this digest has changed.
    Key(KeyDigest),
    /// Keys of this organization have changed, or a value that they share.
    Organization(OrgId),
    /// From now on changes may be missed: caches must answer nothing from memory.
    Lost,
    /// Changes are announced again: caches start empty.
    Resumed,
}

/// Receives invalidations before [`Invalidations::publish`] returns.
pub(crate) trait Subscriber: Send + Sync {
    fn invalidate(&self, invalidation: &Invalidation);
}

/// The channel from a store to the caches in front of it. Clones share one channel.
///
/// A store publishes a change after it is committed and before it is answered. When [`publish`](Self::publish) returns,
/// every cache ([`KeyStore::invalidations`](super::KeyStore::invalidations)) has removed the stale answers. So no request
/// that begins after the answer of a revocation is authenticated with the key.
///
/// ```
/// use coverbase_auth::{ApiKey, KeyDigest, KeyStore, Lookup, MemoryStore};
/// use coverbase_auth::key_store::{Invalidation, Invalidations};
///
/// #[derive(Debug)]
/// struct Database {
///     rows: MemoryStore, // stands for a database
///     invalidations: Invalidations,
/// }
///
/// impl Database {
///     fn delete(&self, key: &ApiKey) {
///         // commit the change, then announce it:
///         self.invalidations.publish(&Invalidation::Key(key.digest()));
///     }
/// }
///
/// impl KeyStore for Database {
///     fn lookup(&self, digest: &KeyDigest) -> Lookup {
///         self.rows.lookup(digest)
///     }
///
///     fn invalidations(&self) -> Option<&Invalidations> {
///         Some(&self.invalidations)
///     }
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Invalidations(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    is_lost: bool,
    subscribers: Vec<Weak<dyn Subscriber>>,
}

impl Invalidations {
    /// Creates a channel without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notifies every cache, and returns when each has removed its stale answers.
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

    /// Adds a subscriber. It is notified at once if changes may be missed at the moment.
    #[cfg_attr(
        not(any(feature = "cache", feature = "test-util")),
        expect(dead_code, reason = "only caches and tests subscribe")
    )]
    pub(crate) fn subscribe(&self, subscriber: Weak<dyn Subscriber>) {
        let mut shared = self.shared();
        if let Some(subscriber) = subscriber.upgrade().filter(|_| shared.is_lost) {
            subscriber.invalidate(&Invalidation::Lost);
        }
        shared.subscribers.push(subscriber);
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
