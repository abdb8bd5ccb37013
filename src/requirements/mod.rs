//! A table of requirements outside the layer, for services whose router cannot carry them.

mod table;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Extensions, Method, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

pub use self::table::InvalidRoute;
use self::table::Table;
use crate::{
    authenticator::{OwnRequirements, Rejection, RejectionKind, Slot},
    layer::{DecidedFuture, ResponseBody},
    principal::Principal,
    requirement::{Listing, Requirement, RouteRequirement},
    response::{Renderer, refusal},
};

/// Tells [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer), by method and path, what each request requires. It stands
/// **outside** of it.
///
/// ```
/// use coverbase_auth::{Requirement, RequirementsLayer, Role, Scope};
/// use http::Method;
///
/// let requirements = RequirementsLayer::new()
///     .any("/grpc.health.v1.Health/{*method}", Requirement::public())
///     .any("/coverbase.example.v1.Example/Purge", Requirement::roles([Role::ADMIN]))
///     .route(Method::POST, "/v1/reports/{id}", Requirement::scope(Scope::from_static("reports:write")));
/// # let _ = requirements;
/// ```
///
/// With tower's `ServiceBuilder`, and with tonic's `Server::builder()`, the layer that is named first is the outer one:
/// `.layer(requirements).layer(auth)`. The other way round the decision has been made before anybody looks into the table:
/// every request that has been admitted by then is answered `500 auth_not_configured`, and an error is logged (`C21`). So a
/// service with a table and a layer of its own cannot stand inside of another [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer),
/// unless that has let the request through as a [public](Requirement::public) one. Of such a request a table cannot tell
/// whether a layer follows: without one, nobody reads its row.
///
/// # Which row
///
/// Paths are matched by axum's matcher, `{id}` one segment and `{*rest}` all that follow, one character at least. An exact
/// segment beats a parameter and a parameter beats a rest; then the row for the method beats the one for
/// [every method](Self::any), and a `HEAD` without a row is a `GET`.
///
/// What is matched is the path as it was sent: `/v1/%61dmin`, `/v1//admin`, `/v1/admin/` and `/V1/admin` are other paths
/// than `/v1/admin`. So it is in axum's router and in the services that tonic generates, and a request never gets another row than
/// the one of the route that serves it. **Where something inside changes the path** (tower-http's `NormalizePath`, a
/// router of your own that decodes first), put that outside of this layer.
///
/// A request without a row gets [the table's default](Self::with_default), or else
/// [the layer's own requirement](crate::CoverbaseAuthLayer::with_requirement): it is never public.
#[derive(Debug, Clone, Default)]
pub struct RequirementsLayer {
    shared: Arc<Shared>,
}

#[derive(Debug, Clone, Default)]
struct Shared {
    table: Table,
    default: Option<Requirement>,
    makes_slots: bool,
}

impl RequirementsLayer {
    /// A table without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A row for one method.
    ///
    /// # Panics
    ///
    /// When the table cannot hold it, as axum's `Router::route` does. For rows that are not written in the program use
    /// [`try_route`](Self::try_route).
    #[must_use]
    pub fn route(self, method: Method, path: &str, requirement: Requirement) -> Self {
        checked(self.try_route(Some(method), path, requirement))
    }

    /// A row for every method that has no row of its own under the same path.
    ///
    /// # Panics
    ///
    /// As [`route`](Self::route).
    #[must_use]
    pub fn any(self, path: &str, requirement: Requirement) -> Self {
        checked(self.try_route(None, path, requirement))
    }

    /// A row for every method of a tonic service.
    ///
    /// ```
    /// use coverbase_auth::{Requirement, RequirementsLayer};
    /// # struct HealthServer;
    /// # impl tonic::server::NamedService for HealthServer { const NAME: &'static str = "grpc.health.v1.Health"; }
    ///
    /// let requirements = RequirementsLayer::new().service::<HealthServer>(Requirement::public());
    /// assert!(requirements.listing().to_string().contains("/grpc.health.v1.Health/{*method}"));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`route`](Self::route).
    #[cfg(feature = "tonic")]
    #[must_use]
    pub fn service<S: tonic::server::NamedService>(self, requirement: Requirement) -> Self {
        self.any(&format!("/{}/{{*method}}", S::NAME), requirement)
    }

    /// A row for one method, or with `None` for every one.
    ///
    /// # Errors
    ///
    /// When the path is none, when there is such a row, and when there is one that no request could be told from.
    ///
    /// ```
    /// use coverbase_auth::{Requirement, RequirementsLayer};
    ///
    /// /// The table of a configuration file.
    /// fn table(rows: &[(&str, &str)]) -> Result<RequirementsLayer, Box<dyn std::error::Error>> {
    ///     rows.iter().try_fold(RequirementsLayer::new(), |table, (path, scope)| {
    ///         Ok(table.try_route(None, path, Requirement::scope(scope.parse()?))?)
    ///     })
    /// }
    /// assert!(table(&[("/v1/reports", "reports:read")]).is_ok());
    /// assert!(table(&[("v1/reports", "reports:read")]).is_err(), "a path begins with a slash");
    /// ```
    pub fn try_route(
        mut self,
        method: Option<Method>,
        path: &str,
        requirement: Requirement,
    ) -> Result<Self, InvalidRoute> {
        let row = RouteRequirement::new(method, path, requirement);
        Arc::make_mut(&mut self.shared).table.add(row)?;
        Ok(self)
    }

    /// What a request without a row requires; a public requirement counts as [`Requirement::authenticated`]. By default
    /// that is for the layer inside to say. `Requirement::roles([])` closes whatever the table does not name.
    ///
    /// ```
    /// use coverbase_auth::{Requirement, RequirementsLayer};
    /// use http::Method;
    ///
    /// let nothing_else = RequirementsLayer::new()
    ///     .route(Method::GET, "/v1/reports", Requirement::authenticated())
    ///     .with_default(Requirement::roles([]));
    /// # let _ = nothing_else;
    /// ```
    #[must_use]
    pub fn with_default(mut self, requirement: Requirement) -> Self {
        Arc::make_mut(&mut self.shared).default = Some(requirement.never_public());
        self
    }

    /// Makes room for the principal beside the requirement, in one extension, so that the layer inside allocates nothing.
    ///
    /// The principal is then found by [`Principal::of`](crate::Principal::of), as the extractors and
    /// [`RequireLayer`](crate::RequireLayer) do, and not by `extensions.get::<Principal>()`.
    ///
    /// ```
    /// use coverbase_auth::{CoverbaseAuthLayer, MemoryStore, Principal, Rejection, RequirementsLayer};
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, service_fn};
    ///
    /// async fn who_am_i(request: Request<()>) -> Result<Response<String>, Rejection> {
    ///     let caller = Principal::required(request.extensions())?;
    ///     Ok(Response::new(caller.id().to_owned()))
    /// }
    ///
    /// let service = ServiceBuilder::new()
    ///     .layer(RequirementsLayer::new().with_principal_slot())
    ///     .layer(CoverbaseAuthLayer::new(MemoryStore::new()))
    ///     .service(service_fn(who_am_i));
    /// # let _ = service;
    /// ```
    #[must_use]
    pub fn with_principal_slot(mut self) -> Self {
        Arc::make_mut(&mut self.shared).makes_slots = true;
        self
    }

    /// The rows, in the order in which they were added.
    #[must_use]
    pub fn listing(&self) -> Listing {
        self.shared.table.listing()
    }
}

#[expect(
    clippy::panic,
    reason = "documented, with an alternative that does not"
)]
fn checked(layer: Result<RequirementsLayer, InvalidRoute>) -> RequirementsLayer {
    match layer {
        Ok(layer) => layer,
        Err(error) => panic!("{error}"),
    }
}

impl<S> Layer<S> for RequirementsLayer {
    type Service = Requirements<S>;

    fn layer(&self, inner: S) -> Requirements<S> {
        Requirements {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// Puts the requirement of each request into its extensions. Made by [`RequirementsLayer`].
///
/// ```
/// use coverbase_auth::{Requirement, Requirements, RequirementsLayer};
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let inner = service_fn(async |request: Request<()>| {
///     assert_eq!(request.extensions().get(), Some(&Requirement::public()));
///     Ok::<_, std::convert::Infallible>(Response::new("well"))
/// });
/// let service: Requirements<_> = RequirementsLayer::new().any("/health", Requirement::public()).layer(inner);
/// let response = service.oneshot(Request::get("/health").body(()).unwrap()).await.unwrap();
/// assert_eq!(response.status(), 200);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Requirements<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl Shared {
    /// # Errors
    ///
    /// `C21`: a layer outside has already decided, and nobody inside will read what the table says.
    #[inline]
    fn prepare<B>(&self, request: &mut Request<B>) -> Result<(), Rejection> {
        if Principal::of(request.extensions()).is_some() {
            return Err(stands_inside());
        }
        let row = self.table.find(request.method(), request.uri().path());
        let requirement = row
            .or_else(|| self.default_of(request.extensions()))
            .cloned();
        if self.makes_slots {
            fill_slot(request.extensions_mut(), requirement);
        } else if let Some(requirement) = requirement {
            request.extensions_mut().insert(requirement);
        }
        Ok(())
    }

    /// It takes the place of nothing that a table further out has said.
    fn default_of(&self, extensions: &Extensions) -> Option<&Requirement> {
        let default = self.default.as_ref();
        default.filter(|_| OwnRequirements::of(extensions).are_none())
    }
}

#[cold]
fn stands_inside() -> Rejection {
    Rejection::because(
        RejectionKind::AuthNotConfigured,
        "a RequirementsLayer stands inside of CoverbaseAuthLayer",
    )
}

/// A row takes the place of what stood there; without one that is left alone.
#[inline]
fn fill_slot(extensions: &mut Extensions, requirement: Option<Requirement>) {
    if requirement.is_some() {
        extensions.remove::<Requirement>();
    }
    match extensions.get_mut::<Slot>() {
        Some(slot) => {
            slot.holds_principal = true;
            if requirement.is_some() {
                slot.requirement = requirement;
            }
        }
        None => {
            extensions.insert(Slot {
                requirement,
                holds_principal: true,
                ..Slot::default()
            });
        }
    }
}

impl<S, B, ResBody> Service<Request<B>> for Requirements<S>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = DecidedFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.shared.prepare(&mut request) {
            Ok(()) => DecidedFuture::inner(self.inner.call(request)),
            Err(rejection) => DecidedFuture::refused(refusal::respond_to(
                &Renderer::default(),
                rejection,
                request,
            )),
        }
    }
}
