//! What the layer allocates for a request with a ready answer. A program of its own, because its allocator counts.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    sync::OnceLock,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, Environment, IpAllowlist, KeyDigest, KeyRecord, KeyStore, Lookup,
    MemoryStore, PeerAddr, Principal, Rejection, RejectionKind, RequireLayer, Requirement,
    RouteTable, Scope, StoreError,
};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header::AUTHORIZATION};
use serde_json::json;
use tower::{Layer, Service, ServiceExt};

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations_of<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let result = run();
    (ALLOCATIONS.get() - before, result)
}

/// The inner service. It moves the extensions of the request to the response, and allocates nothing.
#[derive(Clone)]
struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<()>) -> Self::Future {
        let mut response = Response::new(());
        *response.extensions_mut() = std::mem::take(request.extensions_mut());
        ready(Ok(response))
    }
}

/// Counts a second request: the first one also makes what is made once for the process, the thread and the token.
fn serve<S, B>(service: S, request: impl Fn() -> Request<()>) -> (usize, Response<B>)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone,
{
    let serve = || {
        let (service, request) = (service.clone(), request());
        allocations_of(|| {
            let future = pin!(service.oneshot(request));
            match future.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(response)) => response,
                Poll::Pending => panic!("the answer is ready"),
            }
        })
    };
    serve();
    serve()
}

/// A request as a server reads it, with `headers` headers and the credential.
fn request(token: Option<&str>, headers: usize) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("/v1/reports?page=2");
    for header in 0..headers {
        let name = HeaderName::try_from(format!("x-{header}")).unwrap();
        let value = HeaderValue::from_static("1");
        request.headers_mut().insert(name, value);
    }
    if let Some(token) = token {
        let credential = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        request.headers_mut().insert(AUTHORIZATION, credential);
    }
    request
}

fn from_peer(mut request: Request<()>) -> Request<()> {
    let peer = PeerAddr::new(([203, 0, 113, 9], 443));
    request.extensions_mut().insert(peer);
    request
}

fn record() -> KeyRecord {
    KeyRecord::new("ak_6sLyzf0Xz0Cq", "org_acme")
        .with_name("ci")
        .with_scopes([Scope::KEYS_MANAGE, Scope::from_static("a:b")])
        .with_expires_at(u64::MAX)
}

fn restricted() -> KeyRecord {
    let allowlist = IpAllowlist::parse(["203.0.113.0/24", "2001:db8::/32"]).unwrap();
    record().with_allowlist(allowlist)
}

/// A key and a layer whose store has `record` for it.
fn layer_of(record: KeyRecord) -> (ApiKey, CoverbaseAuthLayer) {
    let (key, store) = (ApiKey::generate(Environment::Live), MemoryStore::new());
    store.insert(&key, record);
    (key, CoverbaseAuthLayer::new(store))
}

fn routes() -> RouteTable {
    let requirement = Requirement::scopes([Scope::KEYS_MANAGE, Scope::from_static("a:b")]);
    RouteTable::new()
        .route(Method::GET, "/v1/reports", requirement)
        .any("/v1/files/{*rest}", Requirement::authenticated())
}

/// Asserts that `service` admits the request and allocates no more than `http::Extensions` does for the principal.
#[track_caller]
fn assert_allocates_one_extension<S, B>(service: S, request: impl Fn() -> Request<()>)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone,
{
    let (allocations, response) = serve(service, &request);
    let principal: &Principal = response.extensions().get().expect("admitted");
    let (principal, mut by_hand) = (principal.clone(), request());
    let (allowed, _) = allocations_of(|| by_hand.extensions_mut().insert(principal));
    assert_eq!(allocations, allowed, "{by_hand:?}");
}

// The design's budget: no allocation of our own for a ready answer.
#[test]
fn admitted_key_allocates_only_its_extension() {
    let (key, layer) = layer_of(record());
    let require = RequireLayer::new(Requirement::scope(Scope::KEYS_MANAGE));
    let table = layer.clone().with_routes(routes());
    let stripping = layer.clone().with_stripped_credential();
    for headers in 0..40 {
        let bare = || request(Some(key.expose_secret()), headers);
        let among_others = || from_peer(bare());
        let required = || {
            let mut request = bare();
            let requirement = Requirement::scope(Scope::KEYS_MANAGE);
            request.extensions_mut().insert(requirement);
            request
        };
        for request in [&bare as &dyn Fn() -> _, &among_others, &required] {
            assert_allocates_one_extension(layer.layer(Inner), request);
            assert_allocates_one_extension((&layer, &require).layer(Inner), request);
            assert_allocates_one_extension(table.layer(Inner), request);
            assert_allocates_one_extension(stripping.layer(Inner), request);
        }
    }
}

#[test]
fn admitted_key_with_allowlist_allocates_only_its_extension() {
    let (key, layer) = layer_of(restricted());
    let request = || from_peer(request(Some(key.expose_secret()), 3));
    assert_allocates_one_extension(layer.layer(Inner), request);
}

#[cfg(all(feature = "jwt", feature = "test-util"))]
#[test]
fn session_verified_before_allocates_only_its_extension() {
    use coverbase_auth::{Algorithm, JwtVerifier, testing::TestIssuer};

    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let issuer = TestIssuer::new("https://clerk.coverbase.test").with_algorithm(algorithm);
        let verifier = JwtVerifier::new(issuer.issuer(), issuer.key_set())
            .with_authorized_parties([TestIssuer::AUTHORIZED_PARTY]);
        let layer = CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier);
        let token = issuer.token().with_role("admin").sign();
        let table = RouteTable::new().any(
            "/{*rest}",
            Requirement::scope(Scope::KEYS_MANAGE).or_role(coverbase_auth::Role::ADMIN),
        );
        let request = || request(Some(&token), 5);
        assert_allocates_one_extension(layer.layer(Inner), request);
        assert_allocates_one_extension(layer.with_routes(table).layer(Inner), request);
    }
}

/// A store that fails with an error that it made before.
#[derive(Debug)]
struct Down;

impl KeyStore for Down {
    fn lookup(&self, _: &KeyDigest) -> Lookup {
        static ERROR: OnceLock<StoreError> = OnceLock::new();
        Lookup::ready(Err(ERROR.get_or_init(|| StoreError::new("down")).clone()))
    }
}

fn rejection_of<B>(response: &Response<B>) -> &Rejection {
    response.extensions().get().expect("a rejection")
}

/// The `metrics` facade allocates the labels of a counter unless they are constants, and a rejection counts in two.
const METRICS: usize = if cfg!(feature = "metrics") { 2 } else { 0 };

/// Returns what a rejection may allocate: what http and serde_json do for the same response, and its counters.
fn allocations_by_hand<B>(response: &Response<B>) -> usize {
    let rejection = rejection_of(response).clone();
    let headers: Vec<_> = response.headers().clone().into_iter().collect();
    let build = || {
        let kind = rejection.kind();
        let detail = match kind.code() {
            Some(code) => json!({"code": code, "message": kind.message()}),
            None => json!(kind.message()),
        };
        let body = json!({"detail": detail}).to_string();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = kind.status();
        for (name, value) in headers {
            response.headers_mut().insert(name.unwrap(), value);
        }
        response.extensions_mut().insert(rejection);
        // The future holds it in a box, so that the future of an admitted request is small.
        Box::new(response)
    };
    allocations_of(build).0 + METRICS
}

// C29–C31
#[test]
fn rejection_allocates_as_much_as_its_response_by_hand() {
    use RejectionKind as Kind;

    let (key, layer) = layer_of(record());
    let (revoked_key, revoked) = layer_of(record().with_revoked_at(1));
    let (restricted_key, restricted) = layer_of(restricted());
    let unknown = ApiKey::generate(Environment::Live);
    let (key, unknown) = (key.expose_secret(), unknown.expose_secret());
    let no_row = RouteTable::new().any("/healthz", Requirement::public());
    for (kind, layer, token) in [
        (Kind::MissingCredential, layer.clone(), None),
        (Kind::MalformedCredential, layer.clone(), Some("a,b")),
        (Kind::InvalidApiKey, layer.clone(), Some("ak_not_minted")),
        (Kind::InvalidApiKey, layer.clone(), Some("neither")),
        (Kind::InvalidApiKey, layer.clone(), Some(unknown)),
        (
            Kind::InvalidApiKey,
            revoked,
            Some(revoked_key.expose_secret()),
        ),
        (Kind::InvalidSessionToken, layer.clone(), Some("e30.e30.AA")),
        (
            Kind::IpNotAllowed,
            restricted,
            Some(restricted_key.expose_secret()),
        ),
        (Kind::NotFound, layer.with_routes(no_row), Some(key)),
        (
            Kind::AuthUnavailable,
            CoverbaseAuthLayer::new(Down),
            Some(unknown),
        ),
    ] {
        for headers in [0, 5, 13] {
            let (allocations, response) = serve(layer.layer(Inner), || request(token, headers));
            assert_eq!(rejection_of(&response).kind(), kind);
            assert_eq!(allocations, allocations_by_hand(&response), "{kind:?}");
        }
    }
}

// C21
#[test]
fn requirement_without_principal_allocates_as_much_as_its_response_by_hand() {
    let service = RequireLayer::new(Requirement::authenticated()).layer(Inner);
    let (allocations, response) = serve(service, || request(None, 3));
    let kind = rejection_of(&response).kind();
    assert_eq!(kind, RejectionKind::AuthNotConfigured);
    assert_eq!(allocations, allocations_by_hand(&response));
}

// C30: the challenge names the scopes of the requirement, so its text is composed for each rejection.
#[test]
fn insufficient_scope_allocates_its_challenge_too() {
    // The list of scopes, their text, and the text of the header.
    const CHALLENGE: usize = 7;

    let (key, layer) = layer_of(record());
    let requirement = Requirement::scopes([Scope::AUDIT_READ, Scope::from_static("c:d")]);
    let service = layer.with_requirement(requirement).layer(Inner);
    let (allocations, response) = serve(service, || request(Some(key.expose_secret()), 3));
    let kind = rejection_of(&response).kind();
    assert_eq!(kind, RejectionKind::InsufficientScope);
    let own = allocations - allocations_by_hand(&response);
    assert!(own <= CHALLENGE, "{own} allocations");
}

/// C34, C35: the record owns its texts, so that a queue of records is bounded in bytes.
#[cfg(feature = "audit")]
#[test]
fn audited_call_allocates_at_most_its_record_and_request_id() {
    use coverbase_auth::audit::{AuditRecord, AuditSink};
    use http::header::CONTENT_TYPE;

    #[derive(Debug)]
    struct Nowhere;

    impl AuditSink for Nowhere {
        fn record(&self, _: AuditRecord) {}
    }

    // The call and its box, the texts of method, path, route, request id and query parameters, and the `x-request-id` of
    // the response.
    const RECORD: usize = 12;

    let (key, layer) = layer_of(record());
    let layer = layer.with_routes(routes());
    let audited = layer.clone().with_audit(Nowhere);
    // A handler's response has a header.
    let json = tower::util::MapResponseLayer::new(|mut response: Response<_>| {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    });
    let request = || request(Some(key.expose_secret()), 3);
    let (plain, _) = serve((&layer, &json).layer(Inner), request);
    let (with_record, response) = serve((&audited, &json).layer(Inner), request);
    assert!(response.headers().contains_key("x-request-id"));
    let own = with_record - plain;
    assert!(own <= RECORD, "{own} allocations");
}
