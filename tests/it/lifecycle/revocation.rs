//! Revocation (`C41`).

use coverbase_auth::key_admin::RevokeKey;
use serde_json::json;

use crate::service::{NOON, Service};

// C41
#[tokio::test]
async fn revocation_is_permanent_and_idempotent() {
    let service = Service::new();
    let admin = service.admin().await;
    let body = r#"{"name":"ci","scopes":["audit:read"]}"#;
    let key = service.create(body).await;
    assert!(service.accepts(&key.secret).await);

    let reason = RevokeKey::from_json(br#"{"reason":"leaked"}"#).unwrap();
    let first = service
        .key_admin
        .revoke(&admin, &key.id, reason)
        .await
        .unwrap();
    assert!(!service.accepts(&key.secret).await);
    let expected = json!({
        "id": key.id.as_str(), "name": "ci", "created_at": NOON, "last_used_at": NOON,
        "revoked": true, "expired": false, "scopes": [], "created_by_clerk_user_id": "user_admin",
    });
    let first = serde_json::to_value(first).unwrap();
    assert_eq!(first, expected);

    service.clock.advance(10);
    let second = service.revoke(&admin, &key.id);
    assert_eq!(serde_json::to_value(second.await.unwrap()).unwrap(), first);
    // The time of the first revocation is kept.
    assert_eq!(service.record(&key.id).await.revoked_at(), Some(NOON));
    assert!(!service.accepts(&key.secret).await);
}

// C41, C10
#[tokio::test]
async fn expired_key_can_be_revoked() {
    let service = Service::new();
    let key = service
        .create(r#"{"name":"ci","seconds_until_expiration":1}"#)
        .await;
    service.clock.advance(1);
    let revoked = service
        .revoke(&service.admin().await, &key.id)
        .await
        .unwrap();
    assert!(revoked.revoked && revoked.expired);
    // T4: setting the clock back does not make the key valid again.
    service.clock.set(NOON);
    assert!(!service.accepts(&key.secret).await);
}
