//! Rotation (`C19`, `C20`, `C40`).

use std::sync::Arc;

use coverbase_auth::{KeyRegistry, RejectionKind, Scope};
use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use super::{rejection, wire};
use crate::service::{DAY, NOON, ORG, OTHER_ORG, Service};

// C40
#[tokio::test]
async fn rotation_keeps_scopes_and_expiry() {
    let service = Service::new();
    let body =
        r#"{"name":"ci","scopes":["audit:read","keys:manage"],"seconds_until_expiration":100}"#;
    let old = service.create(body).await;
    service.clock.advance(40);

    let admin = service.admin().await;
    let new = service.rotate(&admin, &old.id).await.unwrap();
    assert_eq!(new.revoked_id, old.id);
    let new = new.created;
    assert_ne!(new.id, old.id);
    assert_eq!(new.name, "ci (rotated 2026-11-24)");
    assert_eq!((&new.scopes, new.created_at), (&old.scopes, NOON + 40));
    assert!(!service.accepts(&old.secret).await);
    assert!(service.accepts(&new.secret).await);

    let [old, replacement] = [service.record(&old.id).await, service.record(&new.id).await];
    assert!(old.is_revoked() && old.scopes().is_empty());
    assert_eq!(old.name(), "ci");
    assert_eq!(replacement.created_by(), Some("user_admin"));
    // The remaining lifetime carries over.
    assert_eq!(replacement.expires_at(), Some(NOON + 100));
    service.clock.set(NOON + 99);
    assert!(service.accepts(&new.secret).await);
    service.clock.set(NOON + 100);
    assert!(!service.accepts(&new.secret).await);
}

// C40
#[tokio::test]
async fn rotation_suffix_is_counted_and_replaced() {
    let service = Service::new();
    let admin = service.admin().await;
    let mut id = service.create(r#"{"name":"ci"}"#).await.id;
    for (now, expected) in [
        (NOON, "ci (rotated 2026-11-24)"),
        (NOON + DAY / 2 - 1, "ci (rotated 2026-11-24 2)"),
        (NOON + DAY / 2 - 1, "ci (rotated 2026-11-24 3)"),
        (NOON + DAY / 2, "ci (rotated 2026-11-25)"),
        (NOON + DAY / 2, "ci (rotated 2026-11-25 2)"),
        (NOON + 400 * DAY, "ci (rotated 2027-12-29)"),
    ] {
        service.clock.set(now);
        let rotated = service.rotate(&admin, &id).await.unwrap();
        assert_eq!(rotated.created.name, expected);
        id = rotated.created.id;
    }
}

// C40, C20, T7
#[tokio::test]
async fn rotation_of_a_dead_or_foreign_key_is_404() {
    let service = Service::new();
    let admin = service.admin().await;
    let live = service.create(r#"{"name":"live"}"#).await.id;
    let revoked = service.create(r#"{"name":"revoked"}"#).await.id;
    let expired = service
        .create(r#"{"name":"expired","seconds_until_expiration":9}"#)
        .await;
    service.revoke(&admin, &revoked).await.unwrap();
    service.clock.advance(9);
    service.key_of(OTHER_ORG, &[]);
    let foreign = service.store.list(&OTHER_ORG.into()).await.unwrap()[0].clone();

    let not_found =
        json!({"detail": {"code": "api_key_not_found", "message": "API key not found."}});
    for id in [
        &revoked,
        &expired.id,
        foreign.key_id(),
        &"ak_unknown".into(),
        &"".into(),
        &"ak_\0".into(),
    ] {
        let rejected = service.rotate(&admin, id).await;
        let expected = (StatusCode::NOT_FOUND, not_found.clone());
        assert_eq!(wire(rejected), expected, "{id:?}");
    }
    assert_eq!(service.listed().await.as_array().unwrap().len(), 3);
    let other = service.store.list(&OTHER_ORG.into()).await.unwrap();
    assert!(other.len() == 1 && !other[0].is_revoked());
    assert!(service.rotate(&admin, &live).await.is_ok());
}

// C19: the caller receives the new secret, so a leaked key must not gain scopes by a rotation.
#[tokio::test]
async fn key_cannot_rotate_a_key_with_more_scopes() {
    let service = Service::new();
    let caller = service
        .service_account(&[Scope::KEYS_MANAGE, Scope::AUDIT_READ])
        .await;
    for (carried, is_allowed) in [
        (json!([]), true),
        (json!(["audit:read"]), true),
        (json!(["keys:manage", "audit:read"]), true),
        (json!(["banking:read"]), false),
        (json!(["keys:manage", "audit:read", "banking:read"]), false),
    ] {
        let body = json!({"name": "ci", "scopes": carried}).to_string();
        let target = service.create(&body).await;
        let rotated = service.rotate(&caller, &target.id).await;
        if is_allowed {
            assert_eq!(rotated.unwrap().created.scopes, target.scopes);
        } else {
            assert_eq!(rejection(rotated), RejectionKind::ScopeGrantForbidden);
            assert!(
                service.accepts(&target.secret).await,
                "the old key is still valid"
            );
            let by_admin = service.rotate(&service.admin().await, &target.id).await;
            assert!(by_admin.is_ok());
        }
    }
    // A key can rotate itself.
    let own_id = caller.key_id().unwrap();
    let itself = service.rotate(&caller, own_id).await.unwrap();
    assert_eq!(&itself.created.scopes, caller.scopes());
}

// C19: a leaked key must not gain lifetime by a rotation either.
#[tokio::test]
async fn key_cannot_rotate_a_scoped_key_that_expires_later() {
    const MANAGER: &str = r#"["keys:manage"]"#;

    let service = Service::new();
    let of_lifetime = async |scopes: &str, seconds: Option<u64>| {
        let lifetime = json!(seconds);
        let body =
            format!(r#"{{"name":"ci","scopes":{scopes},"seconds_until_expiration":{lifetime}}}"#);
        service.create(&body).await
    };
    let key = of_lifetime(MANAGER, Some(600)).await;
    let caller = service.principal(key.secret.expose_secret()).await.unwrap();
    for (scopes, seconds, is_allowed) in [
        (MANAGER, Some(60), true),
        (MANAGER, Some(600), true),
        (MANAGER, Some(601), false),
        (MANAGER, None, false),
        ("[]", None, true),
    ] {
        let target = of_lifetime(scopes, seconds).await;
        let rotated = service.rotate(&caller, &target.id).await;
        if is_allowed {
            assert!(rotated.is_ok(), "{scopes} {seconds:?}");
        } else {
            assert_eq!(rejection(rotated), RejectionKind::ScopeGrantForbidden);
            assert!(
                service.accepts(&target.secret).await,
                "the old key is still valid"
            );
        }
    }
    assert!(
        service.rotate(&caller, &key.id).await.is_ok(),
        "a key can rotate itself"
    );
    let lasting = service.service_account(&[Scope::KEYS_MANAGE]).await;
    let target = of_lifetime(MANAGER, None).await;
    assert!(service.rotate(&lasting, &target.id).await.is_ok());
}

// C40, T21
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_rotations_of_one_key_succeed_once() {
    let service = Arc::new(Service::new());
    let admin = service.admin().await;
    let body = r#"{"name":"ci","scopes":["audit:read"]}"#;
    let old = service.create(body).await;
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let (service, admin, id) = (Arc::clone(&service), admin.clone(), old.id.clone());
        tasks.spawn(async move { service.rotate(&admin, &id).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 63));
    for rejected in lost {
        assert_eq!(rejection(rejected), RejectionKind::ApiKeyNotFound);
    }
    let winner = won.into_iter().next().unwrap().unwrap().created;
    assert!(service.accepts(&winner.secret).await && !service.accepts(&old.secret).await);
    let records = service.store.list(&ORG.into()).await.unwrap();
    let live: Vec<_> = records.iter().filter(|key| key.is_live_at(NOON)).collect();
    assert_eq!((records.len(), live.len()), (2, 1));
}

// C40: a rotation that loses against the revocation creates nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotation_and_revocation_at_once_leave_at_most_one_live_key() {
    for _ in 0..50 {
        let service = Arc::new(Service::new());
        let admin = service.admin().await;
        let id = service.create(r#"{"name":"ci"}"#).await.id;
        let rotation = tokio::spawn({
            let (service, admin, id) = (Arc::clone(&service), admin.clone(), id.clone());
            async move { service.rotate(&admin, &id).await.is_ok() }
        });
        let revoked = service.revoke(&admin, &id);
        assert!(revoked.await.unwrap().revoked);
        let was_rotated = rotation.await.unwrap();
        let records = service.store.list(&ORG.into()).await.unwrap();
        let live = records.iter().filter(|key| key.is_live_at(NOON)).count();
        assert_eq!(live, usize::from(was_rotated));
        assert_eq!(records.len(), 1 + usize::from(was_rotated));
    }
}
