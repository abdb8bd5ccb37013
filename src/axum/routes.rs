//! Section 8 of the contract: the routes that every Coverbase service offers.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequestParts, Path, Request, State,
        rejection::{BytesRejection, PathRejection},
    },
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[cfg(feature = "audit")]
use super::audit_log;
use super::guarded::GuardedRouter;
#[cfg(feature = "openapi")]
use super::openapi;
use crate::{
    authenticator::{Rejection, RejectionKind},
    client_ip::ClientIpSource,
    credential::KeyId,
    key_admin::{
        CreateKey, CreatedKey, KeyAdmin, KeyAdminError, KeySummary, Organization, RevokeKey,
        RotatedKey, SetAllowlist,
    },
    principal::{OrgId, Principal},
    requirement::{Listing, Requirement},
    response::is_grpc,
};

/// Room for an allowlist of ten thousand CIDRs.
const MAX_BODY_LEN: usize = 512 * 1024;

/// What the [`router`] serves from.
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
pub struct Routes {
    admin: KeyAdmin,
    client_ip: ClientIpSource,
    #[cfg(feature = "audit")]
    audit_log: Option<Arc<dyn crate::audit::AuditLog>>,
    #[cfg(feature = "openapi")]
    serves_openapi: bool,
}

impl Routes {
    /// Keys are administered by `admin`; the client is the connection's peer.
    #[must_use]
    pub fn new(admin: KeyAdmin) -> Self {
        Self {
            admin,
            client_ip: ClientIpSource::peer(),
            #[cfg(feature = "audit")]
            audit_log: None,
            #[cfg(feature = "openapi")]
            serves_openapi: false,
        }
    }

    /// Where `GET /v1/whoami/ip` finds the client's address: give it what the layer was given, so that both speak of the
    /// same one (`C37`).
    #[must_use]
    pub fn with_client_ip(self, source: ClientIpSource) -> Self {
        Self {
            client_ip: source,
            ..self
        }
    }

    /// Serves `GET /v1/system_audit_log` and its `/metadata` from `log` (`C43`). Without one they are not there (`C44`).
    ///
    /// What is in the log is the doing of an [`AuditLayer`](crate::audit::AuditLayer) around the router, and of
    /// [`KeyAdmin::with_audit`].
    ///
    /// ```
    /// use coverbase_auth::{CoverbaseAuthLayer, KeyAdmin, MemoryStore, routes};
    /// use coverbase_auth::audit::{AuditLayer, MemoryAuditLog};
    ///
    /// let (store, log) = (MemoryStore::new(), MemoryAuditLog::new());
    /// let admin = KeyAdmin::new(store.clone()).with_audit(log.clone());
    /// let app: axum::Router = routes::router(routes::Routes::new(admin).with_audit_log(log.clone()))
    ///     .layer(CoverbaseAuthLayer::new(store))
    ///     .layer(AuditLayer::new(log));
    /// ```
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn with_audit_log(self, log: impl crate::audit::AuditLog) -> Self {
        Self {
            audit_log: Some(Arc::new(log)),
            ..self
        }
    }

    /// Serves `GET /openapi.json`, what [`openapi`](Self::openapi) gives, to whoever has a credential.
    ///
    /// ```
    /// use coverbase_auth::{KeyAdmin, MemoryStore, routes::Routes};
    ///
    /// let routes = Routes::new(KeyAdmin::new(MemoryStore::new())).with_openapi();
    /// assert!(routes.listing().to_string().contains("/openapi.json"));
    /// ```
    #[cfg(feature = "openapi")]
    #[must_use]
    pub fn with_openapi(self) -> Self {
        Self {
            serves_openapi: true,
            ..self
        }
    }

    /// Every route with its requirement, to be printed at the start.
    ///
    /// ```
    /// use coverbase_auth::{KeyAdmin, MemoryStore, routes::Routes};
    ///
    /// let listing = Routes::new(KeyAdmin::new(MemoryStore::new())).listing();
    /// assert!(listing.to_string().contains("/v1/api-keys              scope keys:manage or role admin"));
    /// ```
    #[must_use]
    pub fn listing(&self) -> Listing {
        self.guarded().listing()
    }

    /// The routes as an OpenAPI 3.1 document, the `security` of each by the requirement that it is held to.
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
        openapi::document(&self.listing())
    }

    /// The one declaration of what each route requires.
    fn guarded(&self) -> GuardedRouter<Arc<Self>> {
        let router = GuardedRouter::new()
            .get("/v1/utils/authtest", Requirement::authenticated(), authtest)
            .get("/v1/whoami/ip", Requirement::authenticated(), whoami_ip)
            .get("/v1/api-keys", KeyAdmin::requirement(), list_keys)
            .post("/v1/api-keys", KeyAdmin::requirement(), create_key)
            .post(
                "/v1/api-keys/{id}/rotate",
                KeyAdmin::requirement(),
                rotate_key,
            )
            .post(
                "/v1/api-keys/{id}/revoke",
                KeyAdmin::requirement(),
                revoke_key,
            )
            .get("/v1/org/{id}", Requirement::authenticated(), organization)
            .post("/v1/org/{id}", KeyAdmin::requirement(), set_allowlist);
        #[cfg(feature = "audit")]
        let router = match &self.audit_log {
            Some(log) => router.merge(audit_log::routes(Arc::clone(log))),
            None => router,
        };
        #[cfg(feature = "openapi")]
        let router = if self.serves_openapi {
            router.get("/openapi.json", Requirement::authenticated(), openapi_json)
        } else {
            router
        };
        router
    }
}

/// The routes of `C36`–`C42`, those of `C43` where there is an audit log, and `404 {"detail":"Not Found"}` for everything
/// else (`C44`).
///
/// Put it inside a [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer): without one every route is answered
/// `500 auth_not_configured`. Routes of your own are merged in or nested as
/// usual, but without a fallback of their own: axum panics where two are merged.
pub fn router(routes: Routes) -> Router {
    let router = routes.guarded().into_router();
    router
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .layer(from_fn(refuse_grpc_in_its_way))
        .with_state(Arc::new(routes))
}

/// Handlers refuse without their request at hand (`C32`).
async fn refuse_grpc_in_its_way(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let is_grpc = is_grpc(&parts);
    let response = next.run(Request::from_parts(parts, body)).await;
    match response.extensions().get::<Rejection>() {
        Some(rejection) if is_grpc => rejection.clone().of_grpc(true).into_response(),
        _ => response,
    }
}

#[cfg(feature = "openapi")]
async fn openapi_json(State(routes): State<Arc<Routes>>) -> Json<utoipa::openapi::OpenApi> {
    Json(routes.openapi())
}

async fn authtest(_: Principal) -> Json<serde_json::Value> {
    Json(json!({"msg": "Auth successful"}))
}

async fn whoami_ip(
    State(routes): State<Arc<Routes>>,
    _: Principal,
    request: Request,
) -> Json<serde_json::Value> {
    let (parts, _) = request.into_parts();
    let client_ip: Option<IpAddr> = routes.client_ip.client_ip(&parts);
    Json(json!({"client_ip": client_ip}))
}

#[derive(Serialize)]
struct KeyList {
    data: Vec<KeySummary>,
}

async fn list_keys(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
) -> Result<Json<KeyList>, KeyAdminError> {
    let data = routes.admin.list(&caller).await?;
    Ok(Json(KeyList { data }))
}

async fn create_key(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Secret<CreatedKey>), Refused> {
    let request = CreateKey::from_json(&body?)?;
    let created = routes.admin.create(&caller, request).await?;
    Ok((StatusCode::CREATED, Secret(created)))
}

async fn rotate_key(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
    Id(key_id): Id<KeyId>,
) -> Result<Secret<RotatedKey>, KeyAdminError> {
    let rotated = routes.admin.rotate(&caller, &key_id).await?;
    Ok(Secret(rotated))
}

async fn revoke_key(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
    Id(key_id): Id<KeyId>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<KeySummary>, Refused> {
    let request = RevokeKey::from_json(&body?)?;
    let revoked = routes.admin.revoke(&caller, &key_id, request).await?;
    Ok(Json(revoked))
}

async fn organization(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
    Id(org_id): Id<OrgId>,
) -> Result<Json<Organization>, KeyAdminError> {
    let organization = routes.admin.organization(&caller, &org_id).await?;
    Ok(Json(organization))
}

async fn set_allowlist(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
    Id(org_id): Id<OrgId>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Organization>, Refused> {
    // Another organization is not there, whatever the body says of it (`C42`).
    routes.admin.organization(&caller, &org_id).await?;
    let request = SetAllowlist::from_json(&body?)?;
    let organization = routes
        .admin
        .set_allowlist(&caller, &org_id, request)
        .await?;
    Ok(Json(organization))
}

/// An answer that holds a secret, and is not to be kept by anybody on its way (`C39`).
struct Secret<T>(T);

impl<T: Serialize> IntoResponse for Secret<T> {
    fn into_response(self) -> Response {
        let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        (no_store, Json(self.0)).into_response()
    }
}

/// The `{id}` of a path. Text that no id can hold names nothing that is there (`C44`).
struct Id<T>(T);

/// By its name: a router that this one is nested in may have parameters of its own.
#[derive(Deserialize)]
struct PathParams {
    id: String,
}

impl<T: From<String>, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Rejection;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        state: &S,
    ) -> Result<Self, Rejection> {
        let path = Path::<PathParams>::from_request_parts(parts, state).await;
        let Path(params) = path.map_err(|_: PathRejection| RejectionKind::NotFound)?;
        Ok(Self(params.id.into()))
    }
}

/// Why a request with a body is not carried out.
enum Refused {
    /// It could not be read to its end, or is too long.
    Body(BytesRejection),
    Admin(KeyAdminError),
}

impl From<BytesRejection> for Refused {
    fn from(rejection: BytesRejection) -> Self {
        Self::Body(rejection)
    }
}

impl<E: Into<KeyAdminError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Admin(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Body(rejection) => {
                let detail = Json(json!({"detail": rejection.body_text()}));
                (rejection.status(), detail).into_response()
            }
            Self::Admin(error) => error.into_response(),
        }
    }
}
