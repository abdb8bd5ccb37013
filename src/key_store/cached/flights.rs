//! The cache with the loads that are on their way to it: what keeps the two coherent.
//!
//! A synchronous state machine that is told the time, and has neither a runtime nor a store in it, so that every order of
//! its steps can be explored (`exploration.rs`). Its one invariant: **what an invalidation finds in flight is neither kept
//! nor joined.**
//!
//! - A load belongs to a flight, the flight stands in the register under its digest, and an invalidation strikes it out
//!   *before* it clears the entries.
//! - A load's answer is kept under the register's lock, if its flight still stands there. So it is kept before it is struck
//!   out, and then cleared, or never.
//! - Whoever asks after the invalidation finds no entry and no flight, and loads anew.

#[cfg(not(all(test, shuttle)))]
use std::sync::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::{Arc, PoisonError},
};

#[cfg(all(test, shuttle))]
use shuttle::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::{
    entries::{Entries, Found},
    settings::{Settings, millis},
    stats::Counters,
};
use crate::{
    credential::KeyDigest,
    key_store::{
        LookupAnswer,
        invalidations::{Invalidation, Subscriber},
    },
    principal::OrgId,
};

/// `W` is what a load's answer is told by to those who wait for it. Clones are one.
pub(super) struct Flights<W> {
    pub(super) counters: Counters,
    entries: Entries,
    register: Mutex<Register<W>>,
    settings: Settings,
}

struct Register<W> {
    by_digest: HashMap<KeyDigest, Flight<W>>,
    /// Those of flights that have been struck out too.
    loads: usize,
    last_ticket: u64,
    is_lost: bool,
}

/// The loads of one digest that answer for each other: one, and more only where that one is overdue.
struct Flight<W> {
    ticket: u64,
    loads: usize,
    /// From when on nobody joins them any more: when the latest of them is overdue.
    overdue_at: Instant,
    waiters: W,
}

/// What becomes of a lookup that the entries did not answer.
pub(super) enum Begun<W> {
    /// Somebody else's load has just ended.
    Cached(Found),
    /// Somebody else's load will answer.
    Joined(W),
    /// The caller is to load.
    Load(Load<W>),
    /// As many loads as there may be are in flight.
    Full,
}

/// A load in flight. Dropped without an answer, it has failed.
#[must_use]
pub(super) struct Load<W> {
    pub(super) digest: KeyDigest,
    pub(super) waiters: W,
    flights: Arc<Flights<W>>,
    ticket: u64,
    began_at: u64,
    asked_at: Instant,
    overdue_at: Instant,
    has_ended: bool,
}

impl<W: Clone + Default> Flights<W> {
    pub(super) fn new(settings: Settings) -> Self {
        let counters = Counters::default();
        Self {
            entries: Entries::new(&settings, &counters.evictions()),
            counters,
            register: Mutex::new(Register {
                by_digest: HashMap::new(),
                loads: 0,
                last_ticket: 0,
                is_lost: false,
            }),
            settings,
        }
    }

    /// Asks for what [`at`](Self::at) did not have. `now` is the clock's from before: an entry's age counts from there. How
    /// long a load takes is told by `asked_at`, on the clock that those who wait for it have their timers from.
    pub(super) fn begin(
        self: &Arc<Self>,
        now: u64,
        asked_at: Instant,
        digest: &KeyDigest,
    ) -> Begun<W> {
        let mut register = self.register();
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
        self.counters.load();
        register.loads += 1;
        let overdue_at = asked_at + self.settings.load_deadline;
        let flight = register.flight(*digest, overdue_at);
        flight.loads += 1;
        flight.overdue_at = overdue_at;
        Begun::Load(Load {
            digest: *digest,
            waiters: flight.waiters.clone(),
            flights: Arc::clone(self),
            ticket: flight.ticket,
            began_at: now,
            asked_at,
            overdue_at,
            has_ended: false,
        })
    }
}

impl<W: Default> Register<W> {
    fn flight(&mut self, digest: KeyDigest, overdue_at: Instant) -> &mut Flight<W> {
        let last_ticket = &mut self.last_ticket;
        self.by_digest.entry(digest).or_insert_with(|| {
            *last_ticket += 1;
            Flight {
                ticket: *last_ticket,
                loads: 0,
                overdue_at,
                waiters: W::default(),
            }
        })
    }
}

impl<W> Flights<W> {
    #[inline]
    pub(super) fn at(&self, now: u64, digest: &KeyDigest) -> Option<Found> {
        self.entries.at(now, digest)
    }

    pub(super) fn evict(&self, digest: &KeyDigest) {
        // Bound to a name: what is struck out is dropped when the register is free again.
        let _struck_out = self.register().by_digest.remove(digest);
        self.entries.remove(digest);
    }

    /// Whose keys are in flight is not known yet, so it may be anybody's.
    fn evict_organization(&self, org_id: &OrgId) {
        let _struck_out = mem::take(&mut self.register().by_digest);
        self.entries.remove_organization(org_id);
    }

    pub(super) fn flush(&self) {
        let _struck_out = mem::take(&mut self.register().by_digest);
        self.entries.clear();
    }

    /// While changes go unnoticed nothing is kept, and so nothing is found.
    fn set_lost(&self, is_lost: bool) {
        let _struck_out = {
            let mut register = self.register();
            register.is_lost = is_lost;
            mem::take(&mut register.by_digest)
        };
        self.entries.clear();
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
                self.keep(load, found);
            }
        } else if flight.get().loads == 0 {
            flight.remove();
        } else if flight.get().overdue_at == load.overdue_at {
            // What is left began before it, and was overdue then.
            flight.get_mut().overdue_at = load.asked_at;
        }
    }

    fn keep(&self, load: &Load<W>, found: &Found) {
        let until = |ttl| load.began_at.saturating_add(millis(ttl));
        match found {
            Some(record) => {
                let until = until(self.settings.ttl);
                self.entries.keep_known(load.digest, record.clone(), until);
            }
            None => {
                let until = until(self.settings.negative_ttl);
                self.entries.keep_unknown(load.digest, until);
            }
        }
    }

    /// Under the lock there is nothing but memory of our own, so a poisoned lock is none.
    fn register(&self) -> MutexGuard<'_, Register<W>> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> Load<W> {
    /// Ends the load, and keeps its answer if nothing has been invalidated since it began. Returns whom to tell.
    pub(super) fn finish(mut self, answer: &LookupAnswer) -> W
    where
        W: Clone,
    {
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
            Invalidation::Organization(org_id) => self.evict_organization(org_id),
            Invalidation::Lost => self.set_lost(true),
            Invalidation::Resumed => self.set_lost(false),
        }
    }
}
