//! A call of the public API (`C34`).

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use smallvec::SmallVec;

use super::{
    id::AuditRecordId,
    text::{self, MAX_TEXT, on_one_line, shown},
};
use crate::{authenticator::Witness, principal::Principal};

/// As it is taken on the request's way, made text of by whoever writes the record. It holds nothing of the request itself: a
/// path is a part of the buffer that the whole head was read into.
pub(crate) struct ApiCall {
    pub(crate) id: AuditRecordId,
    pub(crate) method: Method,
    pub(crate) target: CallTarget,
    pub(crate) route: OnceLock<RouteTemplate>,
    /// The one that the request brought; else it is the record's own.
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) caller: Mutex<Option<Caller>>,
    pub(crate) outcome: Outcome,
}

/// What was called.
pub(crate) enum CallTarget {
    /// Path and query as they came.
    Raw(SmallVec<[u8; Self::USUAL]>),
    /// What is to be shown of long ones.
    Shown {
        path: String,
        query_params: Vec<String>,
    },
}

impl CallTarget {
    const USUAL: usize = 112;
    const LONG: usize = 1_024;

    #[inline]
    pub(crate) fn of(target: &str) -> Self {
        if target.len() <= Self::LONG {
            return Self::Raw(SmallVec::from_slice(target.as_bytes()));
        }
        let (path, query) = split(target);
        Self::Shown {
            path: text::path(path),
            query_params: text::parameter_names(query),
        }
    }

    fn path(&self) -> Cow<'_, str> {
        match self {
            Self::Raw(target) => text::path(split(as_text(target)).0).into(),
            Self::Shown { path, .. } => path.into(),
        }
    }

    fn query_params(&self) -> Cow<'_, [String]> {
        match self {
            Self::Raw(target) => text::parameter_names(split(as_text(target)).1).into(),
            Self::Shown { query_params, .. } => query_params.into(),
        }
    }
}

fn split(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// It was text when it was copied.
fn as_text(target: &[u8]) -> &str {
    str::from_utf8(target).unwrap_or_default()
}

#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    pub(crate) client_ip: Option<IpAddr>,
}

/// Written once, before the record is given away; whoever reads it has got it over a lock.
#[derive(Default)]
pub(crate) struct Outcome {
    /// 0: there was no response.
    status: AtomicU16,
    duration_ms: AtomicU64,
}

impl Outcome {
    #[inline]
    pub(crate) fn set_status(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn set_duration(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.duration_ms.store(millis, Ordering::Relaxed);
    }

    fn status(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Relaxed)).filter(|status| *status > 0)
    }

    fn duration_ms(&self) -> u64 {
        self.duration_ms.load(Ordering::Relaxed)
    }
}

impl Witness for ApiCall {
    #[inline]
    fn resolved(&self, principal: Principal, client_ip: Option<IpAddr>) {
        let mut caller = self.caller.lock().unwrap_or_else(PoisonError::into_inner);
        caller.get_or_insert(Caller {
            principal,
            client_ip,
        });
    }
}

/// The route that a request matched, such as `/v1/api-keys/{id}/revoke`.
pub(crate) enum RouteTemplate {
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
    /// `None`: the credential has not resolved.
    #[inline]
    pub(crate) fn caller(&self) -> Option<Caller> {
        let caller = self.caller.lock();
        caller.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn request_id(&self) -> Cow<'_, str> {
        let brought = self.request_id.as_deref();
        brought.map_or_else(|| self.id.to_string().into(), Cow::Borrowed)
    }

    pub(crate) fn summary(&self) -> String {
        let (method, path) = (self.method.as_str(), self.target.path());
        match self.outcome.status() {
            Some(status) => format!("{method} {path}: {status}"),
            None => format!("{method} {path}: no response"),
        }
    }

    pub(crate) fn data(&self, caller: &Principal) -> Value {
        let mut data = json!({
            "method": self.method.as_str(),
            "path": self.target.path(),
            "route": self.route.get().map(|route| on_one_line(route.as_str(), MAX_TEXT)),
            "status": self.outcome.status(),
            "duration_ms": self.outcome.duration_ms(),
            "query_params": self.target.query_params(),
            "key_id": caller.key_id().map(|id| on_one_line(id.as_str(), MAX_TEXT)),
            "key_name": caller.key_name().map(shown),
            "client_ip": self.caller().and_then(|caller| caller.client_ip),
            "request_id": self.request_id(),
        });
        if let (Some(user_id), Some(data)) = (caller.user_id(), data.as_object_mut()) {
            let user_id = json!(on_one_line(user_id, MAX_TEXT));
            data.insert("user_id".to_owned(), user_id);
        }
        data
    }
}
