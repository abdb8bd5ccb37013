//! Extractors for handlers: [`Principal`] and the types it converts to.

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    authenticator::{Rejection, RejectionKind},
    key_admin::KeyAdminError,
    principal::{OrgId, Principal, ServiceAccount, User},
    response::{self, is_grpc},
};

/// The principal of the request.
///
/// ```
/// use axum::{Router, routing::get};
/// use coverbase_auth::{CoverbaseAuthLayer, MemoryStore, Principal};
///
/// async fn whoami(principal: Principal) -> String {
///     principal.org_id().to_string()
/// }
///
/// let app: Router = Router::new()
///     .route("/v1/whoami", get(whoami))
///     .layer(CoverbaseAuthLayer::new(MemoryStore::new()));
/// ```
///
/// Rejects a request without a principal with `500 auth_not_configured` (`C21`): the layer is missing, or the route is
/// [public](crate::Requirement::public). Handlers of public routes take an `Option<Principal>`.
impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        extract(parts, Ok)
    }
}

/// The principal of the request, or `None` on a public route and outside of the layer.
impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(Self::of(&parts.extensions).cloned())
    }
}

/// The API key of the request. Rejects a user with `401 Unauthorized role.`
impl<S: Sync> FromRequestParts<S> for ServiceAccount {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        extract(parts, Self::try_from)
    }
}

/// The user of the request. Rejects an API key with `403 insufficient_scope`.
impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        extract(parts, Self::try_from)
    }
}

/// The organization of the principal.
impl<S: Sync> FromRequestParts<S> for OrgId {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        extract(parts, |principal| Ok(principal.org_id().clone()))
    }
}

/// Converts the principal of the request. Logs a rejection, and answers a gRPC request with a gRPC status (`C32`).
fn extract<T>(
    parts: &Parts,
    convert: impl FnOnce(Principal) -> Result<T, Rejection>,
) -> Result<T, Rejection> {
    let principal = Principal::of(&parts.extensions).cloned();
    let principal = principal.ok_or_else(|| Rejection::from(RejectionKind::AuthNotConfigured));
    principal.and_then(convert).map_err(|rejection| {
        response::log(&rejection, parts);
        rejection.of_grpc(is_grpc(parts))
    })
}

/// The envelope of the contract (`C29`), or a gRPC status for a gRPC request that an extractor has rejected (`C32`).
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        response::envelope(self).map(Body::from)
    }
}

/// The envelope of the contract (`C29`).
impl IntoResponse for KeyAdminError {
    fn into_response(self) -> Response {
        self.to_response().map(Body::from)
    }
}
