//! A router in which no route stands without a requirement.

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, MethodRouter, any, on},
};
use http::Method;

use crate::{
    authenticator::{Rejection, RejectionKind},
    layer::{CoverbaseAuthLayer, RequireLayer},
    principal::Principal,
    requirement::{Listing, Requirement, RouteRequirement},
    requirements::RequirementsLayer,
};

/// Routes that are declared with what they require: one declaration, which is enforced, listed and documented.
///
/// ```
/// use axum::Router;
/// use coverbase_auth::{CoverbaseAuthLayer, GuardedRouter, MemoryStore, Principal, Requirement, Role, Scope};
///
/// async fn list(caller: Principal) -> String {
///     format!("the reports of {}", caller.org_id())
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
/// What is not declared, a method or a path, is `404 {"detail":"Not Found"}` with a credential and 401 without, and no
/// `Allow` tells a stranger which paths there are (`C1`, `C44`).
#[derive(Debug, Clone)]
pub struct GuardedRouter<S = ()> {
    rows: Vec<RouteRequirement>,
    paths: Vec<(String, MethodRouter<S>)>,
}

impl<S: Clone + Send + Sync + 'static> GuardedRouter<S> {
    /// A router without routes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `GET`, and `HEAD` with it.
    #[must_use]
    pub fn get<H, T>(self, path: &str, requirement: Requirement, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.on(
            Method::GET,
            path,
            requirement,
            on(MethodFilter::GET, handler),
        )
    }

    /// `POST`
    #[must_use]
    pub fn post<H, T>(self, path: &str, requirement: Requirement, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.on(
            Method::POST,
            path,
            requirement,
            on(MethodFilter::POST, handler),
        )
    }

    /// `PUT`
    #[must_use]
    pub fn put<H, T>(self, path: &str, requirement: Requirement, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.on(
            Method::PUT,
            path,
            requirement,
            on(MethodFilter::PUT, handler),
        )
    }

    /// `PATCH`
    #[must_use]
    pub fn patch<H, T>(self, path: &str, requirement: Requirement, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.on(
            Method::PATCH,
            path,
            requirement,
            on(MethodFilter::PATCH, handler),
        )
    }

    /// `DELETE`
    #[must_use]
    pub fn delete<H, T>(self, path: &str, requirement: Requirement, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.on(
            Method::DELETE,
            path,
            requirement,
            on(MethodFilter::DELETE, handler),
        )
    }

    fn on(
        mut self,
        method: Method,
        path: &str,
        requirement: Requirement,
        handler: MethodRouter<S>,
    ) -> Self {
        let guarded = handler.route_layer(RequireLayer::new(requirement.clone()));
        match self.paths.iter_mut().find(|(known, _)| known == path) {
            Some((_, methods)) => *methods = std::mem::take(methods).merge(guarded),
            None => self.paths.push((path.to_owned(), guarded)),
        }
        self.rows
            .push(RouteRequirement::new(method, path, requirement));
        self
    }

    /// The routes of both. As in axum, no route may be in either.
    ///
    /// ```
    /// use coverbase_auth::{GuardedRouter, Requirement, Role};
    ///
    /// async fn handler() {}
    ///
    /// let admin = Requirement::roles([Role::ADMIN]);
    /// let reports: GuardedRouter = GuardedRouter::new()
    ///     .put("/v1/reports/{id}", admin.clone(), handler)
    ///     .patch("/v1/reports/{id}", admin.clone(), handler)
    ///     .delete("/v1/reports/{id}", admin, handler);
    /// let vendors = GuardedRouter::new().get("/v1/vendors", Requirement::authenticated(), handler);
    /// assert_eq!(reports.merge(vendors).listing().iter().count(), 4);
    /// ```
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let mut merged = self;
        merged.rows.extend(other.rows);
        for (path, methods) in other.paths {
            match merged.paths.iter_mut().find(|(known, _)| *known == path) {
                Some((_, known)) => *known = std::mem::take(known).merge(methods),
                None => merged.paths.push((path, methods)),
            }
        }
        merged
    }

    /// Gives the handlers their state, as axum's `Router::with_state` does.
    ///
    /// ```
    /// use axum::{Router, extract::State};
    /// use coverbase_auth::{CoverbaseAuthLayer, GuardedRouter, MemoryStore, Requirement};
    ///
    /// #[derive(Clone)]
    /// struct Greeting(&'static str);
    ///
    /// async fn greet(State(greeting): State<Greeting>) -> &'static str {
    ///     greeting.0
    /// }
    ///
    /// let app: Router = GuardedRouter::new()
    ///     .get("/v1/greeting", Requirement::authenticated(), greet)
    ///     .with_state(Greeting("hello"))
    ///     .protected_by(CoverbaseAuthLayer::new(MemoryStore::new()));
    /// ```
    #[must_use]
    pub fn with_state<S2>(self, state: S) -> GuardedRouter<S2> {
        let paths = self.paths.into_iter();
        let paths = paths.map(|(path, methods)| (path, methods.with_state(state.clone())));
        GuardedRouter {
            rows: self.rows,
            paths: paths.collect(),
        }
    }

    /// Every route with its requirement, to be printed at the start.
    #[must_use]
    pub fn listing(&self) -> Listing {
        self.rows.iter().cloned().collect()
    }

    /// The same declaration as a table that stands outside of the layer. Without it, public routes are as closed as the rest.
    ///
    /// # Panics
    ///
    /// When two routes differ in nothing but the names of their parameters, as axum does.
    ///
    /// ```
    /// use coverbase_auth::{CoverbaseAuthLayer, GuardedRouter, MemoryStore, Requirement};
    /// use tower::ServiceBuilder;
    ///
    /// let routes: GuardedRouter = GuardedRouter::new().get("/health", Requirement::public(), async || "ok");
    /// // Around the finished router, where the layer is cheaper than around each of its routes.
    /// let app = ServiceBuilder::new()
    ///     .layer(routes.requirements())
    ///     .layer(CoverbaseAuthLayer::new(MemoryStore::new()))
    ///     .service(routes.into_router());
    /// # let _ = app;
    /// ```
    #[must_use]
    pub fn requirements(&self) -> RequirementsLayer {
        let rows = self.rows.iter().cloned();
        rows.fold(RequirementsLayer::new(), |table, row| match row.method {
            Some(method) => table.route(method, &row.path, row.requirement),
            None => table.any(&row.path, row.requirement),
        })
    }

    /// The router, behind `auth`, which knows what each route requires before it goes in. It goes beside what another
    /// [`CoverbaseAuthLayer`] protects, and not inside of it: see [`RequirementsLayer`].
    ///
    /// # Panics
    ///
    /// As [`requirements`](Self::requirements).
    pub fn protected_by(self, auth: CoverbaseAuthLayer) -> Router<S> {
        let requirements = self.requirements();
        self.into_router().layer(auth).layer(requirements)
    }

    /// The router alone, each route held to its requirement from inside: put it in a layer, or every route that is not public
    /// is answered `500 auth_not_configured` (`C21`).
    pub fn into_router(self) -> Router<S> {
        let router = Router::new().fallback(not_found);
        self.paths
            .into_iter()
            .fold(router, |router, (path, methods)| {
                router.route(&path, any(not_found).merge(methods))
            })
    }
}

impl<S: Clone + Send + Sync + 'static> Default for GuardedRouter<S> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            paths: Vec::new(),
        }
    }
}

/// The extractor is what keeps even this behind the layer (`C1`).
async fn not_found(_: Principal) -> Rejection {
    RejectionKind::NotFound.into()
}
