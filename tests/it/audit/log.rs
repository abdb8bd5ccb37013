//! Reading the log: who may, by page, and what does not fit (C18, C43).

use async_trait::async_trait;
use coverbase_auth::{
    OrgId, Scope, StoreError,
    audit::{AuditLog, AuditPage, AuditQuery},
};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::service::{NOON, ORG, OTHER_ORG};

// C18
#[tokio::test]
async fn log_is_read_with_the_required_role_or_scope() {
    let audited = Audited::new();
    let service = &audited.service;
    let forbidden = (StatusCode::FORBIDDEN, json!("insufficient_scope"));
    let unauthorized = (StatusCode::UNAUTHORIZED, Value::Null);
    let ok = (StatusCode::OK, Value::Null);
    for (token, expected) in [
        (service.session("admin", ORG), &ok),
        (service.session("member", ORG), &ok),
        (service.session("siloed_member", ORG), &ok),
        (service.session("guest", ORG), &ok),
        (service.session("auxiliary_member", ORG), &unauthorized),
        (service.session("billing", ORG), &unauthorized),
        (service.session_without_role(), &unauthorized),
        (service.key(&[Scope::AUDIT_READ]), &ok),
        (service.key(&[Scope::KEYS_MANAGE]), &forbidden),
        (service.key(&[]), &forbidden),
    ] {
        for path in ["/v1/system_audit_log", "/v1/system_audit_log/metadata"] {
            let answer = audited.get(path, &token).await;
            let code = answer.body()["detail"]["code"].clone();
            assert_eq!((answer.status(), code), *expected, "{path} {token}");
        }
    }
    // C44: nothing else is there.
    let admin = service.session("admin", ORG);
    for (method, path) in [
        (Method::POST, "/v1/system_audit_log"),
        (Method::DELETE, "/v1/system_audit_log"),
        (Method::GET, "/v1/system_audit_log/7"),
    ] {
        let answer = audited.send(method, path, &admin).await;
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.body(), &json!({"detail": "Not Found"}));
    }
}

// C43
#[tokio::test]
async fn log_is_read_by_page_newest_first() {
    let audited = Audited::new();
    let reader = audited.service.key_of(OTHER_ORG, &[Scope::AUDIT_READ]);
    let empty = audited.get("/v1/system_audit_log", &reader).await;
    assert_eq!(empty.body(), &json!([]));
    assert_eq!(empty.headers()["x-total-count"], "0");
    assert_eq!(empty.headers()["content-range"], "items */0");

    let admin = audited.service.session("admin", ORG);
    for n in 0..7 {
        audited.service.clock.advance(1);
        audited.get(&format!("/v1/n{n}"), &admin).await;
    }
    audited.service.create(r#"{"name":"ci"}"#).await;
    let paths = |answer: &Response<Value>| -> Vec<Value> {
        let records = answer.body().as_array().unwrap().iter();
        records
            .map(|record| record["data"]["path"].clone())
            .collect()
    };
    let uri =
        "/v1/system_audit_log?event_types=external_api_call&search=%2Fv1%2FN&limit=3&offset=2";
    let page = audited.get(uri, &admin).await;
    assert_eq!(paths(&page), ["/v1/n4", "/v1/n3", "/v1/n2"]);
    assert_eq!(page.headers()["x-total-count"], "7");
    assert_eq!(page.headers()["content-range"], "items 2-4/7");
    let window = format!(
        "/v1/system_audit_log?start_ts={}&end_ts={}&event_groups=integrations&event_groups=quotas&search=n",
        NOON + 2,
        NOON + 3
    );
    assert_eq!(
        paths(&audited.get(&window, &admin).await),
        ["/v1/n2", "/v1/n1"]
    );
    let uri = "/v1/system_audit_log?event_types=integration_added&event_types=integration_updated";
    let page = audited.get(uri, &admin).await;
    assert_eq!(page.body()[0]["summary"], r#"API key "ci" created"#);
    assert_eq!(page.headers()["content-range"], "items 0-0/1");

    // An unknown type or group matches nothing.
    for unknown in ["event_types=quota_exceeded", "event_groups=quotas"] {
        let uri = format!("/v1/system_audit_log?{unknown}");
        let page = audited.get(&uri, &admin).await;
        assert_eq!((page.status().as_u16(), page.body()), (200, &json!([])));
        assert_eq!(page.headers()["x-total-count"], "0");
    }

    // T7: another organization's records are not there, whatever is asked.
    let foreign = audited.get("/v1/system_audit_log?search=ci", &reader).await;
    assert_eq!(foreign.headers()["x-total-count"], "0");
}

// C43
#[tokio::test]
async fn invalid_query_is_422() {
    let audited = Audited::new();
    let admin = audited.service.session("admin", ORG);
    let answer = audited.get("/v1/system_audit_log?limit=0", &admin).await;
    assert_eq!(answer.status(), 422);
    assert_eq!(
        answer.body(),
        &json!({"detail": [{
            "loc": ["query", "limit"],
            "msg": "Input should be greater than or equal to 1",
            "type": "greater_than_equal",
        }]})
    );
    let fits = audited.get("/v1/system_audit_log?limit=500", &admin).await;
    assert_eq!(fits.status(), 200);
    // C28: who may not read learns nothing of the query.
    let key = audited.service.key(&[]);
    let refused = audited.get("/v1/system_audit_log?limit=0", &key).await;
    assert_eq!(refused.status(), 403);
}

// C43
#[tokio::test]
async fn metadata_names_groups_and_types() {
    let audited = Audited::new();
    let admin = audited.service.session("admin", ORG);
    let answer = audited.get("/v1/system_audit_log/metadata", &admin).await;
    assert_eq!(
        answer.body(),
        &json!({
            "event_groups": [
                {"value": "integrations", "label": "Integrations"},
            ],
            "event_types": [
                {"value": "external_api_call", "label": "External API call", "group": "integrations"},
                {"value": "integration_added", "label": "Integration added", "group": "integrations"},
                {"value": "integration_updated", "label": "Integration updated", "group": "integrations"},
                {"value": "integration_deactivated", "label": "Integration deactivated", "group": "integrations"},
            ],
        })
    );
}

// C31
#[tokio::test]
async fn log_that_cannot_answer_is_503() {
    #[derive(Debug)]
    struct Down;

    #[async_trait]
    impl AuditLog for Down {
        async fn query(&self, _: &OrgId, _: &AuditQuery) -> Result<AuditPage, StoreError> {
            Err(StoreError::new("connection refused"))
        }
    }

    use coverbase_auth::routes::{Routes, router};

    let audited = Audited::new();
    let routes = Routes::new(audited.service.key_admin.clone()).with_audit_log(Down);
    let app = router(routes).layer(
        audited
            .service
            .layer
            .clone()
            .with_audit(audited.log.clone()),
    );
    let token = audited.service.session("admin", ORG);
    let audited = Audited { app, ..audited };
    let answer = audited.get("/v1/system_audit_log", &token).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(audited.records().await[0]["data"]["status"], 503);
}
