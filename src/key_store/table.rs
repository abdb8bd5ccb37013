//! Records under their digests, read by every request and written now and then.
//!
//! A digest is spread evenly already, so it is its own hash: its first byte chooses one of 256 shards, the next eight a
//! place in that shard's open addressing. Those eight lie beside the record, and the whole digest in it: among millions of
//! keys, where cache misses are all that counts, a lookup meets one at the slot and one at the record, which a request reads
//! anyway. A write locks its own shard. A read does too, unless its thread has a
//! [copy](super::copies) of the record.

use std::{
    cell::Cell,
    mem, ptr,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    KeyRecord,
    copies::{self, Found},
};
use crate::credential::KeyDigest;

pub(crate) struct RecordTable {
    shards: Box<[Shard]>,
    len: AtomicUsize,
}

/// Two lines of cache, since the processor fetches lines in pairs: readers of one shard do not disturb those of the next.
#[derive(Default)]
#[repr(align(128))]
struct Shard {
    /// Of the slots; written under their lock.
    version: AtomicU64,
    /// The thread that reads, or [`SEVERAL`].
    reader: AtomicUsize,
    slots: RwLock<Slots>,
}

/// No thread has asked yet.
const NOBODY: usize = 0;

/// Where more than one thread has asked, it pays to look for a copy first.
const SEVERAL: usize = 1;

/// Linear probing over a power of two of slots, three quarters of them taken at most.
#[derive(Default)]
struct Slots {
    slots: Box<[Option<Slot>]>,
    taken: usize,
}

struct Slot {
    hash: u64,
    record: KeyRecord,
}

impl Slot {
    #[inline]
    fn holds(&self, hash: u64, digest: &KeyDigest) -> bool {
        self.hash == hash && self.record.digest() == digest
    }
}

impl RecordTable {
    #[inline]
    pub(crate) fn get(&self, digest: &KeyDigest) -> Option<KeyRecord> {
        let shard = self.shard(digest)?;
        let hash = hash_of(digest);
        if !shard.is_shared() {
            return shard.get(hash, digest);
        }
        match copies::find(shard.version(), hash, digest) {
            Found::Copy(record) => Some(record),
            Found::Nothing => shard.get(hash, digest),
            Found::Wanted => shard.copy(hash, digest),
        }
    }

    /// Puts the record under its own digest.
    pub(crate) fn insert(&self, record: KeyRecord) {
        let Some(shard) = self.shard(record.digest()) else {
            return;
        };
        let hash = hash_of(record.digest());
        let slot = Slot { hash, record };
        if shard.change(|slots| slots.insert(slot)).is_none() {
            self.len.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn remove(&self, digest: &KeyDigest) {
        let Some(shard) = self.shard(digest) else {
            return;
        };
        if shard.change(|slots| slots.remove(digest)).is_some() {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    #[inline]
    fn shard(&self, digest: &KeyDigest) -> Option<&Shard> {
        let [first, ..] = digest.as_bytes();
        self.shards.get(usize::from(*first))
    }
}

impl Default for RecordTable {
    fn default() -> Self {
        Self {
            shards: (0..=u8::MAX).map(|_| Shard::default()).collect(),
            len: AtomicUsize::new(0),
        }
    }
}

impl Shard {
    /// Whoever has been told of a change reads the version that came with it, or a later one.
    #[inline]
    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether other threads read it too. Of two that ask for the first time at once, one may be noted the next time.
    #[inline]
    fn is_shared(&self) -> bool {
        let (reader, this) = (self.reader.load(Ordering::Relaxed), this_thread());
        match reader {
            SEVERAL => return true,
            NOBODY => self.reader.store(this, Ordering::Relaxed),
            reader if reader != this => self.reader.store(SEVERAL, Ordering::Relaxed),
            _ => {}
        }
        false
    }

    #[inline]
    fn get(&self, hash: u64, digest: &KeyDigest) -> Option<KeyRecord> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(hash, digest).cloned()
    }

    #[cold]
    fn copy(&self, hash: u64, digest: &KeyDigest) -> Option<KeyRecord> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let record = slots.get(hash, digest)?;
        copies::keep(self.version(), hash, record);
        Some(record.clone())
    }

    /// No copy that was made before the change is good after it, nor while it is made.
    fn change<T>(&self, change: impl FnOnce(&mut Slots) -> T) -> T {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let version = copies::next_version();
        self.version.store(version, Ordering::Release);
        change(&mut slots)
    }
}

impl Slots {
    #[inline]
    fn get(&self, hash: u64, digest: &KeyDigest) -> Option<&KeyRecord> {
        let (wrapped, direct) = self.slots.split_at_checked(self.home(hash))?;
        let chain = direct.iter().chain(wrapped).map_while(Option::as_ref);
        let mut chain = chain.filter(|slot| slot.holds(hash, digest));
        chain.next().map(|slot| &slot.record)
    }

    fn insert(&mut self, new: Slot) -> Option<Slot> {
        if (self.taken + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let home = self.home(new.hash);
        let (wrapped, direct) = self.slots.split_at_mut_checked(home)?;
        let mut chain = direct.iter_mut().chain(wrapped);
        let (hash, digest) = (new.hash, new.record.digest());
        let place = chain.find(|place| {
            let slot = place.as_ref();
            slot.is_none_or(|slot| slot.holds(hash, digest))
        })?;
        let replaced = place.replace(new);
        self.taken += usize::from(replaced.is_none());
        replaced
    }

    /// Takes the slot, and puts what stands behind it without a gap where its chain now ends.
    fn remove(&mut self, digest: &KeyDigest) -> Option<Slot> {
        let mask = self.slots.len().wrapping_sub(1);
        let hash = hash_of(digest);
        let mut place = self.home(hash);
        while !self.slots.get(place)?.as_ref()?.holds(hash, digest) {
            place = (place + 1) & mask;
        }
        let removed = self.slots.get_mut(place)?.take()?;
        self.taken -= 1;
        loop {
            place = (place + 1) & mask;
            let Some(slot) = self.slots.get_mut(place).and_then(Option::take) else {
                return Some(removed);
            };
            self.taken -= 1;
            self.insert(slot);
        }
    }

    fn grow(&mut self) {
        let doubled = (self.slots.len() * 2).max(8);
        let slots = mem::replace(&mut self.slots, (0..doubled).map(|_| None).collect());
        self.taken = 0;
        for slot in slots.into_iter().flatten() {
            self.insert(slot);
        }
    }

    /// Where the chain of a digest begins.
    #[inline]
    const fn home(&self, hash: u64) -> usize {
        hash as usize & self.slots.len().wrapping_sub(1)
    }
}

/// A number that no other living thread has, and that is neither [`NOBODY`] nor [`SEVERAL`]: an address of its own.
#[inline]
fn this_thread() -> usize {
    thread_local!(static OWN: Cell<u64> = const { Cell::new(0) });

    OWN.with(|own| ptr::from_ref(own).addr())
}

#[inline]
const fn hash_of(digest: &KeyDigest) -> u64 {
    let [_, a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, thread};

    use proptest::prelude::*;

    use super::*;

    /// Digests that crowd into one shard and a few places of it.
    fn digest(home: u8, rest: u8) -> KeyDigest {
        let mut bytes = [0; 32];
        bytes[1] = home;
        bytes[31] = rest;
        KeyDigest::from_bytes(bytes)
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((0..3_u8, 0..8_u8, 0..6_u8), 0..200)) {
            let table = RecordTable::default();
            let mut model = HashMap::new();
            for (step, (kind, home, rest)) in steps.into_iter().enumerate() {
                let digest = digest(home.wrapping_mul(37), rest);
                if kind == 0 {
                    table.remove(&digest);
                    model.remove(digest.as_bytes());
                } else {
                    let id = format!("ak_{step}");
                    table.insert(KeyRecord::new(&*id, "org_acme").under(digest));
                    model.insert(*digest.as_bytes(), id);
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for home in 0..=u8::MAX {
                for rest in 0..6 {
                    let digest = digest(home, rest);
                    let found = table.get(&digest).map(|record| record.key_id().to_string());
                    prop_assert_eq!(found.as_ref(), model.get(digest.as_bytes()));
                }
            }
        }
    }

    // C41: whoever looks for a key after a change has been answered meets the change, whatever its thread has a copy of.
    #[test]
    fn no_thread_finds_what_has_been_replaced() {
        const CHANGES: u64 = 2_000;
        let (table, digest, answered) = (RecordTable::default(), digest(0, 0), AtomicU64::new(0));
        let change = |number| {
            let record = KeyRecord::new("ak_1", "org_acme").under(digest);
            table.insert(record.with_created_at(number));
            answered.store(number, Ordering::Release);
        };
        let found = || table.get(&digest).map(|record| record.created_at());
        /// Lets the readers end, whatever becomes of the writer.
        struct Ending<'a>(&'a AtomicU64);
        impl Drop for Ending<'_> {
            fn drop(&mut self) {
                self.0.store(CHANGES, Ordering::Release);
            }
        }
        thread::scope(|scope| {
            let _ending = Ending(&answered);
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let at_least = answered.load(Ordering::Acquire);
                        if at_least == CHANGES {
                            break;
                        }
                        assert!(found().unwrap_or_default() >= at_least);
                    }
                });
            }
            for number in 1..=CHANGES {
                change(number);
                // So often that it has a copy, too.
                assert!((0..40).all(|_| found() == Some(number)));
            }
        });
        table.remove(&digest);
        assert_eq!(found(), None);
    }

    // C38: a use of a copy is one of the key.
    #[test]
    fn a_use_of_a_copy_is_counted_with_the_key() {
        let (table, digest) = (RecordTable::default(), digest(0, 1));
        let record = KeyRecord::new("ak_1", "org_acme").under(digest);
        table.insert(record.clone());
        thread::scope(|scope| scope.spawn(|| table.get(&digest)).join().unwrap());
        let copy = (0..40).filter_map(|_| table.get(&digest)).last().unwrap();
        assert!(copy.is_copy_of(&record));
        copy.stamp_last_used(7);
        assert_eq!(record.last_used_at(), Some(7));
        record.stamp_last_used(8);
        assert_eq!(copy.last_used_at(), Some(8));
        let changed = copy.clone().with_name("changed");
        changed.stamp_last_used(9);
        assert_eq!(
            (changed.last_used_at(), record.last_used_at()),
            (Some(9), Some(8))
        );
        assert!(!changed.is_copy_of(&record));
        // A copy that is put into a table is a record of its own.
        table.insert(copy.clone().under(digest));
        let inserted = table.get(&digest).unwrap();
        inserted.stamp_last_used(10);
        assert_eq!(copy.last_used_at(), Some(8));
    }
}
