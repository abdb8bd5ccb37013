//! The inner service, stores with known keys, and layers over them.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use coverbase_auth::{
    CachedStore, CoverbaseAuthLayer, IpAllowlist, KeyDigest, KeyRecord, KeyStore, Lookup,
    MemoryStore, Requirement, RouteTable, Scope, StoreError,
    audit::{AuditRecord, AuditSink},
};
use http::{HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use tower::Service;

use super::requests::{PATH, key};

/// The inner service. Its response has one header, as the response of a handler has.
#[derive(Debug, Clone)]
pub(crate) struct Bare;

impl Service<Request<()>> for Bare {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(&request);
        let mut response = Response::new(());
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        ready(Ok(response))
    }
}

/// Returns the record of a key: ten keys in each organization, each with the scope `audit:read`.
pub(crate) fn record(number: u64) -> KeyRecord {
    KeyRecord::new(format!("ak_{number:022}"), format!("org_{}", number / 10))
        .with_name("ci")
        .with_scopes([Scope::AUDIT_READ])
        .with_expires_at(u64::MAX)
}

/// Returns an allowlist that ends with the network of every request's peer.
pub(crate) fn allowlist(networks: u16) -> IpAllowlist {
    let others = (1..networks).map(|net| format!("172.{}.{}.0/25", net >> 8, net & 255));
    let networks = others.chain(["10.0.0.0/25".to_owned()]);
    IpAllowlist::parse(networks).expect("networks")
}

/// Returns a store of the keys 0 to `keys`.
pub(crate) fn store(keys: u64) -> MemoryStore {
    store_of(keys, record)
}

pub(crate) fn store_of(keys: u64, record: impl Fn(u64) -> KeyRecord) -> MemoryStore {
    let store = MemoryStore::new();
    for number in 0..keys {
        store.insert(&key(number), record(number));
    }
    store
}

pub(crate) fn layer(keys: u64) -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(store(keys))
}

/// Returns a layer over keys that are restricted to so many networks.
pub(crate) fn restricted(keys: u64, networks: u16) -> CoverbaseAuthLayer {
    let allowlist = allowlist(networks);
    let record = |number| record(number).with_allowlist(allowlist.clone());
    CoverbaseAuthLayer::new(store_of(keys, record))
}

/// Returns a table in which the row of every bench request requires the scope that the keys have.
pub(crate) fn routes() -> RouteTable {
    let read = || Requirement::scope(Scope::AUDIT_READ);
    RouteTable::new()
        .any("/healthz", Requirement::public())
        .route(Method::GET, PATH, read())
        .route(Method::POST, PATH, Requirement::scope(Scope::KEYS_MANAGE))
        .route(Method::GET, "/v1/reports/{id}", read())
}

/// Returns a cache that has loaded the keys 0 to `keys`, with a time to live that no bench exceeds.
pub(crate) fn cached(keys: u64) -> CachedStore<MemoryStore> {
    let cached = CachedStore::new(store(keys)).with_ttl(Duration::from_secs(3600));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        for number in 0..keys {
            let found = cached.lookup(&key(number).digest()).await;
            assert!(found.expect("an answer").is_some());
        }
    });
    cached
}

/// A store that fails.
#[derive(Debug)]
pub(crate) struct Down(StoreError);

impl Down {
    pub(crate) fn new() -> Self {
        Self(StoreError::new("down"))
    }
}

impl KeyStore for Down {
    fn lookup(&self, _: &KeyDigest) -> Lookup {
        Lookup::ready(Err(self.0.clone()))
    }
}

/// An audit sink that drops every record.
#[derive(Debug)]
pub(crate) struct Nowhere;

impl AuditSink for Nowhere {
    fn record(&self, record: AuditRecord) {
        black_box(&record);
    }
}

/// Returns the response to a request, so that a bench can check that it measures the outcome it names.
pub(crate) fn response_of<S: Service<Request<B>>, B>(
    service: &mut S,
    request: Request<B>,
) -> S::Response
where
    S::Error: Debug,
{
    let future = pin!(service.call(request));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(response) => response.expect("the inner service does not fail"),
        Poll::Pending => panic!("every service of the benches responds at once"),
    }
}

/// Calls the service and drops the response.
#[inline(never)]
pub(crate) fn serve<S: Service<Request<B>>, B>(service: &mut S, request: Request<B>) {
    let future = pin!(service.call(request));
    let response = future.poll(&mut Context::from_waker(Waker::noop()));
    assert!(response.is_ready());
    black_box(&response);
}
