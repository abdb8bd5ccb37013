//! The routes of a Coverbase service: section 8 of the contract.

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};

use super::handlers::{self, Config};
use crate::{
    authenticator::Rejection, client_ip::ClientIpSource, key_admin::KeyAdmin, requirement::Listing,
    response::is_grpc,
};

/// The size limit of a request body: an allowlist of ten thousand networks fits.
const MAX_BODY_LEN: usize = 512 * 1024;

/// The configuration of the [`router`].
///
/// ```
/// use coverbase_auth::{ClientIpSource, CoverbaseAuthLayer, KeyAdmin, MemoryStore, routes};
///
/// let store = MemoryStore::new();
/// let client_ip = ClientIpSource::trusted_proxies(1);
///
/// let routes = routes::Routes::new(KeyAdmin::new(store.clone())).with_client_ip(client_ip.clone());
/// let app: axum::Router = routes::router(routes)
///     .layer(CoverbaseAuthLayer::new(store).with_client_ip(client_ip));
/// ```
#[derive(Debug, Clone)]
pub struct Routes(Config);

impl Routes {
    /// Serves the key routes from `admin`. By default the client address is the peer address of the connection.
    #[must_use]
    pub fn new(admin: KeyAdmin) -> Self {
        Self(Config {
            admin,
            client_ip: ClientIpSource::peer(),
            #[cfg(feature = "audit")]
            audit_log: None,
            #[cfg(feature = "openapi")]
            serves_openapi: false,
        })
    }

    /// Sets the source of the address that `GET /v1/whoami/ip` returns. Pass the same source to the layer (`C37`).
    #[must_use]
    pub fn with_client_ip(mut self, source: ClientIpSource) -> Self {
        self.0.client_ip = source;
        self
    }

    /// Serves `GET /v1/system_audit_log` and `GET /v1/system_audit_log/metadata` from `log` (`C43`). By default these routes
    /// do not exist.
    ///
    /// The routes only read. [`KeyAdmin::with_audit`] writes the changes to keys into the log, the layer writes the calls.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn with_audit_log(mut self, log: impl crate::audit::AuditLog) -> Self {
        self.0.audit_log = Some(Arc::new(log));
        self
    }

    /// Serves [the OpenAPI document](Self::openapi) at `GET /openapi.json`, for any valid credential.
    #[cfg(feature = "openapi")]
    #[must_use]
    pub fn with_openapi(mut self) -> Self {
        self.0.serves_openapi = true;
        self
    }

    /// Returns every route with its requirement.
    ///
    /// ```
    /// use coverbase_auth::{KeyAdmin, MemoryStore, routes::Routes};
    ///
    /// let listing = Routes::new(KeyAdmin::new(MemoryStore::new())).listing();
    /// assert!(listing.to_string().contains("/v1/api-keys              scope keys:manage or role admin"));
    /// ```
    #[must_use]
    pub fn listing(&self) -> Listing {
        handlers::routes(&self.0).listing()
    }

    /// Returns the OpenAPI 3.1 document of the routes. The `security` of each operation states the requirement of its route.
    ///
    /// ```
    /// use coverbase_auth::{KeyAdmin, MemoryStore, routes::Routes};
    ///
    /// let document = Routes::new(KeyAdmin::new(MemoryStore::new())).openapi();
    /// assert!(document.paths.paths.contains_key("/v1/api-keys/{id}/rotate"));
    /// ```
    #[cfg(feature = "openapi")]
    #[must_use]
    pub fn openapi(&self) -> utoipa::openapi::OpenApi {
        handlers::document(&self.0)
    }
}

/// Returns a router with the routes of `C36`–`C42`, and those of `C43` if there is an audit log. It answers every other
/// request with `404 {"detail":"Not Found"}` (`C44`).
///
/// Wrap it in a [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer): without the layer every route answers
/// `500 auth_not_configured`. Other routes can be merged or nested, but not a router with a fallback: axum panics when both
/// have one.
pub fn router(routes: Routes) -> Router {
    let router = handlers::routes(&routes.0).into_router();
    router
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .layer(from_fn(answer_in_grpc))
        .with_state(Arc::new(routes.0))
}

/// Answers a rejected gRPC request with a gRPC status, because the handlers do not see the content type (`C32`).
async fn answer_in_grpc(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let is_grpc = is_grpc(&parts);
    let response = next.run(Request::from_parts(parts, body)).await;
    match response.extensions().get::<Rejection>() {
        Some(rejection) if is_grpc => rejection.clone().of_grpc(true).into_response(),
        _ => response,
    }
}
