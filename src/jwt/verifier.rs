#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::{
    jwt::{
        algorithm::Algorithm,
        claims::{self, Session},
        issuer::Issuer,
        keys::{
            key_set::KeySet,
            missing::{Fetching, KeyMissing},
            verification_keys::Keys,
        },
        token::{Header, Token},
        verified::Verified,
    },
    principal::Principal,
};

/// Verifies the tokens of one issuer or several.
///
/// Cloning is cheap. Every `with_*` replaces what an earlier call of it set.
///
/// ```
/// use coverbase_auth::{JwtVerifier, KeySet};
///
/// # let jwks = r#"{"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "ins_1",
/// #     "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
/// let keys = KeySet::from_jwks(jwks)?;
/// let verifier = JwtVerifier::new("https://clerk.example.com", keys)
///     .with_authorized_parties(["https://app.example.com"]);
/// # Ok::<(), coverbase_auth::jwt::KeySetError>(())
/// ```
///
/// # What a token must be
///
/// - Signed with an algorithm on the list (C11; RFC 8725 §3.1) that is also the one of the key that its `kid` names
///   (C12). A key that the token brings along or points to is ignored.
/// - `iss` is an issuer of the verifier, to the byte: `https://clerk.example.com/` is another one (C13).
/// - `exp` is present and not reached; `nbf` and `iat` are not in the future (C13).
/// - `azp`, `aud`: see [`with_authorized_parties`](Self::with_authorized_parties) and [`with_audiences`](Self::with_audiences) (C14).
/// - `sub` is a user's, `sid` is present, `sts` is `active` where it is present, and there is an organization (C15). An
///   [`Issuer`] other than Clerk tells the organization in its own way.
///
/// # What is remembered
///
/// A token that has passed is remembered, see [`with_remembered_tokens`](Self::with_remembered_tokens), and is not verified
/// again. Dates, roles and requirements are checked every time; an issuer that replaces its keys makes all its tokens
/// unknown again.
///
/// The first few headers of an issuer's tokens are remembered with its keys, whatever that setting: the same text is not
/// read again. What it says is decided on every time.
#[derive(Clone, Debug)]
pub struct JwtVerifier {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    /// By name, each once; the first is the one that `new` was given.
    issuers: Vec<Issuer>,
    algorithms: Box<[Algorithm]>,
    leeway_seconds: u64,
    verified: Verified,
}

/// Why a token gives no principal.
#[derive(Debug)]
pub(crate) enum JwtRefusal {
    /// A 401 (C16). The reason is for the log: a fixed text without a word of the token.
    Invalid(&'static str),
    /// The keys cannot be had: a 503 (C31).
    KeySetUnavailable,
    /// Not refused yet: its key may be in the set that is being fetched (C12).
    Waiting(Fetching),
}

impl JwtVerifier {
    /// A verifier for the session tokens whose `iss` is `issuer`, signed by a key of `key_set`: that of
    /// [`Issuer::new`], to which more can be [added](Self::with_issuer).
    ///
    /// It accepts RS256, ES256 and EdDSA with 5 seconds of leeway, and remembers 4,096 tokens. Tell it the dashboard's
    /// origins with [`with_authorized_parties`](Self::with_authorized_parties): without, a token that the issuer made for
    /// another application passes. An empty issuer accepts nothing.
    #[must_use]
    pub fn new(issuer: impl Into<String>, key_set: KeySet) -> Self {
        Self {
            settings: Arc::new(Settings {
                issuers: vec![Issuer::new(issuer, key_set)],
                algorithms: Box::new([Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]),
                leeway_seconds: 5,
                verified: Verified::new(4096),
            }),
        }
    }

    /// Accepts the tokens of `issuer` too, by its own keys and rules (T2). It takes the place of an earlier one of its
    /// name.
    ///
    /// ```
    /// # use coverbase_auth::{Issuer, JwtVerifier, KeySet};
    /// let verifier = JwtVerifier::new("https://clerk.example.com", KeySet::unavailable())
    ///     .with_authorized_parties(["https://app.example.com"])
    ///     .with_issuer(
    ///         Issuer::new("https://clerk.staging.example.com", KeySet::unavailable())
    ///             .with_authorized_parties(["https://app.staging.example.com"]),
    ///     );
    /// ```
    #[must_use]
    pub fn with_issuer(self, issuer: Issuer) -> Self {
        self.with(|settings| {
            let same = settings
                .issuers
                .iter_mut()
                .find(|other| other.name == issuer.name);
            match same {
                Some(same) => *same = issuer,
                None => settings.issuers.push(issuer),
            }
        })
    }

    /// [`Issuer::with_authorized_parties`] of the issuer that [`new`](Self::new) was given (C14).
    ///
    /// ```
    /// # use coverbase_auth::{JwtVerifier, KeySet};
    /// let verifier = JwtVerifier::new("https://clerk.example.com", KeySet::unavailable())
    ///     .with_authorized_parties(["https://app.example.com", "http://localhost:3000"]);
    /// ```
    #[must_use]
    pub fn with_authorized_parties(
        self,
        parties: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.with_first_issuer(|issuer| issuer.with_authorized_parties(parties))
    }

    /// [`Issuer::with_audiences`] of the issuer that [`new`](Self::new) was given (C14).
    ///
    /// ```
    /// # use coverbase_auth::{JwtVerifier, KeySet};
    /// let verifier = JwtVerifier::new("https://clerk.example.com", KeySet::unavailable())
    ///     .with_audiences(["https://api.example.com"]);
    /// ```
    #[must_use]
    pub fn with_audiences(self, audiences: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with_first_issuer(|issuer| issuer.with_audiences(audiences))
    }

    /// Allows the issuer's clock to differ by `leeway`, in whole seconds rounded down; 5 seconds by default (C13).
    ///
    /// ```
    /// use std::time::Duration;
    /// # use coverbase_auth::{JwtVerifier, KeySet};
    ///
    /// let verifier = JwtVerifier::new("https://clerk.example.com", KeySet::unavailable())
    ///     .with_leeway(Duration::from_secs(30));
    /// ```
    #[must_use]
    pub fn with_leeway(self, leeway: Duration) -> Self {
        self.with(|settings| settings.leeway_seconds = leeway.as_secs())
    }

    /// Accepts only tokens signed with one of `algorithms` (C11). An empty list accepts no token.
    ///
    /// ```
    /// # use coverbase_auth::{JwtVerifier, KeySet};
    /// use coverbase_auth::Algorithm;
    ///
    /// let verifier = JwtVerifier::new("https://clerk.example.com", KeySet::unavailable())
    ///     .with_algorithms([Algorithm::Rs256]);
    /// ```
    #[must_use]
    pub fn with_algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.with(|settings| settings.algorithms = algorithms.into_iter().collect())
    }

    /// Remembers up to `tokens` tokens that have passed; 4,096 by default, 0 switches it off.
    ///
    /// One takes some 2 KB, and 9 KB at most. A remembered token costs a thirtieth of a signature check or less. A
    /// session that its issuer has ended stays valid until `exp` either way: a signature tells nothing of it.
    ///
    /// ```
    /// # use coverbase_auth::{JwtVerifier, KeySet};
    /// let verifier = JwtVerifier::new("https://clerk.example.com", KeySet::unavailable())
    ///     .with_remembered_tokens(100_000);
    /// ```
    #[must_use]
    pub fn with_remembered_tokens(self, tokens: usize) -> Self {
        self.with(|settings| settings.verified = Verified::new(tokens))
    }

    fn with_first_issuer(self, change: impl FnOnce(Issuer) -> Issuer) -> Self {
        self.with(|settings| {
            if let Some(first) = settings.issuers.first_mut() {
                *first = change(first.clone());
            }
        })
    }

    /// The copy that is changed has remembered nothing under the old rules.
    fn with(self, set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::clone(&self.settings);
        set(&mut settings);
        Self {
            settings: Arc::new(settings),
        }
    }

    /// The user of a token that has been verified before: it need not even be looked at whether this is a JWT.
    #[inline]
    pub(crate) fn remembered(
        &self,
        token: &[u8],
        now: u64,
    ) -> Option<Result<Principal, JwtRefusal>> {
        let session = self.settings.verified.get(token)?;
        Some(self.check_times(&session, now).map(|()| session.principal))
    }

    /// The user of a token that is valid at `now` (Unix seconds).
    pub(crate) fn verify(&self, token: &str, now: u64) -> Result<Principal, JwtRefusal> {
        // What was read of the token is freed by then: to free it while the cache misses of the insertion are pending takes
        // three times as long.
        let (session, keys) = self.session(token)?;
        self.check_times(&session, now)?;
        let principal = session.principal.clone();
        self.settings.verified.insert(token, session, keys);
        Ok(principal)
    }

    /// What a token says whose signature and claims are good, and the keys that say so.
    fn session(&self, token: &str) -> Result<(Session, Arc<Keys>), JwtRefusal> {
        let token = Token::parse(token)?;
        let claims = token.claims()?;
        let issuer = self.issuer(claims::issuer(&claims)?)?;

        let keys = issuer.key_set.keys();
        let header = self.header(&token, keys.as_deref())?;
        let missing = || issuer.key_set.missing(&header.kid);
        let keys = keys.as_ref().ok_or_else(missing)?;
        let key = keys.key(&header.kid).ok_or_else(missing)?;
        if key.algorithm() != header.algorithm {
            return Err(JwtRefusal::Invalid("`alg` is not the key's algorithm"));
        }
        token.check_signature(key)?;
        let session = issuer.rules.session(&claims)?;
        if let Cow::Owned(header) = &header {
            keys.headers().insert(token.header_text(), header);
        }
        Ok((session, Arc::clone(keys)))
    }

    /// The token's header, which need not be read again where these keys have verified a token with the same one.
    fn header<'k>(
        &self,
        token: &Token<'_>,
        keys: Option<&'k Keys>,
    ) -> Result<Cow<'k, Header>, JwtRefusal> {
        let known = keys.and_then(|keys| keys.headers().get(token.header_text()));
        let header = match known {
            Some(header) => Cow::Borrowed(header),
            None => Cow::Owned(token.header()?),
        };
        if self.settings.algorithms.contains(&header.algorithm) {
            Ok(header)
        } else {
            Err(JwtRefusal::Invalid("`alg` is not on the list"))
        }
    }

    #[cfg(test)]
    pub(crate) fn verified(&self) -> &Verified {
        &self.settings.verified
    }

    /// Only what the issuer of this name says of itself is asked from here on (T2).
    fn issuer(&self, name: &str) -> Result<&Issuer, &'static str> {
        let mut issuers = self.settings.issuers.iter();
        issuers
            .find(|issuer| *issuer.name == *name)
            .ok_or("`iss` is not a configured issuer")
    }

    #[inline]
    fn check_times(&self, session: &Session, now: u64) -> Result<(), JwtRefusal> {
        Ok(session.check_times(now, self.settings.leeway_seconds)?)
    }
}

impl From<&'static str> for JwtRefusal {
    fn from(reason: &'static str) -> Self {
        Self::Invalid(reason)
    }
}

impl From<KeyMissing> for JwtRefusal {
    fn from(missing: KeyMissing) -> Self {
        match missing {
            KeyMissing::Unknown => Self::Invalid("`kid` is not in the key set"),
            KeyMissing::Unavailable => Self::KeySetUnavailable,
            KeyMissing::Fetching(fetching) => Self::Waiting(fetching),
        }
    }
}
