//! A requirement inside the layer, where a framework has found the route.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    authenticator::{Rejection, RejectionKind},
    layer::{DecidedFuture, ResponseBody},
    principal::Principal,
    requirement::Requirement,
    response::{Render, Renderer, refusal},
};

/// Holds a route to a [`Requirement`], inside of [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer).
///
/// A request that no layer has authenticated is answered `500 auth_not_configured`, and an error is logged: a route is never open because
/// a layer was forgotten or stands in the wrong place (`C21`). Only [`Requirement::public`] asks for no principal; it opens
/// nothing that the layer outside has closed.
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::{Router, routing::get};
/// use coverbase_auth::{CoverbaseAuthLayer, MemoryStore, RequireLayer, Requirement, Role, Scope};
///
/// let app: Router = Router::new()
///     .route("/v1/export", get(|| async { "…" }))
///     .route_layer(RequireLayer::new(Requirement::scope(Scope::AUDIT_READ).or_role(Role::ADMIN)))
///     .layer(CoverbaseAuthLayer::new(MemoryStore::new()));
/// ```
#[derive(Debug, Clone)]
pub struct RequireLayer {
    shared: Arc<Shared>,
}

#[derive(Debug, Clone)]
struct Shared {
    requirement: Requirement,
    renderer: Renderer,
}

impl RequireLayer {
    /// Answers in the contract's envelope.
    #[must_use]
    pub fn new(requirement: Requirement) -> Self {
        Self {
            shared: Arc::new(Shared {
                requirement,
                renderer: Renderer::default(),
            }),
        }
    }

    /// Answers as `render` does; give it what the layer outside was given.
    ///
    /// ```
    /// use coverbase_auth::{CoverbaseAuthLayer, MemoryStore, ProblemJson, RequireLayer, Requirement, Role};
    ///
    /// let auth = CoverbaseAuthLayer::new(MemoryStore::new()).with_render(ProblemJson::new());
    /// let admin = RequireLayer::new(Requirement::roles([Role::ADMIN])).with_render(ProblemJson::new());
    /// # let _ = (auth, admin);
    /// ```
    #[must_use]
    pub fn with_render(mut self, render: impl Render) -> Self {
        Arc::make_mut(&mut self.shared).renderer = Renderer::custom(render);
        self
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = Require<S>;

    fn layer(&self, inner: S) -> Require<S> {
        Require {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// Lets requests through whose [`Principal`] meets the requirement. Made by [`RequireLayer`].
///
/// ```
/// use coverbase_auth::{Require, RequireLayer, Requirement};
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let inner = service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new("secret")));
/// let service: Require<_> = RequireLayer::new(Requirement::authenticated()).layer(inner);
/// // Nobody has authenticated the request: there is no layer outside.
/// assert_eq!(service.oneshot(Request::new(())).await.unwrap().status(), 500);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Require<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl Shared {
    #[inline]
    fn check<B>(&self, request: &Request<B>) -> Result<(), Rejection> {
        match Principal::of(request.extensions()) {
            Some(principal) => self.requirement.check(principal),
            None if self.requirement.is_public() => Ok(()),
            None => Err(RejectionKind::AuthNotConfigured.into()),
        }
    }
}

impl<S, B, ResBody> Service<Request<B>> for Require<S>
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.shared.check(&request) {
            Ok(()) => DecidedFuture::inner(self.inner.call(request)),
            Err(rejection) => DecidedFuture::refused(refusal::respond_to(
                &self.shared.renderer,
                rejection,
                request,
            )),
        }
    }
}
