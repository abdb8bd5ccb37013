//! Who may grant which scopes (`C9`, `C19`, `C39`).

use coverbase_auth::{RejectionKind, Scope};
use http::StatusCode;
use serde_json::json;

use super::{create, rejection, wire};
use crate::service::Service;

const EXPORT: Scope = Scope::from_static("reports:export");

// C9, C39
#[tokio::test]
async fn admin_grants_known_scopes_only() {
    let mut service = Service::new();
    let all: Vec<_> = Scope::known().iter().map(Scope::as_str).collect();
    let created = service
        .create(&json!({"name": "ci", "scopes": all}).to_string())
        .await;
    assert_eq!(created.scopes, Scope::known().iter().cloned().collect());

    let admin = service.admin().await;
    let request = create(json!({"name": "ci", "scopes": ["audit:read", "reports:export"]}));
    let rejected = service.key_admin.create(&admin, request.clone()).await;
    let detail = json!([{
        "loc": ["body", "scopes", 1],
        "msg": "Input should be one of 'keys:manage', 'audit:read', 'banking:read', 'review:sensitive_changes'",
        "type": "enum",
    }]);
    let expected = json!({ "detail": detail });
    assert_eq!(wire(rejected), (StatusCode::UNPROCESSABLE_ENTITY, expected));

    service.key_admin = service.key_admin.with_scopes([EXPORT]);
    let created = service.key_admin.create(&admin, request).await.unwrap();
    assert_eq!(created.scopes, [Scope::AUDIT_READ, EXPORT].into());
    for unknown in [
        "reports:*",
        "Reports:Export",
        "audit:read ",
        "",
        "a b",
        "audit:read,banking:read",
    ] {
        let request = create(json!({"name": "ci", "scopes": [unknown]}));
        let (status, body) = wire(service.key_admin.create(&admin, request).await);
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{unknown:?}");
        let message = body["detail"][0]["msg"].as_str().unwrap();
        assert!(message.ends_with("'review:sensitive_changes', 'reports:export'"));
        assert!(unknown.is_empty() || !message.contains(unknown));
    }
}

// C39
#[tokio::test]
async fn duplicate_scope_is_granted_once() {
    let created = Service::new()
        .create(r#"{"name":"ci","scopes":["audit:read","audit:read"]}"#)
        .await;
    assert_eq!(
        serde_json::to_value(created).unwrap()["scopes"],
        json!(["audit:read"])
    );
}

// C19, T6
#[tokio::test]
async fn key_cannot_grant_scopes_that_it_has() {
    let service = Service::new();
    let key = service.service_account(Scope::known()).await;
    for names in [
        json!(["audit:read"]),
        json!(["keys:manage"]),
        json!(["no:such"]),
    ] {
        let request = create(json!({"name": "ci", "scopes": names}));
        let rejected = service.key_admin.create(&key, request.clone()).await;
        assert_eq!(rejection(rejected), RejectionKind::ScopeGrantForbidden);
        let by_admin = service
            .key_admin
            .create(&service.admin().await, request)
            .await;
        assert_eq!(by_admin.is_ok(), names != json!(["no:such"]));
    }
    for body in [
        json!({"name": "ci"}),
        json!({"name": "ci", "scopes": []}),
        json!({"name": "ci", "scopes": null}),
    ] {
        let created = service.key_admin.create(&key, create(body)).await.unwrap();
        assert!(created.scopes.is_empty());
        assert!(service.accepts(&created.secret).await);
        assert_eq!(service.record(&created.id).await.created_by(), None);
    }
}

// C19: the answer does not depend on the scopes.
#[tokio::test]
async fn member_cannot_create_a_key_with_scopes() {
    let service = Service::new();
    for role in ["member", "siloed_member", "service_account", "billing"] {
        let request = create(json!({"name": "ci", "scopes": ["audit:read"]}));
        let rejected = service
            .key_admin
            .create(&service.user(role).await, request)
            .await;
        assert_eq!(rejection(rejected), RejectionKind::UnauthorizedRole);
    }
    assert_eq!(service.listed().await, json!([]));
}
