//! What users add to their service.

use std::sync::Arc;

use tower_layer::Layer;

use crate::{
    authenticator::Authenticator,
    client_ip::ClientIpSource,
    clock::Clock,
    credential::{Environment, KeyFormat},
    key_store::KeyStore,
    layer::{CoverbaseAuth, Gate},
    principal::Role,
    requirement::Requirement,
    response::{Render, Renderer},
};

/// Authenticates every request that passes through it.
///
/// A request with a good credential reaches the inner service with its [`Principal`](crate::Principal) in the extensions.
/// Every other one is answered here (`C1`), whatever its method: the one anonymous way through is a request that carries
/// [`Requirement::public`] in its extensions.
///
/// The checks, in this order (`C28`): the credential; for a key, its organization's allowlist; then the request's
/// [`Requirement`], found in its extensions, or else this layer's.
///
/// ```
/// use coverbase_auth::{ClientIpSource, CoverbaseAuthLayer, MemoryStore, Requirement};
///
/// let auth = CoverbaseAuthLayer::new(MemoryStore::new())
///     .with_client_ip(ClientIpSource::trusted_proxies(1))
///     .with_requirement(Requirement::authenticated());
/// # let _ = auth;
/// ```
///
/// In axum, wrapping the finished `Router` from outside is cheaper than `Router::layer`, which wraps every route. See
/// [`RequireLayer`](crate::RequireLayer) for what stands inside.
///
/// ```
/// use coverbase_auth::{CoverbaseAuthLayer, Environment, KeyFormat, MemoryStore, ProblemJson, Role};
///
/// // As narrow as it gets: production's own keys, two roles, and nothing of the credential further in.
/// let auth = CoverbaseAuthLayer::new(MemoryStore::new())
///     .with_environment(Environment::Live)
///     .with_key_format(KeyFormat::Minted)
///     .with_accepted_roles([Role::ADMIN, Role::MEMBER])
///     .with_stripped_credential()
///     .with_render(ProblemJson::new());
/// # let _ = auth;
/// ```
#[derive(Debug, Clone)]
pub struct CoverbaseAuthLayer {
    gate: Arc<Gate>,
}

impl CoverbaseAuthLayer {
    /// Accepts the keys that `store` finds, of both environments and from every issuer; no session tokens; and takes the
    /// connection's peer for the client.
    #[must_use]
    pub fn new(store: impl KeyStore) -> Self {
        Self {
            gate: Arc::new(Gate {
                authenticator: Authenticator::new(Arc::new(store)),
                renderer: Renderer::default(),
                strips_credential: false,
            }),
        }
    }

    /// Accepts session tokens too (`C11`–`C16`). Without a verifier every one is an invalid one.
    ///
    /// ```
    /// use coverbase_auth::{CoverbaseAuthLayer, JwtVerifier, KeySet, MemoryStore};
    ///
    /// let verifier = JwtVerifier::new("https://clerk.example.com", KeySet::unavailable())
    ///     .with_authorized_parties(["https://app.example.com"]);
    /// let auth = CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier);
    /// # let _ = auth;
    /// ```
    #[cfg(feature = "jwt")]
    #[must_use]
    pub fn with_jwt(self, verifier: crate::jwt::JwtVerifier) -> Self {
        self.change(|gate| gate.authenticator.jwt = Some(verifier))
    }

    /// Where the client's address is found (`C25`). The default is the connection's peer.
    #[must_use]
    pub fn with_client_ip(self, source: ClientIpSource) -> Self {
        self.change(|gate| gate.authenticator.client_ip = source)
    }

    /// What is required of requests that carry no [`Requirement`] in their extensions. The default is
    /// [`Requirement::authenticated`], and a public one counts as that.
    #[must_use]
    pub fn with_requirement(self, requirement: Requirement) -> Self {
        self.change(|gate| gate.authenticator.requirement = requirement.never_public())
    }

    /// Accepts users with one of `roles` and no others, on every route (`C17`). Keys are not affected. By default every
    /// role is accepted, and none too.
    #[must_use]
    pub fn with_accepted_roles(self, roles: impl IntoIterator<Item = Role>) -> Self {
        let roles = roles.into_iter().collect();
        self.change(|gate| gate.authenticator.accepted_roles = Some(roles))
    }

    /// Serves one environment: a key of the other is an invalid key (`C5`). By default both are served.
    #[must_use]
    pub fn with_environment(self, environment: Environment) -> Self {
        self.change(|gate| gate.authenticator.environment = Some(environment))
    }

    /// Which keys are looked up at all. The default is [`KeyFormat::Any`].
    #[must_use]
    pub fn with_key_format(self, format: KeyFormat) -> Self {
        self.change(|gate| gate.authenticator.key_format = format)
    }

    /// Tells the time by `clock`. The default is [`SystemClock`](crate::SystemClock).
    ///
    #[cfg_attr(feature = "test-util", doc = "```")]
    #[cfg_attr(not(feature = "test-util"), doc = "```ignore")]
    /// use coverbase_auth::{CoverbaseAuthLayer, MemoryStore, testing::TestClock};
    ///
    /// let clock = TestClock::at(1_700_000_000);
    /// let auth = CoverbaseAuthLayer::new(MemoryStore::new()).with_clock(clock.clone());
    /// clock.advance(60); // and what lives for a minute has expired
    /// # let _ = auth;
    /// ```
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.change(|gate| gate.authenticator.clock = Arc::new(clock))
    }

    /// Writes refusals as `render` does. The default is [`JsonEnvelope`](crate::JsonEnvelope). Requests of gRPC clients are answered in their
    /// own way in any case (`C32`).
    #[must_use]
    pub fn with_render(self, render: impl Render) -> Self {
        self.change(|gate| gate.renderer = Renderer::custom(render))
    }

    /// Removes `Authorization` from admitted requests. By default the inner service sees it, marked sensitive (`C33`).
    #[must_use]
    pub fn with_stripped_credential(self) -> Self {
        self.change(|gate| gate.strips_credential = true)
    }

    fn change(mut self, change: impl FnOnce(&mut Gate)) -> Self {
        change(Arc::make_mut(&mut self.gate));
        self
    }
}

impl<S> Layer<S> for CoverbaseAuthLayer {
    type Service = CoverbaseAuth<S>;

    fn layer(&self, inner: S) -> CoverbaseAuth<S> {
        CoverbaseAuth::new(inner, Arc::clone(&self.gate))
    }
}
