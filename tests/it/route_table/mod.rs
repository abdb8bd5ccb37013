//! The table of routes: which request gets which requirement, what a public row opens, and that the table fails closed
//! (C1, C18, C44, T18).

#[cfg(feature = "axum")]
mod beside_axum;
#[cfg(feature = "axum")]
mod inside_axum;

use coverbase_auth::{CoverbaseAuthLayer, RequireLayer, Requirement, RouteTable, Scope};
use http::{HeaderValue, Method, Request, header::AUTHORIZATION};

use crate::support::{Answer, KEY, ask, bearer, record, store};

/// A layer whose one key carries `audit:read`.
fn auth() -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(store(record().with_scopes([Scope::AUDIT_READ])))
}

fn table() -> RouteTable {
    RouteTable::new()
        .any("/health", Requirement::public())
        .route(
            Method::GET,
            "/audit/{id}",
            Requirement::scope(Scope::AUDIT_READ),
        )
        .any("/keys/{*rest}", Requirement::scope(Scope::KEYS_MANAGE))
}

fn anonymous(method: Method, path: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(path);
    request.body(()).unwrap()
}

fn with_key(method: Method, path: &str) -> Request<()> {
    let mut request = anonymous(method, path);
    *request.headers_mut() = bearer(KEY).into_parts().0.headers;
    request
}

fn get(path: &str) -> Request<()> {
    with_key(Method::GET, path)
}

fn body(answer: &Answer) -> &str {
    str::from_utf8(&answer.body).unwrap()
}

// C18
#[test]
fn row_is_enforced() {
    let layer = auth().with_routes(table());
    for (path, status, text) in [
        ("/audit/7", 200, "inner"),
        ("/keys/7", 403, "insufficient_scope"),
    ] {
        let answer = ask(&layer, get(path));
        assert_eq!(answer.status, status, "{path}");
        assert!(body(&answer).contains(text), "{path}: {answer:?}");
        assert_eq!(ask(&layer, anonymous(Method::GET, path)).status, 401);
    }
}

// C44: the caller learns that there is no such path only with a valid credential.
#[test]
fn unmatched_path_is_authenticated_and_answered_404() {
    let layer = auth().with_routes(table());
    let answer = ask(&layer, get("/elsewhere"));
    assert_eq!(answer.status, 404);
    assert_eq!(body(&answer), r#"{"detail":"Not Found"}"#);
    assert_eq!(
        ask(&layer, anonymous(Method::GET, "/elsewhere")).status,
        401
    );

    let named = table().with_default(Requirement::authenticated());
    assert_eq!(
        ask(&auth().with_routes(named), get("/elsewhere")).status,
        200
    );
    let admins = table().with_default(Requirement::roles([]));
    assert_eq!(
        ask(&auth().with_routes(admins), get("/elsewhere")).status,
        403
    );
}

// C1
#[test]
fn public_row_needs_no_credential_and_gives_no_principal() {
    let layer = auth().with_routes(table());
    let stripping = layer.clone().with_stripped_credential();
    let mut repeated = get("/health");
    repeated
        .headers_mut()
        .append(AUTHORIZATION, HeaderValue::from_static("Bearer ,"));
    for (layer, request, sensitive) in [
        (&layer, anonymous(Method::GET, "/health"), 0),
        (&layer, get("/health"), 1),
        (&layer, repeated, 2),
        (&stripping, get("/health"), 0),
    ] {
        let answer = ask(layer, request);
        assert_eq!(answer.status, 200);
        let admitted = answer.admitted.unwrap();
        assert!(coverbase_auth::Principal::of(&admitted.extensions).is_none());
        let credentials = admitted.headers.get_all(AUTHORIZATION).iter();
        let marked = credentials.map(HeaderValue::is_sensitive);
        assert_eq!(marked.collect::<Vec<_>>(), vec![true; sensitive]);
    }
    for path in ["/health/", "/Health", "//health", "/%68ealth"] {
        assert_eq!(
            ask(&layer, anonymous(Method::GET, path)).status,
            401,
            "{path}"
        );
    }
}

// C1: only a row or an extension makes a request public.
#[test]
fn default_is_never_public() {
    let by_table = auth().with_routes(RouteTable::new().with_default(Requirement::public()));
    let by_layer = auth().with_requirement(Requirement::public());
    let anonymous = || anonymous(Method::GET, "/x");
    assert_eq!(ask(&by_table, anonymous()).status, 401);
    assert_eq!(ask(&by_layer, anonymous()).status, 401);
    assert_eq!(ask(&by_table, get("/x")).status, 200);

    let mut by_extension = anonymous();
    by_extension.extensions_mut().insert(Requirement::public());
    assert_eq!(ask(&auth(), by_extension).status, 200);
}

// T18: a table made the method of a path whose rows name other methods as public as them.
#[test]
fn method_without_a_row_must_satisfy_every_row_of_the_path() {
    let routes = RouteTable::new()
        .route(Method::GET, "/a", Requirement::public())
        .route(Method::PUT, "/a", Requirement::scope(Scope::AUDIT_READ))
        .route(Method::GET, "/b", Requirement::authenticated())
        .route(Method::PUT, "/b", Requirement::scope(Scope::KEYS_MANAGE));
    let layer = auth().with_routes(routes);
    assert_eq!(ask(&layer, anonymous(Method::GET, "/a")).status, 200);
    assert_eq!(ask(&layer, anonymous(Method::DELETE, "/a")).status, 401);
    assert_eq!(ask(&layer, with_key(Method::DELETE, "/a")).status, 200);
    assert_eq!(ask(&layer, with_key(Method::GET, "/b")).status, 200);
    assert_eq!(ask(&layer, with_key(Method::DELETE, "/b")).status, 403);
}

// RFC 8441: an extended CONNECT opens a WebSocket on the route of a GET.
#[test]
fn extended_connect_must_satisfy_the_row_for_get() {
    let scope = Requirement::scope(Scope::KEYS_MANAGE);
    let routes = RouteTable::new()
        .route(Method::GET, "/ws", scope)
        .route(Method::GET, "/open", Requirement::authenticated())
        .with_default(Requirement::authenticated());
    let layer = auth().with_routes(routes);
    assert_eq!(ask(&layer, with_key(Method::CONNECT, "/ws")).status, 403);
    assert_eq!(ask(&layer, with_key(Method::CONNECT, "/open")).status, 200);
}

// C18: a gateway's requirement and the row both hold.
#[test]
fn row_and_extension_must_both_hold() {
    let layer = auth().with_routes(table());
    let with_extension = |path: &str, requirement: Requirement| {
        let mut request = get(path);
        request.extensions_mut().insert(requirement);
        ask(&layer, request).status
    };
    let banking = || Requirement::scope(Scope::BANKING_READ);
    assert_eq!(
        with_extension("/audit/7", Requirement::authenticated()),
        200
    );
    assert_eq!(with_extension("/audit/7", Requirement::public()), 200);
    assert_eq!(with_extension("/audit/7", banking()), 403);
    assert_eq!(with_extension("/health", banking()), 403);
    assert_eq!(with_extension("/elsewhere", Requirement::public()), 404);
    for path in ["/audit/7", "/elsewhere"] {
        let mut request = anonymous(Method::GET, path);
        request.extensions_mut().insert(Requirement::public());
        assert_eq!(ask(&layer, request).status, 401, "{path}");
    }
}

#[test]
fn public_route_without_a_table_leaves_the_rest_to_the_layer() {
    let layer = auth()
        .with_public_route(Method::GET, "/healthz")
        .with_public_route(Method::GET, "/readyz");
    assert_eq!(ask(&layer, anonymous(Method::GET, "/healthz")).status, 200);
    assert_eq!(ask(&layer, anonymous(Method::HEAD, "/readyz")).status, 200);
    for request in [
        anonymous(Method::POST, "/healthz"),
        anonymous(Method::GET, "/healthz/"),
        anonymous(Method::GET, "/v1/reports"),
    ] {
        assert_eq!(ask(&layer, request).status, 401);
    }
    assert_eq!(ask(&layer, get("/v1/reports")).status, 200);
    let strict = layer.with_requirement(Requirement::scope(Scope::KEYS_MANAGE));
    assert_eq!(ask(&strict, get("/v1/reports")).status, 403);
    assert_eq!(ask(&strict, anonymous(Method::GET, "/healthz")).status, 200);
    assert_eq!(ask(&strict, with_key(Method::POST, "/healthz")).status, 403);
}

// T18: the default holds for the methods that a public row does not name.
#[test]
fn other_method_of_a_public_path_must_satisfy_the_default() {
    let routes = RouteTable::new()
        .route(Method::GET, "/a", Requirement::public())
        .with_default(Requirement::scope(Scope::KEYS_MANAGE));
    let layer = auth().with_routes(routes);
    assert_eq!(ask(&layer, anonymous(Method::GET, "/a")).status, 200);
    assert_eq!(ask(&layer, with_key(Method::POST, "/a")).status, 403);
    let without_default = RouteTable::new().route(Method::GET, "/a", Requirement::public());
    let layer = auth().with_routes(without_default);
    assert_eq!(ask(&layer, with_key(Method::POST, "/a")).status, 404);
}

#[test]
fn public_route_joins_a_table_in_either_order() {
    let before = auth()
        .with_public_route(Method::GET, "/healthz")
        .with_routes(table());
    let after = auth()
        .with_routes(table())
        .with_public_route(Method::GET, "/healthz");
    for layer in [before, after] {
        assert_eq!(ask(&layer, anonymous(Method::GET, "/healthz")).status, 200);
        assert_eq!(ask(&layer, get("/audit/7")).status, 200);
        assert_eq!(ask(&layer, get("/keys/7")).status, 403);
        assert_eq!(ask(&layer, get("/elsewhere")).status, 404);
    }
}

// C21: inside a public route, every requirement but a public one finds the principal missing.
#[test]
fn requirement_inside_a_public_route_fails_closed() {
    let inside = |requirement| (auth().with_routes(table()), RequireLayer::new(requirement));
    let open = inside(Requirement::public());
    assert_eq!(ask(&open, anonymous(Method::GET, "/health")).status, 200);
    let closed = inside(Requirement::authenticated());
    assert_eq!(ask(&closed, get("/health")).status, 500);
    assert_eq!(ask(&closed, get("/audit/7")).status, 200);

    let alone = RequireLayer::new(Requirement::public());
    assert_eq!(ask(&alone, anonymous(Method::GET, "/x")).status, 200);
    let behind = (auth(), RequireLayer::new(Requirement::public()));
    assert_eq!(ask(&behind, anonymous(Method::GET, "/x")).status, 401);
}

#[test]
#[should_panic(expected = "invalid route `/v1/*`: write `{name}` for one segment")]
fn invalid_row_panics_when_the_table_is_built() {
    let _ = RouteTable::new().any("/v1/*", Requirement::authenticated());
}

#[test]
#[should_panic(expected = "invalid route `/health`: the table has a row for it already")]
fn repeated_row_panics_when_the_layer_is_built() {
    let _ = auth().with_routes(table()).with_routes(table());
}
