//! Tokens that have been verified before: a user's browser sends one token with every request of a minute.

use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::Arc,
};

use quick_cache::{
    Equivalent, OptionsBuilder, UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::jwt::{claims::Session, keys::verification_keys::Keys};

/// The end of a signature that is hashed: 192 bits of it, which nobody but the issuer chooses.
const HASHED_LEN: usize = 32;

/// The sessions of a bounded number of verified tokens.
///
/// Only what has passed is in it, so nobody but the holder of genuine tokens fills it; and who holds many cannot push out
/// what others use: quick_cache drops what was seen once before what was seen again.
pub(crate) struct Verified {
    cache: Option<Cache<Token, Remembered, UnitWeighter, PassThrough>>,
    capacity: usize,
    seed: u64,
}

/// A token with its hash.
struct Token {
    hash: u64,
    text: Box<[u8]>,
}

/// A token that a request presents, with its hash.
struct Presented<'a> {
    hash: u64,
    text: &'a [u8],
}

#[derive(Clone)]
struct Remembered {
    session: Session,
    keys: Arc<Keys>,
}

impl Verified {
    /// Room for `capacity` tokens; 0 for none.
    pub(crate) fn new(capacity: usize) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(capacity)
            .weight_capacity(capacity as u64)
            .build();
        let cache = options.ok().filter(|_| capacity > 0).map(|options| {
            Cache::with_options(
                options,
                UnitWeighter,
                PassThrough::default(),
                DefaultLifecycle::default(),
            )
        });
        Self {
            cache,
            capacity,
            seed: RandomState::new().hash_one(capacity),
        }
    }

    /// What was remembered of just this token, where the keys that it was verified by are still the issuer's. Whether it
    /// is valid now is another question (C13).
    #[inline]
    pub(crate) fn get(&self, token: &[u8]) -> Option<Session> {
        let hash = self.hash(token)?;
        let presented = Presented { hash, text: token };
        let remembered = self.cache.as_ref()?.get(&presented)?;
        (!remembered.keys.are_superseded()).then_some(remembered.session)
    }

    pub(crate) fn insert(&self, token: &str, session: Session, keys: Arc<Keys>) {
        let Some((cache, hash)) = self.cache.as_ref().zip(self.hash(token.as_bytes())) else {
            return;
        };
        let text = token.as_bytes().into();
        cache.insert(Token { hash, text }, Remembered { session, keys });
    }

    /// Whoever presents a token of this hash knows 32 characters of a genuine signature, so the comparison that follows
    /// teaches nobody a signature by its time.
    #[inline]
    fn hash(&self, token: &[u8]) -> Option<u64> {
        let end: &[u8; HASHED_LEN] = token.last_chunk()?;
        let (words, _) = end.as_chunks::<8>();
        Some(words.iter().fold(self.seed, |hash, word| {
            // The two halves of a product, as in wyhash: each bit of the word reaches all of the hash.
            let word = u64::from_le_bytes(*word);
            let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15;
            (product as u64) ^ ((product >> 64) as u64)
        }))
    }
}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Token {}

impl Hash for Presented<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Token> for Presented<'_> {
    #[inline]
    fn equivalent(&self, token: &Token) -> bool {
        *self.text == *token.text
    }
}

/// The hash of a token is its own.
#[derive(Clone, Default)]
struct PassThrough(u64);

impl BuildHasher for PassThrough {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self::default()
    }
}

impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Remembers nothing of the other: its owner is about to become a verifier with other rules.
impl Clone for Verified {
    fn clone(&self) -> Self {
        Self::new(self.capacity)
    }
}

/// No token (C33).
impl fmt::Debug for Verified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Verified")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{jwt::verifier::JwtVerifier, testing::TestIssuer};

    const ISSUER: &str = "https://clerk.coverbase.test";
    const NOW: u64 = 1_800_000_000;

    /// A verifier that has verified `token`, and the token.
    fn seen(capacity: usize) -> (TestIssuer, JwtVerifier, String) {
        let issuer = TestIssuer::new(ISSUER);
        let verifier = JwtVerifier::new(ISSUER, issuer.key_set()).with_remembered_tokens(capacity);
        let token = issuer.token().with_times(NOW, NOW + 60).sign();
        verifier.verify(&token, NOW).unwrap();
        (issuer, verifier, token)
    }

    fn is_remembered(verifier: &JwtVerifier, token: &str) -> bool {
        verifier.remembered(token.as_bytes(), NOW).is_some()
    }

    #[test]
    fn what_has_passed_is_remembered_as_it_was() {
        let (_, verifier, token) = seen(10);
        let again = verifier.remembered(token.as_bytes(), NOW).unwrap().unwrap();
        let first = verifier.verify(&token, NOW).unwrap();
        assert_eq!(format!("{again:?}"), format!("{first:?}"));
        assert!(is_remembered(&verifier.clone(), &token));
    }

    // C13, T4
    #[test]
    fn its_times_are_checked_every_time() {
        let (_, verifier, token) = seen(10);
        let passes = |now| verifier.remembered(token.as_bytes(), now).unwrap().is_ok();
        assert!(!passes(NOW - 6) && passes(NOW - 5));
        assert!(passes(NOW + 64) && !passes(NOW + 65) && passes(NOW));
    }

    #[test]
    fn what_has_not_passed_is_not_remembered() {
        let (issuer, verifier, _) = seen(10);
        for token in [
            issuer.token().with_times(NOW - 60, NOW - 30).sign(),
            issuer.token().without_claim("sid").sign(),
            TestIssuer::new(ISSUER).token().sign(),
        ] {
            assert!(verifier.verify(&token, NOW).is_err());
            assert!(!is_remembered(&verifier, &token));
        }
    }

    // T3
    #[test]
    fn only_the_whole_token_is_the_token() {
        let (_, verifier, token) = seen(10);
        let (payload_end, _) = token.rmatch_indices('.').next().unwrap();
        for at in (0..payload_end).step_by(7) {
            let mut other = token.clone().into_bytes();
            other[at] ^= 1;
            assert!(verifier.remembered(&other, NOW).is_none(), "{at}");
        }
        for other in [
            &token[1..],
            &token[payload_end..],
            &token[..token.len() - 1],
            &format!("{token}="),
            &format!(" {token}"),
            "",
        ] {
            assert!(!is_remembered(&verifier, other));
        }
    }

    #[test]
    fn each_verifier_remembers_by_its_own_rules() {
        let (issuer, verifier, token) = seen(10);
        assert!(!is_remembered(
            &verifier.clone().with_leeway(std::time::Duration::ZERO),
            &token
        ));
        assert!(!is_remembered(
            &verifier.clone().with_authorized_parties([""; 0]),
            &token
        ));
        assert!(!is_remembered(
            &verifier.clone().with_algorithms([]),
            &token
        ));
        let other = crate::jwt::issuer::Issuer::new("https://other.test", issuer.key_set());
        assert!(!is_remembered(&verifier.clone().with_issuer(other), &token));
        assert!(is_remembered(&verifier, &token));
    }

    #[test]
    fn it_can_be_switched_off() {
        let (_, verifier, token) = seen(0);
        assert!(!is_remembered(&verifier, &token));
        assert!(verifier.verify(&token, NOW).is_ok());
    }

    // T14
    #[test]
    fn a_flood_stays_within_the_bound_and_leaves_what_is_hot() {
        const CAPACITY: usize = 256;
        let (issuer, verifier, hot) = seen(CAPACITY);
        let keys = issuer.key_set().keys().unwrap();
        let session = verifier.verified().get(hot.as_bytes()).unwrap();
        let verified = verifier.verified();
        let (tokens, hits) = (100_000_u32, 1_000);
        let mut lost = 0;
        for number in 0..tokens {
            // A genuine token's end is as good as random.
            let token = format!("{:064x}", RandomState::new().hash_one(number));
            let token = format!(
                "{token}{:032x}{number:032x}",
                verified.hash(token.as_bytes()).unwrap()
            );
            verified.insert(&token, session.clone(), Arc::clone(&keys));
            if number % (tokens / hits) == 0 && verified.get(hot.as_bytes()).is_none() {
                lost += 1;
                verified.insert(&hot, session.clone(), Arc::clone(&keys));
            }
        }
        assert!(lost <= 1, "pushed out {lost} times");
        let cache = verified.cache.as_ref().unwrap();
        assert!(cache.len() <= CAPACITY, "{}", cache.len());
        assert!(cache.len() > CAPACITY / 2, "{}", cache.len());
    }

    #[cfg(feature = "jwks")]
    #[test]
    fn what_replaced_keys_have_verified_is_unknown_again() {
        let (issuer, verifier, token) = seen(10);
        let verified = verifier.verified();
        let session = verified.get(token.as_bytes()).unwrap();
        let keys = issuer.key_set().keys().unwrap();
        verified.insert(&token, session, Arc::clone(&keys));
        assert!(is_remembered(&verifier, &token));
        keys.supersede();
        assert!(!is_remembered(&verifier, &token));
    }

    // C33
    #[test]
    fn debug_shows_no_token() {
        let (_, verifier, token) = seen(10);
        let shown = format!("{verifier:?}");
        assert!(
            !token.split('.').any(|part| shown.contains(part)) && !shown.contains("sess_test"),
            "{shown}"
        );
    }
}
