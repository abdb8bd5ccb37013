//! Rejections in a format of the service's own: one line of text for clients that ask for `text/plain`, the contract's
//! JSON envelope for all others.
//!
//! ```text
//! cargo run --example custom_render --features axum
//! ```

use std::{io, net::SocketAddr};

use axum::{Router, routing::get};
use bytes::Bytes;
use coverbase_auth::{
    CoverbaseAuthLayer, JsonEnvelope, KeyStore, MemoryStore, OrgId, Rejection, Render,
};
use http::{
    HeaderValue, Response,
    header::{ACCEPT, CONTENT_TYPE},
    request::Parts,
};
use tokio::net::TcpListener;

/// Writes `401: Not authenticated`, or the JSON envelope. The layer adds the challenge and `Retry-After`.
#[derive(Debug)]
struct TextOrJson;

impl Render for TextOrJson {
    fn render(&self, rejection: &Rejection, request: &Parts) -> Response<Bytes> {
        if request.headers.get(ACCEPT) != Some(&TEXT_PLAIN) {
            return JsonEnvelope::new().render(rejection, request);
        }
        let status = rejection.kind().status();
        let line = format!("{}: {rejection}\n", status.as_u16());
        let mut response = Response::new(Bytes::from(line));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, TEXT_PLAIN);
        response
    }
}

const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain");

/// The service, behind the layer.
pub fn app(store: impl KeyStore) -> Router {
    Router::new()
        .route("/", get(async |org_id: OrgId| org_id.to_string()))
        .layer(CoverbaseAuthLayer::new(store).with_render(TextOrJson))
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
