//! A requirement at an inner route, where a framework has matched the route already.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::{ResponseBody, future::RequireFuture};
use crate::{
    authenticator::RejectionKind,
    principal::Principal,
    requirement::Requirement,
    response::{self, JsonEnvelope, Render},
};

/// Enforces a [`Requirement`] on a route inside [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer).
///
/// A request that no layer has authenticated is answered `500 auth_not_configured` and logged as an error (`C21`), so a
/// route never becomes public because a layer is missing. [`Requirement::public`] requires no principal; it does not make a
/// route public that the layer outside protects.
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
    requirement: Arc<Requirement>,
    render: Arc<dyn Render>,
}

impl RequireLayer {
    /// Returns a layer that answers in the contract's envelope.
    #[must_use]
    pub fn new(requirement: Requirement) -> Self {
        Self {
            requirement: Arc::new(requirement),
            render: Arc::new(JsonEnvelope::new()),
        }
    }

    /// Sets the renderer of rejections: use the one of the layer outside.
    #[must_use]
    pub fn with_render(mut self, render: impl Render) -> Self {
        self.render = Arc::new(render);
        self
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = Require<S>;

    fn layer(&self, inner: S) -> Require<S> {
        let layer = self.clone();
        Require { inner, layer }
    }
}

/// Passes requests on whose [`Principal`] satisfies the requirement. Created by [`RequireLayer`].
#[derive(Debug, Clone)]
pub struct Require<S> {
    inner: S,
    layer: RequireLayer,
}

impl<S, B, ResBody> Service<Request<B>> for Require<S>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = RequireFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let requirement = &self.layer.requirement;
        let checked = match Principal::of(request.extensions()) {
            Some(principal) => requirement.check(principal),
            None if requirement.is_public() => Ok(()),
            None => Err(RejectionKind::AuthNotConfigured.into()),
        };
        let answer = match checked {
            Ok(()) => Ok(self.inner.call(request)),
            Err(rejection) => {
                let (parts, _) = request.into_parts();
                Err(response::respond(&*self.layer.render, rejection, &parts))
            }
        };
        RequireFuture::new(answer)
    }
}
