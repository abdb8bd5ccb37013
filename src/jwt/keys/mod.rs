//! The public keys of an issuer: [`KeySet`](key_set::KeySet), the reading of a JWK Set (C12a), and fetching it (C12).
//!
//! May import `jwt::{algorithm, base64url, rejection}` and the folders below `jwt`.

pub(crate) mod error;
#[cfg(feature = "jwks")]
mod fetched;
#[cfg(feature = "jwks")]
pub(crate) mod https;
pub(crate) mod jwk;
pub(crate) mod key_set;
#[cfg(feature = "jwks")]
pub(crate) mod source;
pub(crate) mod verification_keys;
