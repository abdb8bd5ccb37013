//! The table beside axum's own router, for random sets of routes: no request that the router serves under a route passes
//! without the requirement of that route (T18).

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, any, on},
};
use coverbase_auth::{CoverbaseAuthLayer, KeyRecord, MemoryStore, Requirement, RouteTable, Scope};
use http::{HeaderName, Method, Request};
use proptest::prelude::*;
use tower::{Layer, ServiceExt};

use crate::support::key;

const ROUTE: HeaderName = HeaderName::from_static("x-route");

/// The routes of an application; any set of them makes a valid router.
const ROUTES: [Declared; 14] = [
    Declared::Route("GET", "/"),
    Declared::Route("GET", "/admin"),
    Declared::Route("POST", "/admin"),
    Declared::Route("any", "/users/{id}"),
    Declared::Route("POST", "/users/self"),
    Declared::Route("GET", "/users/{id}/keys"),
    Declared::Route("GET", "/{page}"),
    Declared::Route("any", "/{page}/team"),
    Declared::NestService("/files"),
    Declared::Route("GET", "/files/index"),
    Declared::Nest("GET", "/v1", "/reports"),
    Declared::Nest("any", "/v1", "/reports/{id}"),
    Declared::NestService("/v1/raw"),
    Declared::Nest("GET", "/v2", "/"),
];

#[derive(Debug, Clone, Copy)]
enum Declared {
    Route(&'static str, &'static str),
    Nest(&'static str, &'static str, &'static str),
    NestService(&'static str),
}

/// Answers with the number of the route that was served.
fn served(n: usize) -> impl IntoResponse + Clone + Send + 'static {
    ([(ROUTE, n.to_string())], "")
}

fn methods(method: &str, n: usize) -> MethodRouter {
    let handler = move || async move { served(n) };
    match method {
        "any" => any(handler),
        method => on(
            MethodFilter::try_from(method.parse::<Method>().unwrap()).unwrap(),
            handler,
        ),
    }
}

fn scope(n: usize) -> Scope {
    format!("route:{n}").parse().unwrap()
}

/// The router of the chosen routes.
fn router(chosen: &[usize]) -> Router {
    let mut nested = std::collections::BTreeMap::<_, Router>::new();
    let mut router = Router::new();
    for &n in chosen {
        router = match ROUTES[n] {
            Declared::Route(method, path) => router.route(path, methods(method, n)),
            Declared::Nest(method, prefix, path) => {
                let inner = nested.remove(prefix).unwrap_or_default();
                nested.insert(prefix, inner.route(path, methods(method, n)));
                router
            }
            Declared::NestService(prefix) => {
                router.nest_service(prefix, Router::new().fallback(methods("any", n)))
            }
        };
    }
    nested
        .into_iter()
        .fold(router, |router, (prefix, inner)| router.nest(prefix, inner))
}

/// The table of the chosen routes, each with a scope of its own.
fn table(chosen: &[usize], public: &[usize], base: &str) -> RouteTable {
    chosen.iter().fold(RouteTable::new(), |table, &n| {
        let (method, path) = match ROUTES[n] {
            Declared::Route(method, path) => (method, path.to_owned()),
            Declared::Nest(method, prefix, "/") => (method, prefix.to_owned()),
            Declared::Nest(method, prefix, path) => (method, format!("{prefix}{path}")),
            Declared::NestService(prefix) => ("any", format!("{prefix}/{{*rest}}")),
        };
        let method = (method != "any").then(|| method.parse().unwrap());
        // axum nests the route `/` as the prefix itself.
        let path = match (base, &*path) {
            ("", path) => path.to_owned(),
            (base, "/") => base.to_owned(),
            (base, path) => format!("{base}{path}"),
        };
        let requirement = match public.contains(&n) {
            true => Requirement::public(),
            false => Requirement::scope(scope(n)),
        };
        table.try_route(method, &path, requirement).unwrap()
    })
}

/// The secret of a key with the scopes of all routes but the `n`-th.
fn secret_without(n: usize) -> String {
    format!("ak_live_without{n:0>20}")
}

fn store() -> MemoryStore {
    let store = MemoryStore::new();
    for n in 0..=ROUTES.len() {
        let scopes = (0..ROUTES.len()).filter(|other| *other != n).map(scope);
        let record = KeyRecord::new(format!("ak_{n}"), "org_acme").with_scopes(scopes);
        store.insert(&key(&secret_without(n)), record);
    }
    store
}

fn request(method: &str, path: &str, secret: &str) -> Option<Request<Body>> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Bearer {secret}"));
    request.body(Body::empty()).ok()
}

fn route_of(response: &Response) -> Option<usize> {
    let route = response.headers().get(ROUTE)?;
    Some(route.to_str().unwrap().parse().unwrap())
}

/// The same routes behind the layer, which is placed in each of the ways that axum offers.
fn guarded(chosen: &[usize], public: &[usize], store: &MemoryStore) -> [(&'static str, Router); 3] {
    let auth =
        |base| CoverbaseAuthLayer::new(store.clone()).with_routes(table(chosen, public, base));
    let around = ServiceExt::<Request<Body>>::map_response(
        auth("").layer(router(chosen)),
        IntoResponse::into_response,
    );
    [
        ("", router(chosen).layer(auth(""))),
        ("", Router::new().fallback_service(around)),
        (
            "/base",
            Router::new().nest("/base", router(chosen).layer(auth("/base"))),
        ),
    ]
}

proptest! {
    #[test]
    fn served_route_always_had_its_requirement_checked(
        chosen in prop::collection::btree_set(0..ROUTES.len(), 1..9),
        public in prop::collection::vec(0..ROUTES.len(), 0..4),
        paths in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![
            "/", "/", "//", "admin", "Admin", "%61dmin", "users", "self", "keys", "1", "team", "files", "index", "v1", "v2",
            "reports", "raw", "{id}", "{*rest}", "..", "%2e%2e", ";a=b", "%00",
        ]), 0..7), 12),
        method in prop::sample::select(vec!["GET", "HEAD", "POST", "OPTIONS", "CONNECT", "PURGE"]),
    ) {
        let chosen: Vec<usize> = chosen.into_iter().collect();
        let store = store();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (bare, guarded) = (router(&chosen), guarded(&chosen, &public, &store));
            for path in paths {
                let path = format!("/{}", path.concat());
                let Some(plain) = request(method, &path, "") else { continue };
                let Some(n) = route_of(&bare.clone().oneshot(plain).await.unwrap()) else { continue };
                for (base, app) in &guarded {
                    // A nested router serves its root under the prefix, without a slash.
                    let path = if !base.is_empty() && path == "/" { base.to_string() } else { format!("{base}{path}") };
                    let anonymous = Request::builder().method(method).uri(&*path);
                    let anonymous = anonymous.body(Body::empty()).unwrap();
                    let answer = app.clone().oneshot(anonymous).await.unwrap();
                    if public.contains(&n) {
                        continue;
                    }
                    prop_assert_eq!(route_of(&answer), None, "{} {}", method, path);
                    let with_all = request(method, &path, &secret_without(ROUTES.len())).unwrap();
                    let without = request(method, &path, &secret_without(n)).unwrap();
                    let answer = app.clone().oneshot(with_all).await.unwrap();
                    prop_assert_eq!(route_of(&answer), Some(n), "{} {}", method, path);
                    let answer = app.clone().oneshot(without).await.unwrap();
                    prop_assert_eq!(route_of(&answer), None, "{} {}", method, path);
                }
            }
            Ok(())
        })?;
    }
}
