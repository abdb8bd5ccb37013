//! `GuardedRouter`: the requirement is enforced at the route that axum has matched, for every kind of route that axum has
//! (C1, C18, C44, T18).

use axum::{Router, body::Body, response::Response, routing::any};
use coverbase_auth::{CoverbaseAuthLayer, GuardedRouter, Principal, Requirement, Scope};
use http::{Method, Request, header::ALLOW};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{KEY, record, store};

fn auth() -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(store(record().with_scopes([Scope::AUDIT_READ])))
}

fn closed() -> Requirement {
    Requirement::scope(Scope::KEYS_MANAGE)
}

fn open() -> Requirement {
    Requirement::scope(Scope::AUDIT_READ)
}

async fn send(app: &Router, method: Method, path: &str, has_key: bool) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    if has_key {
        request = request.header("authorization", format!("Bearer {KEY}"));
    }
    let request = request.body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

async fn status(app: &Router, method: Method, path: &str) -> u16 {
    send(app, method, path, true).await.status().as_u16()
}

async fn anonymous(app: &Router, method: Method, path: &str) -> u16 {
    send(app, method, path, false).await.status().as_u16()
}

async fn handler() {}

fn every_method(requirement: fn() -> Requirement) -> GuardedRouter {
    GuardedRouter::new()
        .get("/r", requirement(), handler)
        .post("/r", requirement(), handler)
        .put("/r", requirement(), handler)
        .patch("/r", requirement(), handler)
        .delete("/r", requirement(), handler)
        .options("/r", requirement(), handler)
        .trace("/r", requirement(), handler)
        .connect("/r", requirement(), handler)
        .head("/h", requirement(), handler)
        .any("/any", requirement(), handler)
        .route("/router", requirement(), any(handler))
}

// C18
#[tokio::test]
async fn requirement_of_every_method_is_enforced() {
    let (closed, open) = (every_method(closed), every_method(open));
    assert_eq!(closed.listing().iter().count(), 11);
    let (closed, open) = (closed.protected_by(auth()), open.protected_by(auth()));
    for method in [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ] {
        for path in ["/r", "/any", "/router"] {
            assert_eq!(
                status(&closed, method.clone(), path).await,
                403,
                "{method} {path}"
            );
            assert_eq!(
                status(&open, method.clone(), path).await,
                200,
                "{method} {path}"
            );
            assert_eq!(
                anonymous(&open, method.clone(), path).await,
                401,
                "{method} {path}"
            );
        }
    }
    assert_eq!(status(&closed, Method::HEAD, "/h").await, 403);
    assert_eq!(status(&open, Method::HEAD, "/h").await, 200);
}

// C44
#[tokio::test]
async fn undeclared_path_or_method_is_not_found_and_names_no_methods() {
    let nested = GuardedRouter::new().get("/x", open(), handler);
    let app = GuardedRouter::new()
        .get("/r", closed(), handler)
        .nest("/n", nested)
        .protected_by(auth());
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/r/"),
        (Method::POST, "/r"),
        (Method::OPTIONS, "/r"),
        (Method::POST, "/n/x"),
        (Method::GET, "/n/y"),
    ] {
        let response = send(&app, method.clone(), path, true).await;
        assert_eq!(response.status(), 404, "{method} {path}");
        assert!(!response.headers().contains_key(ALLOW));
        assert_eq!(
            anonymous(&app, method.clone(), path).await,
            401,
            "{method} {path}"
        );
    }
}

// C1
#[tokio::test]
async fn public_route_is_public_for_its_method_only() {
    let app = GuardedRouter::new()
        .get(
            "/health",
            Requirement::public(),
            async |caller: Option<Principal>| caller.is_some().to_string(),
        )
        .post("/health", open(), handler)
        .get("/{page}", closed(), handler)
        .protected_by(auth());
    assert_eq!(anonymous(&app, Method::GET, "/health").await, 200);
    assert_eq!(anonymous(&app, Method::HEAD, "/health").await, 200);
    assert_eq!(anonymous(&app, Method::POST, "/health").await, 401);
    assert_eq!(anonymous(&app, Method::DELETE, "/health").await, 401);
    assert_eq!(anonymous(&app, Method::GET, "/other").await, 401);
    assert_eq!(status(&app, Method::POST, "/health").await, 200);
    assert_eq!(status(&app, Method::GET, "/other").await, 403);
}

#[tokio::test]
async fn nested_merged_and_service_routes_are_guarded() {
    let files = Router::new().fallback(any(handler));
    let inner = |requirement: Requirement| {
        GuardedRouter::new()
            .get("/", requirement.clone(), handler)
            .get("/{id}", requirement, handler)
    };
    let router = |requirement: fn() -> Requirement| {
        GuardedRouter::new()
            .nest("/nested", inner(requirement()))
            .merge(GuardedRouter::new().get("/merged", requirement(), handler))
            .route_service("/service", requirement(), files.clone())
            .nest_service("/files", requirement(), files.clone())
            .layer(tower::layer::layer_fn(|inner| inner))
    };
    let listing = router(open).listing().to_string();
    for path in [
        "/nested ",
        "/nested/{id}",
        "/merged",
        "/service",
        "/files/{*rest}",
    ] {
        assert!(listing.contains(path), "{path}: {listing}");
    }
    let around = |router: GuardedRouter| {
        let auth = auth().with_routes(router.public_routes());
        let service = ServiceExt::<Request<Body>>::map_response(
            auth.layer(router.into_router()),
            |response: http::Response<coverbase_auth::ResponseBody<Body>>| response.map(Body::new),
        );
        Router::new().fallback_service(service)
    };
    for (requirement, expected) in [(closed as fn() -> _, 403), (open, 200)] {
        let inside = router(requirement).protected_by(auth());
        for app in [inside, around(router(requirement))] {
            for path in [
                "/nested",
                "/nested/7",
                "/merged",
                "/service",
                "/files",
                "/files/",
                "/files/a/b",
            ] {
                assert_eq!(status(&app, Method::GET, path).await, expected, "{path}");
                assert_eq!(anonymous(&app, Method::GET, path).await, 401, "{path}");
            }
        }
    }
}

// T18: the inner requirement still holds where a layer outside makes the route public.
#[tokio::test]
async fn route_made_public_by_mistake_fails_closed() {
    let routes = GuardedRouter::new().get("/r", open(), handler);
    let by_mistake = auth().with_public_route(Method::GET, "/r");
    let app = routes.into_router().layer(by_mistake);
    assert_eq!(anonymous(&app, Method::GET, "/r").await, 500);
}

#[tokio::test]
async fn state_and_layers_reach_the_handlers() {
    let counted = tower::layer::layer_fn(|inner: axum::routing::Route| {
        service_fn(move |request: Request<Body>| {
            let mut inner = inner.clone();
            async move {
                let mut response = tower::Service::call(&mut inner, request).await?;
                response
                    .headers_mut()
                    .insert("x-layer", "seen".parse().unwrap());
                Ok::<_, std::convert::Infallible>(response)
            }
        })
    });
    let greet = async |axum::extract::State(name): axum::extract::State<&'static str>| name;
    let app: Router = GuardedRouter::new()
        .get("/r", open(), greet)
        .layer(counted)
        .with_state("acme")
        .protected_by(auth());
    let response = send(&app, Method::GET, "/r", true).await;
    assert_eq!(response.headers()["x-layer"], "seen");
    let rejected = send(&app, Method::GET, "/r", false).await;
    assert!(
        !rejected.headers().contains_key("x-layer"),
        "it is inside the authentication"
    );
}

#[tokio::test]
async fn nested_router_keeps_its_public_routes() {
    let guarded = GuardedRouter::new()
        .get("/health", Requirement::public(), handler)
        .get("/closed", closed(), handler);
    let app = Router::new().nest("/api", guarded.protected_by(auth()));
    assert_eq!(anonymous(&app, Method::GET, "/api/health").await, 200);
    assert_eq!(anonymous(&app, Method::GET, "/api/closed").await, 401);
    assert_eq!(status(&app, Method::GET, "/api/closed").await, 403);
}

// C1, C44: what axum does not serve is never answered as a fault of the service.
#[tokio::test]
async fn unserved_neighbour_of_a_public_route_is_authenticated() {
    let app = GuardedRouter::new()
        .get("/health", Requirement::public(), handler)
        .get("/assets/{*path}", Requirement::public(), handler)
        .protected_by(auth());
    for (method, path) in [
        (Method::CONNECT, "/health"),
        (Method::GET, "/assets"),
        (Method::GET, "/assets/"),
    ] {
        assert_eq!(
            anonymous(&app, method.clone(), path).await,
            401,
            "{method} {path}"
        );
        assert_eq!(
            status(&app, method.clone(), path).await,
            404,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn public_service_below_a_prefix_is_public_with_its_root() {
    let files = Router::new().fallback(any(async || "file"));
    let app = GuardedRouter::new()
        .nest_service("/docs", Requirement::public(), files)
        .protected_by(auth());
    for path in ["/docs", "/docs/", "/docs/a/b"] {
        assert_eq!(anonymous(&app, Method::GET, path).await, 200, "{path}");
    }
    assert_eq!(anonymous(&app, Method::GET, "/docsx").await, 401);
}

// axum tells these apart, so the table of public routes does too.
#[tokio::test]
async fn parameters_of_different_names_are_told_apart() {
    let app = GuardedRouter::new()
        .get("/t/{id}", open(), handler)
        .get("/t/{tenant}/{*rest}", Requirement::public(), handler)
        .protected_by(auth());
    assert_eq!(status(&app, Method::GET, "/t/1").await, 200);
    assert_eq!(anonymous(&app, Method::GET, "/t/1").await, 401);
    assert_eq!(anonymous(&app, Method::GET, "/t/1/a").await, 200);
}
