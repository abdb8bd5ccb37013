//! The record of a call: what it contains and which calls leave one (C34).

use std::convert::Infallible;

use coverbase_auth::{
    CoverbaseAuthLayer, Requirement, RouteTable, Scope,
    audit::MemoryAuditLog,
    key_admin::{RevokeKey, SetAllowlist},
};
use http::{Request, Response};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::{
    service::{NOON, ORG},
    support::{KEY, bearer, record, store},
};

// C34
#[tokio::test]
async fn call_of_a_key_leaves_one_complete_record() {
    let audited = Audited::new();
    let created = audited.service.create(r#"{"name":"ci"}"#).await;
    let uri = format!("/v1/org/{ORG}?page=2&secret=hunter2&page=3");
    let answer = audited.get(&uri, created.secret.expose_secret()).await;
    assert_eq!(answer.status(), 200);

    let record = audited.records().await.remove(0);
    let request_id = answer.headers()["x-request-id"].to_str().unwrap();
    let mut expected = json!({
        "id": request_id,
        "created_at": NOON,
        "type": "external_api_call",
        "event_type": "external_api_call",
        "event_group": "integrations",
        "target_type": "external_api_request",
        "target_id": request_id,
        "actor": {"id": created.id.as_str(), "name": "ci"},
        "summary": format!("GET /v1/org/{ORG}: 200"),
        "data": {
            "method": "GET",
            "path": format!("/v1/org/{ORG}"),
            "route": "/v1/org/{id}",
            "status": 200,
            "duration_ms": 0,
            "query_params": ["page", "secret"],
            "key_id": created.id.as_str(),
            "key_name": "ci",
            "client_ip": "203.0.113.9",
            "request_id": request_id,
        },
    });
    assert!(record["data"]["duration_ms"].as_u64().unwrap() < 5_000);
    expected["data"]["duration_ms"] = record["data"]["duration_ms"].clone();
    assert_eq!(record, expected);
}

// C34
#[tokio::test]
async fn call_of_a_user_names_the_user() {
    let audited = Audited::new();
    let token = audited.service.session("member", ORG);
    assert_eq!(
        audited.get("/v1/utils/authtest", &token).await.status(),
        200
    );
    let [record] = &audited.records().await[..] else {
        panic!("one record");
    };
    assert_eq!(record["actor"], json!({"id": "user_member", "name": null}));
    assert_eq!(record["data"]["user_id"], "user_member");
    assert_eq!(record["data"]["key_id"], Value::Null);
    assert_eq!(record["data"]["route"], "/v1/utils/authtest");
}

// C34
#[tokio::test]
async fn rejection_is_recorded_if_the_credential_was_accepted() {
    let audited = Audited::new();
    let key = audited.service.key(&[]);
    let member = audited.service.session("member", ORG);
    let revoked = audited.service.create(r#"{"name":"old"}"#).await;
    let admin = audited.service.admin().await;
    let request = RevokeKey::default();
    let revocation = audited
        .service
        .key_admin
        .revoke(&admin, &revoked.id, request);
    revocation.await.unwrap();
    let before = audited.records().await.len();

    for bad in [
        "",
        "a,b",
        "ak_live_unknown",
        revoked.secret.expose_secret(),
        "eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
        "unrecognized",
    ] {
        assert_eq!(audited.get("/v1/api-keys", bad).await.status(), 401);
    }
    assert_eq!(audited.records().await.len(), before, "a 401 leaves none");

    assert_eq!(audited.get("/v1/api-keys", &key).await.status(), 403);
    assert_eq!(audited.get("/v1/api-keys", &member).await.status(), 401);
    let allowlist = SetAllowlist::from_json(br#"{"api_ip_allowlist":["192.0.2.0/24"]}"#).unwrap();
    let key_admin = &audited.service.key_admin;
    let org_id = ORG.into();
    let change = key_admin.set_allowlist(&admin, &org_id, allowlist);
    change.await.unwrap();
    assert_eq!(audited.get("/v1/utils/authtest", &key).await.status(), 403);

    let recorded = audited.records().await;
    assert_eq!(recorded.len(), before + 4);
    let seen = |n: usize| {
        (
            &recorded[n]["data"]["status"],
            &recorded[n]["data"]["client_ip"],
        )
    };
    assert_eq!(seen(0), (&json!(403), &json!("203.0.113.9")), "the address");
    assert_eq!(recorded[1]["event_type"], "integration_updated");
    assert_eq!(seen(2), (&json!(401), &json!("203.0.113.9")), "the role");
    assert_eq!(seen(3), (&json!(403), &json!("203.0.113.9")), "the scope");
}

// C34
#[tokio::test]
async fn rejection_by_the_layers_requirement_is_recorded() {
    for (requirement, status, recorded) in [
        (Requirement::authenticated(), 200, 1),
        (Requirement::scope(Scope::AUDIT_READ), 403, 1),
    ] {
        let log = MemoryAuditLog::new();
        let auth = CoverbaseAuthLayer::new(store(record())).with_requirement(requirement);
        let stack = auth.with_audit(log.clone()).layer(service_fn(empty));
        let answer = stack.oneshot(bearer(KEY)).await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(records(&log).await.len(), recorded);
    }
}

// C34
#[tokio::test]
async fn call_outside_of_v1_is_not_recorded() {
    let log = MemoryAuditLog::new();
    let auth = CoverbaseAuthLayer::new(store(record()));
    let stack = auth.with_audit(log.clone()).layer(service_fn(empty));
    for (path, recorded) in [
        ("/", 0),
        ("/v1", 0),
        ("/v10/x", 0),
        ("/V1/x", 0),
        ("/healthz?next=/v1/x", 0),
        ("/v1/", 1),
        ("/v1/x", 2),
    ] {
        let mut request = bearer(KEY);
        *request.uri_mut() = path.parse().unwrap();
        let answer = stack.clone().oneshot(request).await.unwrap();
        assert!(answer.headers().contains_key("x-request-id"), "{path}");
        assert_eq!(records(&log).await.len(), recorded, "{path}");
    }
}

// C34
#[tokio::test]
async fn path_in_a_nest_is_the_one_that_the_client_sent() {
    let log = MemoryAuditLog::new();
    let inside = axum::Router::new()
        .route("/reports/{id}", axum::routing::get(|| async {}))
        .layer(CoverbaseAuthLayer::new(store(record())).with_audit(log.clone()));
    let app = axum::Router::new().nest("/v1", inside);
    let mut request = bearer(KEY).map(|()| axum::body::Body::empty());
    *request.uri_mut() = "/v1/reports/7".parse().unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), 200);
    let data = &records(&log).await[0]["data"];
    assert_eq!(data["path"], "/v1/reports/7");
    assert_eq!(data["route"], "/v1/reports/{id}");
}

// C34
#[tokio::test]
async fn route_is_the_row_of_the_table_or_the_path_that_axum_matched() {
    let log = MemoryAuditLog::new();
    let auth = CoverbaseAuthLayer::new(store(record())).with_audit(log.clone());
    let table = RouteTable::new().any("/v1/utils/{name}", Requirement::authenticated());
    let stack = auth.clone().with_routes(table).layer(service_fn(empty));
    let answer = stack.oneshot(bearer(KEY)).await.unwrap();
    assert_eq!(
        record_of(&log, &answer).await["data"]["route"],
        "/v1/utils/{name}"
    );

    // Around the finished router axum has not matched the route yet; a handler can report it.
    let says = |route: axum::extract::MatchedPath| async { axum::Extension(route) };
    let app = axum::Router::new()
        .route("/v1/said/{id}", axum::routing::get(says))
        .route("/v1/unsaid/{id}", axum::routing::get(|| async {}));
    let stack = auth.layer(app);
    for (path, route) in [
        ("/v1/said/7", json!("/v1/said/{id}")),
        ("/v1/unsaid/7", Value::Null),
    ] {
        let mut request = bearer(KEY).map(|()| axum::body::Body::empty());
        *request.uri_mut() = path.parse().unwrap();
        let answer = stack.clone().oneshot(request).await.unwrap();
        assert_eq!(record_of(&log, &answer).await["data"]["route"], route);
    }
}

// C34
#[tokio::test]
async fn record_and_response_have_the_same_request_id() {
    let log = MemoryAuditLog::new();
    let auth = CoverbaseAuthLayer::new(store(record()));
    let stack = auth
        .with_audit(log.clone())
        .layer(service_fn(|_: Request<()>| async {
            let inside = Response::builder().header("x-request-id", "from inside");
            Ok::<_, Infallible>(inside.body(()).unwrap())
        }));
    let longest = "x".repeat(128);
    let too_long = "x".repeat(129);
    for (brought, is_kept) in [
        (&["req-1"][..], true),
        (&[&longest], true),
        (&[&too_long], false),
        (&["a b"], false),
        (&["caf\u{e9}"], false),
        (&["req-1", "req-2"], false),
        (&[KEY], false),
        (&[], false),
    ] {
        let mut request = bearer(KEY);
        for id in brought {
            let id = http::HeaderValue::from_bytes(id.as_bytes()).unwrap();
            request.headers_mut().append("x-request-id", id);
        }
        let answer = stack.clone().oneshot(request).await.unwrap();
        let mut ids = answer.headers().get_all("x-request-id").iter();
        let id = ids.next().unwrap().to_str().unwrap();
        assert!(ids.next().is_none(), "what was set inside gives way");
        if is_kept {
            assert_eq!(id, brought[0]);
        } else {
            let parts: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert!(id[14..].starts_with('7'), "{id}");
        }
        assert_eq!(record_of(&log, &answer).await["target_id"], id);
    }
    let refused = stack.oneshot(Request::new(())).await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(
        refused.headers().contains_key("x-request-id"),
        "refusals too"
    );
}
