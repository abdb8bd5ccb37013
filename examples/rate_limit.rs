//! A rate limit for each key with tower_governor. The limit is inside the layer, where the principal is known.
//!
//! ```text
//! cargo run --example rate_limit --features axum
//! ```

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Json, Router, body::Body, response::IntoResponse, routing::get};
use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, Environment, KeyRecord, KeyStore, MemoryStore, OrgId, Principal,
    Rejection, RejectionKind,
};
use http::{Request, Response, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tower_governor::{
    GovernorError, GovernorLayer, governor::GovernorConfigBuilder, key_extractor::KeyExtractor,
};

/// Limits each key and each user separately.
#[derive(Debug, Clone)]
struct PerPrincipal;

impl KeyExtractor for PerPrincipal {
    type Key = String;

    fn extract<T>(&self, request: &Request<T>) -> Result<String, GovernorError> {
        match Principal::of(request.extensions()) {
            Some(principal) => Ok(principal.id().to_owned()),
            None => Err(GovernorError::UnableToExtractKey),
        }
    }
}

/// Answers in the contract's envelope (`C29`).
fn rejection(error: GovernorError) -> Response<Body> {
    let GovernorError::TooManyRequests { headers, .. } = error else {
        // No layer has authenticated the request: the limit is outside of it.
        return Rejection::from(RejectionKind::AuthNotConfigured).into_response();
    };
    let message = "Too many requests. Please retry later.";
    let body = Json(json!({"detail": {"code": "rate_limited", "message": message}}));
    (
        StatusCode::TOO_MANY_REQUESTS,
        headers.unwrap_or_default(),
        body,
    )
        .into_response()
}

/// The service: a burst of two requests, then one per second.
pub fn app(store: impl KeyStore) -> Router {
    let mut limit = GovernorConfigBuilder::default().key_extractor(PerPrincipal);
    let limit = limit
        .per_second(1)
        .burst_size(2)
        .finish()
        .expect("neither is zero");
    Router::new()
        .route("/", get(async |org_id: OrgId| org_id.to_string()))
        .layer(GovernorLayer::new(Arc::new(limit)).error_handler(rejection))
        .layer(CoverbaseAuthLayer::new(store))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let (store, key) = (MemoryStore::new(), ApiKey::generate(Environment::Test));
    store.insert(&key, KeyRecord::new("ak_demo", "org_demo"));
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!(
        "http://{} with {}",
        listener.local_addr()?,
        key.expose_secret()
    );
    let app = app(store).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await
}
