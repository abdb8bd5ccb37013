//! The public id of an API key.

use std::{fmt, sync::Arc};

use super::{
    base62::{GeneratorUnavailable, push_random},
    key_format::PREFIX,
};

/// Random base62 characters of a new id: 131 bits.
const RANDOM_LEN: usize = 22;

/// The public id of an API key, such as `ak_6sLyzf0Xz0Cq`: random, and not derived from the secret (`C38`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// Makes a new random id.
    pub(crate) fn try_generate() -> Result<Self, GeneratorUnavailable> {
        let mut id = String::from(PREFIX);
        push_random(&mut id, RANDOM_LEN)?;
        Ok(Self(id.into()))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for KeyId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for KeyId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
