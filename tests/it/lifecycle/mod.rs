//! The key lifecycle through `KeyAdmin`, without a framework (`C18`–`C20`, `C38`–`C42`, T6, T7).

mod access;
mod allowlist;
mod creation;
mod listing;
mod revocation;
mod rotation;
mod scopes;

use std::fmt::Debug;

use coverbase_auth::{
    KeyId, Principal, RejectionKind, Scope,
    key_admin::{
        CreateKey, KeyAdminError, KeySummary, Organization, RevokeKey, RotatedKey, SetAllowlist,
    },
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::service::{ORG, Service};

fn create(body: Value) -> CreateKey {
    CreateKey::from_json(body.to_string().as_bytes()).unwrap()
}

fn allowlist(entries: &[&str]) -> SetAllowlist {
    let body = json!({ "api_ip_allowlist": entries }).to_string();
    SetAllowlist::from_json(body.as_bytes()).unwrap()
}

fn scopes(names: &[&str]) -> Vec<Scope> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Returns the kind of the rejection.
fn rejection<T: Debug>(result: Result<T, KeyAdminError>) -> RejectionKind {
    match result {
        Err(KeyAdminError::Rejected(rejection)) => rejection.kind(),
        other => panic!("{other:?} is not a rejection"),
    }
}

/// Returns the status and the body of the response to the error.
fn wire<T: Debug>(result: Result<T, KeyAdminError>) -> (StatusCode, Value) {
    let response = result.unwrap_err().to_response();
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = serde_json::from_slice(response.body()).unwrap();
    (response.status(), body)
}

impl Service {
    async fn listed(&self) -> Value {
        let list = self.key_admin.list(&self.admin().await).await.unwrap();
        serde_json::to_value(list).unwrap()
    }

    async fn rotate(&self, caller: &Principal, id: &KeyId) -> Result<RotatedKey, KeyAdminError> {
        self.key_admin.rotate(caller, id).await
    }

    async fn revoke(&self, caller: &Principal, id: &KeyId) -> Result<KeySummary, KeyAdminError> {
        let request = RevokeKey::default();
        self.key_admin.revoke(caller, id, request).await
    }

    async fn restrict(
        &self,
        caller: &Principal,
        org_id: &str,
        entries: &[&str],
    ) -> Result<Organization, KeyAdminError> {
        let request = allowlist(entries);
        let org_id = org_id.into();
        self.key_admin.set_allowlist(caller, &org_id, request).await
    }

    async fn allowlist(&self) -> Vec<String> {
        let organization = self
            .key_admin
            .organization(&self.admin().await, &ORG.into())
            .await;
        organization.unwrap().api_ip_allowlist
    }

    /// Calls every administrative method for the key `id` as `caller`.
    async fn administer(&self, caller: &Principal, id: &KeyId) -> Vec<Result<(), KeyAdminError>> {
        let admin = &self.key_admin;
        let org = caller.org_id();
        vec![
            admin.list(caller).await.map(drop),
            admin.create(caller, CreateKey::new("ci")).await.map(drop),
            admin.rotate(caller, id).await.map(drop),
            admin
                .revoke(caller, id, RevokeKey::default())
                .await
                .map(drop),
            admin
                .set_allowlist(caller, org, allowlist(&[]))
                .await
                .map(drop),
        ]
    }
}
