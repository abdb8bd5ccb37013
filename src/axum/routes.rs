//! The routes of a Coverbase service: section 8 of the contract.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequestParts, Path, Request, State,
        rejection::{BytesRejection, PathRejection},
    },
    middleware::{Next, from_fn},
    response::{self, IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header::CACHE_CONTROL, request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::json;
#[cfg(feature = "openapi")]
use utoipa::OpenApi as _;

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
        CreateKey, CreatedKey, InvalidField, KeyAdmin, KeyAdminError, KeySummary, Organization,
        RevokeKey, RotatedKey, SetAllowlist,
    },
    principal::{OrgId, Principal},
    requirement::{Listing, Requirement},
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
pub struct Routes {
    admin: KeyAdmin,
    client_ip: ClientIpSource,
    #[cfg(feature = "audit")]
    audit_log: Option<Arc<dyn crate::audit::AuditLog>>,
    #[cfg(feature = "openapi")]
    serves_openapi: bool,
}

impl Routes {
    /// Serves the key routes from `admin`. By default the client address is the peer address of the connection.
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

    /// Sets the source of the address that `GET /v1/whoami/ip` returns. Pass the same source to the layer (`C37`).
    #[must_use]
    pub fn with_client_ip(mut self, source: ClientIpSource) -> Self {
        self.client_ip = source;
        self
    }

    /// Serves `GET /v1/system_audit_log` and `GET /v1/system_audit_log/metadata` from `log` (`C43`). By default these routes
    /// do not exist.
    ///
    /// The routes only read. [`KeyAdmin::with_audit`] writes the changes to keys into the log, the layer writes the calls.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn with_audit_log(mut self, log: impl crate::audit::AuditLog) -> Self {
        self.audit_log = Some(Arc::new(log));
        self
    }

    /// Serves [the OpenAPI document](Self::openapi) at `GET /openapi.json`, for any valid credential.
    #[cfg(feature = "openapi")]
    #[must_use]
    pub fn with_openapi(mut self) -> Self {
        self.serves_openapi = true;
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
        self.guarded().listing()
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
        let mut document = Contract::openapi();
        #[cfg(feature = "audit")]
        document.merge(audit_log::Contract::openapi());
        openapi::complete(document, &self.listing())
    }

    /// The only place that states the requirements: they are enforced, listed and documented from here.
    fn guarded(&self) -> GuardedRouter<Arc<Self>> {
        let any = Requirement::authenticated;
        let manage = KeyAdmin::requirement;
        let router = GuardedRouter::new()
            .get("/v1/utils/authtest", any(), authtest)
            .get("/v1/whoami/ip", any(), whoami_ip)
            .get("/v1/api-keys", manage(), list_api_keys)
            .post("/v1/api-keys", manage(), create_api_key)
            .post("/v1/api-keys/{id}/rotate", manage(), rotate_api_key)
            .post("/v1/api-keys/{id}/revoke", manage(), revoke_api_key)
            .get("/v1/org/{id}", any(), get_organization)
            .post("/v1/org/{id}", manage(), set_allowlist);
        #[cfg(feature = "audit")]
        let router = match &self.audit_log {
            Some(log) => router.merge(audit_log::routes(Arc::clone(log))),
            None => router,
        };
        #[cfg(feature = "openapi")]
        let router = match self.serves_openapi {
            true => router.get("/openapi.json", any(), openapi_json),
            false => router,
        };
        router
    }
}

/// Returns a router with the routes of `C36`–`C42`, and those of `C43` if there is an audit log. It answers every other
/// request with `404 {"detail":"Not Found"}` (`C44`).
///
/// Wrap it in a [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer): without the layer every route answers
/// `500 auth_not_configured`. Other routes can be merged or nested, but not a router with a fallback: axum panics when both
/// have one.
pub fn router(routes: Routes) -> Router {
    let router = routes.guarded().into_router();
    router
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .layer(from_fn(answer_in_grpc))
        .with_state(Arc::new(routes))
}

/// Answers a rejected gRPC request with a gRPC status, because the handlers do not see the content type (`C32`).
async fn answer_in_grpc(request: Request, next: Next) -> Response {
    let is_grpc = is_grpc(request.headers());
    let response = next.run(request).await;
    match response.extensions().get::<Rejection>() {
        Some(rejection) if is_grpc => rejection.clone().of_grpc(true).into_response(),
        _ => response,
    }
}

#[cfg(feature = "openapi")]
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    authtest,
    whoami_ip,
    list_api_keys,
    create_api_key,
    rotate_api_key,
    revoke_api_key,
    get_organization,
    set_allowlist,
    openapi_json
))]
struct Contract;

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct AuthTest {
    msg: &'static str,
}

/// Confirms that the credential is valid.
#[cfg_attr(feature = "openapi", utoipa::path(
    get, path = "/v1/utils/authtest",
    responses((status = 200, description = "The credential is valid", body = AuthTest)),
))]
async fn authtest(_: Principal) -> Json<AuthTest> {
    let msg = "Auth successful";
    Json(AuthTest { msg })
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct ClientIp {
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    client_ip: Option<IpAddr>,
}

/// Returns the client address that the allowlist is checked against.
#[cfg_attr(feature = "openapi", utoipa::path(
    get, path = "/v1/whoami/ip",
    responses((status = 200, description = "The address, or null if it is unknown", body = ClientIp)),
))]
async fn whoami_ip(
    State(routes): State<Arc<Routes>>,
    _: Principal,
    parts: Parts,
) -> Json<ClientIp> {
    let client_ip = routes.client_ip.client_ip(&parts);
    Json(ClientIp { client_ip })
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct ApiKeys {
    data: Vec<KeySummary>,
}

/// Lists every API key of the organization, revoked and expired ones included.
#[cfg_attr(feature = "openapi", utoipa::path(
    get, path = "/v1/api-keys",
    responses((status = 200, description = "The keys, oldest first", body = ApiKeys)),
))]
async fn list_api_keys(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
) -> response::Result<Json<ApiKeys>> {
    let data = routes.admin.list(&caller).await?;
    Ok(Json(ApiKeys { data }))
}

/// Creates an API key.
#[cfg_attr(feature = "openapi", utoipa::path(
    post, path = "/v1/api-keys", request_body = CreateKey,
    responses((status = 201, description = "The key with its secret", body = CreatedKey)),
))]
async fn create_api_key(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
    body: Body,
) -> response::Result<impl IntoResponse> {
    let request = read(body, CreateKey::from_json)?;
    let created = routes.admin.create(&caller, request).await?;
    Ok((StatusCode::CREATED, NO_STORE, Json(created)))
}

/// Replaces a live API key by a new one with the same scopes and expiry.
#[cfg_attr(feature = "openapi", utoipa::path(
    post, path = "/v1/api-keys/{id}/rotate", params(("id" = String, Path)),
    responses((status = 200, description = "The new key with its secret", body = RotatedKey)),
))]
async fn rotate_api_key(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
    Id(key_id): Id<KeyId>,
) -> response::Result<impl IntoResponse> {
    let rotated = routes.admin.rotate(&caller, &key_id).await?;
    Ok((NO_STORE, Json(rotated)))
}

/// Revokes an API key.
#[cfg_attr(feature = "openapi", utoipa::path(
    post, path = "/v1/api-keys/{id}/revoke", params(("id" = String, Path)),
    request_body = Option<RevokeKey>,
    responses((status = 200, description = "The revoked key", body = KeySummary)),
))]
async fn revoke_api_key(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
    Id(key_id): Id<KeyId>,
    body: Body,
) -> response::Result<Json<KeySummary>> {
    let request = read(body, RevokeKey::from_json)?;
    Ok(Json(routes.admin.revoke(&caller, &key_id, request).await?))
}

/// Returns the organization with its IP allowlist.
#[cfg_attr(feature = "openapi", utoipa::path(
    get, path = "/v1/org/{id}", params(("id" = String, Path)),
    responses((status = 200, description = "The organization", body = Organization)),
))]
async fn get_organization(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
    Id(org_id): Id<OrgId>,
) -> response::Result<Json<Organization>> {
    Ok(Json(routes.admin.organization(&caller, &org_id).await?))
}

/// Replaces the IP allowlist of the organization.
#[cfg_attr(feature = "openapi", utoipa::path(
    post, path = "/v1/org/{id}", params(("id" = String, Path)),
    request_body = SetAllowlist,
    responses((status = 200, description = "The organization", body = Organization)),
))]
async fn set_allowlist(
    State(routes): State<Arc<Routes>>,
    caller: Principal,
    Id(org_id): Id<OrgId>,
    body: Body,
) -> response::Result<Json<Organization>> {
    // Another organization is answered with 404 before the body is looked at (`C42`).
    routes.admin.organization(&caller, &org_id).await?;
    let request = read(body, SetAllowlist::from_json)?;
    let organization = routes.admin.set_allowlist(&caller, &org_id, request);
    Ok(Json(organization.await?))
}

/// Returns this document.
#[cfg(feature = "openapi")]
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi",
    responses((status = 200, description = "The OpenAPI document", body = Object)),
)]
async fn openapi_json(State(routes): State<Arc<Routes>>) -> Json<utoipa::openapi::OpenApi> {
    Json(routes.openapi())
}

/// The header of responses that contain a secret (`C39`).
const NO_STORE: [(HeaderName, HeaderValue); 1] =
    [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];

type Body = Result<Bytes, BytesRejection>;

/// Reads a request body. A body that is too long or ends early is answered in the contract's envelope.
fn read<T>(
    body: Body,
    parse: impl FnOnce(&[u8]) -> Result<T, InvalidField>,
) -> response::Result<T> {
    let body = body.map_err(|rejection| {
        let detail = json!({"detail": rejection.body_text()});
        (rejection.status(), Json(detail))
    })?;
    Ok(parse(&body).map_err(KeyAdminError::from)?)
}

/// The `{id}` of the path. An id that is not UTF-8 cannot exist and is answered with 404 (`C44`).
struct Id<T>(T);

/// Deserialized by name: an outer router can have parameters of its own.
#[derive(Deserialize)]
struct PathParams {
    id: String,
}

impl<T: From<String>, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let path = Path::<PathParams>::from_request_parts(parts, state).await;
        let Path(params) = path.map_err(|_: PathRejection| RejectionKind::NotFound)?;
        Ok(Self(params.id.into()))
    }
}
