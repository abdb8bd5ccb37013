//! axum: the extractors, the placement of the layer, and tower-http's layers around and inside it.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{MatchedPath, Request},
    response::Response,
    routing::{any, get, post},
};
use coverbase_auth::{
    CoverbaseAuthLayer, IpAllowlist, KeyRecord, MemoryStore, OrgId, OrgScoped, Principal,
    RejectionKind, RequireLayer, Requirement, ResponseBody, Role, Scope, ServiceAccount, User,
    testing,
};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, cors::CorsLayer,
    timeout::TimeoutLayer, trace::TraceLayer,
};

const KEY: &str = "ak_live_8sdKq0cX3vJ1pWk9Zs2RtB6yLh";

fn auth() -> CoverbaseAuthLayer {
    auth_of(KeyRecord::new("ak_1", "org_acme"))
}

fn auth_of(record: KeyRecord) -> CoverbaseAuthLayer {
    let store = MemoryStore::new();
    store.insert(&KEY.parse().unwrap(), record);
    CoverbaseAuthLayer::new(store)
}

fn request(path: &str) -> Request {
    Request::builder().uri(path).body(Body::empty()).unwrap()
}

fn with_key(path: &str) -> Request {
    let mut request = request(path);
    let bearer = format!("Bearer {KEY}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    request
}

/// As if a layer had admitted `principal`.
fn by(principal: Principal) -> Request {
    let mut request = request("/");
    request.extensions_mut().insert(principal);
    request
}

async fn answer<S, B>(app: S, request: Request) -> (u16, HeaderMap, String)
where
    S: Service<Request, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (
        parts.status.as_u16(),
        parts.headers,
        String::from_utf8(body).unwrap(),
    )
}

async fn says<S, B>(app: S, request: Request) -> (u16, String)
where
    S: Service<Request, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let (status, _, body) = answer(app, request).await;
    (status, body)
}

// C16, C18
#[tokio::test]
async fn extractor_rejects_callers_of_the_other_kind() {
    let app = Router::new()
        .route("/principal", any(async |it: Principal| it.id().to_owned()))
        .route(
            "/key",
            any(async |it: ServiceAccount| it.key_id().to_string()),
        )
        .route("/user", any(async |it: User| it.user_id().to_owned()))
        .route("/org", any(async |it: OrgId| it.to_string()));
    let key = || testing::service_account(KeyRecord::new("ak_1", "org_acme"));
    let user = || testing::user("user_1", "org_acme", Role::MEMBER);
    let no_role = r#"{"detail":"Unauthorized role."}"#;
    for (path, caller, expected) in [
        ("/principal", key(), (200, "ak_1")),
        ("/principal", user(), (200, "user_1")),
        ("/key", key(), (200, "ak_1")),
        ("/key", user(), (401, no_role)),
        ("/user", user(), (200, "user_1")),
        ("/user", key(), (403, "insufficient_scope")),
        ("/org", key(), (200, "org_acme")),
        ("/org", user(), (200, "org_acme")),
    ] {
        let mut request = by(caller);
        *request.uri_mut() = path.parse().unwrap();
        let (status, headers, body) = answer(app.clone(), request).await;
        assert_eq!(status, expected.0, "{path}");
        assert!(body.contains(expected.1), "{path}: {body}");
        assert_eq!(
            headers.contains_key("www-authenticate"),
            status != 200,
            "{path}"
        );
    }
    // C21
    for path in ["/principal", "/key", "/user", "/org"] {
        let (status, body) = says(app.clone(), request(path)).await;
        assert_eq!(status, 500);
        assert!(body.contains("auth_not_configured"), "{path}: {body}");
    }
    // C32
    for (path, grpc_status) in [("/user", "7"), ("/key", "0")] {
        let mut request = by(key());
        *request.uri_mut() = path.parse().unwrap();
        *request.method_mut() = Method::POST;
        let grpc = "application/grpc".parse().unwrap();
        request.headers_mut().insert("content-type", grpc);
        let (status, headers, _) = answer(app.clone(), request).await;
        let found = headers.get("grpc-status");
        assert_eq!(found.map_or("0", |it| it.to_str().unwrap()), grpc_status);
        assert_eq!(status, 200, "{path}");
    }
}

// C1
#[tokio::test]
async fn optional_principal_is_none_on_a_public_route() {
    let app = Router::new()
        .route(
            "/",
            get(async |it: Option<Principal>| format!("{}", it.is_some())),
        )
        .route("/strict", get(async |_: Principal| ""))
        .layer(
            auth()
                .with_public_route(Method::GET, "/{*rest}")
                .with_public_route(Method::GET, "/"),
        );
    assert_eq!(
        says(app.clone(), request("/")).await,
        (200, "false".to_owned())
    );
    assert_eq!(
        says(app.clone(), with_key("/")).await,
        (200, "false".to_owned())
    );
    assert_eq!(
        says(app, with_key("/strict")).await.0,
        500,
        "a public route has no principal"
    );
}

// C20
#[test]
fn value_of_another_organization_is_not_found() {
    let mine = testing::user("user_1", "org_acme", Role::ADMIN);
    let report = OrgScoped::new("org_acme", "spending");
    assert_eq!(report.clone().visible_to(&mine).unwrap(), "spending");
    for org_id in ["org_other", "org_acme2", "ORG_ACME", ""] {
        let other = testing::service_account(KeyRecord::new("ak_1", org_id));
        let refused = report.clone().visible_to(&other).unwrap_err();
        assert_eq!(refused.kind(), RejectionKind::NotFound);
        assert!(!other.owns(report.org_id()));
    }
    assert!(!format!("{report:?}").contains("spending"));
}

// C18: around one route, one method, a nest, and the whole.
#[tokio::test]
async fn layer_protects_the_routes_that_it_wraps() {
    let requires = |scope| RequireLayer::new(Requirement::scope(scope));
    let matched = async |path: MatchedPath| path.as_str().to_owned();
    let methods = post(matched)
        .route_layer(requires(Scope::BANKING_READ))
        .get(matched);
    let nested = Router::new()
        .route("/{id}", get(matched))
        .route("/{id}/raw", get(matched))
        .route_layer(requires(Scope::AUDIT_READ));
    let app = Router::new()
        .route("/plain", get(matched))
        .route("/methods", methods)
        .nest("/v1/{tenant}", nested)
        .layer(auth());
    for (method, path, expected) in [
        (Method::GET, "/plain", (200, "/plain")),
        (Method::GET, "/methods", (200, "/methods")),
        (Method::POST, "/methods", (403, "insufficient_scope")),
        (Method::GET, "/v1/acme/7", (403, "insufficient_scope")),
        (Method::GET, "/v1/acme/7/raw", (403, "insufficient_scope")),
        (Method::GET, "/v1/acme/7/else", (404, "")),
        (Method::GET, "/else", (404, "")),
    ] {
        let mut request = with_key(path);
        *request.method_mut() = method.clone();
        let (status, body) = says(app.clone(), request).await;
        assert_eq!(status, expected.0, "{method} {path}");
        assert!(body.contains(expected.1), "{method} {path}: {body}");
    }
    for path in ["/plain", "/v1/acme/7", "/else"] {
        assert_eq!(says(app.clone(), request(path)).await.0, 401, "{path}");
    }
}

// C18: a requirement in the extensions, by axum's own layer.
#[tokio::test]
async fn requirement_can_be_an_axum_extension() {
    let app = Router::new().route("/", get(async || "")).layer(auth());
    let closed = app
        .clone()
        .layer(Extension(Requirement::scope(Scope::AUDIT_READ)));
    assert_eq!(says(closed, with_key("/")).await.0, 403);
    assert_eq!(says(app, with_key("/")).await.0, 200);
}

// C24: axum's own extension says who is calling, over a real connection.
#[tokio::test]
async fn connect_info_is_the_peer_address() {
    for (network, expected) in [
        ("127.0.0.1", "HTTP/1.1 200"),
        ("203.0.113.7", "HTTP/1.1 403"),
    ] {
        let allowlist = IpAllowlist::parse([network]).unwrap();
        let auth = auth_of(KeyRecord::new("ak_1", "org_acme").with_allowlist(allowlist));
        let app = Router::new().route("/", get(async || "")).layer(auth);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async { axum::serve(listener, app).await });
        assert!(first_line(address).await.starts_with(expected), "{network}");
    }
}

// The layer around a whole router, served: one body type, no second box.
#[tokio::test]
async fn router_is_served_with_the_layer_around_it() {
    let router = Router::new().route("/", get(async |it: Principal| it.id().to_owned()));
    let app = ServiceBuilder::new()
        .map_response(|response: Response<ResponseBody<Body>>| response.map(Body::from))
        .layer(auth())
        .service(router);
    assert_eq!(
        says(app.clone(), with_key("/")).await,
        (200, "ak_1".to_owned())
    );
    assert_eq!(says(app.clone(), request("/")).await.0, 401);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(app);
    tokio::spawn(async { axum::serve(listener, app).await });
    assert!(first_line(address).await.starts_with("HTTP/1.1 200"));
}

async fn first_line(address: SocketAddr) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    let request = format!("{head}authorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

const TIMEOUT: Duration = Duration::from_millis(20);

type Wrap = fn(Router) -> Router;

const BESIDE: [(&str, Wrap); 5] = [
    ("trace", |router| router.layer(TraceLayer::new_for_http())),
    ("cors", |router| router.layer(CorsLayer::permissive())),
    ("timeout", |router| {
        router.layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            TIMEOUT,
        ))
    }),
    ("compression", |router| {
        router.layer(CompressionLayer::new())
    }),
    ("catch-panic", |router| router.layer(CatchPanicLayer::new())),
];

fn busy() -> Router {
    Router::new()
        .route("/", get(async |it: Principal| it.id().repeat(100)))
        .route(
            "/slow",
            get(async || tokio::time::sleep(TIMEOUT * 50).await),
        )
        .route("/panic", get(async || -> () { panic!("as it is told to") }))
}

// C1, C29: whatever else is there, and on whichever side.
#[tokio::test]
async fn tower_http_layers_work_on_either_side() {
    for (name, beside) in BESIDE {
        for app in [beside(busy()).layer(auth()), beside(busy().layer(auth()))] {
            let (status, body) = says(app.clone(), with_key("/")).await;
            assert_eq!((status, body), (200, "ak_1".repeat(100)), "{name}");
            let refused = says(app, request("/")).await;
            assert_eq!(
                refused,
                (401, r#"{"detail":"Not authenticated"}"#.to_owned()),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn each_tower_http_layer_does_its_work_on_either_side() {
    let orders = |name: &str| {
        let (_, beside) = BESIDE.into_iter().find(|(it, _)| *it == name).unwrap();
        [beside(busy()).layer(auth()), beside(busy().layer(auth()))]
    };
    for app in orders("timeout") {
        assert_eq!(says(app, with_key("/slow")).await.0, 504);
    }
    for app in orders("catch-panic") {
        assert_eq!(says(app, with_key("/panic")).await.0, 500);
    }
    for app in orders("compression") {
        let mut request = with_key("/");
        request
            .headers_mut()
            .insert("accept-encoding", "gzip".parse().unwrap());
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip");
    }
}

// C1: a preflight carries no credential, so a CORS layer that is to answer it stands outside.
#[tokio::test]
async fn preflight_is_answered_by_a_cors_layer_outside() {
    let preflight = || {
        let mut request = request("/");
        *request.method_mut() = Method::OPTIONS;
        let headers = request.headers_mut();
        headers.insert("origin", "https://app.example.com".parse().unwrap());
        headers.insert("access-control-request-method", "GET".parse().unwrap());
        request
    };
    let outside = busy().layer(auth()).layer(CorsLayer::permissive());
    let (status, headers, _) = answer(outside.clone(), preflight()).await;
    assert_eq!(status, 200);
    assert_eq!(headers["access-control-allow-origin"], "*");
    let (status, headers, _) = answer(outside, request("/")).await;
    assert_eq!(status, 401);
    assert_eq!(
        headers["access-control-allow-origin"], "*",
        "a browser may read the refusal"
    );

    let inside = busy().layer(CorsLayer::permissive()).layer(auth());
    assert_eq!(says(inside, preflight()).await.0, 401);
}

// Without axum's boxed bodies between the layers, tower-http's bounds on bodies apply to `ResponseBody`.
#[tokio::test]
async fn tower_http_wraps_the_layer_itself() {
    let app = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(CorsLayer::permissive())
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            TIMEOUT,
        ))
        .layer(auth())
        .service(busy());
    assert_eq!(
        says(app.clone(), with_key("/")).await,
        (200, "ak_1".repeat(100))
    );
    assert_eq!(says(app.clone(), with_key("/slow")).await.0, 504);
    assert_eq!(says(app.clone(), with_key("/panic")).await.0, 500);
    assert_eq!(says(app, request("/")).await.0, 401);
}
