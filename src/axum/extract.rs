//! [`Principal`] and what there is in it, as arguments of handlers.

use axum::{
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
/// A request that no layer has authenticated is answered `500 auth_not_configured` (`C21`), and so is one that
/// [`Requirement::public`](crate::Requirement::public) has let through: there, ask for `Option<Principal>`.
impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        let principal = Self::of(&parts.extensions).cloned();
        logged(
            principal.ok_or_else(|| RejectionKind::AuthNotConfigured.into()),
            parts,
        )
    }
}

/// The key of the request. A user is refused `401 Unauthorized role.`
///
/// ```
/// use coverbase_auth::ServiceAccount;
///
/// async fn sync(account: ServiceAccount) -> String {
///     format!("next page for {}", account.key_id())
/// }
/// # let _: axum::Router = axum::Router::new().route("/v1/sync", axum::routing::get(sync));
/// ```
impl<S: Sync> FromRequestParts<S> for ServiceAccount {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let principal =
            <Principal as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        logged(principal.try_into(), parts)
    }
}

/// The user of the request. A key is refused `403 insufficient_scope`.
///
/// ```
/// use coverbase_auth::User;
///
/// async fn greet(user: User) -> String {
///     format!("welcome back, {}", user.user_id())
/// }
/// # let _: axum::Router = axum::Router::new().route("/v1/greeting", axum::routing::get(greet));
/// ```
impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let principal =
            <Principal as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        logged(principal.try_into(), parts)
    }
}

/// The organization of the caller, for handlers that ask nothing else: all they read is of this one (`C6`).
///
/// ```
/// use coverbase_auth::OrgId;
///
/// async fn vendors(org_id: OrgId) -> String {
///     format!("the vendors of {org_id}")
/// }
/// # let _: axum::Router = axum::Router::new().route("/v1/vendors", axum::routing::get(vendors));
/// ```
impl<S: Sync> FromRequestParts<S> for OrgId {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let principal =
            <Principal as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(principal.org_id().clone())
    }
}

fn logged<T>(extracted: Result<T, Rejection>, parts: &Parts) -> Result<T, Rejection> {
    extracted.map_err(|rejection| {
        response::log(&rejection, parts);
        rejection.of_grpc(is_grpc(parts))
    })
}

/// The principal of the request, for handlers that serve public routes, or routes outside of the layer, too.
impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _state: &S,
    ) -> Result<Option<Self>, Self::Rejection> {
        Ok(Self::of(&parts.extensions).cloned())
    }
}

/// The contract's envelope (`C29`); to a gRPC request whose extractor has refused it, a gRPC status (`C32`).
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        response::envelope(self).map(axum::body::Body::from)
    }
}

/// The contract's envelope (`C29`).
impl IntoResponse for KeyAdminError {
    fn into_response(self) -> Response {
        self.to_response().map(axum::body::Body::from)
    }
}
