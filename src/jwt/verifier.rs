use std::{sync::Arc, time::Duration};

use super::{
    algorithm::Algorithm,
    claims::Session,
    issuer::Issuer,
    keys::{
        key_set::KeySet,
        verification_keys::{Keys, Signed},
    },
    rejection::{JwtRejection, Reason},
    token::{self, Header, Token},
    token_cache::TokenCache,
};
use crate::principal::Principal;

/// Verifies the session tokens of one or several issuers.
///
/// Cloning is cheap. Each `with_*` replaces what an earlier call of it set.
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
/// # What a token must satisfy
///
/// - Its `alg` is an accepted algorithm (C11; RFC 8725 §3.1), and with its `kid` names the key that verifies the signature
///   (C12). A key that the token contains or points to is ignored.
/// - Its `iss` equals the name of an issuer: `https://clerk.example.com/` is another issuer (C13).
/// - Its `exp` is present and in the future; `nbf` and `iat` are not in the future (C13).
/// - `azp`, `aud`: see [`with_authorized_parties`](Self::with_authorized_parties) and [`with_audiences`](Self::with_audiences) (C14).
/// - Its `sub` names a user, `sid` is present, `sts` is `active` if present, and it has an organization (C15). An [`Issuer`]
///   other than Clerk can map its claims differently.
///
/// The signature is verified first. Before that, no more is read than `alg`, `kid`, `typ` and `crit` of the header and, with
/// several issuers, `iss`.
///
/// # Verified tokens
///
/// A verified token is cached, see [`with_remembered_tokens`](Self::with_remembered_tokens), and its signature is not verified
/// again. Times, roles and requirements are checked every time. When an issuer replaces its keys, its tokens are verified
/// again.
#[derive(Clone, Debug)]
pub struct JwtVerifier {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    /// The issuer of `new`, and others with distinct names.
    issuers: Vec<Issuer>,
    algorithms: Box<[Algorithm]>,
    leeway_seconds: u64,
    verified: TokenCache,
}

impl JwtVerifier {
    /// Verifies tokens whose `iss` is `issuer`, signed by a key of `key_set`.
    ///
    /// By default it accepts RS256, ES256 and EdDSA with 5 seconds of leeway, and caches 4,096 tokens. Configure the origins of
    /// the dashboard with [`with_authorized_parties`](Self::with_authorized_parties): otherwise tokens that the issuer made for
    /// other applications are accepted. An empty `issuer` accepts no token.
    #[must_use]
    pub fn new(issuer: impl Into<String>, key_set: KeySet) -> Self {
        Self {
            settings: Arc::new(Settings {
                issuers: vec![Issuer::new(issuer, key_set)],
                algorithms: Box::new([Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]),
                leeway_seconds: 5,
                verified: TokenCache::new(4096),
            }),
        }
    }

    /// Also accepts the tokens of `issuer`, by its own keys and rules (T2). Replaces an issuer of the same name.
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
            let mut issuers = settings.issuers.iter_mut();
            match issuers.find(|other| other.name == issuer.name) {
                Some(same) => *same = issuer,
                None => settings.issuers.push(issuer),
            }
        })
    }

    /// Sets [`Issuer::with_authorized_parties`] of the issuer passed to [`new`](Self::new) (C14).
    #[must_use]
    pub fn with_authorized_parties(
        self,
        parties: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.with_first_issuer(|issuer| issuer.with_authorized_parties(parties))
    }

    /// Sets [`Issuer::with_audiences`] of the issuer passed to [`new`](Self::new) (C14).
    #[must_use]
    pub fn with_audiences(self, audiences: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with_first_issuer(|issuer| issuer.with_audiences(audiences))
    }

    /// Allows the clock of the issuer to differ by `leeway`, rounded down to whole seconds. Default: 5 seconds (C13).
    #[must_use]
    pub fn with_leeway(self, leeway: Duration) -> Self {
        self.with(|settings| settings.leeway_seconds = leeway.as_secs())
    }

    /// Accepts only tokens signed with one of `algorithms` (C11). An empty list accepts no token.
    #[must_use]
    pub fn with_algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.with(|settings| settings.algorithms = algorithms.into_iter().collect())
    }

    /// Caches up to `tokens` verified tokens. Default: 4,096; 0 disables the cache.
    ///
    /// An entry takes some 2 KB, at most 9 KB. A cached token costs a thirtieth of a signature check or less. A session that
    /// its issuer has ended stays valid until `exp`, cached or not: a signature cannot be withdrawn.
    #[must_use]
    pub fn with_remembered_tokens(self, tokens: usize) -> Self {
        self.with(|settings| settings.verified = TokenCache::new(tokens))
    }

    fn with_first_issuer(self, change: impl FnOnce(Issuer) -> Issuer) -> Self {
        self.with(|settings| {
            if let Some(first) = settings.issuers.first_mut() {
                *first = change(first.clone());
            }
        })
    }

    /// Changes a copy, whose cache is empty.
    fn with(self, set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::clone(&self.settings);
        set(&mut settings);
        Self {
            settings: Arc::new(settings),
        }
    }

    /// Returns the user of a token that is valid at `now` (Unix seconds). The times are checked for a remembered token too.
    pub(crate) fn verify(&self, token: &str, now: u64) -> Result<Principal, JwtRejection> {
        let leeway = self.settings.leeway_seconds;
        let cache = &self.settings.verified;
        if let Some(session) = cache.get(token.as_bytes()) {
            session.check_times(now, leeway)?;
            return Ok(session.principal);
        }
        let (session, keys) = self.session(token)?;
        session.check_times(now, leeway)?;
        let principal = session.principal.clone();
        cache.insert(token, session, keys);
        Ok(principal)
    }

    /// Returns the session of a token and the keys that verified it. Its times are not checked.
    fn session(&self, token: &str) -> Result<(Session, Arc<Keys>), JwtRejection> {
        let token = Token::parse(token)?;
        let header = Header::read(&token.header)?;
        if !self.settings.algorithms.contains(&header.algorithm) {
            return Err("`alg` is not an accepted algorithm".into());
        }
        let issuer = self.issuer(&token)?;
        let keys = issuer.key_set.verify(&Signed {
            kid: &header.kid,
            algorithm: header.algorithm,
            message: token.signing_input.as_bytes(),
            signature: &token.signature,
        })?;

        // From here on the token is what a holder of these keys has signed.
        token::object(&token.header)?;
        let payload = token.payload()?;
        let claims = token::object(&payload)?;
        let name = token::text(&claims, "iss", "`iss` is not a non-empty string")?;
        if name != issuer.name {
            return Err(UNKNOWN_ISSUER.into());
        }
        Ok((issuer.session(&claims)?, keys))
    }

    /// Returns the issuer whose keys verify the token. The payload is read only if there are several (T2).
    fn issuer(&self, token: &Token<'_>) -> Result<&Issuer, Reason> {
        let issuers = &self.settings.issuers[..];
        if let [issuer] = issuers {
            return Ok(issuer);
        }
        let payload = token.payload()?;
        let name = token::unverified_issuer(&payload)?;
        let issuer = issuers.iter().find(|issuer| issuer.name == name);
        issuer.ok_or(UNKNOWN_ISSUER)
    }

    #[cfg(test)]
    pub(crate) fn verified(&self) -> &TokenCache {
        &self.settings.verified
    }
}

const UNKNOWN_ISSUER: Reason = "`iss` is not a configured issuer";

#[cfg(test)]
mod tests;
