//! Runs the examples.
#![allow(dead_code, unreachable_pub, reason = "each is a program of its own")]

#[path = "../../examples/axum.rs"]
pub(crate) mod axum;
#[path = "../../examples/custom_render.rs"]
mod custom_render;
#[path = "../../examples/hyper.rs"]
pub(crate) mod hyper;
#[path = "../../examples/rate_limit.rs"]
mod rate_limit;
#[cfg(feature = "jsonwebtoken")]
#[path = "../../examples/session_tokens.rs"]
mod session_tokens;
#[cfg(feature = "tonic")]
#[path = "../../examples/tonic.rs"]
pub(crate) mod tonic;

use ::axum::{Router, body::Body};
use coverbase_auth::{ApiKey, Environment, KeyRecord, MemoryStore, Scope};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// A store with one key of `org_demo`.
fn store(scopes: impl IntoIterator<Item = Scope>) -> (MemoryStore, ApiKey) {
    let (store, key) = (MemoryStore::new(), ApiKey::generate(Environment::Test));
    store.insert(
        &key,
        KeyRecord::new("ak_demo", "org_demo").with_scopes(scopes),
    );
    (store, key)
}

async fn answer(app: &Router, request: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
    let (method, path) = request.split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let response = app
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        parts.status.as_u16(),
        parts.headers,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

// C1, C18, C20
#[tokio::test]
async fn axum_answers_by_what_its_routes_declare() {
    let (store, key) = store([Scope::from_static("reports:delete")]);
    let bearer = format!("Bearer {}", key.expose_secret());
    let key = &[("authorization", &*bearer)][..];
    let app = axum::app(store);
    for (request, headers, expected) in [
        ("GET /health", &[][..], (200, "ok")),
        (
            "GET /v1/reports",
            &[],
            (401, r#"{"detail":"Not authenticated"}"#),
        ),
        ("GET /v1/reports", key, (200, r#"{"count":1}"#)),
        (
            "GET /v1/reports/1",
            key,
            (200, r#"{"id":1,"title":"Spending"}"#),
        ),
        ("GET /v1/reports/2", key, (404, r#"{"detail":"Not Found"}"#)),
        ("GET /v1/reports/3", key, (404, r#"{"detail":"Not Found"}"#)),
        ("DELETE /v1/reports/1", key, (200, r#""Spending" is gone"#)),
        (
            "DELETE /v1/reports/2",
            key,
            (404, r#"{"detail":"Not Found"}"#),
        ),
        (
            "PATCH /v1/reports/1",
            key,
            (404, r#"{"detail":"Not Found"}"#),
        ),
        (
            "PATCH /v1/reports/1",
            &[],
            (401, r#"{"detail":"Not authenticated"}"#),
        ),
    ] {
        let (status, headers, body) = answer(&app, request, headers).await;
        assert_eq!((status, &*body), expected, "{request}");
        assert!(!headers.contains_key("allow"), "{request}");
    }
    let (status, _, body) = answer(&app, "GET /v1/greeting", key).await;
    assert_eq!(status, 403, "a key is no user");
    assert!(body.contains("insufficient_scope"));
}

#[tokio::test]
async fn custom_render_answers_text_to_clients_that_accept_text() {
    let app = custom_render::app(MemoryStore::new());
    for (accept, content_type, text) in [
        (
            "*/*",
            "application/json",
            r#"{"detail":"Not authenticated"}"#,
        ),
        ("text/plain", "text/plain", "401: Not authenticated\n"),
    ] {
        let (status, headers, body) = answer(&app, "GET /", &[("accept", accept)]).await;
        assert_eq!(status, 401);
        assert_eq!(headers["content-type"], content_type);
        assert_eq!(headers["www-authenticate"], r#"Bearer realm="coverbase""#);
        assert!(body.contains(text), "{body}");
    }
}

#[tokio::test]
async fn rate_limit_counts_each_key_by_itself() {
    let (store, key) = store([]);
    let other = ApiKey::generate(Environment::Test);
    store.insert(&other, KeyRecord::new("ak_other", "org_demo"));
    let app = rate_limit::app(store);
    let [key, other] = [key, other].map(|key| format!("Bearer {}", key.expose_secret()));
    for (bearer, expected) in [(&key, 200), (&key, 200), (&key, 429), (&other, 200)] {
        let (status, headers, body) = answer(&app, "GET /", &[("authorization", bearer)]).await;
        assert_eq!(status, expected);
        assert_eq!(headers.contains_key("retry-after"), status == 429);
        assert_eq!(
            body.contains(r#"{"detail":{"code":"rate_limited","#),
            status == 429,
            "{body}"
        );
    }
    assert_eq!(
        answer(&app, "GET /", &[]).await.0,
        401,
        "an anonymous caller uses up no key's limit"
    );
}

// C11, C16
#[cfg(feature = "jsonwebtoken")]
#[tokio::test]
async fn session_tokens_accepts_minted_and_rejects_forged_tokens() {
    let provider = session_tokens::Provider::new().unwrap();
    let layer = session_tokens::layer(&provider.jwks).unwrap();
    let token = provider.mint("member").unwrap();
    let (status, role) = session_tokens::request(&layer, &token).await;
    assert_eq!((status.as_u16(), role.as_deref()), (200, Some("member")));
    let other = session_tokens::Provider::new().unwrap();
    let (status, role) = session_tokens::request(&layer, &other.mint("admin").unwrap()).await;
    assert_eq!((status.as_u16(), role), (401, None));
}
