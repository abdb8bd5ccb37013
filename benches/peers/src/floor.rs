//! The floors: what a key or a new session token costs at least.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use coverbase_auth::testing::TestIssuer;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A map of digests. A digest is evenly spread, so its first bytes are its hash.
pub(crate) type Digests<V> = HashMap<[u8; 32], V, BuildHasherDefault<FirstBytes>>;

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

/// Hashes a key and looks it up, one key after the other.
pub(crate) fn lookups_in_turn<V>(map: Digests<V>, keys: Vec<String>) -> impl FnMut() {
    let mut turn = (0..keys.len()).cycle();
    move || {
        let key = &keys[turn.next().expect("a cycle does not end")];
        assert!(map.contains_key(&<[u8; 32]>::from(Sha256::digest(key))));
    }
}

/// Verifies the signature of one token after the other, with a key that was parsed before.
pub(crate) fn signatures_in_turn(issuer: &TestIssuer, tokens: &[String]) -> impl FnMut() + use<> {
    let key = parsed_key(issuer);
    let parts = tokens.iter().map(|token| {
        let (message, signature) = token.rsplit_once('.').expect("a token");
        (message.as_bytes().to_vec(), decode(signature))
    });
    let parts: Vec<_> = parts.collect();
    let mut turn = (0..parts.len()).cycle();
    move || {
        let (message, signature) = &parts[turn.next().expect("a cycle does not end")];
        assert!(key.verify_sig(message, signature).is_ok());
    }
}

fn parsed_key(issuer: &TestIssuer) -> ParsedPublicKey {
    let set: Value = serde_json::from_str(&issuer.jwks_json()).expect("JSON");
    let jwk = &set["keys"][0];
    let bytes = |name| decode(jwk[name].as_str().expect("a member of the key"));
    let key = match jwk["kty"].as_str() {
        Some("RSA") => {
            let (n, e) = (bytes("n"), bytes("e"));
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        }
        Some("EC") => {
            let point = [vec![4], bytes("x"), bytes("y")].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        }
        _ => ParsedPublicKey::new(&ED25519, bytes("x")),
    };
    key.expect("a public key")
}

fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url")
}
