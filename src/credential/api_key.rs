//! The secret of an API key.

use std::{fmt, str::FromStr};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    base62::GeneratorUnavailable,
    key_digest::KeyDigest,
    key_format::{self, Environment, PREFIX},
    token68::is_bearer_token,
};

/// The secret of an API key.
///
/// The service shows it to the key's owner once and stores only its [digest](Self::digest) (`C7`). `Debug` prints none of
/// it, it has no `Display`, it compares in constant time, and its memory is wiped when it is dropped.
///
/// ```
/// use coverbase_auth::{ApiKey, Environment};
///
/// let key = ApiKey::generate(Environment::Live);
/// assert!(key.expose_secret().starts_with("ak_live_"));
/// assert_eq!(format!("{key:?}"), "ApiKey(..)");
///
/// let same: ApiKey = key.expose_secret().parse()?;
/// assert_eq!(same.digest(), key.digest());
/// # Ok::<(), coverbase_auth::InvalidApiKey>(())
/// ```
#[derive(Clone)]
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    /// Makes a new key: the environment's prefix, 244 bits from the operating system's generator in base62, and a CRC-32
    /// of both. The checksum lets [`KeyFormat::Minted`](crate::KeyFormat::Minted) reject mistyped and invented keys
    /// without a store call.
    ///
    /// # Panics
    ///
    /// Panics if the operating system's random number generator fails, as [`std::collections::HashMap::new`] does.
    /// [`try_generate`](Self::try_generate) returns an error instead.
    #[must_use]
    #[expect(clippy::panic, reason = "documented, with `try_generate`")]
    pub fn generate(environment: Environment) -> Self {
        Self::try_generate(environment).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Makes a new key, as [`generate`](Self::generate) does.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system's random number generator fails.
    pub fn try_generate(environment: Environment) -> Result<Self, GeneratorUnavailable> {
        key_format::mint(environment).map(Self)
    }

    /// Returns the digest that a store keeps in place of the secret and finds the key by.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.0.as_bytes())
    }

    /// Returns the whole key, for the one response that shows it to its owner.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// Returns the environment that the key's prefix names, or `None` for a key of another issuer that names none (`C4`).
    #[must_use]
    pub fn environment(&self) -> Option<Environment> {
        Environment::of(self.0.as_bytes())
    }
}

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    fn from_str(key: &str) -> Result<Self, InvalidApiKey> {
        let is_key = key
            .strip_prefix(PREFIX)
            .is_some_and(|rest| !rest.is_empty());
        if is_key && is_bearer_token(key.as_bytes()) {
            Ok(Self(Zeroizing::new(key.to_owned())))
        } else {
            Err(InvalidApiKey(()))
        }
    }
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for ApiKey {}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// The error for a text that is not an API key: `ak_` and the characters of a bearer token (RFC 6750 §2.1), at most 8 KiB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an API key is `ak_` followed by characters of a bearer token, at most 8 KiB in all")]
pub struct InvalidApiKey(());

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ApiKey {
        text.parse().unwrap()
    }

    // C3, C4
    #[test]
    fn text_is_a_key_with_the_prefix_and_token_characters() {
        let of_len = |len: usize| format!("ak_{}", "x".repeat(len - 3));
        for good in [
            "ak_x",
            "ak_live_x",
            "ak_a/b+c=",
            "ak_a.b.c",
            &of_len(8 * 1024),
        ] {
            assert!(good.parse::<ApiKey>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "ak_",
            "AK_live_x",
            "sk_live_x",
            "ak_a b",
            "ak_a\u{e9}",
            "ak_a=x",
            "ak_a%2F",
            &of_len(8 * 1024 + 1),
        ] {
            assert!(bad.parse::<ApiKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_equal_if_their_whole_text_is() {
        assert_eq!(key("ak_live_1"), key("ak_live_1"));
        for other in ["ak_live_2", "ak_live_11", "ak_live_"] {
            assert_ne!(key("ak_live_1"), key(other));
        }
    }

    // C33
    #[test]
    fn debug_shows_nothing_of_the_secret() {
        assert_eq!(format!("{:?}", key("ak_live_verysecret")), "ApiKey(..)");
    }
}
