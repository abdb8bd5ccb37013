//! A service-account key: its secret, the digest that is stored instead, and its public id.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use sha2::{Digest, Sha256, block_api::compress256};
use zeroize::{Zeroize, Zeroizing};

/// What every API key begins with (`C4`).
pub(crate) const PREFIX: &str = "ak_";

/// A token longer than this is malformed, whatever it holds (`C3`).
pub(crate) const MAX_TOKEN_LEN: usize = 8 * 1024;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 62⁴¹ > 2²⁴⁴: over the 240 bits that `C7` asks for.
const RANDOM_LEN: usize = 41;

/// 62⁶ > 2³².
const CHECKSUM_LEN: usize = 6;

/// `ak_live_` and `ak_test_` are as long as each other.
const MINTED_LEN: usize = "ak_live_".len() + RANDOM_LEN + CHECKSUM_LEN;

// The padding of SHA-256 takes nine bytes: more than 55, and hashing a key takes a second block.
const _: () = assert!(MINTED_LEN == 55);

/// The secret of an API key.
///
/// It is shown to its owner once and then forgotten: what is stored is its [digest](Self::digest) (`C7`).
/// `Debug` shows none of it, there is no `Display`, and its memory is wiped when it is dropped.
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
    /// A new key: the environment's prefix, 244 bits from the operating system's generator in base62, and a CRC-32
    /// of all that, so that a mistyped or invented key is recognized without asking the store
    /// ([`KeyFormat::Minted`]).
    ///
    /// # Panics
    ///
    /// When the operating system has no random numbers to give, as [`std::collections::HashMap::new`] does. Where that is to be survived,
    /// use [`try_generate`](Self::try_generate).
    ///
    /// ```
    /// use coverbase_auth::{ApiKey, Environment};
    ///
    /// let key = ApiKey::generate(Environment::Test);
    /// assert_eq!(key.environment(), Some(Environment::Test));
    /// assert_eq!(key.expose_secret().len(), 55);
    /// ```
    #[must_use]
    #[expect(
        clippy::panic,
        reason = "documented, with an alternative that does not"
    )]
    pub fn generate(environment: Environment) -> Self {
        match Self::try_generate(environment) {
            Ok(key) => key,
            Err(error) => panic!("{error}"),
        }
    }

    /// What [`generate`](Self::generate) does, without its panic.
    ///
    /// # Errors
    ///
    /// When the operating system's generator does not answer.
    ///
    /// ```
    /// use coverbase_auth::{ApiKey, Environment, GeneratorUnavailable};
    ///
    /// fn mint() -> Result<ApiKey, GeneratorUnavailable> {
    ///     ApiKey::try_generate(Environment::Live)
    /// }
    /// assert!(mint().is_ok());
    /// ```
    pub fn try_generate(environment: Environment) -> Result<Self, GeneratorUnavailable> {
        let mut key = Zeroizing::new(String::with_capacity(MINTED_LEN));
        key.push_str(environment.prefix());
        push_random(&mut key, RANDOM_LEN)?;
        let checksum = checksum(key.as_bytes());
        key.extend(checksum.map(char::from));
        Ok(Self(key))
    }

    /// What a store keeps in place of the secret, and finds it by.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.0.as_bytes())
    }

    /// The whole key, for the one answer that shows it to its owner.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// The environment that the key's prefix names; `None` where an identity provider of its own minted the key (`C4`).
    #[must_use]
    pub fn environment(&self) -> Option<Environment> {
        Environment::of(self.0.as_bytes())
    }
}

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    fn from_str(key: &str) -> Result<Self, InvalidApiKey> {
        let legal = key.starts_with(PREFIX)
            && key.len() > PREFIX.len()
            && key.len() <= MAX_TOKEN_LEN
            && crate::credential::is_token68(key.as_bytes());
        if legal {
            Ok(Self(Zeroizing::new(key.to_owned())))
        } else {
            Err(InvalidApiKey(()))
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// The text is not an API key: `ak_` and the characters of a bearer token (RFC 6750 §2.1), 8 KiB at most.
///
/// ```
/// use coverbase_auth::{ApiKey, InvalidApiKey};
///
/// let read: Result<ApiKey, InvalidApiKey> = "sk_live_example".parse();
/// assert!(read.unwrap_err().to_string().starts_with("an API key is `ak_`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an API key is `ak_` followed by characters of a bearer token, 8 KiB at most")]
pub struct InvalidApiKey(());

/// The operating system's random number generator did not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operating system's random number generator does not answer: {0}")]
pub struct GeneratorUnavailable(getrandom::Error);

/// The SHA-256 of a whole key: what a [`KeyStore`](crate::KeyStore) finds a key by (`C7`).
///
/// Presented as a credential it opens nothing, since it would be hashed again. Its `Hash` is its first eight bytes as they are: they are evenly spread already, and nobody chooses which
/// digests are inserted.
///
/// ```
/// use coverbase_auth::{ApiKey, KeyDigest};
///
/// let key: ApiKey = "ak_live_example".parse()?;
/// let stored: [u8; 32] = *key.digest().as_bytes();
/// assert_eq!(KeyDigest::from_bytes(stored), key.digest());
/// # Ok::<(), coverbase_auth::InvalidApiKey>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a presented key.
    #[inline]
    pub(crate) fn of(key: &[u8]) -> Self {
        Self(sha256_of_one_block(key).unwrap_or_else(|| Sha256::digest(key).into()))
    }

    /// A digest as a store has kept it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// SHA-256 of a message that is padded to one block (FIPS 180-4 §5.1.1), as every minted key is, without the buffer and
/// the counters that longer messages need: they cost half as much again as the block itself.
#[inline]
fn sha256_of_one_block(message: &[u8]) -> Option<[u8; 32]> {
    let mut block = [0; 64];
    let (text, padding) = block.split_at_mut_checked(message.len())?;
    text.copy_from_slice(message);
    let (end, padding) = padding.split_first_mut()?;
    *end = 0x80;
    let bits = message.len() as u64 * 8;
    *padding.last_chunk_mut()? = bits.to_be_bytes();

    let mut state = SHA256_INITIAL_STATE;
    compress256(&mut state, &[block]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    Some(digest)
}

/// FIPS 180-4 §5.3.3
const SHA256_INITIAL_STATE: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

impl Hash for KeyDigest {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

/// A key's public name, such as `ak_6sLyzf0Xz0Cq`: random, and neither the secret nor a part of it (`C38`).
///
/// ```
/// use coverbase_auth::KeyId;
///
/// let id = KeyId::from("ak_6sLyzf0Xz0Cq");
/// assert_eq!(id.as_str(), "ak_6sLyzf0Xz0Cq");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// A new id: 131 random bits, which say nothing about the secret.
    pub(crate) fn try_generate() -> Result<Self, GeneratorUnavailable> {
        let mut id = String::from(PREFIX);
        push_random(&mut id, 22)?;
        Ok(Self(id.into()))
    }

    /// The id as text.
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

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({:?})", &*self.0)
    }
}

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
    const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "ak_live_",
            Self::Test => "ak_test_",
        }
    }

    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        [Self::Live, Self::Test]
            .into_iter()
            .find(|environment| key.starts_with(environment.prefix().as_bytes()))
    }
}

/// Which keys are looked up at all.
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
    /// Every key: those of other issuers have no checksum of ours (`C4`).
    #[default]
    Any,
    /// Only keys that [`ApiKey::generate`] may have made: length, alphabet and checksum fit. An invented key is refused
    /// before it is hashed and before the store is asked; one in 2³² passes.
    Minted,
}

impl KeyFormat {
    #[inline]
    pub(crate) fn admits(self, key: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Minted => is_minted(key),
        }
    }
}

fn is_minted(key: &[u8]) -> bool {
    let Some((body, presented)) = key.split_last_chunk::<CHECKSUM_LEN>() else {
        return false;
    };
    key.len() == MINTED_LEN && Environment::of(key).is_some() && *presented == checksum(body)
}

/// CRC-32 in base62, most significant digit first.
fn checksum(body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut rest = crc32fast::hash(body);
    let mut digits = [0; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = base62((rest % 62) as u8);
        rest /= 62;
    }
    digits
}

/// Appends `len` characters of base62, each of the 62 as likely as the others.
fn push_random(text: &mut String, len: usize) -> Result<(), GeneratorUnavailable> {
    let end = text.len() + len;
    let mut bytes = Zeroizing::new([0; 64]);
    while text.len() < end {
        getrandom::fill(&mut *bytes).map_err(GeneratorUnavailable)?;
        // 248 = 4 · 62: a byte from there on would make the first characters of the alphabet likelier.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        for byte in fair.take(end - text.len()) {
            text.push(base62(byte % 62).into());
        }
    }
    bytes.zeroize();
    Ok(())
}

fn base62(digit: u8) -> u8 {
    ALPHABET.get(usize::from(digit)).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    // C7
    #[test]
    fn a_generated_key_fits_one_block_and_carries_its_checksum() {
        for environment in [Environment::Live, Environment::Test] {
            let key = ApiKey::generate(environment);
            assert_eq!(key.expose_secret().len(), 55);
            assert_eq!(key.environment(), Some(environment));
            assert!(KeyFormat::Minted.admits(key.expose_secret().as_bytes()));
        }
        assert_ne!(
            ApiKey::generate(Environment::Live).expose_secret(),
            ApiKey::generate(Environment::Live).expose_secret()
        );
    }

    // C7: base62 of even spread; the chi-square bound is exceeded once in a million runs.
    #[test]
    fn the_characters_of_a_key_are_evenly_spread() {
        let mut counts = [0_u32; 62];
        for _ in 0..2_000 {
            let key = ApiKey::generate(Environment::Live);
            for byte in &key.expose_secret().as_bytes()[8..8 + RANDOM_LEN] {
                counts[ALPHABET.iter().position(|c| c == byte).unwrap()] += 1;
            }
        }
        let expected = f64::from(2_000 * 41) / 62.0;
        let chi_square: f64 = counts
            .iter()
            .map(|count| (f64::from(*count) - expected).powi(2) / expected)
            .sum();
        assert!(chi_square < 132.0, "{chi_square}");
    }

    // C7: on both sides of the one block.
    #[test]
    fn a_digest_is_sha_256() {
        for len in 0..130 {
            let key = vec![b'x'; len];
            let expected: [u8; 32] = Sha256::digest(&key).into();
            assert_eq!(KeyDigest::of(&key).as_bytes(), &expected, "{len}");
        }
    }

    #[test]
    fn a_key_with_one_character_changed_is_not_minted() {
        let key = ApiKey::generate(Environment::Live);
        let secret = key.expose_secret().as_bytes();
        assert!(KeyFormat::Minted.admits(secret));
        for position in 0..secret.len() {
            let mut changed = secret.to_vec();
            changed[position] = if changed[position] == b'x' {
                b'y'
            } else {
                b'x'
            };
            assert!(!KeyFormat::Minted.admits(&changed), "{position}");
            assert!(KeyFormat::Any.admits(&changed));
        }
        assert!(!KeyFormat::Minted.admits(b"ak_"));
        assert!(!KeyFormat::Minted.admits(&secret[..54]));
    }

    // C4
    #[test]
    fn a_key_is_ak_and_the_characters_of_a_token() {
        for good in ["ak_x", "ak_live_x", "ak_a/b+c=", "ak_a.b.c"] {
            assert!(good.parse::<ApiKey>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "ak_",
            "AK_live_x",
            "sk_live_x",
            "ak_a b",
            "ak_a\u{e9}",
            "ak_=x",
            "ak_a%2F",
        ] {
            assert!(bad.parse::<ApiKey>().is_err(), "{bad}");
        }
        assert!(
            format!("ak_{}", "x".repeat(MAX_TOKEN_LEN - 3))
                .parse::<ApiKey>()
                .is_ok()
        );
        assert!(
            format!("ak_{}", "x".repeat(MAX_TOKEN_LEN - 2))
                .parse::<ApiKey>()
                .is_err()
        );
    }

    // C33
    #[test]
    fn debug_shows_no_secret_and_no_digest() {
        let key: ApiKey = "ak_live_verysecret".parse().unwrap();
        assert_eq!(
            format!("{key:?} {:?}", key.digest()),
            "ApiKey(..) KeyDigest(..)"
        );
    }
}
