//! The floor under a key: one block of SHA-256, and one look into a map that is in the cache.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A digest's first bytes are its hash.
#[derive(Default)]
pub(crate) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) type Digests<V> = HashMap<[u8; 32], V, BuildHasherDefault<FirstBytes>>;

/// Looks for the keys in turn, all of which are in the map.
pub(crate) fn lookups_in_turn<V>(map: Digests<V>, keys: Vec<String>) -> impl FnMut() {
    let mut turn = (0..keys.len()).cycle();
    move || {
        let key = &keys[turn.next().expect("a cycle does not end")];
        assert!(map.contains_key(&digest(key.as_bytes())));
    }
}

/// Of at most 55 bytes, which one block holds.
fn digest(key: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    block[key.len()] = 0x80;
    block[56..].copy_from_slice(&(key.len() as u64 * 8).to_be_bytes());
    let mut state = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    sha2::block_api::compress256(&mut state, &[block]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&u32::to_be_bytes(word));
    }
    digest
}
