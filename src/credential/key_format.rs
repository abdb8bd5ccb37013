//! How API keys are written: prefix, environment words, and the checksum of keys that this crate mints.

use zeroize::Zeroizing;

use super::base62::{self, GeneratorUnavailable, push_random};

/// The prefix of every API key (`C4`).
pub(crate) const PREFIX: &str = "ak_";

/// Random base62 characters of a minted key: 62⁴¹ > 2²⁴⁴, more than the 240 bits of `C7`.
const RANDOM_LEN: usize = 41;

/// Base62 digits of a CRC-32: 62⁶ > 2³².
const CHECKSUM_LEN: usize = 6;

/// The length of a minted key; the prefixes of both environments have the same length.
const MINTED_LEN: usize = "ak_live_".len() + RANDOM_LEN + CHECKSUM_LEN;

/// The deployment that a key was made for (`C4`).
///
/// ```
/// use coverbase_auth::{ApiKey, Environment};
///
/// let key: ApiKey = "ak_test_example".parse()?;
/// assert_eq!(key.environment(), Some(Environment::Test));
/// # Ok::<(), coverbase_auth::InvalidApiKey>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the contract has these two")]
pub enum Environment {
    /// Production: `ak_live_…`.
    Live,
    /// The sandbox: `ak_test_…`.
    Test,
}

impl Environment {
    /// Returns the environment whose prefix `key` begins with.
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        [Self::Live, Self::Test]
            .into_iter()
            .find(|environment| key.starts_with(environment.prefix().as_bytes()))
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "ak_live_",
            Self::Test => "ak_test_",
        }
    }
}

/// Which presented keys are looked up in the store. The default is [`Any`](Self::Any).
///
/// ```
/// use coverbase_auth::{CoverbaseAuthLayer, KeyFormat, MemoryStore};
///
/// // Every key of this service was made by `ApiKey::generate`.
/// let auth = CoverbaseAuthLayer::new(MemoryStore::new()).with_key_format(KeyFormat::Minted);
/// # let _ = auth;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeyFormat {
    /// Every key, so that keys of other issuers are accepted too (`C4`).
    #[default]
    Any,
    /// Only keys with the length, alphabet and checksum of [`ApiKey::generate`](crate::ApiKey::generate). Other keys are
    /// rejected before they are hashed and without a store call; one random key in 2³² passes.
    Minted,
}

impl KeyFormat {
    pub(crate) fn admits(self, key: &[u8]) -> bool {
        self == Self::Any || is_minted(key)
    }
}

/// Makes a new secret: the prefix of `environment`, random characters, and the checksum of both.
pub(super) fn mint(environment: Environment) -> Result<Zeroizing<String>, GeneratorUnavailable> {
    let mut key = Zeroizing::new(String::with_capacity(MINTED_LEN));
    key.push_str(environment.prefix());
    push_random(&mut key, RANDOM_LEN)?;
    let checksum = checksum(key.as_bytes());
    key.extend(checksum.map(char::from));
    Ok(key)
}

fn is_minted(key: &[u8]) -> bool {
    let Some((body, presented)) = key.split_last_chunk() else {
        return false;
    };
    key.len() == MINTED_LEN && Environment::of(key).is_some() && *presented == checksum(body)
}

/// Returns the CRC-32 of `body` in base62, most significant digit first.
fn checksum(body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut rest = crc32fast::hash(body);
    let mut digits = [0; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = base62::digit(rest);
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    // C7: 55 bytes is the longest text that SHA-256 hashes in one block.
    #[test]
    fn minted_key_has_55_bytes_and_a_checksum() {
        for environment in [Environment::Live, Environment::Test] {
            let key = mint(environment).unwrap();
            assert_eq!(key.len(), 55);
            assert_eq!(Environment::of(key.as_bytes()), Some(environment));
            assert!(KeyFormat::Minted.admits(key.as_bytes()));
            assert_ne!(key, mint(environment).unwrap());
        }
    }

    #[test]
    fn changed_character_is_rejected_by_the_checksum() {
        let key = mint(Environment::Live).unwrap();
        for position in 0..key.len() {
            let mut changed = key.as_bytes().to_vec();
            changed[position] = if changed[position] == b'x' {
                b'y'
            } else {
                b'x'
            };
            assert!(!KeyFormat::Minted.admits(&changed), "{position}");
            assert!(KeyFormat::Any.admits(&changed));
        }
        assert!(!KeyFormat::Minted.admits(b"ak_"));
        assert!(!KeyFormat::Minted.admits(&key.as_bytes()[..54]));
    }
}
