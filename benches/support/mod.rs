//! What the benches have in common: a bare service, a store with known keys, and requests as a server reads them.
#![allow(dead_code, reason = "no bench uses all of it")]

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, IpAllowlist, KeyDigest, KeyRecord, KeyStore, Lookup, MemoryStore,
    PeerAddr, Requirement, RequirementsLayer, Scope, StoreError,
};
use http::{
    HeaderValue, Request, Response, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT},
};
use tower::{Service, ServiceExt};

pub(crate) const PATH: &str = "/v1/reports";

/// The inner service: it has done its work already, so that what is measured is the layer's.
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
        ready(Ok(Response::new(())))
    }
}

/// The bare service where the answer's headers matter: it has one, as answers have.
pub(crate) fn answering()
-> impl Service<Request<()>, Response = Response<()>, Error = Infallible> + Clone {
    Bare.map_response(|mut response: Response<()>| {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    })
}

/// A store that cannot answer.
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

/// A store that answers by a future, as those before a database do; this one is ready when it is asked.
#[derive(Debug)]
pub(crate) struct Pending(pub(crate) MemoryStore);

impl KeyStore for Pending {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        Lookup::pending(self.0.lookup(digest))
    }
}

/// The key of a number, of the length of a minted one and the same in every run.
pub(crate) fn key(number: u64) -> ApiKey {
    format!("ak_live_{number:047}").parse().expect("a key")
}

pub(crate) fn record(number: u64) -> KeyRecord {
    KeyRecord::new(format!("ak_{number:022}"), format!("org_{}", number / 10))
        .with_name("ci")
        .with_scopes([Scope::AUDIT_READ])
        .with_expires_at(u64::MAX)
}

/// The keys 0 to `keys`, each with the scope `audit:read`.
pub(crate) fn store(keys: u64) -> MemoryStore {
    let store = MemoryStore::new();
    for number in 0..keys {
        store.insert(&key(number), record(number));
    }
    store
}

pub(crate) fn layer(keys: u64) -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(store(keys))
}

/// A layer with one key, whose organization lets in so many networks.
pub(crate) fn restricted(networks: u16) -> CoverbaseAuthLayer {
    let networks = (0..networks).map(|net| format!("10.{}.{}.0/25", net >> 8, net & 255));
    let allowlist = IpAllowlist::parse(networks).expect("networks");
    let store = store(0);
    store.insert(&key(0), record(0).with_allowlist(allowlist));
    CoverbaseAuthLayer::new(store)
}

pub(crate) fn bearer(token: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {token}")).expect("a header")
}

/// A request with three headers and the credential. Their values are slices of memory that others hold too, as they are
/// on a server.
pub(crate) fn request(credential: Option<&HeaderValue>) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static(PATH);
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("api.example.com"));
    headers.insert(USER_AGENT, HeaderValue::from_static("curl/8.5.0"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    if let Some(credential) = credential {
        headers.insert(AUTHORIZATION, credential.clone());
    }
    request
}

/// Requests that present the credentials in turn, without end. Each is made anew, as on a server, so that a thousand of
/// them leave room in the cache for what is measured.
pub(crate) fn in_turn(credentials: Vec<HeaderValue>) -> impl FnMut() -> Request<()> {
    let mut turn = (0..credentials.len()).cycle();
    move || request(credentials.get(turn.next().expect("a cycle does not end")))
}

/// Requests that all present the same token.
pub(crate) fn always(token: &str) -> impl FnMut() -> Request<()> + use<> {
    in_turn(vec![bearer(token)])
}

/// Requests that present the keys 0 to `keys` in turn.
pub(crate) fn hot_set(keys: u64) -> impl FnMut() -> Request<()> {
    let credentials = (0..keys).map(|number| bearer(key(number).expose_secret()));
    in_turn(credentials.collect())
}

pub(crate) fn presenting(token: &str) -> Request<()> {
    request(Some(&bearer(token)))
}

/// The request as a server hands it on that tells who is at the other end.
pub(crate) fn from_peer(mut request: Request<()>) -> Request<()> {
    let peer = PeerAddr::new(([10, 0, 0, 9], 443));
    request.extensions_mut().insert(peer);
    request
}

/// The request as an outer layer hands it on: with the requirement of its route.
pub(crate) fn routed(mut request: Request<()>) -> Request<()> {
    request
        .extensions_mut()
        .insert(Requirement::scope(Scope::AUDIT_READ));
    request
}

/// An outer layer that hands each request on with the requirement of its route and a place for the principal.
pub(crate) fn table() -> RequirementsLayer {
    let requirement = Requirement::scope(Scope::AUDIT_READ);
    RequirementsLayer::new()
        .any(PATH, requirement)
        .with_principal_slot()
}

/// What one call is answered: for making sure that what is measured is what is meant.
pub(crate) fn answer<S: Service<Request<B>>, B>(service: &mut S, request: Request<B>) -> S::Response
where
    S::Error: Debug,
{
    let future = pin!(service.call(request));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.expect("the inner service does not fail"),
        Poll::Pending => panic!("the answer is at hand"),
    }
}

/// One call to its end, answer and all dropped.
#[inline(never)]
pub(crate) fn serve<S: Service<Request<B>>, B>(service: &mut S, request: Request<B>) {
    let future = pin!(service.call(request));
    let answer = future.poll(&mut Context::from_waker(Waker::noop()));
    assert!(answer.is_ready());
    black_box(&answer);
}
