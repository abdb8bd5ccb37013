//! What a request presents: the `Authorization` header, API keys and their format.
//!
//! Imports nothing of this crate.

pub(crate) mod api_key;
pub(crate) mod header;
mod token68;

pub(crate) use self::{
    api_key::{
        ApiKey, Environment, GeneratorUnavailable, KeyDigest, KeyFormat, KeyId, MAX_TOKEN_LEN,
        PREFIX,
    },
    header::{Credential, CredentialError, CredentialKind, mark_sensitive},
    token68::is_token68,
};
