//! The credential of a request: the `Authorization` header, and API keys with their digests, ids and format.
//!
//! This folder imports nothing from the rest of the crate.

mod api_key;
mod base62;
mod header;
mod key_digest;
mod key_format;
mod key_id;
mod token68;

pub use self::{
    api_key::{ApiKey, InvalidApiKey},
    base62::GeneratorUnavailable,
    header::{Credential, CredentialError},
    key_digest::KeyDigest,
    key_format::{Environment, KeyFormat},
    key_id::KeyId,
};
pub(crate) use self::{header::mark_sensitive, key_format::PREFIX, token68::is_token68_char};
