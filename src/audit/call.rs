//! A call of the public API (`C34`).

use std::{borrow::Cow, net::IpAddr, time::Duration};

use http::{HeaderValue, Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::{
    id::AuditRecordId,
    text::{self, MAX_TEXT, on_one_line},
};
use crate::principal::Principal;

/// As it was taken on the request's way: pointers and numbers, made text of by whoever writes the record.
#[derive(Clone)]
pub(super) struct ApiCall {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) route: Option<RouteTemplate>,
    /// `None`: there was no response.
    pub(super) status: Option<StatusCode>,
    pub(super) duration: Duration,
    pub(super) client_ip: Option<IpAddr>,
    /// The one that the request brought; else it is the record's own.
    pub(super) request_id: Option<HeaderValue>,
}

/// The route that a request matched, such as `/v1/api-keys/{id}/revoke`.
#[derive(Clone)]
pub(super) enum RouteTemplate {
    Named(Cow<'static, str>),
    #[cfg(feature = "axum")]
    Matched(axum::extract::MatchedPath),
}

impl RouteTemplate {
    fn as_str(&self) -> &str {
        match self {
            Self::Named(route) => route,
            #[cfg(feature = "axum")]
            Self::Matched(path) => path.as_str(),
        }
    }
}

impl ApiCall {
    pub(super) fn method(&self) -> Cow<'_, str> {
        on_one_line(self.method.as_str(), MAX_TEXT)
    }

    pub(super) fn path(&self) -> Cow<'_, str> {
        text::path(self.uri.path())
    }

    pub(super) fn request_id(&self, id: AuditRecordId) -> String {
        let brought = self.request_id.as_ref().and_then(|id| id.to_str().ok());
        brought.map_or_else(|| id.to_string(), ToOwned::to_owned)
    }

    pub(super) fn summary(&self) -> String {
        let (method, path) = (self.method(), self.path());
        match self.status {
            Some(status) => format!("{method} {path}: {}", status.as_u16()),
            None => format!("{method} {path}: no response"),
        }
    }

    pub(super) fn data(&self, id: AuditRecordId, caller: &Principal) -> Value {
        let mut data = json!({
            "method": self.method(),
            "path": self.path(),
            "route": self.route.as_ref().map(|route| on_one_line(route.as_str(), MAX_TEXT)),
            "status": self.status.map(|status| status.as_u16()),
            "duration_ms": u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
            "query_params": text::parameter_names(self.uri.query().unwrap_or_default()),
            "key_id": caller.key_id().map(|id| on_one_line(id.as_str(), MAX_TEXT)),
            "key_name": caller.key_name().map(|name| on_one_line(name, MAX_TEXT)),
            "client_ip": self.client_ip,
            "request_id": self.request_id(id),
        });
        if let Some(user_id) = caller.user_id() {
            data["user_id"] = json!(on_one_line(user_id, MAX_TEXT));
        }
        data
    }
}
