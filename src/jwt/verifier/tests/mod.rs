mod content;
mod signature;

use super::*;
use crate::{jwt::base64url, testing::TestIssuer};

const ISSUER: &str = "https://clerk.coverbase.test";
const NOW: u64 = 1_800_000_000;

fn issuer() -> TestIssuer {
    TestIssuer::new(ISSUER)
}

fn verifier(issuer: &TestIssuer) -> JwtVerifier {
    JwtVerifier::new(ISSUER, issuer.key_set()).with_algorithms(Algorithm::ALL)
}

fn reason(verifier: &JwtVerifier, token: &str) -> &'static str {
    outcome(verifier.verify(token, NOW))
}

fn outcome(answer: Result<Principal, JwtRejection>) -> &'static str {
    match answer {
        Ok(_) => "accepted",
        Err(JwtRejection::Invalid(reason)) => reason,
        Err(JwtRejection::KeySetUnavailable) => "unavailable",
        Err(JwtRejection::Waiting(_)) => "waiting",
    }
}

/// `token` with another signature.
fn resigned(token: &str, signature: &[u8]) -> String {
    let (signing_input, _) = token.rsplit_once('.').unwrap();
    format!("{signing_input}.{}", base64url::encode(signature))
}
