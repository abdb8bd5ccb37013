//! A gRPC service with a requirement for each method.
//!
//! ```text
//! cargo run --example tonic --features tonic
//! ```

use std::vec::IntoIter;

use coverbase_auth::{
    ApiKey, ClientIpSource, CoverbaseAuthLayer, Environment, KeyRecord, KeyStore, MemoryStore,
    Principal, Requirement, RouteTable, Scope,
};
use proto::{example_server::*, *};
use tokio::net::TcpListener;
use tokio_stream::{Iter, wrappers::TcpListenerStream};
use tonic::{
    Request, Response, Status,
    transport::{Error, Server, server::TcpConnectInfo},
};
use tonic_health::{pb::health_server::HealthServer, server::HealthService};

#[allow(missing_docs, unreachable_pub, elided_lifetimes_in_paths)]
pub mod proto {
    include!("proto/coverbase.example.v1.rs");
}

const READ: Scope = Scope::from_static("vendors:read");
const LIST_VENDORS: &str = "/coverbase.example.v1.Example/ListVendors";
type Answer<T> = Result<Response<T>, Status>;

struct Vendors;

#[tonic::async_trait]
impl Example for Vendors {
    type ListVendorsStream = Iter<IntoIter<Result<Vendor, Status>>>;

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Answer<WhoAmIResponse> {
        let caller = Principal::required(request.extensions())?;
        let (id, org_id) = (caller.id().to_owned(), caller.org_id().to_string());
        Ok(Response::new(WhoAmIResponse { id, org_id }))
    }

    async fn list_vendors(
        &self,
        request: Request<ListVendorsRequest>,
    ) -> Answer<Self::ListVendorsStream> {
        let caller = Principal::required(request.extensions())?;
        let name = format!("Acme, which sells to {}", caller.org_id());
        Ok(Response::new(tokio_stream::iter(vec![Ok(Vendor { name })])))
    }
}

/// Serves connections until the listener fails.
pub async fn serve(listener: TcpListener, store: impl KeyStore) -> Result<(), Error> {
    let (_, health) = tonic_health::server::health_reporter();
    let routes = RouteTable::new()
        .service::<HealthServer<HealthService>>(Requirement::public())
        .service::<ExampleServer<Vendors>>(Requirement::authenticated())
        .any(LIST_VENDORS, Requirement::scope(READ));
    let peer = ClientIpSource::from_fn(|parts| {
        let connection: &TcpConnectInfo = parts.extensions.get()?;
        Some(connection.remote_addr()?.ip())
    });
    let auth = CoverbaseAuthLayer::new(store)
        .with_client_ip(peer)
        .with_routes(routes);
    Server::builder()
        .layer(auth)
        .add_service(health)
        .add_service(ExampleServer::new(Vendors))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (store, key) = (MemoryStore::new(), ApiKey::generate(Environment::Test));
    let record = KeyRecord::new("ak_demo", "org_demo").with_scopes([READ]);
    store.insert(&key, record);
    let listener = TcpListener::bind("127.0.0.1:50051").await?;
    println!("{} with {}", listener.local_addr()?, key.expose_secret());
    Ok(serve(listener, store).await?)
}
