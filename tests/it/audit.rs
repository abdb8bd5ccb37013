//! Every authenticated call leaves one record, and slows nothing down (C33–C35, C43, T12, T13, T22).

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use coverbase_auth::{
    CoverbaseAuthLayer, KeyRecord, Lookup, OrgId, PeerAddr, RequireLayer, Requirement, Role,
    RouteTable, Scope, StoreError,
    audit::{
        AuditLog, AuditPage, AuditQuery, AuditQueue, AuditRecord, AuditSink, AuditStore,
        MemoryAuditLog,
    },
    key_admin::{CreateKey, RevokeKey, SetAllowlist},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{Layer, Service as _, ServiceExt, service_fn};

use crate::{
    service::{NOON, ORG, OTHER_ORG, Service},
    support::{KEY, KEY_ID, StoreFn, bearer, log_of, record, store},
};

/// The records of `org_id`, newest first.
async fn records_of(log: &impl AuditLog, org_id: &str) -> Vec<Value> {
    let page = log.query(&org_id.into(), &AuditQuery::default()).await;
    let entries = page.unwrap().entries;
    let parse = |json: &str| serde_json::from_str(json).unwrap();
    entries.iter().map(|entry| parse(entry.as_json())).collect()
}

async fn records(log: &impl AuditLog) -> Vec<Value> {
    records_of(log, ORG).await
}

/// The record of the call that was answered with `answer`.
async fn record_of<B>(log: &impl AuditLog, answer: &Response<B>) -> Value {
    let id = answer.headers()["x-request-id"].to_str().unwrap();
    let mut records = records(log).await.into_iter();
    let record = records.find(|record| record["data"]["request_id"] == id);
    record.unwrap()
}

/// A whole service with its log.
struct Audited {
    service: Service,
    log: MemoryAuditLog,
    app: axum::Router,
}

impl Audited {
    fn new() -> Self {
        use coverbase_auth::routes::{Routes, router};

        let log = MemoryAuditLog::new();
        let mut service = Service::new();
        service.key_admin = service.key_admin.with_audit(log.clone());
        let routes = Routes::new(service.key_admin.clone()).with_audit_log(log.clone());
        let app = router(routes).layer(service.layer.clone().with_audit(log.clone()));
        Self { service, log, app }
    }

    async fn send(&self, method: Method, uri: &str, token: &str) -> Response<Value> {
        let request = Request::builder().method(method).uri(uri);
        let request = request
            .header("authorization", format!("Bearer {token}"))
            .extension(PeerAddr::new(([203, 0, 113, 9], 443)));
        self.ask(request.body(axum::body::Body::empty()).unwrap())
            .await
    }

    async fn get(&self, uri: &str, token: &str) -> Response<Value> {
        self.send(Method::GET, uri, token).await
    }

    async fn ask(&self, request: Request<axum::body::Body>) -> Response<Value> {
        let (parts, body) = self
            .app
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Response::from_parts(parts, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn records(&self) -> Vec<Value> {
        records(&self.log).await
    }
}

// C34
#[tokio::test]
async fn a_key_s_call_leaves_one_record_with_all_its_facts() {
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
async fn a_user_s_call_names_the_user() {
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

// C34: what was refused after the credential had resolved is recorded, what was refused for it is not.
#[tokio::test]
async fn a_refusal_is_recorded_if_the_credential_was_good() {
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

// C34: a requirement of the layer's own is one like that of a `RequireLayer`.
#[tokio::test]
async fn the_layers_own_refusals_are_recorded() {
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

async fn empty<B>(_: Request<B>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

// C34
#[tokio::test]
async fn nothing_outside_of_v1_is_recorded() {
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

// C34: a nested router sees a shorter path than the client sent.
#[tokio::test]
async fn the_path_is_the_one_that_the_client_sent() {
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
async fn one_id_is_in_the_record_and_in_the_answer() {
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

/// Completes when it has been polled `n` times before.
async fn polled(mut n: usize) {
    poll_fn(|_| {
        n = n.saturating_sub(1);
        if n == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

// T22: the caller hangs up at each await there is, in the lookup and in the handler.
#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_is_recorded_exactly_once() {
    const LOOKUP: usize = 3;
    const HANDLER: usize = 4;

    for allowed in [true, false] {
        for polls in 0.. {
            let log = MemoryAuditLog::new();
            let slow = StoreFn(|_: &_| {
                Lookup::pending(async {
                    polled(LOOKUP).await;
                    Ok(Some(record().with_scopes([Scope::AUDIT_READ])))
                })
            });
            let scope = if allowed {
                Scope::AUDIT_READ
            } else {
                Scope::KEYS_MANAGE
            };
            let stack = (
                CoverbaseAuthLayer::new(slow).with_audit(log.clone()),
                RequireLayer::new(Requirement::scope(scope)),
            );
            let mut service = stack.layer(service_fn(|_: Request<()>| async {
                polled(HANDLER).await;
                Ok::<_, Infallible>(Response::new(()))
            }));
            let mut answer = None;
            {
                let mut future = pin!(service.call(bearer(KEY)));
                for _ in 0..polls {
                    let poll = future
                        .as_mut()
                        .poll(&mut Context::from_waker(Waker::noop()));
                    if let Poll::Ready(response) = poll {
                        answer = Some(response.unwrap().status().as_u16());
                        break;
                    }
                }
                assert_eq!(
                    records(&log).await.len(),
                    usize::from(answer.is_some()),
                    "a call on its way has left none yet"
                );
            }
            let recorded = records(&log).await;
            let is_decided = polls >= LOOKUP;
            assert_eq!(recorded.len(), usize::from(is_decided), "{polls} polls");
            if let Some(record) = recorded.first() {
                assert_eq!(record["data"]["status"], json!(answer), "{polls} polls");
            }
            if answer.is_some() {
                assert_eq!(answer, Some(if allowed { 200 } else { 403 }));
                break;
            }
        }
    }
}

// T22: so is a handler that fails or panics.
#[tokio::test]
async fn a_call_without_a_response_is_recorded_exactly_once() {
    let log = MemoryAuditLog::new();
    let stack = CoverbaseAuthLayer::new(store(record())).with_audit(log.clone());
    let failing = stack.clone().layer(service_fn(|_: Request<()>| async {
        Err::<Response<()>, _>("broken pipe")
    }));
    assert_eq!(
        failing.oneshot(bearer(KEY)).await.unwrap_err(),
        "broken pipe"
    );
    let panicking = stack.layer(service_fn(|request: Request<()>| async move {
        assert!(request.uri().path().is_empty(), "on purpose");
        empty(request).await
    }));
    let panicked = tokio::spawn(panicking.oneshot(bearer(KEY))).await;
    assert!(panicked.unwrap_err().is_panic());
    let recorded = records(&log).await;
    assert_eq!(recorded.len(), 2);
    for record in recorded {
        assert_eq!(record["data"]["status"], Value::Null);
        assert_eq!(record["summary"], "GET /v1/utils/authtest: no response");
    }
}

// C35
#[tokio::test]
async fn a_sink_that_panics_fails_no_call() {
    #[derive(Debug)]
    struct Panicking;

    impl AuditSink for Panicking {
        fn record(&self, _: AuditRecord) {
            panic!("on purpose");
        }
    }

    let auth = CoverbaseAuthLayer::new(store(record()));
    let stack = auth.with_audit(Panicking).layer(service_fn(empty));
    assert_eq!(stack.oneshot(bearer(KEY)).await.unwrap().status(), 200);
}

// C32, C34: the HTTP status of a gRPC answer is 200, the record has the status of the rejection.
#[tokio::test]
async fn rejected_grpc_call_is_recorded_with_the_status_of_its_rejection() {
    let log = MemoryAuditLog::new();
    let auth = CoverbaseAuthLayer::new(store(record())).with_audit(log.clone());
    let require = RequireLayer::new(Requirement::scope(Scope::AUDIT_READ));
    let stack = (auth, require).layer(service_fn(empty));
    for (method, http_status, grpc_status) in [
        (Method::POST, 200, json!(7)),
        (Method::GET, 403, Value::Null),
    ] {
        let mut request = bearer(KEY);
        *request.method_mut() = method;
        let grpc = http::HeaderValue::from_static("application/grpc");
        request.headers_mut().insert("content-type", grpc);
        let answer = stack.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), http_status);
        let data = &records(&log).await[0]["data"];
        assert_eq!(
            (&data["status"], &data["grpc_status"]),
            (&json!(403), &grpc_status)
        );
    }
}

/// A store that fails until `up_at`.
#[derive(Debug, Clone)]
struct Flapping {
    log: MemoryAuditLog,
    up_at: Instant,
    fault: Fault,
    attempts: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Fails,
    Hangs,
    Panics,
}

impl Flapping {
    fn down_for(time: Duration, fault: Fault) -> Self {
        Self {
            log: MemoryAuditLog::with_capacity(100_000),
            up_at: Instant::now() + time,
            fault,
            attempts: Arc::default(),
        }
    }
}

#[async_trait]
impl AuditLog for Flapping {
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        self.log.query(org_id, query).await
    }
}

#[async_trait]
impl AuditStore for Flapping {
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        if Instant::now() < self.up_at {
            match self.fault {
                Fault::Fails => return Err(StoreError::new("connection refused")),
                Fault::Hangs => std::future::pending().await,
                Fault::Panics => panic!("on purpose"),
            }
        }
        self.log.append(batch).await
    }
}

async fn total(log: &impl AuditLog) -> u64 {
    let query = AuditQuery::default();
    log.query(&ORG.into(), &query).await.unwrap().total
}

// C35: an outage of ten seconds, with each kind of fault.
#[tokio::test(start_paused = true)]
async fn store_outage_does_not_delay_calls() {
    for fault in [Fault::Fails, Fault::Hangs, Fault::Panics] {
        let store_of_records = Flapping::down_for(Duration::from_secs(10), fault);
        let queue = AuditQueue::spawn_with_capacity(store_of_records.clone(), 100);
        let stack = CoverbaseAuthLayer::new(store(record()))
            .with_audit(queue.clone())
            .layer(service_fn(empty));

        // Ten calls per second, until five seconds after the outage.
        for _ in 0..150 {
            let before = Instant::now();
            let answer = stack.clone().oneshot(bearer(KEY)).await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(before.elapsed(), Duration::ZERO, "{fault:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (written, dropped) = (total(&store_of_records).await, queue.dropped());
        assert_eq!(
            written + dropped,
            150,
            "{fault:?}: each record is written or counted as dropped"
        );
        assert!(
            (100..150).contains(&written),
            "{fault:?}: {written} written"
        );
        assert_eq!(queue.depth(), 0);
        let attempts = store_of_records.attempts.load(Ordering::Relaxed);
        assert!(attempts < 100, "{fault:?}: {attempts} attempts");

        // After the outage no record is dropped.
        for _ in 0..100 {
            stack.clone().oneshot(bearer(KEY)).await.unwrap();
        }
        queue.shutdown().await;
        assert_eq!(total(&store_of_records).await, written + 100, "{fault:?}");
        assert_eq!(queue.dropped(), dropped);
    }
}

// C35
#[tokio::test(start_paused = true)]
async fn shutdown_writes_the_queued_records() {
    let log = MemoryAuditLog::new();
    let queue = AuditQueue::spawn(log.clone());
    let stack = CoverbaseAuthLayer::new(store(record()))
        .with_audit(queue.clone())
        .layer(service_fn(empty));
    for _ in 0..1_000 {
        stack.clone().oneshot(bearer(KEY)).await.unwrap();
    }
    queue.shutdown().await;
    assert_eq!((total(&log).await, queue.dropped()), (1_000, 0));

    queue.shutdown().await;
    stack.oneshot(bearer(KEY)).await.unwrap();
    assert_eq!(
        (total(&log).await, queue.dropped()),
        (1_000, 1),
        "after shutdown"
    );
}

// C35
#[tokio::test(start_paused = true)]
async fn shutdown_during_an_outage_ends_within_its_deadline() {
    for fault in [Fault::Fails, Fault::Hangs, Fault::Panics] {
        let down = Flapping::down_for(Duration::from_secs(3_600), fault);
        let queue = AuditQueue::spawn(down.clone());
        let stack = CoverbaseAuthLayer::new(store(record()))
            .with_audit(queue.clone())
            .layer(service_fn(empty));
        for _ in 0..300 {
            stack.clone().oneshot(bearer(KEY)).await.unwrap();
        }
        let before = Instant::now();
        queue.shutdown().await;
        assert!(before.elapsed() <= Duration::from_secs(11), "{fault:?}");
        assert_eq!((total(&down).await, queue.dropped()), (0, 300), "{fault:?}");
    }
}

/// A store that rejects every batch with a record of one organization.
#[derive(Debug, Clone)]
struct Picky {
    log: MemoryAuditLog,
    rejected: &'static str,
}

#[async_trait]
impl AuditStore for Picky {
    async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
        if batch
            .iter()
            .any(|record| *record.org_id() == self.rejected.into())
        {
            return Err(StoreError::new("invalid byte sequence"));
        }
        self.log.append(batch).await
    }
}

#[async_trait]
impl AuditLog for Picky {
    async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        self.log.query(org_id, query).await
    }
}

// C34
#[tokio::test(start_paused = true)]
async fn record_that_the_store_always_rejects_is_the_only_one_dropped() {
    const STRANGE: &str = "org_strange";

    let picky = Picky {
        log: MemoryAuditLog::new(),
        rejected: STRANGE,
    };
    let queue = AuditQueue::spawn(picky.clone());
    let stack_of = |org_id: &str| {
        let auth = CoverbaseAuthLayer::new(store(KeyRecord::new(KEY_ID, org_id)));
        auth.with_audit(queue.clone()).layer(service_fn(empty))
    };
    let (good, strange) = (stack_of(ORG), stack_of(STRANGE));
    for n in 0..600 {
        let stack = if n % 250 == 7 { &strange } else { &good };
        stack.clone().oneshot(bearer(KEY)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(total(&picky.log).await, 597, "the other records");
    // The rejected records are dropped after further records have been accepted.
    for _ in 0..30 {
        good.clone().oneshot(bearer(KEY)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!((total(&picky.log).await, queue.dropped()), (627, 3));
    assert_eq!(queue.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn outage_of_an_hour_drops_no_record() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let down = Flapping::down_for(Duration::from_secs(3_600), fault);
        let queue = AuditQueue::spawn(down.clone());
        let auth = CoverbaseAuthLayer::new(store(record()));
        let stack = auth.with_audit(queue.clone()).layer(service_fn(empty));
        for _ in 0..360 {
            stack.clone().oneshot(bearer(KEY)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        let attempts = down.attempts.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!((total(&down).await, queue.dropped()), (360, 0), "{fault:?}");
        // The records are written in batches, not one by one.
        let attempts = down.attempts.load(Ordering::Relaxed) - attempts;
        assert!(attempts < 300, "{fault:?}: {attempts}");
    }
}

#[tokio::test(start_paused = true)]
async fn store_that_fails_two_of_three_times_drops_no_record() {
    #[derive(Debug, Clone, Default)]
    struct EveryThird(MemoryAuditLog, Arc<AtomicUsize>);

    #[async_trait]
    impl AuditLog for EveryThird {
        async fn query(&self, org_id: &OrgId, query: &AuditQuery) -> Result<AuditPage, StoreError> {
            self.0.query(org_id, query).await
        }
    }

    #[async_trait]
    impl AuditStore for EveryThird {
        async fn append(&self, batch: &[AuditRecord]) -> Result<(), StoreError> {
            if !self.1.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
                return Err(StoreError::new("try again"));
            }
            self.0.append(batch).await
        }
    }

    let flapping = EveryThird::default();
    let queue = AuditQueue::spawn(flapping.clone());
    let auth = CoverbaseAuthLayer::new(store(record()));
    let stack = auth.with_audit(queue.clone()).layer(service_fn(empty));
    for _ in 0..1_000 {
        stack.clone().oneshot(bearer(KEY)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((total(&flapping).await, queue.dropped()), (1_000, 0));
}

// C35: the log says that records are dropped, but not for each record.
#[test]
fn full_queue_is_logged_once() {
    let lines = log_of(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(async {
            let down = Flapping::down_for(Duration::from_secs(3_600), Fault::Hangs);
            let queue = AuditQueue::spawn_with_capacity(down, 1);
            let auth = CoverbaseAuthLayer::new(store(record()));
            let stack = auth.with_audit(queue.clone()).layer(service_fn(empty));
            for _ in 0..5 {
                stack.clone().oneshot(bearer(KEY)).await.unwrap();
            }
            assert_eq!((queue.depth(), queue.dropped()), (1, 4));
        });
    });
    let dropped = lines
        .iter()
        .filter(|line| line.text.contains("audit records"));
    assert_eq!(dropped.count(), 1, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn writer_ends_when_the_last_handle_is_dropped() {
    let log = MemoryAuditLog::new();
    let queue = AuditQueue::spawn(log.clone());
    let auth = CoverbaseAuthLayer::new(store(record()));
    let stack = auth.with_audit(queue).layer(service_fn(empty));
    stack.oneshot(bearer(KEY)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(total(&log).await, 1);
    let tasks = tokio::runtime::Handle::current().metrics();
    assert_eq!(tasks.num_alive_tasks(), 0);
}

/// CR LF and a line of one's own; an escape sequence; DEL, NEL, a C1 control, a line separator, an override.
const ODD: &str = "a\r\nERROR forged\u{1b}[2J\u{7f}\u{85}\u{9b}\u{2028}\u{202e}b";

// T13
#[tokio::test]
async fn a_record_is_one_line_of_bounded_length() {
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

/// What a request's head was read into.
struct Head(
    &'static str,
    #[expect(dead_code, reason = "it is counted")] Arc<()>,
);

impl AsRef<[u8]> for Head {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

// T14: a head may have 400 kB, and lies in one buffer; a record keeps what it will write.
#[tokio::test]
async fn a_record_holds_nothing_of_the_request_itself() {
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

// C33: wherever people write a secret by mistake.
#[tokio::test]
async fn a_credential_that_somebody_wrote_is_not_recorded() {
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

// C43: one record for each change that was one; what is refused, and what changes nothing, leaves none.
#[tokio::test]
async fn the_life_of_a_key_is_recorded() {
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

// C41: of many revocations at once, one is recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_changes_are_recorded_once() {
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

// C18
#[tokio::test]
async fn the_log_is_read_by_whoever_may() {
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
async fn the_log_is_read_by_page_newest_first() {
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
async fn a_query_that_does_not_fit_is_422() {
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
async fn the_metadata_names_groups_and_types() {
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

// C31: a log that cannot be read is 503, and no record of it is lost by that.
#[tokio::test]
async fn a_log_that_cannot_answer_is_503() {
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

// C33, T12: at TRACE, with a whole service, nothing that is written holds a secret.
#[test]
fn no_secret_is_written() {
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
fn debug_of_a_record_shows_no_value_of_a_parameter() {
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
