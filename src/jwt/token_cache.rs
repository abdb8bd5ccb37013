//! The cache of verified tokens: a browser sends one token with every request of a minute.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use quick_cache::{DefaultHashBuilder, sync::Cache};

use super::{claims::Session, keys::verification_keys::Keys};

/// The sessions of a bounded number of verified tokens.
///
/// Only verified tokens are inserted, so only holders of genuine tokens can fill it, and quick_cache evicts entries
/// that were used once before entries that were used again.
pub(crate) struct TokenCache {
    /// By a hash of the whole token, with a secret key.
    sessions: Option<Cache<u64, Arc<Remembered>>>,
    capacity: usize,
    hasher: DefaultHashBuilder,
    key: u64,
}

struct Remembered {
    token: Box<[u8]>,
    session: Session,
    keys: Arc<Keys>,
}

impl TokenCache {
    /// A cache of up to `capacity` tokens; 0 disables it.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            sessions: (capacity > 0).then(|| Cache::new(capacity)),
            capacity,
            hasher: DefaultHashBuilder::default(),
            key: RandomState::new().hash_one(capacity),
        }
    }

    /// Returns the session of exactly this token, unless the keys that verified it have been replaced since. The caller
    /// checks its times (C13).
    pub(crate) fn get(&self, token: &[u8]) -> Option<Session> {
        let remembered = self.sessions.as_ref()?.get(&self.hash(token))?;
        // In constant time, so that the time of a rejection tells nothing about a remembered token.
        verify_slices_are_equal(&remembered.token, token).ok()?;
        (!remembered.keys.are_superseded()).then(|| remembered.session.clone())
    }

    pub(crate) fn insert(&self, token: &str, session: Session, keys: Arc<Keys>) {
        if let Some(sessions) = &self.sessions {
            let token = token.as_bytes();
            let remembered = Remembered {
                token: token.into(),
                session,
                keys,
            };
            sessions.insert(self.hash(token), Arc::new(remembered));
        }
    }

    fn hash(&self, token: &[u8]) -> u64 {
        self.hasher.hash_one((self.key, token))
    }
}

/// Shows no token (C33).
impl fmt::Debug for TokenCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenCache")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// The clone is empty: it serves a verifier with other rules.
impl Clone for TokenCache {
    fn clone(&self) -> Self {
        Self::new(self.capacity)
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

    fn keys(issuer: &TestIssuer) -> Arc<Keys> {
        Arc::new(Keys::from_jwks(issuer.jwks_json().as_bytes()).unwrap())
    }

    fn is_remembered(verifier: &JwtVerifier, token: &str) -> bool {
        verifier.verified().get(token.as_bytes()).is_some()
    }

    #[test]
    fn cached_session_equals_the_verified_one() {
        let (_, verifier, token) = seen(10);
        let cached = verifier.verified().get(token.as_bytes()).unwrap().principal;
        let again = verifier.verify(&token, NOW).unwrap();
        assert_eq!(format!("{cached:?}"), format!("{again:?}"));
        assert!(is_remembered(&verifier.clone(), &token));
    }

    // C13, T4
    #[test]
    fn times_are_checked_every_time() {
        let (_, verifier, token) = seen(10);
        assert!(is_remembered(&verifier, &token));
        let passes = |now| verifier.verify(&token, now).is_ok();
        assert!(!passes(NOW - 6) && passes(NOW - 5));
        assert!(passes(NOW + 64) && !passes(NOW + 65) && passes(NOW));
    }

    #[test]
    fn rejected_token_is_not_cached() {
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

    // T3: equal hashes are not enough.
    #[test]
    fn token_with_the_same_hash_is_not_found() {
        let (issuer, verifier, token) = seen(10);
        let verified = verifier.verified();
        let session = verified.get(token.as_bytes()).unwrap();
        let remembered = Remembered {
            token: token.as_bytes().into(),
            session,
            keys: keys(&issuer),
        };
        let other = b"another token";
        let sessions = verified.sessions.as_ref().unwrap();
        sessions.insert(verified.hash(other), Arc::new(remembered));
        assert!(verified.get(other).is_none());
    }

    // T3
    #[test]
    fn similar_token_is_not_found() {
        let (_, verifier, token) = seen(10);
        let (payload_end, _) = token.rmatch_indices('.').next().unwrap();
        for at in (0..payload_end).step_by(7) {
            let mut other = token.clone().into_bytes();
            other[at] ^= 1;
            assert!(verifier.verified().get(&other).is_none(), "{at}");
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
    fn changed_verifier_has_an_empty_cache() {
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
    fn capacity_zero_disables_the_cache() {
        let (_, verifier, token) = seen(0);
        assert!(!is_remembered(&verifier, &token));
        assert!(verifier.verify(&token, NOW).is_ok());
    }

    // T14
    #[test]
    fn flood_stays_within_the_capacity_and_keeps_hot_tokens() {
        const CAPACITY: usize = 256;
        let (issuer, verifier, hot) = seen(CAPACITY);
        let keys = keys(&issuer);
        let session = verifier.verified().get(hot.as_bytes()).unwrap();
        let verified = verifier.verified();
        let (tokens, hits) = (100_000_u32, 1_000);
        let mut lost = 0;
        for number in 0..tokens {
            let token = format!("token {number}");
            verified.insert(&token, session.clone(), Arc::clone(&keys));
            if number % (tokens / hits) == 0 && verified.get(hot.as_bytes()).is_none() {
                lost += 1;
                verified.insert(&hot, session.clone(), Arc::clone(&keys));
            }
        }
        assert!(lost <= 1, "evicted {lost} times");
        let cache = verified.sessions.as_ref().unwrap();
        assert!(cache.len() <= CAPACITY, "{}", cache.len());
        assert!(cache.len() > CAPACITY / 2, "{}", cache.len());
    }

    #[cfg(feature = "jwks")]
    #[test]
    fn token_of_replaced_keys_is_not_found() {
        let (issuer, verifier, token) = seen(10);
        let verified = verifier.verified();
        let session = verified.get(token.as_bytes()).unwrap();
        let keys = keys(&issuer);
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
