//! tonic over real connections, with generated clients: the status of each decision.

use std::net::SocketAddr;

use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, Environment, IpAllowlist, KeyRecord, MemoryStore, Principal,
    RequireLayer, Requirement, Role, Scope, ServiceAccount, User,
    testing::{self, FaultyStore},
};
use tokio::net::TcpListener;
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tonic::{
    Code, Request, Status,
    metadata::MetadataValue,
    service::{Routes, interceptor::InterceptedService},
    transport::{Channel, Endpoint, Server},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Layer, ServiceBuilder};

use crate::examples::tonic::{
    proto::{ListVendorsRequest, WhoAmIRequest, example_client::ExampleClient},
    serve,
};

const READ: Scope = Scope::from_static("vendors:read");

/// The example service on a port of its own, over a store that fails on demand.
struct Service {
    store: FaultyStore<MemoryStore>,
    keys: MemoryStore,
    channel: Channel,
}

impl Service {
    async fn start() -> Self {
        let keys = MemoryStore::new();
        let store = FaultyStore::new(keys.clone());
        let (listener, address) = listener().await;
        tokio::spawn(serve(listener, store.clone()));
        let channel = connect(address).await;
        Self {
            store,
            keys,
            channel,
        }
    }

    fn key(&self, record: KeyRecord) -> String {
        let key = ApiKey::generate(Environment::Live);
        self.keys.insert(&key, record);
        key.expose_secret().to_owned()
    }

    fn client(&self, token: &str) -> ExampleClient<InterceptedService<Channel, Bearer>> {
        ExampleClient::with_interceptor(self.channel.clone(), bearer(token))
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

type Bearer = Box<dyn FnMut(Request<()>) -> Result<Request<()>, Status> + Send + Sync>;

fn bearer(token: &str) -> Bearer {
    let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    Box::new(move |mut request| {
        request
            .metadata_mut()
            .insert("authorization", value.clone());
        Ok(request)
    })
}

fn record() -> KeyRecord {
    KeyRecord::new("ak_1", "org_acme")
}

fn header<'a>(status: &'a Status, name: &str) -> Option<&'a str> {
    status
        .metadata()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn method_finds_its_caller() {
    let service = Service::start().await;
    let mut client = service.client(&service.key(record()));
    let answer = client
        .who_am_i(WhoAmIRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!((&*answer.id, &*answer.org_id), ("ak_1", "org_acme"));
}

#[tokio::test]
async fn stream_must_satisfy_the_requirement_of_its_method() {
    let service = Service::start().await;
    let mut reader = service.client(&service.key(record().with_scopes([READ])));
    let vendors = reader.list_vendors(ListVendorsRequest {}).await.unwrap();
    let vendors: Vec<_> = vendors.into_inner().collect().await;
    assert_eq!(vendors.len(), 1);
    assert_eq!(
        vendors[0].as_ref().unwrap().name,
        "Acme, which sells to org_acme"
    );

    let mut other = service.client(&service.key(record()));
    let refused = other.list_vendors(ListVendorsRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(
        refused.message().contains("does not carry the scope"),
        "{refused:?}"
    );
    let challenge = r#"Bearer realm="coverbase", error="insufficient_scope", scope="vendors:read""#;
    assert_eq!(header(&refused, "www-authenticate"), Some(challenge));
}

// C32, C30
#[tokio::test]
async fn every_401_is_unauthenticated() {
    let service = Service::start().await;
    let mut stranger = ExampleClient::new(service.channel.clone());
    let unknown = ApiKey::generate(Environment::Live);
    let mut unknown = service.client(unknown.expose_secret());
    let mut expired = service.client(&service.key(record().with_expires_at(1)));
    for (refused, message, challenge) in [
        (
            stranger.who_am_i(WhoAmIRequest {}).await,
            "Not authenticated",
            r#"Bearer realm="coverbase""#,
        ),
        (
            unknown.who_am_i(WhoAmIRequest {}).await,
            "Invalid or expired API key.",
            r#"Bearer realm="coverbase", error="invalid_token""#,
        ),
        (
            expired.who_am_i(WhoAmIRequest {}).await,
            "Invalid or expired API key.",
            r#"Bearer realm="coverbase", error="invalid_token""#,
        ),
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert_eq!(refused.message(), message);
        assert_eq!(header(&refused, "www-authenticate"), Some(challenge));
    }
}

// C31
#[tokio::test]
async fn failing_store_is_unavailable_until_it_recovers() {
    let service = Service::start().await;
    let mut client = service.client(&service.key(record()));
    service.store.fail();
    let refused = client.who_am_i(WhoAmIRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(header(&refused, "retry-after"), Some("1"));
    service.store.recover();
    client.who_am_i(WhoAmIRequest {}).await.unwrap();
}

// C23, C24
#[tokio::test]
async fn allowlist_is_checked_against_the_peer() {
    let service = Service::start().await;
    for (network, admitted) in [("127.0.0.0/8", true), ("203.0.113.0/24", false)] {
        let allowlist = IpAllowlist::parse([network]).unwrap();
        let key = service.key(KeyRecord::new("ak_2", network).with_allowlist(allowlist));
        let answer = service.client(&key).who_am_i(WhoAmIRequest {}).await;
        assert_eq!(
            answer.map_err(|status| status.code()).err(),
            (!admitted).then_some(Code::PermissionDenied)
        );
    }
}

// C1
#[tokio::test]
async fn health_service_is_public_by_its_row() {
    let service = Service::start().await;
    service.store.fail();
    let unknown = ApiKey::generate(Environment::Live);
    let credential = bearer(unknown.expose_secret());
    let request = || HealthCheckRequest {
        service: String::new(),
    };
    HealthClient::new(service.channel.clone())
        .check(request())
        .await
        .unwrap();
    HealthClient::with_interceptor(service.channel.clone(), credential)
        .check(request())
        .await
        .unwrap();
    let mut watched = HealthClient::new(service.channel.clone())
        .watch(request())
        .await
        .unwrap();
    assert!(watched.get_mut().next().await.unwrap().is_ok());
}

// C18, C21
#[tokio::test]
async fn layer_can_wrap_one_service() {
    let (keys, key) = (MemoryStore::new(), ApiKey::generate(Environment::Live));
    keys.insert(&key, record());
    let (_, health) = tonic_health::server::health_reporter();
    let layer = ServiceBuilder::new()
        .layer(CoverbaseAuthLayer::new(keys))
        .layer(RequireLayer::new(Requirement::scopes([])));
    let (listener, address) = listener().await;
    let routes = Routes::new(layer.service(health));
    tokio::spawn(
        Server::builder()
            .add_routes(routes)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );

    let channel = connect(address).await;
    let request = || HealthCheckRequest {
        service: String::new(),
    };
    let refused = HealthClient::new(channel.clone())
        .check(request())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let credential = bearer(key.expose_secret());
    HealthClient::with_interceptor(channel, credential)
        .check(request())
        .await
        .unwrap();
}

// C21
#[tokio::test]
async fn requirement_without_the_layer_is_internal() {
    let (_, health) = tonic_health::server::health_reporter();
    let (listener, address) = listener().await;
    let health = RequireLayer::new(Requirement::authenticated()).layer(health);
    tokio::spawn(
        Server::builder()
            .add_service(health)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let refused = HealthClient::new(connect(address).await)
        .check(request)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
}

// C32
#[test]
fn rejection_converts_into_a_status() {
    let key: Principal = testing::service_account(record());
    let user = testing::user("user_1", "org_acme", Role::MEMBER);
    let status = Status::from(User::try_from(key.clone()).unwrap_err());
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(
        header(&status, "www-authenticate"),
        Some(r#"Bearer realm="coverbase", error="insufficient_scope""#)
    );
    let status = Status::from(ServiceAccount::try_from(user.clone()).unwrap_err());
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unauthenticated, "Unauthorized role.")
    );
    assert_eq!(User::try_from(user).unwrap().role(), Some(&Role::MEMBER));
    assert_eq!(
        ServiceAccount::try_from(key).unwrap().key_id().as_str(),
        "ak_1"
    );
}
