//! The handlers of the contract's routes (`C36`–`C42`), with their part of the OpenAPI document.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{
        FromRequestParts, Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    response,
};
use http::{HeaderName, HeaderValue, StatusCode, header::CACHE_CONTROL, request::Parts};
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
        CreateKey, CreatedKey, InvalidField, KeyAdmin, KeyAdminError, KeySummary, Organization,
        RevokeKey, RotatedKey, SetAllowlist,
    },
    principal::{OrgId, Principal},
    requirement::Requirement,
};

/// What the handlers work with.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) admin: KeyAdmin,
    pub(super) client_ip: ClientIpSource,
    #[cfg(feature = "audit")]
    pub(super) audit_log: Option<Arc<dyn crate::audit::AuditLog>>,
    #[cfg(feature = "openapi")]
    pub(super) serves_openapi: bool,
}

/// Returns the routes with their requirements, which are enforced, listed and documented from here.
pub(super) fn routes(config: &Config) -> GuardedRouter<Arc<Config>> {
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
    let router = match &config.audit_log {
        Some(log) => router.merge(audit_log::routes(Arc::clone(log))),
        None => router,
    };
    #[cfg(feature = "openapi")]
    let router = match config.serves_openapi {
        true => router.get("/openapi.json", any(), openapi_json),
        false => router,
    };
    #[cfg(not(any(feature = "audit", feature = "openapi")))]
    let _ = config;
    router
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
    State(routes): State<Arc<Config>>,
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
    State(routes): State<Arc<Config>>,
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
    State(routes): State<Arc<Config>>,
    caller: Principal,
    body: Body,
) -> response::Result<(StatusCode, NoStore, Json<CreatedKey>)> {
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
    State(routes): State<Arc<Config>>,
    caller: Principal,
    Id(key_id): Id<KeyId>,
) -> response::Result<(NoStore, Json<RotatedKey>)> {
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
    State(routes): State<Arc<Config>>,
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
    State(routes): State<Arc<Config>>,
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
    State(routes): State<Arc<Config>>,
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
async fn openapi_json(State(config): State<Arc<Config>>) -> Json<utoipa::openapi::OpenApi> {
    Json(document(&config))
}

/// Returns the OpenAPI document of the routes.
#[cfg(feature = "openapi")]
pub(super) fn document(config: &Config) -> utoipa::openapi::OpenApi {
    use utoipa::OpenApi as _;

    let document = Contract::openapi();
    #[cfg(feature = "audit")]
    let document = document.merge_from(audit_log::Contract::openapi());
    openapi::complete(document, &routes(config).listing())
}

/// The header of responses that contain a secret (`C39`).
type NoStore = [(HeaderName, HeaderValue); 1];

const NO_STORE: NoStore = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];

type Body = Result<Bytes, BytesRejection>;

/// Reads a request body. A body that is too long or ends early is answered in the contract's envelope.
#[expect(clippy::result_large_err, reason = "the error type of axum's handlers")]
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
