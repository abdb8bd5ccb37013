//! The audit log: one record of each authenticated call, which delays no call (C33–C35, C43, T12, T13, T22).

mod calls;
mod cancellation;
mod lifecycle;
mod log;
mod queue;
mod text;

use std::convert::Infallible;

use coverbase_auth::{
    PeerAddr,
    audit::{AuditLog, AuditQuery, MemoryAuditLog},
};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::service::{ORG, Service};

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

async fn empty<B>(_: Request<B>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}
