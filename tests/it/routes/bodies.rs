//! Request bodies (`C39`, `C42`, T14).

use http::StatusCode;
use serde_json::json;

use super::{NOT_AUTHENTICATED, ask, request};
use crate::service::Service;

// C39: in the shape of FastAPI.
#[tokio::test]
async fn invalid_body_is_422_with_the_field() {
    let service = Service::new();
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(201));
    let deep = format!(
        r#"{{"name":"a","x":{}{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    let lifetime = json!(["body", "seconds_until_expiration"]);
    for (body, loc, message, kind) in [
        ("{}", json!(["body", "name"]), "Field required", "missing"),
        ("", json!(["body"]), "Field required", "missing"),
        (
            r#"{"name":1}"#,
            json!(["body", "name"]),
            "Input should be a valid string",
            "string_type",
        ),
        (
            &long,
            json!(["body", "name"]),
            "String should have at most 200 characters",
            "string_too_long",
        ),
        (
            r#"{"name":"a","seconds_until_expiration":"60"}"#,
            lifetime.clone(),
            "Input should be a valid integer",
            "int_type",
        ),
        (
            r#"{"name":"a","seconds_until_expiration":1.5}"#,
            lifetime.clone(),
            "Input should be a valid integer",
            "int_type",
        ),
        (
            r#"{"name":"a","seconds_until_expiration":0}"#,
            lifetime.clone(),
            "Input should be greater than or equal to 1",
            "greater_than_equal",
        ),
        (
            r#"{"name":"a","seconds_until_expiration":3153600001}"#,
            lifetime,
            "Input should be less than or equal to 3153600000",
            "less_than_equal",
        ),
        (
            r#"{"name":"a","scopes":{}}"#,
            json!(["body", "scopes"]),
            "Input should be a valid list",
            "list_type",
        ),
        (
            r#"{"name":"a","scopes":["audit:read",7]}"#,
            json!(["body", "scopes", 1]),
            "Input should be a valid string",
            "string_type",
        ),
        (
            r#"{"name":"a","scopes":["no:such"]}"#,
            json!(["body", "scopes", 0]),
            "Input should be one of 'keys:manage', 'audit:read', 'banking:read', 'review:sensitive_changes'",
            "enum",
        ),
        (
            "{",
            json!(["body"]),
            "JSON decode error: not a JSON object",
            "json_invalid",
        ),
        (
            r#"{"name":"a","name":"b"}"#,
            json!(["body"]),
            "JSON decode error: a name occurs twice in one JSON object",
            "json_invalid",
        ),
        (
            &deep,
            json!(["body"]),
            "JSON decode error: not a JSON object",
            "json_invalid",
        ),
    ] {
        let answer = service
            .post(&service.admin_session(), "/v1/api-keys", body.to_owned())
            .await;
        let expected = json!({"detail": [{"loc": loc, "msg": message, "type": kind}]});
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (422, expected),
            "{body}"
        );
    }
    let list = service.get(&service.admin_session(), "/v1/api-keys").await;
    list.assert_is(200, r#"{"data":[]}"#);
}

// C39
#[tokio::test]
async fn body_is_read_as_json_for_every_content_type() {
    let service = Service::new();
    for content_type in [
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
    ] {
        let body = r#"{"name":"ci"}"#;
        let mut request = request(&service.admin_session(), "POST", "/v1/api-keys", body);
        let value = content_type.parse().unwrap();
        request.headers_mut().insert("content-type", value);
        assert_eq!(
            ask(service.app(), request).await.status,
            StatusCode::CREATED
        );
    }
    let answer = service
        .post(
            &service.admin_session(),
            "/v1/api-keys",
            &b"{\"name\":\"\xff\"}"[..],
        )
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["detail"][0]["type"], "json_invalid");
}

// T14
#[tokio::test]
async fn body_over_512_kib_is_413() {
    let service = Service::new();
    let admin = service.admin_session();
    let body = |len: usize| format!(r#"{{"name":"ci","x":"{}"}}"#, "x".repeat(len - 20));
    for path in [
        "/v1/api-keys",
        "/v1/api-keys/ak_unknown/revoke",
        "/v1/org/org_acme",
    ] {
        let answer = service.post(&admin, path, body(512 * 1024 + 1)).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        assert!(answer.json()["detail"].is_string());
        let answer = service.post(&admin, path, body(512 * 1024)).await;
        assert_ne!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    // The credential and the rights are checked before the body.
    let answer = service.post("", "/v1/api-keys", body(1 << 20)).await;
    answer.assert_is(401, NOT_AUTHENTICATED);
    let key = service.key(&[]);
    let answer = service.post(&key, "/v1/api-keys", body(1 << 20)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

// C42
#[tokio::test]
async fn allowlist_of_ten_thousand_networks_fits() {
    let service = Service::new();
    let networks = (0..10_000_u32).map(|n| format!("2001:db8:{n:x}:ffff:ffff:ffff:ffff:fff0/124"));
    let body = json!({"api_ip_allowlist": networks.collect::<Vec<_>>()}).to_string();
    let answer = service
        .post(&service.admin_session(), "/v1/org/org_acme", body.clone())
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{} bytes", body.len());
    let list = answer.json()["api_ip_allowlist"].as_array().unwrap().len();
    assert_eq!(list, 10_000);
}
