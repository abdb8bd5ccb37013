//! Requests that no route matches (`C1`, `C28`, `C44`).

use coverbase_auth::Scope;
use http::StatusCode;

use super::{INVALID_KEY, NOT_AUTHENTICATED, NOT_FOUND, ROUTES, ask, request};
use crate::service::{ORG, Service};

// C44, C1
#[tokio::test]
async fn unknown_route_is_404_with_a_credential_and_401_without() {
    let service = Service::new();
    let unknown = [
        "/",
        "/v1",
        "/v1/",
        "/v1/nonsense",
        "/v1/utils/authtest/",
        "//v1/utils/authtest",
        "/v1/utils",
        "/v1/utils/AUTHTEST",
        "/v1/utils/authtest%00",
        "/v1/utils%2Fauthtest",
        "/v1/api-keys/",
        "/v1/api-keys/ak_x",
        "/v1/api-keys/ak_x/rotate/",
        "/v1/api-keys/ak_x/delete",
        "/v1/org",
        "/v1/org/",
        "/v1/org/org_acme/",
        "/v1/../v1/utils/authtest",
        "/healthz",
        "/%FF",
    ];
    let mut requests: Vec<(String, &str)> = Vec::new();
    for path in unknown {
        requests.extend(["GET", "POST", "DELETE"].map(|method| (method.to_owned(), path)));
    }
    for (served, path, _) in ROUTES {
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE", "OPTIONS",
        ] {
            let other_serves = ROUTES
                .iter()
                .any(|route| route.0 == method && route.1 == path);
            if method != served && !other_serves {
                requests.push((method.to_owned(), path));
            }
        }
    }
    // The answer is the same for callers without rights (C28).
    let tokens = [
        service.admin_session(),
        service.session("member", ORG),
        service.key(&[]),
        service.key(&[Scope::KEYS_MANAGE]),
    ];
    for (method, path) in requests {
        for token in &tokens {
            let answer = ask(service.app(), request(token, &method, path, "")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.text()),
                (404, NOT_FOUND),
                "{method} {path}"
            );
            assert!(!answer.headers.contains_key("allow"), "{method} {path}");
        }
        let answer = ask(service.app(), request("", &method, path, "")).await;
        answer.assert_is(401, NOT_AUTHENTICATED);
        // The answer does not reveal which paths exist.
        let headers: Vec<_> = answer
            .headers
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        assert_eq!(
            headers,
            [
                "content-type",
                "www-authenticate",
                "cache-control",
                "content-length"
            ],
            "{method} {path}"
        );
        let answer = ask(service.app(), request("ak_live_unknown", &method, path, "")).await;
        answer.assert_is(401, INVALID_KEY);
    }
}

// C1
#[tokio::test]
async fn head_is_answered_like_get() {
    let service = Service::new();
    let head = async |token: &str, path| ask(service.app(), request(token, "HEAD", path, "")).await;
    for path in [
        "/v1/utils/authtest",
        "/v1/whoami/ip",
        "/v1/api-keys",
        "/v1/org/org_acme",
    ] {
        assert_eq!(head("", path).await.status, StatusCode::UNAUTHORIZED);
        let answer = head(&service.admin_session(), path).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, ""));
    }
    let answer = head(&service.key(&[]), "/v1/api-keys").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answer = head(&service.admin_session(), "/v1/nonsense").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

// C1: a CORS layer belongs outside.
#[tokio::test]
async fn options_without_a_credential_is_401() {
    let service = Service::new();
    for (_, path, _) in ROUTES {
        let mut preflight = request("", "OPTIONS", path, "");
        let headers = preflight.headers_mut();
        headers.insert("origin", "https://evil.example".parse().unwrap());
        headers.insert("access-control-request-method", "POST".parse().unwrap());
        let answer = ask(service.app(), preflight).await;
        answer.assert_is(401, NOT_AUTHENTICATED);
    }
}
