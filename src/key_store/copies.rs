//! Copies of the records that a thread is asked for again and again.
//!
//! To hand out a record is to count one more holder of it, and to find it is to count one more reader of its shard. Where
//! several threads serve one key, each of these writes takes a line of memory away from the other threads. A thread that has
//! a copy of its own writes to nothing that another reads, but once a second, when the key was last used. Where one thread
//! alone reads a shard there are no copies.
//!
//! A copy is good for one version of its shard, and a shard gets a new version before a change to it is answered: whoever
//! looks for a key after it has been revoked meets another version, and asks the table. Versions are never used twice, not
//! by another shard nor by another table, so that the copies of all tables can lie side by side. A thread keeps
//! [`PLACES`] of them at most, the ones of a table that has been dropped until others take their places.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

use super::KeyRecord;
use crate::credential::KeyDigest;

/// That of a shard without records, and of a place without a copy.
const NO_VERSION: u64 = 0;

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
    static COPIES: [Place; PLACES] = const { [const { Place::new() }; PLACES] };
}

/// A key with a majority of the lookups that fell to this place (Boyer and Moore's vote), and its copy if there is one.
struct Place {
    hash: Cell<u64>,
    version: Cell<u64>,
    votes: Cell<u8>,
    copy: Cell<Option<KeyRecord>>,
}

/// What a thread has of a key.
pub(super) enum Found {
    Copy(KeyRecord),
    Nothing,
    /// Nothing yet, but it asks for the key so often that what the table finds is to be [kept](keep).
    Wanted,
}

/// This thread's copy, if it has one of this version.
#[inline]
pub(super) fn find(version: u64, hash: u64, digest: &KeyDigest) -> Found {
    with_place(hash, |place| place.find(version, hash, digest)).unwrap_or(Found::Nothing)
}

/// Copies what the table has found in this version.
pub(super) fn keep(version: u64, hash: u64, record: &KeyRecord) {
    let _ = with_place(hash, |place| place.keep(version, hash, record));
}

/// `None` in a thread that is about to end, and has given its copies up.
#[inline]
fn with_place<T>(hash: u64, run: impl FnOnce(&Place) -> T) -> Option<T> {
    let found = COPIES.try_with(|places| places.get(hash as usize % PLACES).map(run));
    found.ok().flatten()
}

impl Place {
    const fn new() -> Self {
        Self {
            hash: Cell::new(0),
            version: Cell::new(NO_VERSION),
            votes: Cell::new(0),
            copy: Cell::new(None),
        }
    }

    #[inline]
    fn find(&self, version: u64, hash: u64, digest: &KeyDigest) -> Found {
        let votes = self.votes.get();
        if self.hash.get() != hash {
            match votes.checked_sub(1) {
                Some(fewer) => self.votes.set(fewer),
                None => self.give_to(hash),
            }
            return Found::Nothing;
        }
        self.votes.set(MOST_VOTES.min(votes + 1));
        if self.version.get() == version
            && let Some(copy) = self.copy.take()
        {
            let found = (copy.digest() == digest).then(|| copy.clone());
            self.copy.set(Some(copy));
            return found.map_or(Found::Nothing, Found::Copy);
        }
        if votes < VOTES_FOR_A_COPY {
            return Found::Nothing;
        }
        Found::Wanted
    }

    /// A change to another key of the shard leaves the copy as good as it was. A key that has changed itself has to earn
    /// its copy anew.
    #[cold]
    fn keep(&self, version: u64, hash: u64, record: &KeyRecord) {
        if self.hash.get() != hash {
            return;
        }
        let copy = match self.copy.take() {
            Some(copy) if copy.is_copy_of(record) => copy,
            Some(_) => return self.give_to(hash),
            None => record.copied(),
        };
        self.copy.set(Some(copy));
        self.version.set(version);
    }

    fn give_to(&self, hash: u64) {
        self.hash.set(hash);
        self.version.set(NO_VERSION);
        self.votes.set(1);
        self.copy.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: u64 = 1_000;

    fn record(first_byte: u8) -> KeyRecord {
        let mut digest = [0; 32];
        digest[0] = first_byte;
        KeyRecord::new("ak_1", "org_acme").under(KeyDigest::from_bytes(digest))
    }

    /// Looks as the table does.
    fn copy(place: &Place, version: u64, hash: u64, record: &KeyRecord) -> Option<KeyRecord> {
        match place.find(version, hash, record.digest()) {
            Found::Copy(copy) => Some(copy),
            Found::Nothing => None,
            Found::Wanted => {
                place.keep(version, hash, record);
                None
            }
        }
    }

    fn hot(record: &KeyRecord) -> Place {
        let place = Place::new();
        for _ in 0..2 * MOST_VOTES {
            copy(&place, VERSION, 1, record);
        }
        place
    }

    #[test]
    fn a_key_of_many_lookups_is_copied_and_one_of_many_keys_is_not() {
        let (one, other) = (record(1), record(2));
        let found = copy(&hot(&one), VERSION, 1, &one).unwrap();
        assert!(found.is_copy_of(&one) && !found.is_copy_of(&other));

        let (few, shared) = (Place::new(), Place::new());
        for _ in 0..VOTES_FOR_A_COPY {
            assert!(copy(&few, VERSION, 1, &one).is_none());
        }
        for _ in 0..1_000 {
            assert!(copy(&shared, VERSION, 1, &one).is_none());
            assert!(copy(&shared, VERSION, 2, &other).is_none());
        }
    }

    #[test]
    fn a_copy_of_one_version_is_none_in_another() {
        let one = record(1);
        let place = hot(&one);
        let first = copy(&place, VERSION, 1, &one).unwrap();
        assert!(copy(&place, VERSION - 1, 1, &one).is_none());
        // The record is the same still: so is the copy.
        let again = copy(&place, VERSION - 1, 1, &one).unwrap();
        assert!(std::ptr::eq(first.key_id(), again.key_id()));
        // A changed one has to earn its copy anew.
        let changed = one.clone().with_name("changed");
        for _ in 0..VOTES_FOR_A_COPY {
            assert!(copy(&place, VERSION - 2, 1, &changed).is_none());
        }
        let names = (0..3).filter_map(|_| copy(&place, VERSION - 2, 1, &changed));
        assert!(names.last().unwrap().name() == "changed");
    }

    #[test]
    fn a_digest_with_the_hash_of_another_does_not_get_its_copy() {
        let (one, other) = (record(1), record(2));
        let place = hot(&one);
        assert!(copy(&place, VERSION, 1, &other).is_none());
        assert!(copy(&place, VERSION, 1, &one).is_some());
    }

    // Cold keys take the place of one that was hot, and no sooner.
    #[test]
    fn a_copy_outlives_as_many_lookups_of_others_as_it_had_itself() {
        let (one, other) = (record(1), record(2));
        let place = hot(&one);
        for _ in 0..MOST_VOTES {
            assert!(copy(&place, VERSION, 2, &other).is_none());
        }
        assert!(copy(&place, VERSION, 1, &one).is_some());
        for _ in 0..3 {
            assert!(copy(&place, VERSION, 2, &other).is_none());
        }
        assert!(copy(&place, VERSION, 1, &one).is_none());
        // What is left of it does not come back with the place.
        for _ in 0..VOTES_FOR_A_COPY {
            assert!(copy(&place, VERSION, 2, &other).is_none());
        }
        let found = (0..3).filter_map(|_| copy(&place, VERSION, 2, &other));
        assert!(found.last().unwrap().is_copy_of(&other));
    }
}
