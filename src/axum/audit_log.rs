//! The handlers of `GET /v1/system_audit_log` and its metadata (`C43`).

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_RANGE};
use serde_json::json;

use super::guarded::GuardedRouter;
use crate::{
    audit::{self, AuditEntry, AuditLog, AuditMetadata, AuditQuery, InvalidParameter},
    authenticator::{Rejection, RejectionKind},
    key_store::StoreError,
    principal::Principal,
    telemetry,
};

const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

type Headers = [(HeaderName, HeaderValue); 2];

pub(super) fn routes<S>(log: Arc<dyn AuditLog>) -> GuardedRouter<S> {
    GuardedRouter::new()
        .get("/v1/system_audit_log", audit::requirement(), page)
        .get(
            "/v1/system_audit_log/metadata",
            audit::requirement(),
            metadata,
        )
        .with_state(log)
}

async fn page(
    State(log): State<Arc<dyn AuditLog>>,
    caller: Principal,
    RawQuery(query): RawQuery,
) -> Result<(Headers, Json<Vec<AuditEntry>>), Refused> {
    let query = AuditQuery::from_query_string(&query.unwrap_or_default())?;
    let page = log.query(caller.org_id(), &query).await?;
    let range = HeaderValue::try_from(page.content_range(query.offset));
    let range = range.unwrap_or(HeaderValue::from_static("items */*"));
    let headers = [(X_TOTAL_COUNT, page.total.into()), (CONTENT_RANGE, range)];
    Ok((headers, Json(page.entries)))
}

async fn metadata(_: Principal) -> Json<AuditMetadata> {
    Json(AuditMetadata::new())
}

enum Refused {
    Parameter(InvalidParameter),
    Store(StoreError),
}

impl From<InvalidParameter> for Refused {
    fn from(error: InvalidParameter) -> Self {
        Self::Parameter(error)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Parameter(error) => {
                let detail = Json(json!({"detail": [error]}));
                (StatusCode::UNPROCESSABLE_ENTITY, detail).into_response()
            }
            Self::Store(error) => {
                telemetry::store_failed(&error);
                Rejection::new(RejectionKind::AuthUnavailable).into_response()
            }
        }
    }
}
