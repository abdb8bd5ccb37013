//! Who may manage the keys of an organization, and what a failed store does (`C18`, `C20`, `C31`).

use async_trait::async_trait;
use coverbase_auth::{
    IpAllowlist, KeyAdmin, KeyDigest, KeyId, KeyRecord, KeyRegistry, MemoryStore, OrgId,
    RejectionKind, Scope, StoreError, key_store::Revocation,
};
use http::StatusCode;
use serde_json::Value;

use super::{rejection, scopes};
use crate::service::{ORG, OTHER_ORG, Service};

// C18
#[tokio::test]
async fn key_management_requires_the_admin_role_or_the_scope() {
    let service = Service::new();
    let key_manager = service.key(&[Scope::KEYS_MANAGE, Scope::AUDIT_READ]);
    for token in [service.session("admin", ORG), key_manager] {
        let id = service.create(r#"{"name":"ci"}"#).await.id;
        let caller = service.principal(&token).await.unwrap();
        let results = service.administer(&caller, &id).await;
        assert!(results.iter().all(Result::is_ok), "{caller:?}: {results:?}");
    }

    let others = Scope::known()
        .iter()
        .filter(|scope| **scope != Scope::KEYS_MANAGE);
    let others = others
        .cloned()
        .chain(scopes(&["keys:manage2", "KEYS:MANAGE"]));
    let others: Vec<_> = others.collect();
    let scope = RejectionKind::InsufficientScope;
    let role = RejectionKind::UnauthorizedRole;
    let before = service.listed().await;
    for (token, expected) in [
        (service.key(&[]), scope),
        (service.key(&others), scope),
        (service.session("member", ORG), role),
        (service.session("guest", ORG), role),
        (service.session("service_account", ORG), role),
        (service.session("Admin", ORG), role),
        (service.session_without_role(), role),
    ] {
        let id = service.create(r#"{"name":"target"}"#).await.id;
        let caller = service.principal(&token).await.unwrap();
        for result in service.administer(&caller, &id).await {
            assert_eq!(rejection(result), expected, "{caller:?}");
        }
        assert!(!service.record(&id).await.is_revoked());
    }
    // Two API keys of the callers, and a target for each of the seven callers.
    let after = service.listed().await;
    assert_eq!(
        after.as_array().unwrap().len(),
        before.as_array().unwrap().len() + 9
    );
}

// C41, C20, T7
#[tokio::test]
async fn key_of_another_organization_is_not_found() {
    let service = Service::new();
    let key = service.create(r#"{"name":"ci"}"#).await;
    let foreign_admin = service.session("admin", OTHER_ORG);
    let foreign_admin = service.principal(&foreign_admin).await.unwrap();
    let unknown = KeyId::from("ak_unknown");
    for id in [&key.id, &unknown] {
        let revoked = service.revoke(&foreign_admin, id).await;
        assert_eq!(rejection(revoked), RejectionKind::ApiKeyNotFound);
        let rotated = service.rotate(&foreign_admin, id).await;
        assert_eq!(rejection(rotated), RejectionKind::ApiKeyNotFound);
    }
    assert!(
        service
            .key_admin
            .list(&foreign_admin)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(service.accepts(&key.secret).await);
    let own = service.revoke(&service.admin().await, &key.id).await;
    assert!(own.is_ok());
}

/// A registry whose database is unavailable.
#[derive(Debug)]
struct Down;

fn down<T>() -> Result<T, StoreError> {
    Err(StoreError::new("connection rejected"))
}

#[async_trait]
impl KeyRegistry for Down {
    async fn create(&self, _: KeyDigest, _: KeyRecord) -> Result<(), StoreError> {
        down()
    }

    async fn list(&self, _: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        down()
    }

    async fn find(&self, _: &OrgId, _: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        down()
    }

    async fn rotate(
        &self,
        _: &KeyId,
        _: KeyDigest,
        _: KeyRecord,
        _: u64,
    ) -> Result<bool, StoreError> {
        down()
    }

    async fn revoke(&self, _: &OrgId, _: &KeyId, _: u64) -> Result<Option<Revocation>, StoreError> {
        down()
    }

    async fn allowlist(&self, _: &OrgId) -> Result<IpAllowlist, StoreError> {
        down()
    }

    async fn set_allowlist(&self, _: &OrgId, _: IpAllowlist) -> Result<(), StoreError> {
        down()
    }
}

// C31, T20
#[tokio::test]
async fn failed_store_is_answered_503() {
    let service = Service::administered(MemoryStore::new(), KeyAdmin::new(Down));
    let admin = service.admin().await;
    let mut results = service.administer(&admin, &"ak_any".into()).await;
    let read = service.key_admin.organization(&admin, &ORG.into()).await;
    results.push(read.map(drop));
    for result in results {
        let response = result.unwrap_err().to_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["detail"]["code"], "auth_unavailable");
    }
}
