//! Refusals in other words: problem details for those who ask for them, a line of text for terminals, the contract's
//! envelope for all others.
//!
//! ```text
//! cargo run --example custom_render --features axum
//! ```

use std::{io, net::SocketAddr};

use axum::{Router, routing::get};
use bytes::Bytes;
use coverbase_auth::{
    CoverbaseAuthLayer, JsonEnvelope, KeyStore, MemoryStore, Negotiated, OrgId, ProblemJson,
    Rejection, Render,
};
use http::{HeaderValue, Response, header::CONTENT_TYPE, request::Parts};
use tokio::net::TcpListener;

/// `401: Not authenticated`. The layer adds the challenge and `Retry-After`.
#[derive(Debug)]
struct OneLine;

impl Render for OneLine {
    fn render(&self, rejection: &Rejection, _request: &Parts) -> Response<Bytes> {
        let status = rejection.kind().status();
        let line = format!("{}: {rejection}\n", status.as_u16());
        let mut response = Response::new(Bytes::from(line));
        *response.status_mut() = status;
        let text = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(CONTENT_TYPE, text);
        response
    }
}

/// The service, behind the layer.
pub fn app(store: impl KeyStore) -> Router {
    let render = Negotiated::new(JsonEnvelope::new())
        .or("application/problem+json", ProblemJson::new())
        .or("text/plain", OneLine);
    Router::new()
        .route("/", get(async |org_id: OrgId| org_id.to_string()))
        .layer(CoverbaseAuthLayer::new(store).with_render(render))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!(
        "curl -i -H 'Accept: text/plain' http://{}",
        listener.local_addr()?
    );
    let app = app(MemoryStore::new()).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await
}
