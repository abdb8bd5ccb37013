//! JWTs: the session tokens of a dashboard's users (C11–C16).
//!
//! A token passes when it is spelled in the one canonical way, names a key of the issuer's [`KeySet`] by `kid`, is signed
//! by that key with the one algorithm of it, and claims what our own rules ask. `aws-lc-rs` checks the signature with a
//! prepared key and nothing else: no library decides on an algorithm or a claim. What is wrong with a token is told in
//! the service's log, never on the wire (C16).

pub(crate) mod algorithm;
pub(crate) mod base64url;
mod claims;
mod clerk;
mod headers;
pub(crate) mod issuer;
pub(crate) mod keys;
mod membership;
mod token;
mod verified;
pub(crate) mod verifier;

#[cfg(feature = "jwks")]
pub use self::keys::{
    https::HttpsJwks,
    source::{FetchError, JwksSource},
};
pub(crate) use self::{
    keys::Fetching,
    verifier::{JwtRefusal, JwtVerifier},
};
pub use self::{
    keys::verification_keys::{KeySetError, RefusedKey},
    membership::{Claims, InvalidClaim, Membership},
};
