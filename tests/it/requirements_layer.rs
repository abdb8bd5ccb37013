//! A table outside the layer: which request gets which requirement, and what a public one opens.

use std::{convert::Infallible, fmt::Debug};

use bytes::Bytes;
use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, Environment, KeyRecord, MemoryStore, Principal, RequireLayer,
    Requirement, RequirementsLayer, Scope,
};
use http::{HeaderValue, Method, Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

type Inner = BoxCloneSyncService<Request<()>, Response<Full<Bytes>>, Infallible>;

/// A layer, and a key that carries `audit:read`.
fn keys() -> (CoverbaseAuthLayer, ApiKey) {
    let (store, auditor) = (MemoryStore::new(), ApiKey::generate(Environment::Live));
    let record = KeyRecord::new("ak_1", "org_acme").with_scopes([Scope::AUDIT_READ]);
    store.insert(&auditor, record);
    (CoverbaseAuthLayer::new(store), auditor)
}

fn request(path: &str, key: Option<&ApiKey>) -> Request<()> {
    let mut request = Request::builder().uri(path).body(()).unwrap();
    if let Some(key) = key {
        let bearer = format!("Bearer {}", key.expose_secret()).parse().unwrap();
        request.headers_mut().insert(AUTHORIZATION, bearer);
    }
    request
}

/// What the service inside of `layer` sees of the request: whose it is, and which credentials are marked sensitive.
async fn answer<L, B>(layer: L, request: Request<()>) -> (u16, String)
where
    L: Layer<Inner>,
    L::Service: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes, Error: Debug>,
{
    let seen = BoxCloneSyncService::new(service_fn(async |request: Request<()>| {
        let id = Principal::of(request.extensions()).map_or("nobody", Principal::id);
        let credentials = request.headers().get_all(AUTHORIZATION).iter();
        let sensitive: Vec<bool> = credentials.map(HeaderValue::is_sensitive).collect();
        Ok(Response::new(Full::from(format!("{id} {sensitive:?}"))))
    }));
    let response = layer.layer(seen).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn table() -> RequirementsLayer {
    RequirementsLayer::new()
        .any("/health", Requirement::public())
        .route(
            Method::GET,
            "/audit/{id}",
            Requirement::scope(Scope::AUDIT_READ),
        )
        .any("/keys/{*rest}", Requirement::scope(Scope::KEYS_MANAGE))
}

// C18: with and without a slot the same.
#[tokio::test]
async fn a_row_is_what_the_layer_holds_a_request_to() {
    let (auth, key) = keys();
    for table in [table(), table().with_principal_slot()] {
        let layer = ServiceBuilder::new().layer(table).layer(auth.clone());
        for (path, expected) in [
            ("/audit/7", (200, "ak_1 [true]")),
            ("/elsewhere", (200, "ak_1 [true]")),
            ("/keys/7", (403, "insufficient_scope")),
        ] {
            let (status, body) = answer(layer.clone(), request(path, Some(&key))).await;
            assert_eq!(status, expected.0, "{path}");
            assert!(body.contains(expected.1), "{path}: {body}");
            assert_eq!(
                answer(layer.clone(), request(path, None)).await.0,
                401,
                "{path}"
            );
        }
    }
}

// C1
#[tokio::test]
async fn a_public_row_lets_everybody_through_as_nobody() {
    let (auth, key) = keys();
    let unknown = ApiKey::generate(Environment::Live);
    for table in [table(), table().with_principal_slot()] {
        let layer = ServiceBuilder::new().layer(table).layer(auth.clone());
        for (presented, seen) in [
            (None, "nobody []"),
            (Some(&key), "nobody [true]"),
            (Some(&unknown), "nobody [true]"),
        ] {
            let answer = answer(layer.clone(), request("/health", presented)).await;
            assert_eq!(answer, (200, seen.to_owned()));
        }
        let mut malformed = request("/health", Some(&key));
        malformed
            .headers_mut()
            .append(AUTHORIZATION, HeaderValue::from_static("Bearer ,"));
        assert_eq!(
            answer(layer.clone(), malformed).await.1,
            "nobody [true, true]"
        );
        assert_eq!(answer(layer, request("/health/", None)).await.0, 401);
    }
    let stripping = ServiceBuilder::new()
        .layer(table())
        .layer(auth.with_stripped_credential());
    let answer = answer(stripping, request("/health", Some(&key))).await;
    assert_eq!(answer, (200, "nobody []".to_owned()));
}

// C1: only where a row, or an extension, says so.
#[tokio::test]
async fn a_default_is_never_public() {
    let (auth, _) = keys();
    let open_default = RequirementsLayer::new().with_default(Requirement::public());
    let layer = ServiceBuilder::new()
        .layer(open_default)
        .layer(auth.clone());
    assert_eq!(answer(layer, request("/x", None)).await.0, 401);
    let open_layer = auth.clone().with_requirement(Requirement::public());
    assert_eq!(answer(open_layer, request("/x", None)).await.0, 401);

    let mut open = request("/x", None);
    open.extensions_mut().insert(Requirement::public());
    assert_eq!(answer(auth, open).await.0, 200);
}

#[tokio::test]
async fn a_default_holds_where_no_row_does() {
    let (auth, key) = keys();
    for table in [table(), table().with_principal_slot()] {
        let closed = table.with_default(Requirement::roles([]));
        let layer = ServiceBuilder::new().layer(closed).layer(auth.clone());
        assert_eq!(
            answer(layer.clone(), request("/elsewhere", Some(&key)))
                .await
                .0,
            403
        );
        assert_eq!(
            answer(layer.clone(), request("/audit/7", Some(&key)))
                .await
                .0,
            200
        );
        // A table further out has had its say.
        let layer = ServiceBuilder::new()
            .layer(RequirementsLayer::new().any("/elsewhere", Requirement::authenticated()))
            .layer(layer);
        assert_eq!(
            answer(layer, request("/elsewhere", Some(&key))).await.0,
            200
        );
    }
}

// C18: what a slot says and what an extension says both hold.
#[tokio::test]
async fn a_slot_does_not_outrank_an_extension() {
    let (auth, key) = keys();
    let closing = ServiceBuilder::new()
        .layer(table().with_principal_slot())
        .map_request(|mut request: Request<()>| {
            let more = Requirement::scope(Scope::BANKING_READ);
            request.extensions_mut().insert(more);
            request
        })
        .layer(auth);
    for path in ["/audit/7", "/health", "/elsewhere"] {
        let (status, _) = answer(closing.clone(), request(path, Some(&key))).await;
        assert_eq!(status, 403, "{path}");
        assert_eq!(
            answer(closing.clone(), request(path, None)).await.0,
            401,
            "{path}"
        );
    }
}

// C21: a public requirement inside asks for nobody; every other one finds a public route's principal missing.
#[tokio::test]
async fn a_requirement_inside_a_public_one_fails_closed() {
    let (auth, key) = keys();
    let inside = |requirement| {
        ServiceBuilder::new()
            .layer(table())
            .layer(auth.clone())
            .layer(RequireLayer::new(requirement))
    };
    let (status, body) = answer(inside(Requirement::public()), request("/health", None)).await;
    assert_eq!((status, &*body), (200, "nobody []"));
    let closed = inside(Requirement::authenticated());
    assert_eq!(
        answer(closed.clone(), request("/health", Some(&key)))
            .await
            .0,
        500
    );
    assert_eq!(answer(closed, request("/audit/7", Some(&key))).await.0, 200);

    let alone = RequireLayer::new(Requirement::public());
    assert_eq!(answer(alone, request("/x", None)).await.0, 200);
    let open_inside = ServiceBuilder::new()
        .layer(auth)
        .layer(RequireLayer::new(Requirement::public()));
    assert_eq!(answer(open_inside, request("/health", None)).await.0, 401);
}

// C21, T18: the layer has decided by then, and nobody would read the row.
#[tokio::test]
async fn a_table_inside_of_the_layer_fails_closed() {
    let (auth, key) = keys();
    for table in [table(), table().with_principal_slot()] {
        let outside = ServiceBuilder::new()
            .layer(table.clone())
            .layer(auth.clone());
        let inside = ServiceBuilder::new()
            .layer(auth.clone())
            .layer(table.clone());
        // As a service may have it whose table comes from somebody else: the outer one holds the principal.
        let both = ServiceBuilder::new()
            .layer(RequirementsLayer::new().with_principal_slot())
            .layer(inside.clone());
        for path in ["/audit/7", "/keys/7", "/health", "/elsewhere"] {
            let refused = [
                answer(inside.clone(), request(path, Some(&key))).await,
                answer(both.clone(), request(path, Some(&key))).await,
            ];
            for (status, body) in refused {
                assert_eq!(status, 500, "{path}");
                assert!(body.contains("auth_not_configured"), "{path}: {body}");
            }
            let right = answer(outside.clone(), request(path, Some(&key))).await.0;
            assert_eq!(right, if path == "/keys/7" { 403 } else { 200 }, "{path}");
            assert_eq!(
                answer(inside.clone(), request(path, None)).await.0,
                401,
                "{path}"
            );
        }
    }
}

// A service with a layer of its own, mounted where the layer outside asks for nothing.
#[tokio::test]
async fn a_table_behind_a_public_route_is_another_layers() {
    let (auth, key) = keys();
    let mounted = ServiceBuilder::new()
        .layer(RequirementsLayer::new().any("/{*rest}", Requirement::public()))
        .layer(auth.clone())
        .layer(table())
        .layer(auth);
    for (path, presented, expected) in [
        ("/audit/7", Some(&key), 200),
        ("/keys/7", Some(&key), 403),
        ("/audit/7", None, 401),
        ("/health", None, 200),
    ] {
        let status = answer(mounted.clone(), request(path, presented)).await.0;
        assert_eq!(status, expected, "{path}");
    }
}

#[tokio::test]
async fn a_slot_is_found_by_principal_of_alone() {
    let (auth, key) = keys();
    let service = ServiceBuilder::new()
        .layer(RequirementsLayer::new().with_principal_slot())
        .layer(auth)
        .service(service_fn(async |request: Request<()>| {
            let extensions = request.extensions();
            assert!(extensions.get::<Principal>().is_none());
            assert_eq!(Principal::of(extensions).map(Principal::id), Some("ak_1"));
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
    let response = service.oneshot(request("/x", Some(&key))).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[test]
#[should_panic(
    expected = "`/v1/*`: write `{name}` for one segment and `{*name}` for all that follow"
)]
fn a_row_that_could_not_hold_panics_when_the_table_is_made() {
    let _ = RequirementsLayer::new().any("/v1/*", Requirement::authenticated());
}

#[cfg(feature = "axum")]
mod beside_axum {
    use axum::{Router, extract::MatchedPath, routing::any};
    use proptest::prelude::*;

    use super::*;

    const PATHS: [&str; 7] = [
        "/",
        "/admin",
        "/admin/{*rest}",
        "/users/{id}",
        "/users/self",
        "/users/{id}/keys",
        "/{*rest}",
    ];

    /// The scope that stands for the `n`-th path.
    fn scope(n: usize) -> Scope {
        format!("path:{n}").parse().unwrap()
    }

    proptest! {
        // A path written in another way gets the row of the route that serves it, or is served by none.
        #[test]
        fn a_request_gets_the_row_of_the_route_that_serves_it(
            path in prop::collection::vec(prop::sample::select(vec![
                "/", "//", "admin", "Admin", "%61dmin", "admin%2F", "users", "self", "keys", "1", "{id}", "{*rest}",
                ".", "..", "%2e%2e", ";a=b", "%00", "é", "\\",
            ]), 0..7),
            method in prop::sample::select(vec!["GET", "HEAD", "OPTIONS", "PURGE"]),
        ) {
            let path = format!("/{}", path.concat());
            let Ok(uri) = path.parse::<http::Uri>() else { return Ok(()) };
            let matched = |path: MatchedPath| async move { [("x-route", path.as_str().to_owned())] };
            let router = PATHS.iter().fold(Router::new(), |router, path| router.route(path, any(matched)));
            let table = PATHS.iter().enumerate().fold(RequirementsLayer::new(), |table, (n, path)| {
                table.any(path, Requirement::scope(scope(n)))
            });
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (row, served) = runtime.block_on(async {
                let seen = ServiceBuilder::new().layer(table).service(service_fn(async |request: Request<axum::body::Body>| {
                    let row = request.extensions().get::<Requirement>().cloned();
                    let mut response = router.clone().oneshot(request).await?;
                    response.extensions_mut().insert(row);
                    Ok::<_, Infallible>(response)
                }));
                let request = Request::builder().method(method).uri(uri);
                let response = seen.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
                let row: Option<&Option<Requirement>> = response.extensions().get();
                (row.cloned().flatten(), response.headers().get("x-route").cloned())
            });
            if let Some(n) = PATHS.iter().position(|path| served.as_ref().is_some_and(|served| served == path)) {
                prop_assert_eq!(row, Some(Requirement::scope(scope(n))), "{}: {:?}", path, served);
            }
        }
    }
}
