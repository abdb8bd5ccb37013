//! The routes of the contract on axum: exact statuses, headers and bodies (`C20`, `C21`, `C36`–`C42`, `C44`).

mod bodies;
mod client_ip;
mod keys;
mod layering;
mod organizations;
mod unknown;

use axum::{
    Router,
    body::{Body, Bytes},
};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::service::{ORG, Service};

const NOT_AUTHENTICATED: &str = r#"{"detail":"Not authenticated"}"#;

const NOT_FOUND: &str = r#"{"detail":"Not Found"}"#;

const KEY_NOT_FOUND: &str =
    r#"{"detail":{"code":"api_key_not_found","message":"API key not found."}}"#;
const ORG_NOT_FOUND: &str =
    r#"{"detail":{"code":"org_not_found","message":"Organization not found."}}"#;
const INVALID_KEY: &str = r#"{"detail":"Invalid or expired API key."}"#;

/// Every route with its method and a valid body.
const ROUTES: [(&str, &str, &str); 8] = [
    ("GET", "/v1/utils/authtest", ""),
    ("GET", "/v1/whoami/ip", ""),
    ("GET", "/v1/api-keys", ""),
    ("POST", "/v1/api-keys", r#"{"name":"ci"}"#),
    ("POST", "/v1/api-keys/ak_unknown/rotate", ""),
    ("POST", "/v1/api-keys/ak_unknown/revoke", ""),
    ("GET", "/v1/org/org_acme", ""),
    ("POST", "/v1/org/org_acme", r#"{"api_ip_allowlist":[]}"#),
];

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    fn assert_is(&self, status: u16, body: &str) {
        assert_eq!((self.status.as_u16(), self.text()), (status, body));
        assert_eq!(self.headers["content-type"], "application/json");
    }
}

fn request(token: &str, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = match token {
        "" => request,
        token => request.header("authorization", format!("Bearer {token}")),
    };
    request.body(body.into()).unwrap()
}

async fn ask(app: Router, request: Request<Body>) -> Answer {
    let response = app.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

impl Service {
    async fn get(&self, token: &str, path: &str) -> Answer {
        ask(self.app(), request(token, "GET", path, "")).await
    }

    async fn post(&self, token: &str, path: &str, body: impl Into<Body>) -> Answer {
        ask(self.app(), request(token, "POST", path, body)).await
    }

    fn admin_session(&self) -> String {
        self.session("admin", ORG)
    }
}
