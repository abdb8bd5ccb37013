//! The list of keys, and the secrets that it must not show (`C7`, `C33`, `C38`).

use std::collections::BTreeSet;

use coverbase_auth::KeyId;
use serde_json::json;

use crate::service::{NOON, OTHER_ORG, Service};

// C38
#[tokio::test]
async fn list_includes_revoked_and_expired_keys() {
    let service = Service::new();
    let expired = service
        .create(r#"{"name":"expired","seconds_until_expiration":1}"#)
        .await;
    service.clock.advance(1);
    let revoked = service
        .create(r#"{"name":"revoked","scopes":["audit:read"]}"#)
        .await;
    service.clock.advance(1);
    let live = service
        .create(r#"{"name":"live","scopes":["banking:read","audit:read"]}"#)
        .await;
    service.key_of(OTHER_ORG, &[]);
    let admin = service.admin().await;
    service.revoke(&admin, &revoked.id).await.unwrap();
    service.clock.advance(1);
    assert!(service.accepts(&live.secret).await);

    let summary = |id: &KeyId, name, age: u64| {
        json!({
            "id": id.as_str(), "name": name, "created_at": NOON + age, "last_used_at": null,
            "revoked": false, "expired": false, "scopes": [], "created_by_clerk_user_id": "user_admin",
        })
    };
    let mut expected = json!([
        summary(&expired.id, "expired", 0),
        summary(&revoked.id, "revoked", 1),
        summary(&live.id, "live", 2),
    ]);
    expected[0]["expired"] = json!(true);
    expected[1]["revoked"] = json!(true);
    expected[2]["last_used_at"] = json!(NOON + 3);
    expected[2]["scopes"] = json!(["audit:read", "banking:read"]);
    assert_eq!(service.listed().await, expected);
}

// C38, C7
#[tokio::test]
async fn list_contains_no_part_of_a_secret_or_digest() {
    let service = Service::new();
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(service.create(r#"{"name":"ci"}"#).await);
    }
    let rotated = service
        .rotate(&service.admin().await, &keys[0].id)
        .await
        .unwrap();
    keys.push(rotated.created);

    let list = service.listed().await.to_string();
    assert_eq!(list.matches(r#""id":"ak_"#).count(), 4);
    for key in keys {
        assert!(list.contains(key.id.as_str()));
        let random = key.secret.expose_secret().strip_prefix("ak_live_").unwrap();
        let digest: String = key
            .secret
            .digest()
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        for (whole, width) in [(random, 6), (&digest, 12)] {
            for part in whole.as_bytes().windows(width) {
                let part = str::from_utf8(part).unwrap();
                assert!(!list.contains(part), "{part} of {whole}");
            }
        }
    }
}

// C33
#[tokio::test]
async fn debug_output_contains_no_secret() {
    let service = Service::new();
    let created = service.create(r#"{"name":"ci"}"#).await;
    let rotated = service
        .rotate(&service.admin().await, &created.id)
        .await
        .unwrap();
    let text = format!("{created:?} {rotated:?} {:?}", service.key_admin);
    assert!(text.contains(created.id.as_str()));
    assert!(!text.contains(created.secret.expose_secret()));
    assert!(!text.contains(rotated.created.secret.expose_secret()));
}

// C38, C7
#[tokio::test]
async fn ids_and_secrets_are_unique() {
    let service = Service::new();
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let key = service.create(r#"{"name":"ci"}"#).await;
        assert!(seen.insert(key.id.as_str().to_owned()));
        assert!(seen.insert(key.secret.expose_secret().to_owned()));
    }
}
