//! Foreign text in records: one line, bounded, and without credentials (C33, T12, T13, T14).

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use coverbase_auth::{
    CoverbaseAuthLayer, KeyRecord, Role,
    audit::{AuditLog, AuditQuery, AuditRecord, AuditSink, MemoryAuditLog},
    key_admin::RevokeKey,
};
use http::{HeaderValue, Method, Uri};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::{
    service::ORG,
    support::{KEY, KEY_ID, bearer, log_of, record, store},
};

/// CR LF and a forged line; an escape sequence; DEL, NEL, a C1 control, a line separator, an override.
const ODD: &str = "a\r\nERROR forged\u{1b}[2J\u{7f}\u{85}\u{9b}\u{2028}\u{202e}b";

// T13
#[tokio::test]
async fn record_is_one_line_of_bounded_length() {
    let log = MemoryAuditLog::new();
    let odd = KeyRecord::new(KEY_ID, ORG).with_name(ODD.repeat(100));
    let auth = CoverbaseAuthLayer::new(store(odd));
    let stack = auth.with_audit(log.clone()).layer(service_fn(empty));
    let many: String = (0..2_000).map(|n| format!("&name{n}=1")).collect();
    for target in [
        "/v1/%0d%0aERROR%20forged%1b%5b2J?%0d%0aERROR%1b=1".to_owned(),
        "/v1/\u{85}\u{9b}\u{2028}\u{202e}?\u{85}\u{9b}\u{2028}\u{202e}=1".to_owned(),
        format!("/v1/{}?{}=1", "x".repeat(30_000), "y".repeat(30_000)),
        format!("/v1/?{many}"),
    ] {
        let mut request = bearer(KEY);
        *request.uri_mut() = target.as_bytes().try_into().unwrap();
        stack.clone().oneshot(request).await.unwrap();
    }
    let page = log
        .query(&ORG.into(), &AuditQuery::default())
        .await
        .unwrap();
    assert_eq!(page.entries.len(), 4);
    for entry in page.entries {
        let line = entry.as_json();
        let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}');
        assert!(!line.contains(odd), "{line:?}");
        assert!(line.len() < 10_000, "{} bytes", line.len());
        let parsed: Value = serde_json::from_str(line).unwrap();
        assert!(!parsed.to_string().contains(r"\n") && !parsed.to_string().contains(r"\u001b"));
    }
}

/// The buffer that a server has read a request head into.
struct Head(
    &'static str,
    #[expect(dead_code, reason = "it is counted")] Arc<()>,
);

impl AsRef<[u8]> for Head {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

// T14: a request head of 400 kB is one buffer.
#[tokio::test]
async fn record_does_not_keep_the_request_head_in_memory() {
    let log = MemoryAuditLog::new();
    let auth = CoverbaseAuthLayer::new(store(record()));
    let stack = auth.with_audit(log.clone()).layer(service_fn(empty));
    let in_use = Arc::new(());
    let head = |text| Bytes::from_owner(Head(text, Arc::clone(&in_use)));
    let mut request = bearer(KEY);
    *request.uri_mut() = Uri::from_maybe_shared(head("/v1/reports?page=2")).unwrap();
    let id = HeaderValue::from_maybe_shared(head("req_1")).unwrap();
    request.headers_mut().insert("x-request-id", id);
    drop(stack.oneshot(request).await.unwrap());

    assert_eq!(Arc::strong_count(&in_use), 1);
    let data = &records(&log).await[0]["data"];
    let expected = ("/v1/reports".into(), json!(["page"]), "req_1".into());
    assert_eq!(
        (&data["path"], &data["query_params"], &data["request_id"]),
        (&expected.0, &expected.1, &expected.2)
    );
}

// C33: in every place where a client can write a secret by mistake.
#[tokio::test]
async fn credential_in_a_name_or_path_is_not_recorded() {
    let audited = Audited::new();
    let key = audited.service.create(r#"{"name":"ops"}"#).await;
    let leaked = key.secret.expose_secret();
    let token = "eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl";
    let named = format!(r#"{{"name":"formerly {leaked}"}}"#);
    let created = audited.service.create(&named).await;
    let reason = format!("{token} and {leaked} were in a chat");
    let admin = audited.service.admin().await;
    let request = json!({"reason": reason}).to_string();
    let request = RevokeKey::from_json(request.as_bytes()).unwrap();
    let revocation = audited
        .service
        .key_admin
        .revoke(&admin, &created.id, request);
    revocation.await.unwrap();
    for uri in [
        format!("/v1/x/token={token}"),
        format!("/v1/utils/authtest?a;token:{token}&{leaked}"),
        format!("/v1/x/key={leaked}"),
    ] {
        audited.get(&uri, leaked).await;
    }
    let mut request = bearer(leaked).map(|()| axum::body::Body::empty());
    *request.uri_mut() = Uri::from_static("/v1/utils/authtest");
    *request.method_mut() = Method::from_bytes(leaked.as_bytes()).unwrap();
    let id = HeaderValue::from_str(&format!("key={leaked}")).unwrap();
    request.headers_mut().insert("x-request-id", id);
    let answer = audited.ask(request).await;
    assert_ne!(answer.headers()["x-request-id"], format!("key={leaked}"));

    let written = Value::from(audited.records().await).to_string();
    assert!(
        !written.contains(leaked) && !written.contains("c2lnbmF0dXJl"),
        "{written}"
    );
    for shown in [
        "formerly [redacted]",
        "[redacted] and [redacted] were in a chat",
        "a;token:[redacted]",
        r#""method":"_OTHER""#,
    ] {
        assert!(written.contains(shown), "{shown}: {written}");
    }
}

// C33, T12: with a whole service.
#[test]
fn no_secret_is_written_at_trace() {
    let secrets = Mutex::new(Vec::new());
    let written = Mutex::new(String::new());
    let lines = log_of(|| {
        crate::support::block_on(async {
            let audited = Audited::new();
            let admin = audited.service.session("admin", ORG);
            let created = audited
                .service
                .create(r#"{"name":"ci","scopes":["keys:manage"]}"#)
                .await;
            let key = created.secret.expose_secret();
            for token in [
                key,
                &admin,
                "ak_live_unknown0unknown0unknown0unknown0unknown",
            ] {
                for uri in [
                    "/v1/utils/authtest".to_owned(),
                    format!("/v1/utils/authtest?api_key={key}"),
                    format!("/v1/utils/authtest?{key}"),
                    format!("/v1/api-keys/{key}/revoke"),
                    format!("/v1/system_audit_log?search={key}"),
                    format!("/v1/nothing/{admin}"),
                ] {
                    audited.send(Method::POST, &uri, token).await;
                    audited.get(&uri, token).await;
                }
            }
            let caller = audited.service.admin().await;
            let rotated = audited.service.key_admin.rotate(&caller, &created.id).await;
            let rotated = rotated.unwrap().created;
            let request = RevokeKey::default();
            audited
                .service
                .key_admin
                .revoke(&caller, &rotated.id, request)
                .await
                .unwrap();

            let page = audited.log.query(&ORG.into(), &AuditQuery::default()).await;
            *written.lock().unwrap() = format!("{page:?} {:?} {:?}", audited.log, audited.app);
            let session = admin.clone();
            let unknown = "ak_live_unknown0unknown0unknown0unknown0unknown".to_owned();
            let both = [key.to_owned(), rotated.secret.expose_secret().to_owned()];
            *secrets.lock().unwrap() = [&both[..], &[session, unknown]].concat();
        });
    });
    let log: String = lines
        .iter()
        .map(|line| format!("{}\n", line.text))
        .collect();
    let written = written.into_inner().unwrap();
    assert!(log.contains("[redacted]") && written.contains("[redacted]"));
    for secret in secrets.into_inner().unwrap() {
        for part in [&secret[..], &secret[secret.len() / 2..]] {
            assert!(!log.contains(part), "{part} in {log}");
            assert!(!written.contains(part), "{part} in {written}");
        }
    }
}

// C33
#[test]
fn debug_of_a_record_shows_no_parameter_value() {
    #[derive(Debug, Clone, Default)]
    struct Gossip(Arc<Mutex<String>>);

    impl AuditSink for Gossip {
        fn record(&self, record: AuditRecord) {
            *self.0.lock().unwrap() = format!("{record:?} {record:#?}");
        }
    }

    let gossip = Gossip::default();
    let auth = CoverbaseAuthLayer::new(store(record())).with_accepted_roles([Role::ADMIN]);
    let stack = auth.with_audit(gossip.clone()).layer(service_fn(empty));
    let mut request = bearer(KEY);
    *request.uri_mut() = "/v1/x?password=hunter2".parse().unwrap();
    crate::support::block_on(stack.oneshot(request)).unwrap();
    let told = gossip.0.lock().unwrap();
    assert!(
        told.contains("password") && !told.contains("hunter2"),
        "{told}"
    );
}
