//! Session tokens and a verifier of them.

use coverbase_auth::{JwtVerifier, testing::TestIssuer};

pub(crate) const ISSUER: &str = "https://clerk.example.com";
pub(crate) const AUDIENCE: &str = "https://api.example.com";

/// The length of Clerk's tokens with RS256.
const LEN: usize = 780;

/// Returns the token of a user, with every claim that a peer requires, and of one length whatever the algorithm.
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
