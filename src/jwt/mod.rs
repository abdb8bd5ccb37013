//! JWTs: the session tokens of a dashboard's users (C11–C16).
//!
//! A token passes when it is spelled in the one canonical way, names a key of the issuer's [`KeySet`] by `kid`, is signed
//! by that key with the one algorithm of it, and claims what our own rules ask. `aws-lc-rs` checks the signature with a
//! prepared key and nothing else: no library decides on an algorithm or a claim. What is wrong with a token is told in
//! the service's log, never on the wire (C16).

mod algorithm;
mod base64url;
mod claims;
mod clerk;
#[cfg(feature = "jwks")]
mod fetched;
mod headers;
#[cfg(feature = "jwks")]
mod https;
mod issuer;
mod jwk;
mod key_set;
mod keys;
mod membership;
mod missing;
#[cfg(feature = "jwks")]
mod source;
#[cfg(any(test, feature = "test-util"))]
mod test_issuer;
mod token;
mod verified;
mod verifier;

pub use self::algorithm::Algorithm;
#[cfg(feature = "jwks")]
pub use self::https::HttpsJwks;
pub use self::issuer::Issuer;
pub use self::key_set::KeySet;
pub use self::keys::{KeySetError, RefusedKey};
pub use self::membership::{Claims, InvalidClaim, Membership};
#[cfg(feature = "jwks")]
pub use self::source::{FetchError, JwksSource};
#[cfg(any(test, feature = "test-util"))]
pub use self::test_issuer::{TestIssuer, TestToken};
pub use self::verifier::JwtVerifier;

pub(crate) use self::missing::Fetching;
pub(crate) use self::verifier::JwtRefusal;
