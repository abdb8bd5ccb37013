//! The routes of the organization (`C20`, `C42`).

use coverbase_auth::Scope;
use http::StatusCode;
use serde_json::json;

use super::{KEY_NOT_FOUND, NOT_AUTHENTICATED, NOT_FOUND, ORG_NOT_FOUND};
use crate::service::{OTHER_ORG, Service};

// C42
#[tokio::test]
async fn allowlist_is_set_and_read() {
    let service = Service::new();
    let admin = service.admin_session();
    let path = "/v1/org/org_acme";
    let empty = r#"{"id":"org_acme","api_ip_allowlist":[]}"#;
    service.get(&admin, path).await.assert_is(200, empty);

    let body = r#"{"api_ip_allowlist":["198.51.100.7","2001:DB8::/32"]}"#;
    let canonical = r#"{"id":"org_acme","api_ip_allowlist":["198.51.100.7/32","2001:db8::/32"]}"#;
    service
        .post(&admin, path, body)
        .await
        .assert_is(200, canonical);
    service.get(&admin, path).await.assert_is(200, canonical);

    let body = r#"{"api_ip_allowlist":["10.0.0.0/8","not-a-cidr"]}"#;
    let invalid = r#"{"detail":{"error":"Invalid CIDR in api_ip_allowlist","value":"not-a-cidr"}}"#;
    service
        .post(&admin, path, body)
        .await
        .assert_is(422, invalid);
    for (body, loc) in [
        ("{}", json!(["body", "api_ip_allowlist"])),
        ("", json!(["body"])),
        (
            r#"{"api_ip_allowlist":null}"#,
            json!(["body", "api_ip_allowlist"]),
        ),
        (
            r#"{"api_ip_allowlist":"10.0.0.0/8"}"#,
            json!(["body", "api_ip_allowlist"]),
        ),
        (
            r#"{"api_ip_allowlist":["10.0.0.0/8",1]}"#,
            json!(["body", "api_ip_allowlist", 1]),
        ),
    ] {
        let answer = service.post(&admin, path, body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer.json()["detail"][0]["loc"], loc);
    }
    service.get(&admin, path).await.assert_is(200, canonical);
}

// C42, C20
#[tokio::test]
async fn another_organization_is_404_for_every_body() {
    let service = Service::new();
    for token in [service.admin_session(), service.key(&[Scope::KEYS_MANAGE])] {
        for org in [OTHER_ORG, "org_unknown", "ORG_ACME", "%00", "org_acme%20"] {
            let path = format!("/v1/org/{org}");
            service
                .get(&token, &path)
                .await
                .assert_is(404, ORG_NOT_FOUND);
            for body in [
                r#"{"api_ip_allowlist":[]}"#,
                r#"{"api_ip_allowlist":["x"]}"#,
                "{",
                "",
            ] {
                let answer = service.post(&token, &path, body).await;
                answer.assert_is(404, ORG_NOT_FOUND);
            }
        }
        let encoded = service.get(&token, "/v1/org/org%5Facme").await;
        assert_eq!(encoded.status, StatusCode::OK);
    }
}

// C44, C20, T13
#[tokio::test]
async fn malformed_id_is_404() {
    let service = Service::new();
    let admin = service.admin_session();
    let long = "x".repeat(10 * 1024);
    let empty = service.post(&admin, "/v1/api-keys//revoke", "").await;
    empty.assert_is(404, KEY_NOT_FOUND);
    for id in [
        "%00",
        "ak_%00",
        "%25",
        "%0d%0aSet-Cookie:%20a",
        "%2e%2e%2f",
        "%F0%9F%94%91",
        &long,
    ] {
        for action in ["rotate", "revoke"] {
            let answer = service
                .post(&admin, &format!("/v1/api-keys/{id}/{action}"), "")
                .await;
            answer.assert_is(404, KEY_NOT_FOUND);
        }
        service
            .get(&admin, &format!("/v1/org/{id}"))
            .await
            .assert_is(404, ORG_NOT_FOUND);
    }
    for not_utf8 in ["%FF", "ak_%C3%28", "%ED%A0%80"] {
        for action in ["rotate", "revoke"] {
            let path = format!("/v1/api-keys/{not_utf8}/{action}");
            service
                .post(&admin, &path, "")
                .await
                .assert_is(404, NOT_FOUND);
            service
                .post("", &path, "")
                .await
                .assert_is(401, NOT_AUTHENTICATED);
        }
        let path = format!("/v1/org/{not_utf8}");
        service.get(&admin, &path).await.assert_is(404, NOT_FOUND);
        service
            .post(&admin, &path, "")
            .await
            .assert_is(404, NOT_FOUND);
    }
}
