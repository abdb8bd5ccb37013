//! The record of one call of the public API (C34).

use std::net::IpAddr;

use http::{Uri, request::Parts};
use serde_json::{Map, Value, json};

use super::{
    id::AuditRecordId,
    text::{self, MAX_TEXT, on_one_line, shown},
};
use crate::{principal::Principal, telemetry::redact};

/// A call: what was requested, from where, and how it was answered.
///
/// It owns its texts. As parts of the request they would keep the buffer of the whole request head in memory, and a queue
/// that is bounded in records would not be bounded in bytes.
#[derive(Clone)]
pub(crate) struct ApiCall {
    pub(crate) id: AuditRecordId,
    pub(crate) method: String,
    /// Without credentials, on one line.
    pub(crate) path: String,
    /// The names of the query parameters, never their values (C35).
    pub(crate) query_params: Vec<String>,
    /// The path pattern of the matched route, such as `/v1/api-keys/{id}/revoke`.
    pub(crate) route: Option<String>,
    pub(crate) request_id: String,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) duration_ms: u64,
}

/// How a call was answered.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    /// The HTTP status, or the status that a rejection of a gRPC call stands for.
    pub(crate) status: u16,
    pub(crate) grpc_status: Option<u8>,
}

impl ApiCall {
    pub(super) fn new(id: AuditRecordId, request_id: String, parts: &Parts, uri: &Uri) -> Self {
        Self {
            id,
            method: redact::method(&parts.method).to_owned(),
            path: text::path(uri.path()),
            query_params: text::parameter_names(uri.query().unwrap_or_default()),
            route: None,
            request_id,
            client_ip: None,
            outcome: None,
            duration_ms: 0,
        }
    }

    pub(super) fn summary(&self) -> String {
        let (method, path) = (&self.method, &self.path);
        match self.outcome {
            Some(outcome) => format!("{method} {path}: {}", outcome.status),
            None => format!("{method} {path}: no response"),
        }
    }

    pub(super) fn data(&self, caller: &Principal) -> Map<String, Value> {
        let route = self.route.as_deref();
        let data = json!({
            "method": self.method,
            "path": self.path,
            "route": route.map(|route| on_one_line(route, MAX_TEXT)),
            "status": self.outcome.map(|outcome| outcome.status),
            "duration_ms": self.duration_ms,
            "query_params": self.query_params,
            "key_id": caller.key_id().map(|id| on_one_line(id.as_str(), MAX_TEXT)),
            "key_name": caller.key_name().map(shown),
            "client_ip": self.client_ip,
            "request_id": self.request_id,
        });
        let Value::Object(mut data) = data else {
            return Map::new();
        };
        if let Some(user_id) = caller.user_id() {
            let user_id = on_one_line(user_id, MAX_TEXT);
            data.insert("user_id".to_owned(), user_id.into());
        }
        if let Some(grpc_status) = self.outcome.and_then(|outcome| outcome.grpc_status) {
            data.insert("grpc_status".to_owned(), grpc_status.into());
        }
        data
    }
}
