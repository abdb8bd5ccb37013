//! A router in which every route is declared with its requirement.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    response::IntoResponse,
    routing::{
        MethodRouter, Route, any, connect, delete, get, head, options, patch, post, put, trace,
    },
};
use http::Method;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    authenticator::{Rejection, RejectionKind},
    layer::{CoverbaseAuthLayer, RequireLayer},
    principal::Principal,
    requirement::{Listing, Requirement, RouteRequirement, RouteTable},
    response::is_grpc,
};

/// An axum router whose routes are declared together with what they require.
///
/// ```
/// use axum::Router;
/// use coverbase_auth::{CoverbaseAuthLayer, GuardedRouter, MemoryStore, Principal, Requirement, Role, Scope};
///
/// async fn list(caller: Principal) -> String {
///     format!("reports of {}", caller.org_id())
/// }
///
/// async fn create() {}
///
/// let write = Requirement::scope(Scope::from_static("reports:write")).or_role(Role::ADMIN);
/// let reports = GuardedRouter::new()
///     .get("/v1/reports", Requirement::authenticated(), list)
///     .post("/v1/reports", write, create)
///     .get("/health", Requirement::public(), async || "ok");
///
/// assert_eq!(
///     reports.listing().to_string(),
///     "GET   /v1/reports  any key or any user\n\
///      POST  /v1/reports  scope reports:write or role admin\n\
///      GET   /health      public\n"
/// );
/// let app: Router = reports.protected_by(CoverbaseAuthLayer::new(MemoryStore::new()));
/// ```
///
/// The requirement is enforced at the route that axum has matched. A path that is not declared, or a method of a path that is
/// declared method by method, is answered `404 {"detail":"Not Found"}` with a credential and 401 without; no `Allow` header
/// tells which methods exist (`C1`, `C44`).
///
/// [`layer`](Self::layer) adds middleware inside the authentication; layers around the router that
/// [`protected_by`](Self::protected_by) returns are outside of it, where CORS and tracing belong.
#[derive(Debug, Clone)]
pub struct GuardedRouter<S = ()> {
    rows: Vec<RouteRequirement>,
    router: Router<S>,
}

/// Defines the methods that declare a route for one HTTP method.
macro_rules! route_methods {
    ($($name:ident: $method:expr, $doc:literal;)+) => {
        $(
            #[doc = $doc]
            ///
            /// # Panics
            ///
            /// If the path is invalid, or has a route for the method already, as axum's `Router::route` does.
            #[must_use]
            pub fn $name<H, T>(self, path: &str, requirement: Requirement, handler: H) -> Self
            where
                H: Handler<T, S>,
                T: 'static,
            {
                self.add($method, path, requirement, $name(handler))
            }
        )+
    };
}

impl<S: Clone + Send + Sync + 'static> GuardedRouter<S> {
    /// Returns a router without routes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    route_methods! {
        get: Some(Method::GET), "Declares a route for `GET`, and for `HEAD` if that has no route of its own.";
        head: Some(Method::HEAD), "Declares a route for `HEAD`.";
        post: Some(Method::POST), "Declares a route for `POST`.";
        put: Some(Method::PUT), "Declares a route for `PUT`.";
        patch: Some(Method::PATCH), "Declares a route for `PATCH`.";
        delete: Some(Method::DELETE), "Declares a route for `DELETE`.";
        options: Some(Method::OPTIONS), "Declares a route for `OPTIONS`.";
        trace: Some(Method::TRACE), "Declares a route for `TRACE`.";
        connect: Some(Method::CONNECT), "Declares a route for `CONNECT`.";
        any: None, "Declares a route for every method that has no route of its own at this path. A WebSocket over HTTP/1.1 and HTTP/2 is such a route.";
    }

    /// Declares a path by axum's [`MethodRouter`]: its handlers share one requirement. The listing shows it as `any`.
    ///
    /// # Panics
    ///
    /// As axum's `Router::route`.
    #[must_use]
    pub fn route(self, path: &str, requirement: Requirement, methods: MethodRouter<S>) -> Self {
        self.add(None, path, requirement, methods)
    }

    /// Declares a path that `service` serves, for every method.
    ///
    /// # Panics
    ///
    /// As axum's `Router::route_service`.
    #[must_use]
    pub fn route_service<T>(mut self, path: &str, requirement: Requirement, service: T) -> Self
    where
        T: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Response: IntoResponse + 'static,
        T::Future: Send + 'static,
    {
        let methods = axum::routing::any_service(service);
        self = self.add(None, path, requirement, methods);
        self
    }

    /// Declares everything below `prefix`, which `service` serves with the prefix removed from the path.
    ///
    /// # Panics
    ///
    /// As axum's `Router::nest_service`.
    #[must_use]
    pub fn nest_service<T>(mut self, prefix: &str, requirement: Requirement, service: T) -> Self
    where
        T: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Response: IntoResponse + 'static,
        T::Future: Send + 'static,
    {
        let guarded =
            axum::routing::any_service(service).layer(RequireLayer::new(requirement.clone()));
        let root = prefix.trim_end_matches('/');
        for path in [root, &format!("{root}/"), &format!("{root}/{{*rest}}")] {
            let row = RouteRequirement::new(None, path, requirement.clone());
            self.rows.extend((!path.is_empty()).then_some(row));
        }
        self.router = self.router.nest_service(prefix, guarded);
        self
    }

    /// Adds the routes of `other` below `prefix`.
    ///
    /// # Panics
    ///
    /// As axum's `Router::nest`.
    #[must_use]
    pub fn nest(mut self, prefix: &str, other: Self) -> Self {
        let below = other.rows.into_iter().map(|row| RouteRequirement {
            path: match &*row.path {
                "/" => prefix.to_owned(),
                path => format!("{}{path}", prefix.trim_end_matches('/')),
            },
            ..row
        });
        self.rows.extend(below);
        self.router = self.router.nest(prefix, other.router);
        self
    }

    /// Adds the routes of `other`.
    ///
    /// # Panics
    ///
    /// If both have a route for one method and path, as axum's `Router::merge`.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self.router = self.router.merge(other.router);
        self
    }

    /// Wraps `layer` around the routes that have been declared so far, inside the authentication.
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.router = self.router.layer(layer);
        self
    }

    /// Gives the handlers their state, as axum's `Router::with_state` does.
    #[must_use]
    pub fn with_state<S2>(self, state: S) -> GuardedRouter<S2> {
        GuardedRouter {
            rows: self.rows,
            router: self.router.with_state(state),
        }
    }

    /// Returns every route with its requirement.
    #[must_use]
    pub fn listing(&self) -> Listing {
        self.rows.iter().cloned().collect()
    }

    /// Returns the router behind `auth`.
    ///
    /// # Panics
    ///
    /// If `auth` has rows of its own for routes of this router.
    pub fn protected_by(self, auth: CoverbaseAuthLayer) -> Router<S> {
        let routes = self.public_routes();
        self.into_router().layer(auth.with_routes(routes))
    }

    /// Returns the table that tells an authentication layer which routes are public: for a layer around the finished
    /// [router](Self::into_router), which costs less than one around each route.
    ///
    /// ```
    /// use coverbase_auth::{CoverbaseAuthLayer, GuardedRouter, MemoryStore, Requirement};
    /// use tower::Layer;
    ///
    /// let routes: GuardedRouter = GuardedRouter::new().get("/health", Requirement::public(), async || "ok");
    /// let auth = CoverbaseAuthLayer::new(MemoryStore::new()).with_routes(routes.public_routes());
    /// let app = auth.layer(routes.into_router());
    /// # let _ = app;
    /// ```
    ///
    /// # Panics
    ///
    /// If two routes differ only in the names of their parameters, as axum does.
    #[must_use]
    pub fn public_routes(&self) -> RouteTable {
        let mut routes = BTreeMap::new();
        for row in &self.rows {
            let method = row.method.as_ref().map(Method::as_str);
            let is_public = routes.entry((&row.path, method)).or_insert((row, true));
            is_public.1 &= row.requirement.is_public();
        }
        let table = RouteTable::of_router().with_default(Requirement::authenticated());
        routes.into_values().fold(table, |table, (row, is_public)| {
            let requirement = match is_public {
                true => Requirement::public(),
                false => Requirement::authenticated(),
            };
            match row.method.clone() {
                Some(method) => table.route(method, &row.path, requirement),
                None => table.any(&row.path, requirement),
            }
        })
    }

    /// Returns the router without authentication. Put it inside a layer: otherwise every route that is not public is answered
    /// `500 auth_not_configured` (`C21`).
    pub fn into_router(self) -> Router<S> {
        let (of_any_method, of_one): (Vec<_>, Vec<_>) =
            self.rows.iter().partition(|row| row.method.is_none());
        let mut paths: BTreeSet<&str> = of_one.iter().map(|row| &*row.path).collect();
        paths.retain(|path| of_any_method.iter().all(|row| row.path != *path));
        // `any` answers the methods that are not declared, without axum's `Allow` header.
        let router = paths.into_iter().fold(self.router, |router, path| {
            router.route(path, any(not_found))
        });
        router.fallback(not_found)
    }

    fn add(
        mut self,
        method: Option<Method>,
        path: &str,
        requirement: Requirement,
        methods: MethodRouter<S>,
    ) -> Self {
        let guarded = methods.layer(RequireLayer::new(requirement.clone()));
        self.router = self.router.route(path, guarded);
        self.rows
            .push(RouteRequirement::new(method, path, requirement));
        self
    }
}

impl<S: Clone + Send + Sync + 'static> Default for GuardedRouter<S> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            router: Router::new(),
        }
    }
}

/// Answers undeclared routes. The extractor keeps the answer behind the authentication (`C1`).
async fn not_found(_: Principal, request: Request) -> Rejection {
    let (parts, _) = request.into_parts();
    Rejection::new(RejectionKind::NotFound).of_grpc(is_grpc(&parts))
}
