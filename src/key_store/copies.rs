//! Copies of the records that a thread is asked for again and again.
//!
//! To hand out a record is to count one more holder of it, and to find it is to count one more reader of its shard. Where
//! several threads serve one key, each of these writes takes a line of memory away from the other threads. A thread that has
//! a copy of its own writes to nothing that another reads.
//!
//! A copy is good for one version of its shard, and a shard gets a new version before a change to it is answered: whoever
//! looks for a key after it has been revoked meets another version, and asks the table. Versions are never used twice, not
//! by another shard nor by another table, so that the copies of all tables can lie side by side. A thread keeps
//! [`PLACES`] of them at most, the ones of a table that has been dropped until others take their places.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicU64, Ordering},
};

use super::KeyRecord;
use crate::api_key::KeyDigest;

/// A shard without records: no copy has it.
pub(super) const NO_VERSION: u64 = 0;

/// One that no shard has had.
pub(super) fn next_version() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(NO_VERSION);

    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

const PLACES: usize = 64;

/// How many lookups more for one key than for all others of its place earn it a copy. Where many keys are asked for alike
/// none is copied: it would be replaced before it had paid.
const VOTES_FOR_A_COPY: u8 = 16;
const MOST_VOTES: u8 = 64;

thread_local! {
    static COPIES: RefCell<[Place; PLACES]> = const { RefCell::new([Place::EMPTY; PLACES]) };
}

/// A key with a majority of the lookups that fell to this place (Boyer and Moore's vote), and its copy if there is one.
struct Place {
    hash: u64,
    version: u64,
    votes: u8,
    copy: Option<KeyRecord>,
}

/// This thread's copy, if it has one of this version.
#[inline]
pub(super) fn get(version: u64, hash: u64, digest: &KeyDigest) -> Option<KeyRecord> {
    with_place(hash, |place| place.get(version, hash, digest))?
}

/// Notes that the table has found `record` in this version.
#[inline]
pub(super) fn vote(version: u64, hash: u64, record: &KeyRecord) {
    let _ = with_place(hash, |place| place.vote(version, hash, record));
}

/// `None` in a thread that is about to end, and has given its copies up.
#[inline]
fn with_place<T>(hash: u64, run: impl FnOnce(&mut Place) -> T) -> Option<T> {
    let found = COPIES.try_with(|copies| {
        let mut copies = copies.try_borrow_mut().ok()?;
        let place = copies.get_mut(hash as usize % PLACES)?;
        Some(run(place))
    });
    found.ok().flatten()
}

impl Place {
    const EMPTY: Self = Self {
        hash: 0,
        version: NO_VERSION,
        votes: 0,
        copy: None,
    };

    #[inline]
    fn get(&mut self, version: u64, hash: u64, digest: &KeyDigest) -> Option<KeyRecord> {
        if self.version != version || self.hash != hash {
            return None;
        }
        let copy = self.copy.as_ref().filter(|copy| copy.digest() == digest)?;
        self.votes = MOST_VOTES.min(self.votes + 1);
        Some(copy.clone())
    }

    fn vote(&mut self, version: u64, hash: u64, record: &KeyRecord) {
        if self.hash != hash && self.votes > 0 {
            self.votes -= 1;
            return;
        }
        if self.hash != hash || self.is_outdated(record) {
            *self = Self {
                hash,
                ..Self::EMPTY
            };
        }
        self.votes = MOST_VOTES.min(self.votes + 1);
        if self.votes >= VOTES_FOR_A_COPY {
            // A change to another key of the shard leaves the copy as good as it was.
            self.copy.get_or_insert_with(|| record.copied());
            self.version = version;
        }
    }

    fn is_outdated(&self, record: &KeyRecord) -> bool {
        let copy = self.copy.as_ref();
        copy.is_some_and(|copy| !copy.is_copy_of(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: u64 = u64::MAX;

    fn record(hash: u8) -> KeyRecord {
        let mut digest = [0; 32];
        digest[0] = hash;
        KeyRecord::new("ak_1", "org_acme").under(KeyDigest::from_bytes(digest))
    }

    fn found(place: &mut Place, version: u64, hash: u64, record: &KeyRecord) -> Option<KeyRecord> {
        let found = place.get(version, hash, record.digest());
        if found.is_none() {
            place.vote(version, hash, record);
        }
        found
    }

    #[test]
    fn a_key_of_many_lookups_is_copied_and_one_of_many_keys_is_not() {
        let (mut hot, mut shared) = (Place::EMPTY, Place::EMPTY);
        let (one, other) = (record(1), record(2));
        for _ in 0..VOTES_FOR_A_COPY {
            assert!(found(&mut hot, VERSION, 1, &one).is_none());
        }
        let copy = found(&mut hot, VERSION, 1, &one).unwrap();
        assert!(copy.is_copy_of(&one) && !copy.is_copy_of(&other));
        for _ in 0..1_000 {
            assert!(found(&mut shared, VERSION, 1, &one).is_none());
            assert!(found(&mut shared, VERSION, 2, &other).is_none());
        }
    }

    #[test]
    fn a_copy_of_one_version_is_none_in_another() {
        let (mut place, one) = (Place::EMPTY, record(1));
        for _ in 0..=VOTES_FOR_A_COPY {
            found(&mut place, VERSION, 1, &one);
        }
        let copy = place.get(VERSION, 1, one.digest()).unwrap();
        assert!(place.get(VERSION - 1, 1, one.digest()).is_none());
        // The record is the same still: so is the copy.
        place.vote(VERSION - 1, 1, &one);
        let again = place.get(VERSION - 1, 1, one.digest()).unwrap();
        assert!(std::ptr::eq(copy.key_id(), again.key_id()));
        // A changed one has to earn its copy anew.
        let changed = one.clone().with_name("changed");
        for _ in 0..VOTES_FOR_A_COPY {
            assert!(found(&mut place, VERSION - 2, 1, &changed).is_none());
        }
        let again = place.get(VERSION - 2, 1, one.digest()).unwrap();
        assert_eq!(again.name(), "changed");
    }

    #[test]
    fn a_digest_with_the_hash_of_another_does_not_get_its_copy() {
        let (mut place, one, other) = (Place::EMPTY, record(1), record(2));
        for _ in 0..=VOTES_FOR_A_COPY {
            found(&mut place, VERSION, 1, &one);
        }
        assert!(place.get(VERSION, 1, other.digest()).is_none());
        assert!(place.get(VERSION, 1, one.digest()).is_some());
    }

    // Cold keys take the place of one that was hot, and no sooner.
    #[test]
    fn a_copy_outlives_as_many_lookups_of_others_as_it_had_itself() {
        let (mut place, one, other) = (Place::EMPTY, record(1), record(2));
        for _ in 0..2 * MOST_VOTES {
            found(&mut place, VERSION, 1, &one);
        }
        for _ in 0..MOST_VOTES {
            assert!(found(&mut place, VERSION, 2, &other).is_none());
        }
        assert!(place.copy.is_some());
        found(&mut place, VERSION, 2, &other);
        assert!(place.copy.is_none());
    }
}
