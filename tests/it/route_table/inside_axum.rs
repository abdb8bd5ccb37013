//! A layer with a table inside and around axum routers: rows are full paths, and cover what `nest_service` serves (T18).

use axum::{Router, body::Body, response::Response, routing::any};
use coverbase_auth::{Principal, Requirement, RouteTable, Scope};
use http::{Method, Request};
use tower::ServiceExt;

use super::auth;
use crate::support::KEY;

async fn status(app: &Router, method: Method, path: &str) -> u16 {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Bearer {KEY}"));
    let request = request.body(Body::empty()).unwrap();
    let response: Response = app.clone().oneshot(request).await.unwrap();
    response.status().as_u16()
}

async fn handler(caller: Principal) -> String {
    caller.id().to_owned()
}

fn closed() -> Requirement {
    Requirement::scope(Scope::KEYS_MANAGE)
}

fn open() -> Requirement {
    Requirement::scope(Scope::AUDIT_READ)
}

#[tokio::test]
async fn rest_row_covers_the_root_that_nest_service_serves() {
    let files = Router::new().fallback(any(handler));
    for (requirement, expected) in [(closed(), 403), (open(), 200)] {
        let routes = RouteTable::new().any("/v1/files/{*rest}", requirement);
        let app = Router::new()
            .nest_service("/v1/files", files.clone())
            .layer(auth().with_routes(routes));
        for path in ["/v1/files", "/v1/files/", "/v1/files/a/b"] {
            assert_eq!(status(&app, Method::GET, path).await, expected, "{path}");
        }
    }
}

#[tokio::test]
async fn row_inside_a_nest_is_the_full_path() {
    let routes = RouteTable::new()
        .any("/v1/admin", closed())
        .any("/v1/audit", open());
    let v1 = Router::new()
        .route("/admin", any(handler))
        .route("/audit", any(handler))
        .route("/other", any(handler))
        .layer(auth().with_routes(routes));
    let app = Router::new().nest("/v1", v1);
    assert_eq!(status(&app, Method::GET, "/v1/admin").await, 403);
    assert_eq!(status(&app, Method::GET, "/v1/audit").await, 200);
    assert_eq!(status(&app, Method::GET, "/v1/other").await, 404);
}

/// A router whose fallback rewrites the path with `rewrite`, and then asks the layer.
fn rewriting(routes: RouteTable, rewrite: fn(&str) -> String) -> Router {
    let inner = Router::new().fallback(any(async || "inner"));
    let protected = inner.layer(auth().with_routes(routes));
    let rewriting = tower::service_fn(move |mut request: Request<Body>| {
        *request.uri_mut() = rewrite(request.uri().path()).parse().unwrap();
        protected.clone().oneshot(request)
    });
    Router::new().fallback_service(rewriting)
}

// T18: the row of the path that the inner service sees holds too.
#[tokio::test]
async fn rewritten_path_must_satisfy_the_rows_of_both_paths() {
    let routes = || {
        RouteTable::new()
            .any("/v1/admin", closed())
            .any("/v1/audit", open())
            .any("/open/{*rest}", Requirement::public())
            .with_default(Requirement::authenticated())
    };
    let trimming = rewriting(routes(), |path| path.trim_end_matches('/').to_owned());
    assert_eq!(status(&trimming, Method::GET, "/v1/admin/").await, 403);
    assert_eq!(status(&trimming, Method::GET, "/v1/audit/").await, 200);
    let resolving = rewriting(routes(), |path| path.replace("/open/..", ""));
    assert_eq!(
        status(&resolving, Method::GET, "/open/../v1/admin").await,
        403
    );
    let anonymous = Request::get("/open/../v1/audit")
        .body(Body::empty())
        .unwrap();
    let response: Response = resolving.oneshot(anonymous).await.unwrap();
    assert_eq!(response.status(), 401);
}
