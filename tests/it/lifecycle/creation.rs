//! The creation of keys: names, lifetimes and the fields of the request (`C4`, `C10`, `C39`, T6).

use coverbase_auth::{Environment, KeyRegistry, Scope, key_admin::CreateKey};
use http::StatusCode;
use serde_json::json;

use super::{create, wire};
use crate::service::{NOON, ORG, OTHER_ORG, Service};

// C39
#[tokio::test]
async fn created_key_is_accepted_at_once() {
    let service = Service::new();
    let created = service
        .create(r#"{"name":"  ci \n","scopes":["audit:read"]}"#)
        .await;
    assert_eq!(
        (created.name.as_str(), created.created_at),
        ("ci", NOON),
        "trimmed"
    );
    let secret = created.secret.expose_secret();
    let principal = service.principal(secret).await.unwrap();
    assert_eq!(principal.org_id().as_str(), ORG);
    assert_eq!(principal.key_id(), Some(&created.id));
    assert_eq!(principal.key_name(), Some("ci"));
    let carried: Vec<_> = principal.scopes().iter().cloned().collect();
    assert_eq!(carried, [Scope::AUDIT_READ]);
    assert_eq!(service.record(&created.id).await.expires_at(), None);
}

// C39
#[tokio::test]
async fn name_must_have_1_to_200_characters_and_no_nul() {
    let service = Service::new();
    let admin = service.admin().await;
    for name in [
        "x",
        &"é".repeat(200),
        &format!(" {}\t", "é".repeat(200)),
        "a\u{1}b",
    ] {
        let created = service.key_admin.create(&admin, CreateKey::new(name)).await;
        assert_eq!(created.unwrap().name, name.trim());
    }
    for name in ["", " ", "\t\r\n", "\u{a0}\u{2003}"] {
        let rejected = service.key_admin.create(&admin, CreateKey::new(name)).await;
        let invalid_name =
            json!({"detail": {"code": "invalid_name", "message": "Name cannot be empty."}});
        assert_eq!(wire(rejected), (StatusCode::BAD_REQUEST, invalid_name));
    }
    for (name, kind) in [
        ("é".repeat(201), "string_too_long"),
        ("a\0b".to_owned(), "string_pattern_mismatch"),
        ("\0".to_owned(), "string_pattern_mismatch"),
    ] {
        let rejected = service.key_admin.create(&admin, CreateKey::new(name)).await;
        let (status, body) = wire(rejected);
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(body["detail"][0]["loc"], json!(["body", "name"]));
        assert_eq!(body["detail"][0]["type"], kind);
    }
    assert_eq!(service.listed().await.as_array().unwrap().len(), 4);
}

// C39, C10
#[tokio::test]
async fn key_expires_in_the_last_second_of_its_lifetime() {
    let service = Service::new();
    for seconds in [1, 60, 3_153_600_000_u64] {
        service.clock.set(NOON);
        let body = json!({"name": "ci", "seconds_until_expiration": seconds});
        let created = service.create(&body.to_string()).await;
        service.clock.advance(seconds - 1);
        assert!(service.accepts(&created.secret).await, "{seconds}");
        service.clock.advance(1);
        assert!(!service.accepts(&created.secret).await, "{seconds}");
    }
}

// C39
#[test]
fn lifetime_outside_of_bounds_is_rejected() {
    for bad in [
        "0",
        "-1",
        "0.5",
        "3153600001",
        "18446744073709551616",
        "\"60\"",
        "false",
    ] {
        let body = format!(r#"{{"name":"ci","seconds_until_expiration":{bad}}}"#);
        let error = CreateKey::from_json(body.as_bytes()).unwrap_err();
        let place = "body.seconds_until_expiration: ";
        assert!(error.to_string().starts_with(place), "{bad}: {error}");
    }
    let absent = create(json!({"name": "ci", "seconds_until_expiration": null}));
    assert_eq!(absent.seconds_until_expiration, None);
}

// T6: organization, id, secret and the rest are set by the service.
#[tokio::test]
async fn unknown_members_of_the_body_are_ignored() {
    let service = Service::new();
    let created = service
        .create(
            r#"{"name":"ci","org_id":"org_other","organization":"org_other","id":"ak_mine","key_id":"ak_mine",
                "secret":"ak_live_mine","digest":"00","created_at":1,"expires_at":1,"revoked":true,"last_used_at":7,
                "created_by_clerk_user_id":"user_other","api_ip_allowlist":["10.0.0.0/8"],"role":"admin"}"#,
        )
        .await;
    let record = service.record(&created.id).await;
    assert_ne!(created.id.as_str(), "ak_mine");
    assert_ne!(created.secret.expose_secret(), "ak_live_mine");
    assert_eq!(record.org_id().as_str(), ORG);
    assert_eq!(record.created_by(), Some("user_admin"));
    assert_eq!((record.created_at(), record.last_used_at()), (NOON, None));
    assert!(record.is_live_at(u64::MAX) && record.allowlist().is_empty());
    assert!(service.accepts(&created.secret).await);
    let other = service.store.list(&OTHER_ORG.into()).await.unwrap();
    assert!(other.is_empty());
}

// C4
#[tokio::test]
async fn environment_of_new_keys_is_configurable() {
    let mut service = Service::new();
    let live = service.create(r#"{"name":"ci"}"#).await;
    assert_eq!(live.secret.environment(), Some(Environment::Live));
    service.key_admin = service.key_admin.with_environment(Environment::Test);
    let created = service.create(r#"{"name":"ci"}"#).await;
    assert_eq!(created.secret.environment(), Some(Environment::Test));
    let rotated = service.rotate(&service.admin().await, &created.id).await;
    let secret = rotated.unwrap().created.secret;
    assert_eq!(secret.environment(), Some(Environment::Test));
}
