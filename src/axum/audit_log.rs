//! The routes of the audit log (`C43`).

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
    response::{self, IntoResponse},
};
use http::{HeaderName, HeaderValue, header::CONTENT_RANGE};
use serde_json::Value;

use super::guarded::GuardedRouter;
use crate::{
    audit::{self, AuditLog, AuditQuery},
    key_admin::KeyAdminError,
    principal::Principal,
};

const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

pub(super) fn routes<S>(log: Arc<dyn AuditLog>) -> GuardedRouter<S> {
    const PATH: &str = "/v1/system_audit_log";
    const METADATA_PATH: &str = "/v1/system_audit_log/metadata";

    GuardedRouter::new()
        .get(PATH, audit::requirement(), list_audit_log)
        .get(METADATA_PATH, audit::requirement(), audit_log_metadata)
        .with_state(log)
}

#[cfg(feature = "openapi")]
#[derive(utoipa::OpenApi)]
#[openapi(paths(list_audit_log, audit_log_metadata))]
pub(super) struct Contract;

/// Returns a page of the audit log, newest first.
#[cfg_attr(feature = "openapi", utoipa::path(
    get, path = "/v1/system_audit_log",
    params(
        ("start_ts" = Option<u64>, Query, description = "The first second of the window"),
        ("end_ts" = Option<u64>, Query, description = "The last second of the window"),
        ("event_groups" = Option<Vec<String>>, Query, description = "Any of these groups; repeatable"),
        ("event_types" = Option<Vec<String>>, Query, description = "Any of these types; repeatable"),
        ("search" = Option<String>, Query, description = "A part of the summary or of an id or name"),
        ("limit" = Option<u64>, Query, description = "1 to 500, by default 100"),
        ("offset" = Option<u64>, Query, description = "The number of records to skip"),
    ),
    responses((status = 200, description = "The records", body = Vec<Object>)),
))]
async fn list_audit_log(
    State(log): State<Arc<dyn AuditLog>>,
    caller: Principal,
    RawQuery(query): RawQuery,
) -> response::Result<impl IntoResponse> {
    let query = AuditQuery::from_query_string(&query.unwrap_or_default());
    let query = query.map_err(KeyAdminError::from)?;
    let page = log.query(caller.org_id(), &query).await;
    let page = page.map_err(KeyAdminError::from)?;
    let range = HeaderValue::try_from(page.content_range(query.offset));
    let range = range.unwrap_or(HeaderValue::from_static("items */*"));
    let headers = [(X_TOTAL_COUNT, page.total.into()), (CONTENT_RANGE, range)];
    Ok((headers, Json(page.entries)))
}

/// Returns the groups and types of the audit log, with labels.
#[cfg_attr(feature = "openapi", utoipa::path(
    get, path = "/v1/system_audit_log/metadata",
    responses((status = 200, description = "The groups and types", body = Object)),
))]
async fn audit_log_metadata(_: Principal) -> Json<Value> {
    Json(audit::metadata())
}
