//! A service on hyper without a framework: HTTP/1 and HTTP/2 on one port, with requirements by route.
//!
//! ```text
//! cargo run --example hyper
//! ```

use std::{convert::Infallible, io, net::SocketAddr};

use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, Environment, KeyRecord, KeyStore, MemoryStore, PeerAddr, Principal,
    Requirement, RouteTable, Scope,
};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};

const WRITE: Scope = Scope::from_static("reports:write");

async fn reports(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let caller = Principal::of(request.extensions()).map_or("anonymous", Principal::id);
    Ok(Response::new(format!("{} for {caller}\n", request.uri())))
}

/// Serves connections until the listener fails.
pub async fn serve(listener: TcpListener, store: impl KeyStore) -> io::Result<()> {
    let routes = RouteTable::new()
        .any("/health", Requirement::public())
        .route(Method::GET, "/v1/reports", Requirement::authenticated())
        .route(Method::POST, "/v1/reports", Requirement::scope(WRITE));
    let auth = CoverbaseAuthLayer::new(store).with_routes(routes);
    loop {
        let (stream, peer) = listener.accept().await?;
        let service = ServiceBuilder::new()
            .map_request(move |request| with_peer(request, peer))
            .layer(auth.clone())
            .service(service_fn(reports));
        tokio::spawn(async move {
            let service = TowerToHyperService::new(service);
            let server = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

/// Adds the client address, without which an organization with an IP allowlist rejects every request.
fn with_peer(mut request: Request<Incoming>, peer: SocketAddr) -> Request<Incoming> {
    request.extensions_mut().insert(PeerAddr::new(peer));
    request
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
    serve(listener, store).await
}
