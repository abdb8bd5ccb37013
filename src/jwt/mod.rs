//! Session tokens (JWT) of users (C11–C16).
//!
//! [`JwtVerifier`] accepts a token that is spelled canonically, is signed by the key of the issuer's
//! [`KeySet`](crate::KeySet) that its `kid` and `alg` name, and satisfies the claim rules. The signature is verified before
//! the claims are read. `aws-lc-rs` verifies signatures with prepared keys; every rule about algorithms and claims is in this
//! folder. Why a token is rejected is logged and not told to the client (C16).
//!
//! May import `principal`, `json` and the folders below.

pub(crate) mod algorithm;
pub(crate) mod base64url;
mod claims;
mod clerk;
#[cfg(feature = "jsonwebtoken")]
mod conversions;
pub(crate) mod issuer;
pub(crate) mod keys;
mod membership;
pub(crate) mod rejection;
mod token;
mod token_cache;
pub(crate) mod verifier;

#[cfg(feature = "jsonwebtoken")]
pub use self::conversions::UnsupportedAlgorithm;
#[cfg(feature = "jwks")]
pub use self::keys::{https::HttpsJwks, source::JwksSource};
pub use self::{
    keys::error::{KeySetError, UnusableKey},
    membership::{Claims, InvalidClaim, Membership},
};
pub(crate) use self::{
    rejection::{Fetching, JwtRejection},
    verifier::JwtVerifier,
};
