//! Records under their digests, read by every request and written now and then.
//!
//! A digest is spread evenly already, so it is its own hash: its first byte chooses one of 256 shards, the next eight a
//! place in that shard's open addressing. Digest and record lie side by side: among millions of keys, where cache misses
//! are all that counts, a lookup meets one at the slot and one at the record. A write locks its own shard.

use std::{
    mem,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::KeyRecord;
use crate::api_key::KeyDigest;

pub(crate) struct RecordTable {
    shards: Box<[Shard]>,
    len: AtomicUsize,
}

/// Two lines of cache, since the processor fetches lines in pairs: readers of one shard do not disturb those of the next.
#[derive(Default)]
#[repr(align(128))]
struct Shard(RwLock<Slots>);

/// Linear probing over a power of two of slots, three quarters of them taken at most.
#[derive(Default)]
struct Slots {
    slots: Box<[Option<(KeyDigest, KeyRecord)>]>,
    taken: usize,
}

impl RecordTable {
    #[inline]
    pub(crate) fn get(&self, digest: &KeyDigest) -> Option<KeyRecord> {
        let slots = self.shard(digest)?.0.read();
        let slots = slots.unwrap_or_else(PoisonError::into_inner);
        slots.get(digest).cloned()
    }

    pub(crate) fn insert(&self, digest: KeyDigest, record: KeyRecord) {
        let Some(shard) = self.shard(&digest) else {
            return;
        };
        let mut slots = shard.0.write().unwrap_or_else(PoisonError::into_inner);
        if slots.insert(digest, record).is_none() {
            self.len.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn remove(&self, digest: &KeyDigest) {
        let Some(shard) = self.shard(digest) else {
            return;
        };
        let mut slots = shard.0.write().unwrap_or_else(PoisonError::into_inner);
        if slots.remove(digest).is_some() {
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

impl Slots {
    #[inline]
    fn get(&self, digest: &KeyDigest) -> Option<&KeyRecord> {
        let (wrapped, direct) = self.slots.split_at_checked(self.home(digest))?;
        let chain = direct.iter().chain(wrapped).map_while(Option::as_ref);
        let mut chain = chain.filter(|(other, _)| other == digest);
        chain.next().map(|(_, record)| record)
    }

    fn insert(&mut self, digest: KeyDigest, record: KeyRecord) -> Option<KeyRecord> {
        if (self.taken + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let home = self.home(&digest);
        let (wrapped, direct) = self.slots.split_at_mut_checked(home)?;
        let mut chain = direct.iter_mut().chain(wrapped);
        let slot = chain.find(|slot| slot.as_ref().is_none_or(|(other, _)| *other == digest))?;
        let replaced = slot.replace((digest, record));
        self.taken += usize::from(replaced.is_none());
        replaced.map(|(_, record)| record)
    }

    /// Takes the slot, and puts what stands behind it without a gap where its chain now ends.
    fn remove(&mut self, digest: &KeyDigest) -> Option<KeyRecord> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut place = self.home(digest);
        while self.slots.get(place)?.as_ref()?.0 != *digest {
            place = (place + 1) & mask;
        }
        let (_, removed) = self.slots.get_mut(place)?.take()?;
        self.taken -= 1;
        loop {
            place = (place + 1) & mask;
            let Some((digest, record)) = self.slots.get_mut(place).and_then(Option::take) else {
                return Some(removed);
            };
            self.taken -= 1;
            self.insert(digest, record);
        }
    }

    fn grow(&mut self) {
        let doubled = (self.slots.len() * 2).max(8);
        let slots = mem::replace(&mut self.slots, (0..doubled).map(|_| None).collect());
        self.taken = 0;
        for (digest, record) in slots.into_iter().flatten() {
            self.insert(digest, record);
        }
    }

    /// Where the chain of a digest begins.
    #[inline]
    fn home(&self, digest: &KeyDigest) -> usize {
        let [_, a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        let hash = u64::from_le_bytes([a, b, c, d, e, f, g, h]) as usize;
        hash & self.slots.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

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
                    table.insert(digest, KeyRecord::new(&*id, "org_acme"));
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
}
