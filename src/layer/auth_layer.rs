//! The layer that users add to their service.

use std::sync::Arc;

use http::Method;
use tower_layer::Layer;

use super::{CoverbaseAuth, Shared};
use crate::{
    authenticator::Authenticator,
    client_ip::ClientIpSource,
    clock::Clock,
    credential::{Environment, KeyFormat},
    key_store::KeyStore,
    principal::Role,
    requirement::{Requirement, RouteTable},
    response::{JsonEnvelope, Render},
};

/// Authenticates and authorizes every request of a service.
///
/// A request with a valid credential reaches the inner service with its [`Principal`](crate::Principal) in the extensions:
/// `extensions.get::<Principal>()`. Every other request is answered by the layer (`C1`), `OPTIONS` and `HEAD` too, unless its
/// route is [public](Requirement::public).
///
/// The checks, in this order (`C28`): the credential; for a key, the IP allowlist of its organization; the requirement.
/// A requirement comes from a row of the [`RouteTable`], or from a [`Requirement`] in the request's extensions, which an outer
/// layer or a gateway inserts; where both are there, both must hold. Without either, the
/// [requirement of the layer](Self::with_requirement) applies.
///
/// ```
/// use coverbase_auth::{ClientIpSource, CoverbaseAuthLayer, MemoryStore, Requirement, Role, RouteTable, Scope};
/// use http::Method;
///
/// let auth = CoverbaseAuthLayer::new(MemoryStore::new())
///     .with_client_ip(ClientIpSource::trusted_proxies(1))
///     .with_routes(RouteTable::new()
///         .route(Method::POST, "/v1/reports", Requirement::scope(Scope::from_static("reports:write")).or_role(Role::ADMIN))
///         .any("/healthz", Requirement::public()));
/// # let _ = auth;
/// ```
///
/// In axum, [`GuardedRouter`](crate::GuardedRouter) or [`RequireLayer`](crate::RequireLayer) take the place of the table.
#[derive(Debug, Clone)]
pub struct CoverbaseAuthLayer {
    shared: Arc<Shared>,
}

impl CoverbaseAuthLayer {
    /// Authenticates API keys against `store`. By default the layer accepts keys of both environments, rejects session tokens,
    /// and uses the peer address of the connection as the client address.
    #[must_use]
    pub fn new(store: impl KeyStore) -> Self {
        Self {
            shared: Arc::new(Shared {
                authenticator: Authenticator::new(Arc::new(store)),
                render: Arc::new(JsonEnvelope::new()),
                strips_credential: false,
                #[cfg(feature = "audit")]
                audit: None,
            }),
        }
    }

    /// Accepts session tokens too (`C11`–`C16`). Without a verifier every session token is invalid.
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
        self.change(|shared| shared.authenticator.jwt = Some(verifier))
    }

    /// Sets the source of the client address (`C25`). The default is the peer address of the connection.
    #[must_use]
    pub fn with_client_ip(self, source: ClientIpSource) -> Self {
        self.change(|shared| shared.authenticator.client_ip = source)
    }

    /// Adds the rows of `routes`, and takes over its default for requests that no row matches.
    ///
    /// # Panics
    ///
    /// If the layer has one of the rows already, from an earlier call or [`with_public_route`](Self::with_public_route).
    #[must_use]
    pub fn with_routes(self, routes: RouteTable) -> Self {
        self.change(|shared| {
            let before = shared.authenticator.routes.take();
            shared.authenticator.routes = Some(match before {
                Some(before) => routes.with_rows_of(&before),
                None => routes,
            });
        })
    }

    /// Makes one route public, for a service without a [`RouteTable`]: every other route keeps the requirement of the layer.
    ///
    /// ```
    /// use coverbase_auth::{CoverbaseAuthLayer, MemoryStore};
    /// use http::Method;
    ///
    /// let auth = CoverbaseAuthLayer::new(MemoryStore::new()).with_public_route(Method::GET, "/healthz");
    /// # let _ = auth;
    /// ```
    ///
    /// # Panics
    ///
    /// If the path is invalid, or the layer has a row for it already.
    #[must_use]
    pub fn with_public_route(self, method: Method, path: &str) -> Self {
        self.change(|shared| {
            let routes = shared.authenticator.routes.take();
            let routes = routes.unwrap_or_else(RouteTable::of_public_routes);
            let routes = routes.route(method, path, Requirement::public());
            shared.authenticator.routes = Some(routes);
        })
    }

    /// Sets what a request requires that has neither a row of a table nor a [`Requirement`] in its extensions. The default is
    /// [`Requirement::authenticated`], and [`Requirement::public`] counts as that.
    #[must_use]
    pub fn with_requirement(self, requirement: Requirement) -> Self {
        self.change(|shared| shared.authenticator.requirement = requirement.never_public())
    }

    /// Records each authenticated call of `/v1/*` to `sink`, usually an [`AuditQueue`](crate::audit::AuditQueue), and gives
    /// every response an `x-request-id` (`C34`).
    ///
    /// A call is recorded if its credential was accepted, whether it was then admitted or rejected. A caller that hangs up
    /// before the response is recorded without a status. The `x-request-id` is the request's own if it is one value of 1 to 128
    /// visible ASCII characters and contains no credential; otherwise it is a new UUIDv7.
    ///
    /// The route in the record is the matched row of the [`RouteTable`] or axum's `MatchedPath`. Around a finished axum
    /// `Router`, where axum has not matched the route yet, a handler can report it: it returns `Extension(matched_path)`
    /// beside its response.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn with_audit(self, sink: impl crate::audit::AuditSink) -> Self {
        self.change(|shared| shared.audit = Some(Arc::new(sink)))
    }

    /// Accepts only users with one of `roles`, on every route (`C17`). API keys are not affected. By default users of every
    /// role, and of none, are accepted.
    #[must_use]
    pub fn with_accepted_roles(self, roles: impl IntoIterator<Item = Role>) -> Self {
        let roles = roles.into_iter().collect();
        self.change(|shared| shared.authenticator.accepted_roles = Some(roles))
    }

    /// Accepts only keys of `environment`: a key of another environment is an invalid key (`C5`). By default both are accepted.
    #[must_use]
    pub fn with_environment(self, environment: Environment) -> Self {
        self.change(|shared| shared.authenticator.environment = Some(environment))
    }

    /// Sets which keys are looked up. The default is [`KeyFormat::Any`].
    #[must_use]
    pub fn with_key_format(self, format: KeyFormat) -> Self {
        self.change(|shared| shared.authenticator.key_format = format)
    }

    /// Sets the clock. The default is [`SystemClock`](crate::SystemClock); tests use a
    #[cfg_attr(
        feature = "test-util",
        doc = "[`TestClock`](crate::testing::TestClock)."
    )]
    #[cfg_attr(not(feature = "test-util"), doc = "`TestClock` (feature `test-util`).")]
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.change(|shared| shared.authenticator.clock = Arc::new(clock))
    }

    /// Sets the renderer of rejections. The default is [`JsonEnvelope`](crate::JsonEnvelope). gRPC requests always get a gRPC
    /// answer (`C32`).
    #[must_use]
    pub fn with_render(self, render: impl Render) -> Self {
        self.change(|shared| shared.render = Arc::new(render))
    }

    /// Removes `Authorization` from admitted requests. By default the inner service sees it, marked sensitive (`C33`).
    #[must_use]
    pub fn with_stripped_credential(self) -> Self {
        self.change(|shared| shared.strips_credential = true)
    }

    fn change(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }
}

impl<S> Layer<S> for CoverbaseAuthLayer {
    type Service = CoverbaseAuth<S>;

    fn layer(&self, inner: S) -> CoverbaseAuth<S> {
        CoverbaseAuth::new(inner, Arc::clone(&self.shared))
    }
}
