//! The issuer's public keys: [`KeySet`], the lenient reading of a JWKS document (C12a), and fetching it.

#[cfg(feature = "jwks")]
mod fetched;
#[cfg(feature = "jwks")]
pub(crate) mod https;
pub(crate) mod jwk;
pub(crate) mod key_set;
pub(crate) mod missing;
#[cfg(feature = "jwks")]
pub(crate) mod source;
pub(crate) mod verification_keys;

pub(crate) use self::missing::Fetching;
