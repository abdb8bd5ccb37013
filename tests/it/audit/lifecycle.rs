//! The records of changes to keys and allowlists (C43).

use coverbase_auth::key_admin::{CreateKey, RevokeKey, SetAllowlist};
use serde_json::{Value, json};

use super::*;
use crate::service::ORG;

// C43: a rejected request and one that changes nothing leave no record.
#[tokio::test]
async fn each_change_of_a_key_leaves_one_record() {
    let Audited { service, log, .. } = Audited::new();
    let (admin, member) = (service.admin().await, service.user("member").await);
    let created = service
        .create(r#"{"name":"ci","scopes":["audit:read"]}"#)
        .await;
    let newest = async || records(&log).await.remove(0);

    let record = newest().await;
    assert_eq!(record["event_type"], "integration_added");
    assert_eq!(record["event_group"], "integrations");
    assert_eq!(record["target_type"], "api_key");
    assert_eq!(record["target_id"], created.id.as_str());
    assert_eq!(record["actor"]["id"], "user_admin");
    assert_eq!(record["summary"], r#"API key "ci" created"#);
    assert_eq!(
        record["data"]["changes"],
        json!([
            {"field": "name", "old": null, "new": "ci"},
            {"field": "scopes", "old": null, "new": ["audit:read"]},
            {"field": "expires_at", "old": null, "new": null},
        ])
    );

    let rotated = service.key_admin.rotate(&admin, &created.id).await.unwrap();
    let record = newest().await;
    assert_eq!(record["event_type"], "integration_updated");
    assert_eq!(record["target_id"], created.id.as_str());
    let new = rotated.created;
    assert_eq!(
        record["data"]["changes"],
        json!([
            {"field": "id", "old": created.id.as_str(), "new": new.id.as_str()},
            {"field": "name", "old": "ci", "new": new.name},
        ])
    );

    let because = RevokeKey::from_json(br#"{"reason":"leaked\nERROR forged"}"#).unwrap();
    let revoke = async |request| {
        service
            .key_admin
            .revoke(&admin, &new.id, request)
            .await
            .unwrap()
    };
    revoke(because).await;
    let record = newest().await;
    assert_eq!(record["event_type"], "integration_deactivated");
    assert_eq!(record["target_id"], new.id.as_str());
    assert_eq!(record["data"]["reason"], "leaked\u{fffd}ERROR forged");
    assert_eq!(
        record["data"]["changes"],
        json!([{"field": "revoked", "old": false, "new": true}])
    );

    let restrict = async |caller, entries: &[&str]| {
        let body = json!({ "api_ip_allowlist": entries }).to_string();
        let request = SetAllowlist::from_json(body.as_bytes()).unwrap();
        service
            .key_admin
            .set_allowlist(caller, &ORG.into(), request)
            .await
    };
    restrict(&admin, &["203.0.113.7"]).await.unwrap();
    let record = newest().await;
    assert_eq!(record["event_type"], "integration_updated");
    assert_eq!(record["target_type"], "organization");
    assert_eq!(record["target_id"], ORG);
    assert_eq!(
        record["data"]["changes"],
        json!([{"field": "api_ip_allowlist", "old": [], "new": ["203.0.113.7/32"]}])
    );

    assert_eq!(records(&log).await.len(), 4);
    revoke(RevokeKey::default()).await;
    restrict(&admin, &["203.0.113.7/32"]).await.unwrap();
    service
        .key_admin
        .rotate(&admin, &created.id)
        .await
        .unwrap_err();
    restrict(&member, &[]).await.unwrap_err();
    restrict(&admin, &["x"]).await.unwrap_err();
    let create = CreateKey::new("ci");
    service.key_admin.create(&member, create).await.unwrap_err();
    assert_eq!(records(&log).await.len(), 4);

    let log = format!("{:?}", records(&log).await);
    for secret in [created.secret, new.secret] {
        assert!(!log.contains(secret.expose_secret()));
    }
}

// C41
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_revocations_are_recorded_once() {
    let Audited { service, log, .. } = Audited::new();
    let admin = service.admin().await;
    let id = service.create(r#"{"name":"ci"}"#).await.id;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (key_admin, admin, id) = (service.key_admin.clone(), admin.clone(), id.clone());
            let revoke = async move { key_admin.revoke(&admin, &id, RevokeKey::default()).await };
            tokio::spawn(revoke)
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().unwrap().revoked);
    }
    let of_type = |record: &&Value| record["event_type"] == "integration_deactivated";
    assert_eq!(records(&log).await.iter().filter(of_type).count(), 1);
}
