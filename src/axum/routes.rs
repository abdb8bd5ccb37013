//! Section 8 of the contract: the routes that every Coverbase service offers.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequestParts, Path, Request, State,
        rejection::{BytesRejection, PathRejection},
    },
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    api_key::KeyId,
    client_ip::ClientIpSource,
    key_admin::{
        CreateKey, CreatedKey, KeyAdmin, KeyAdminError, KeySummary, Organization, RevokeKey,
        RotatedKey, SetAllowlist,
    },
    org_id::OrgId,
    principal::Principal,
    rejection::{Rejection, RejectionKind},
    require::RequireLayer,
};

/// Room for an allowlist of ten thousand CIDRs.
const MAX_BODY_LEN: usize = 512 * 1024;

/// What the [`router`] serves from.
///
/// ```
/// use coverbase_auth::{ClientIpSource, CoverbaseAuthLayer, KeyAdmin, MemoryStore, axum::routes};
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
}

impl Routes {
    /// Keys are administered by `admin`; the client is the connection's peer.
    #[must_use]
    pub fn new(admin: KeyAdmin) -> Self {
        Self {
            admin,
            client_ip: ClientIpSource::peer(),
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
}

/// The routes of `C36`–`C42`, and `404 {"detail":"Not Found"}` for everything else (`C44`).
///
/// Put it inside a [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer): without one every route is answered
/// `500 auth_not_configured`. Routes of your own are merged in or nested as usual.
pub fn router(routes: Routes) -> Router {
    let manages_keys = RequireLayer::new(KeyAdmin::requirement());
    let key_management =
        |methods: MethodRouter<Arc<Routes>>| methods.route_layer(manages_keys.clone());
    Router::new()
        .route("/v1/utils/authtest", path().get(authtest))
        .route("/v1/whoami/ip", path().get(whoami_ip))
        .route(
            "/v1/api-keys",
            key_management(path().get(list_keys).post(create_key)),
        )
        .route(
            "/v1/api-keys/{id}/rotate",
            key_management(path().post(rotate_key)),
        )
        .route(
            "/v1/api-keys/{id}/revoke",
            key_management(path().post(revoke_key)),
        )
        .route(
            "/v1/org/{id}",
            key_management(path().post(set_allowlist)).get(organization),
        )
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .with_state(Arc::new(routes))
}

/// A path to which methods are added. What it is not asked with is not there (`C44`), and no `Allow`, which axum would put on
/// a 401 too, tells who has no credential which paths there are (`C1`).
fn path() -> MethodRouter<Arc<Routes>> {
    any(not_found)
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

/// The extractor is what keeps even this behind the layer (`C1`).
async fn not_found(_: Principal) -> Rejection {
    RejectionKind::NotFound.into()
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
