//! [`Principal`] as an argument of handlers.

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    key_admin::KeyAdminError,
    observe,
    principal::Principal,
    refusal,
    rejection::{Rejection, RejectionKind},
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
/// A request that no layer has authenticated is answered `500 auth_not_configured` (`C21`).
impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Self::of(&parts.extensions).cloned().ok_or_else(|| {
            let rejection = Rejection::new(RejectionKind::AuthNotConfigured);
            observe::refused(&rejection, parts);
            rejection
        })
    }
}

/// The principal of the request, for handlers that serve routes inside of the layer as well as outside of it.
impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _state: &S,
    ) -> Result<Option<Self>, Self::Rejection> {
        Ok(Self::of(&parts.extensions).cloned())
    }
}

/// The contract's envelope (`C29`).
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        refusal::envelope(self).map(axum::body::Body::from)
    }
}

/// The contract's envelope (`C29`).
impl IntoResponse for KeyAdminError {
    fn into_response(self) -> Response {
        self.to_response().map(axum::body::Body::from)
    }
}
