//! Session tokens, and the floor under them: one signature checked with a key that was prepared before.
#![allow(dead_code, reason = "no bench uses all of it")]

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use coverbase_auth::{Algorithm, JwtVerifier, testing::TestIssuer};
use serde_json::Value;

pub(crate) const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

pub(crate) const ISSUER: &str = "https://clerk.example.com";
pub(crate) const AUDIENCE: &str = "https://api.example.com";

/// As long as Clerk's tokens are with RS256.
const LEN: usize = 780;

/// The token of a user, with every claim that a peer asks for, and of one length whatever the algorithm.
pub(crate) fn token(issuer: &TestIssuer, user: usize) -> String {
    let padded = |bytes: usize| {
        let token = issuer.token();
        token
            .with_subject(&format!("user_{user:06}"))
            .with_times(1_700_000_000, 4_102_444_800)
            .with_claim("aud", AUDIENCE)
            .with_claim("pad", "x".repeat(bytes))
            .sign()
    };
    let missing = LEN - padded(0).len();
    padded(missing * 3 / 4)
}

pub(crate) fn verifier(issuer: &TestIssuer) -> JwtVerifier {
    JwtVerifier::new(ISSUER, issuer.key_set())
        .with_authorized_parties([TestIssuer::AUTHORIZED_PARTY])
        .with_audiences([AUDIENCE])
}

/// Checks the signatures of the tokens in turn: of one and the same the processor would soon foresee each branch.
pub(crate) fn signatures_in_turn(issuer: &TestIssuer, tokens: &[String]) -> impl FnMut() + use<> {
    let key = prepared_key(issuer);
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

fn prepared_key(issuer: &TestIssuer) -> ParsedPublicKey {
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
