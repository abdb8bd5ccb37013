//! The cache together with the loads that are in flight: the state that keeps both coherent.
//!
//! This is a synchronous state machine, without a runtime and a store, and the time is an argument. So `exploration` can
//! try every order of its steps. Its invariant: **a load that an invalidation finds in flight is neither cached nor
//! joined.**
//!
//! - A load belongs to a flight, which is registered under its digest. An invalidation removes the flight *before* it
//!   removes the entries.
//! - The answer of a load is cached under the lock of the register, if its flight is still registered. So it is cached
//!   before the flight is removed, and the entry is then removed too, or it is never cached.
//! - A lookup that begins after the invalidation finds neither an entry nor a flight, and loads anew.

#[cfg(not(all(test, shuttle)))]
use std::sync::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::{Arc, PoisonError, atomic::Ordering},
};

#[cfg(all(test, shuttle))]
use shuttle::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::{
    entries::{Entries, Found},
    settings::Settings,
    stats::Counters,
};
use crate::{
    credential::KeyDigest,
    key_store::{
        LookupAnswer,
        invalidations::{Invalidation, Subscriber},
    },
};

/// `W` is the channel that delivers the answer of a load to its waiters. Clones share one channel.
pub(super) struct Flights<W> {
    pub(super) counters: Arc<Counters>,
    entries: Entries,
    register: Mutex<Register<W>>,
    pub(super) settings: Settings,
}

#[derive(Default)]
struct Register<W> {
    by_digest: HashMap<KeyDigest, Flight<W>>,
    /// The loads in flight, those of removed flights included.
    loads: usize,
    last_ticket: u64,
    is_lost: bool,
}

/// The loads of one digest that share their waiters: one, and more only if that one is overdue.
struct Flight<W> {
    ticket: u64,
    loads: usize,
    /// The deadline of the latest load. From then on lookups begin a load of their own instead of joining.
    overdue_at: Instant,
    waiters: W,
}

/// The continuation of a lookup that missed.
pub(super) enum Begun<W> {
    /// Another load has just cached the answer.
    Cached(Found),
    /// A load in flight will deliver the answer.
    Joined(W),
    /// The caller must load the key.
    Load(Load<W>),
    /// The maximum of loads is in flight.
    Full,
}

/// A load in flight. Dropping it without an answer means that it failed.
#[must_use]
pub(super) struct Load<W> {
    pub(super) digest: KeyDigest,
    pub(super) waiters: W,
    flights: Arc<Flights<W>>,
    ticket: u64,
    began_at: u64,
    asked_at: Instant,
    has_ended: bool,
}

impl<W: Clone + Default> Flights<W> {
    pub(super) fn new(settings: Settings) -> Self {
        let counters = Arc::<Counters>::default();
        Self {
            entries: Entries::new(&settings, &counters),
            counters,
            register: Mutex::new(Register::default()),
            settings,
        }
    }

    /// Continues a lookup that [`at`](Self::at) did not answer. The age of an entry counts from `now`; the deadline of a load
    /// counts from `asked_at`, which is on the clock of tokio's timers.
    pub(super) fn begin(
        self: &Arc<Self>,
        now: u64,
        asked_at: Instant,
        digest: &KeyDigest,
    ) -> Begun<W> {
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        let register = &mut *self.register();
        if let Some(found) = self.entries.at(now, digest) {
            return Begun::Cached(found);
        }
        let is_full = register.loads >= self.settings.max_loads;
        match register.by_digest.get(digest) {
            Some(flight) if asked_at < flight.overdue_at || is_full => {
                return Begun::Joined(flight.waiters.clone());
            }
            None if is_full => return Begun::Full,
            _ => {}
        }
        self.counters.loads.fetch_add(1, Ordering::Relaxed);
        register.loads += 1;
        register.last_ticket += 1;
        let overdue_at = asked_at + self.settings.load_deadline;
        let new_flight = || Flight {
            ticket: register.last_ticket,
            loads: 0,
            overdue_at,
            waiters: W::default(),
        };
        let flight = register.by_digest.entry(*digest);
        let flight = flight.or_insert_with(new_flight);
        flight.loads += 1;
        flight.overdue_at = overdue_at;
        Begun::Load(Load {
            digest: *digest,
            waiters: flight.waiters.clone(),
            flights: Arc::clone(self),
            ticket: flight.ticket,
            began_at: now,
            asked_at,
            has_ended: false,
        })
    }
}

impl<W> Flights<W> {
    /// Returns the cached answer.
    pub(super) fn at(&self, now: u64, digest: &KeyDigest) -> Option<Found> {
        let found = self.entries.at(now, digest)?;
        self.counters.hits.fetch_add(1, Ordering::Relaxed);
        Some(found)
    }

    pub(super) fn evict(&self, digest: &KeyDigest) {
        // Bound to a name, so that it is dropped after the lock is released.
        let _removed = self.register().by_digest.remove(digest);
        self.entries.remove(digest);
    }

    pub(super) fn flush(&self) {
        self.remove_flights();
        self.entries.clear();
    }

    fn remove_flights(&self) {
        let _removed = mem::take(&mut self.register().by_digest);
    }

    /// While changes may be missed nothing is cached.
    fn set_lost(&self, is_lost: bool) {
        self.register().is_lost = is_lost;
        self.flush();
    }

    fn end(&self, load: &Load<W>, answer: Option<&LookupAnswer>) {
        let mut register = self.register();
        let is_lost = register.is_lost;
        register.loads -= 1;
        let Entry::Occupied(mut flight) = register.by_digest.entry(load.digest) else {
            return;
        };
        if flight.get().ticket != load.ticket {
            return;
        }
        flight.get_mut().loads -= 1;
        if let Some(Ok(found)) = answer {
            flight.remove();
            if !is_lost {
                let (found, settings) = (found.clone(), &self.settings);
                self.entries
                    .keep(load.digest, found, load.began_at, settings);
            }
        } else if flight.get().loads == 0 {
            flight.remove();
        } else if flight.get().overdue_at == load.asked_at + self.settings.load_deadline {
            // The remaining loads began before this one, and were overdue by then.
            flight.get_mut().overdue_at = load.asked_at;
        }
    }

    /// No foreign code runs under the lock, so a poisoned lock is usable.
    fn register(&self) -> MutexGuard<'_, Register<W>> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Clone> Load<W> {
    /// Ends the load, and caches its answer unless an invalidation came since it began. Returns the channel to its waiters.
    pub(super) fn finish(mut self, answer: &LookupAnswer) -> W {
        self.has_ended = true;
        self.flights.end(&self, Some(answer));
        self.waiters.clone()
    }
}

impl<W> Drop for Load<W> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.flights.end(self, None);
        }
    }
}

impl<W: Send + Sync> Subscriber for Flights<W> {
    fn invalidate(&self, invalidation: &Invalidation) {
        match invalidation {
            Invalidation::Key(digest) => self.evict(digest),
            Invalidation::Organization(org_id) => {
                // The organization of a load in flight is unknown, so every flight is removed.
                self.remove_flights();
                self.entries.remove_organization(org_id);
            }
            Invalidation::Lost => self.set_lost(true),
            Invalidation::Resumed => self.set_lost(false),
        }
    }
}
