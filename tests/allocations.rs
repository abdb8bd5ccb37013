//! What the layer allocates for a request: nothing of its own. A program of its own, for its allocator counts.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, Environment, IpAllowlist, KeyFormat, KeyRecord, KeyStore, Lookup,
    MemoryStore, PeerAddr, Principal, Rejection, RejectionKind, RequireLayer, Requirement,
    RequirementsLayer, Scope, StoreError,
};
use http::{HeaderName, HeaderValue, Request, Response, header::AUTHORIZATION};
use tower::{Layer, Service, ServiceExt};

/// Counts what this thread allocates: the test harness has threads of its own.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came.
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

/// The inner service: it hands back the extensions that it was given and allocates nothing.
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

/// Readiness, the call, and tower's future to its end.
fn serve<S, B>(service: S, request: Request<()>) -> (usize, Response<B>)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    allocations_of(|| {
        let future = pin!(service.oneshot(request));
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(response)) => response,
            Poll::Pending => panic!("the answer is at hand"),
        }
    })
}

/// A request as a server reads it, with `headers` headers in all, `Authorization` among them.
fn request(token: &str, headers: usize) -> Request<()> {
    let mut request = Request::new(());
    for header in 1..headers {
        let name = HeaderName::try_from(format!("x-{header}")).unwrap();
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static("1"));
    }
    let credential = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    request.headers_mut().insert(AUTHORIZATION, credential);
    request
}

fn populated(mut request: Request<()>) -> Request<()> {
    request
        .extensions_mut()
        .insert(PeerAddr::new(([203, 0, 113, 9], 443)));
    request.extensions_mut().insert(Requirement::scopes([
        Scope::KEYS_MANAGE,
        Scope::from_static("a:b"),
    ]));
    request
}

#[derive(Debug)]
struct Down;

impl KeyStore for Down {
    fn lookup(&self, _: &coverbase_auth::KeyDigest) -> Lookup {
        static ERROR: std::sync::OnceLock<StoreError> = std::sync::OnceLock::new();
        Lookup::ready(Err(ERROR.get_or_init(|| StoreError::new("down")).clone()))
    }
}

/// A key, and a layer that knows it by `record`.
fn layer_of(record: KeyRecord) -> (ApiKey, CoverbaseAuthLayer) {
    /// What is made once, for the process or the thread, is made before anything is counted.
    const WARM_UP: usize = 100;

    let (key, store) = (ApiKey::generate(Environment::Live), MemoryStore::new());
    store.insert(&key, record);
    let layer = CoverbaseAuthLayer::new(store).with_key_format(KeyFormat::Minted);
    for _ in 0..WARM_UP {
        let request = populated(request(key.expose_secret(), 1));
        serve(layer.layer(Inner), request);
    }
    (key, layer)
}

fn record() -> KeyRecord {
    KeyRecord::new("ak_6sLyzf0Xz0Cq", "org_acme")
        .with_name("ci")
        .with_scopes([Scope::KEYS_MANAGE, Scope::from_static("a:b")])
        .with_expires_at(u64::MAX)
}

/// One whose organization is restricted to addresses, and one that is not.
fn restricted_and_not() -> [(ApiKey, CoverbaseAuthLayer); 2] {
    let allowlist = IpAllowlist::parse(["203.0.113.0/24", "2001:db8::/32"]).unwrap();
    [record().with_allowlist(allowlist), record()].map(layer_of)
}

/// What `http::Extensions` makes for one more: a box for it; and for the first one a map, and the map's table.
const AMONG_OTHERS: usize = 1;
const THE_FIRST: usize = 3;

// C6, the hot path: what `http::Extensions` does with a principal, and no more.
#[test]
fn an_admitted_request_allocates_nothing_of_the_layers_own() {
    let [restricted, unrestricted] = restricted_and_not();
    let require = RequireLayer::new(Requirement::scope(Scope::KEYS_MANAGE));
    let mut counts = Vec::new();
    for headers in 1..=40 {
        let empty = |key: &ApiKey| request(key.expose_secret(), headers);
        for ((key, layer), request, own) in [
            (&unrestricted, &empty as &dyn Fn(_) -> _, THE_FIRST),
            (&restricted, &|key: &_| populated(empty(key)), AMONG_OTHERS),
        ] {
            let request = || request(key);
            let stripping = layer.clone().with_stripped_credential();
            let (total, response) = serve(layer.layer(Inner), request());
            Principal::of(response.extensions()).expect("admitted");
            for (what, total) in [
                ("the layer", total),
                ("stripping", serve(stripping.layer(Inner), request()).0),
                (
                    "with RequireLayer",
                    serve((layer, &require).layer(Inner), request()).0,
                ),
            ] {
                if total != own {
                    counts.push(format!("{what}, {headers} headers: {total} and not {own}"));
                }
            }
        }
    }
    assert_eq!(counts, [""; 0]);
}

// The hot path of sessions: as that of keys.
#[cfg(feature = "jwt")]
#[test]
fn a_session_that_is_known_allocates_nothing_of_the_layers_own() {
    use coverbase_auth::{Algorithm, JwtVerifier, testing::TestIssuer};

    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let issuer = TestIssuer::new("https://clerk.coverbase.test").with_algorithm(algorithm);
        let verifier = JwtVerifier::new(issuer.issuer(), issuer.key_set())
            .with_authorized_parties([TestIssuer::AUTHORIZED_PARTY]);
        let layer = CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier);
        let token = issuer.token().sign();
        let (first, _) = serve(layer.layer(Inner), request(&token, 5));
        let (total, response) = serve(layer.layer(Inner), request(&token, 5));
        let principal = Principal::of(response.extensions()).expect("admitted");
        let (principal, mut by_hand) = (principal.clone(), request(&token, 5));
        let (own, _) = allocations_of(|| by_hand.extensions_mut().insert(principal));
        assert_eq!(total, own, "{algorithm}");
        assert!(first > own, "{algorithm}: the counter counts");
    }
}

// A table outside makes the room: the requirement and the principal's place are one extension, filled where it lies.
#[test]
fn a_slot_spares_the_layer_every_allocation() {
    let requirement = Requirement::scopes([Scope::KEYS_MANAGE, Scope::from_static("a:b")]);
    let table = RequirementsLayer::new()
        .any("/{*rest}", requirement)
        .with_principal_slot();
    for (key, layer) in restricted_and_not() {
        let prepared = |mut request: Request<()>| {
            *request.uri_mut() = http::Uri::from_static("/v1/keys");
            let peer = PeerAddr::new(([203, 0, 113, 9], 443));
            request.extensions_mut().insert(peer);
            let (_, mut response) = serve(table.layer(Inner), request);
            std::mem::take(response.extensions_mut())
        };
        let mut request = request(key.expose_secret(), 5);
        *request.extensions_mut() = prepared(Request::new(()));
        let (count, response) = serve(layer.layer(Inner), request);
        assert!(Principal::of(response.extensions()).is_some());
        assert!(response.extensions().get::<Principal>().is_none());
        assert_eq!(count, 0);
    }
}

/// As an outer layer hands it on.
fn routed(mut request: Request<()>) -> Request<()> {
    let extensions = request.extensions_mut();
    extensions.insert(Requirement::authenticated());
    request
}

// C29–C31: a refusal is answered in the memory that its request came with. What is left is the room of its `Rejection`.
#[test]
fn a_refusal_allocates_nothing_of_the_layers_own() {
    use RejectionKind as Kind;

    let unknown = ApiKey::generate(Environment::Live);
    let [(restricted_key, restricted), (_, unrestricted)] = restricted_and_not();
    let (revoked_key, revoked) = layer_of(record().with_revoked_at(1));
    let any = || unrestricted.clone().with_key_format(KeyFormat::Any);
    let down = CoverbaseAuthLayer::new(Down);
    let mut counts = Vec::new();
    for headers in 1..=13 {
        for (kind, layer, token) in [
            (Kind::MissingCredential, any(), None),
            (Kind::MalformedCredential, any(), Some("a,b")),
            (
                Kind::InvalidApiKey,
                unrestricted.clone(),
                Some("ak_not_minted"),
            ),
            (
                Kind::InvalidApiKey,
                unrestricted.clone(),
                Some(unknown.expose_secret()),
            ),
            (
                Kind::InvalidApiKey,
                revoked.clone(),
                Some(revoked_key.expose_secret()),
            ),
            (Kind::InvalidSessionToken, any(), Some("e30.e30.AA")),
            (
                Kind::IpNotAllowed,
                restricted.clone(),
                Some(restricted_key.expose_secret()),
            ),
            (
                Kind::AuthUnavailable,
                down.clone(),
                Some(unknown.expose_secret()),
            ),
        ] {
            let request = || match token {
                Some(token) => request(token, headers),
                None => {
                    let mut anonymous = request("", headers + 1);
                    anonymous.headers_mut().remove(AUTHORIZATION);
                    anonymous
                }
            };
            // What is made once, for the process or the thread.
            serve(layer.layer(Inner), request());
            for (request, own) in [(request(), THE_FIRST), (routed(request()), AMONG_OTHERS)] {
                let (total, response) = serve(layer.layer(Inner), request);
                assert_eq!(rejection_of(&response).kind(), kind);
                if total != own {
                    counts.push(format!(
                        "{kind:?}, {headers} headers: {total} and not {own}"
                    ));
                }
            }
        }
    }
    assert_eq!(counts, [""; 0]);
}

// C30: its challenge names scopes, so it is a text of its own; RequireLayer, which decides on nothing else, has it too.
#[test]
fn a_refusal_for_scopes_allocates_its_challenge_too() {
    let (key, auth) = layer_of(record());
    let request = || request(key.expose_secret(), 3);
    let (_, admitted) = serve(auth.layer(Inner), request());
    let authenticated = || {
        let mut request = request();
        *request.extensions_mut() = admitted.extensions().clone();
        request
    };
    let requirement = Requirement::scopes([Scope::AUDIT_READ, Scope::from_static("c:d")]);
    let auth = auth.with_requirement(requirement.clone()).layer(Inner);
    let require = RequireLayer::new(requirement).layer(Inner);
    for ((total, response), own) in [
        (serve(auth, request()), THE_FIRST),
        (serve(require, authenticated()), AMONG_OTHERS),
    ] {
        let kind = rejection_of(&response).kind();
        assert_eq!(kind, RejectionKind::InsufficientScope);
        assert_eq!(total, own + 1);
    }
}

fn rejection_of<B>(response: &Response<B>) -> &Rejection {
    response.extensions().get().expect("a refusal")
}

/// C35: the record, its slot in the extensions, and the id that the answer carries; one less where the request brings one.
#[cfg(feature = "audit")]
#[test]
fn auditing_allocates_three_times() {
    use coverbase_auth::audit::{AuditLayer, AuditRecord, AuditSink};
    use http::header::CONTENT_TYPE;

    #[derive(Debug)]
    struct Nowhere;

    impl AuditSink for Nowhere {
        fn record(&self, _: AuditRecord) {}
    }

    let (key, auth) = layer_of(record());
    let audit = AuditLayer::new(Nowhere);
    let json = tower::util::MapResponseLayer::new(|mut response: Response<_>| {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    });
    // A server's URIs are parts of what it has read.
    let uri = http::Uri::from_static("/v1/reports?page=2");
    for brought in [None, Some("req-1")] {
        let request = || {
            let mut request = request(key.expose_secret(), 3);
            *request.uri_mut() = uri.clone();
            // The map of extensions has room for three.
            let peer = PeerAddr::new(([203, 0, 113, 9], 443));
            request.extensions_mut().insert(peer);
            let brought = brought.map(HeaderValue::from_static);
            brought.map(|id| request.headers_mut().insert("x-request-id", id));
            request
        };
        let (plain, _) = serve((&auth, &json).layer(Inner), request());
        let audited = || serve((&audit, &auth, &json).layer(Inner), request());
        audited();
        let (total, response) = audited();
        assert!(response.headers().contains_key("x-request-id"));
        assert_eq!(total - plain, 3);
    }
}
