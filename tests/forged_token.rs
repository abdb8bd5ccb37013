//! A forged token costs memory proportional to its length, whatever it contains (T14): the signature is verified before
//! the claims are read. This is a test binary of its own because its allocator counts.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    pin::pin,
    task::{Context, Poll, Waker},
};

use coverbase_auth::{
    CoverbaseAuthLayer, Issuer, JwtVerifier, MemoryStore, Rejection, RejectionKind,
    testing::TestIssuer,
};
use http::{Request, Response, header::AUTHORIZATION};
use tower::{Layer, ServiceExt, service_fn};

const ISSUER: &str = "https://clerk.coverbase.test";

/// The bytes that a forged token may allocate, for each byte of its length.
const BOUND: usize = 4;

/// Counts the bytes that this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + size);
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The bytes allocated for a request with this token, and the kind of its rejection.
fn ask(layer: &CoverbaseAuthLayer, token: &str) -> (usize, Option<RejectionKind>) {
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let service = layer.layer(inner);
    let mut request = Request::new(());
    let credential = format!("Bearer {token}").try_into().unwrap();
    request.headers_mut().insert(AUTHORIZATION, credential);

    let before = ALLOCATED.get();
    let future = pin!(service.oneshot(request));
    let Poll::Ready(response) = future.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the answer is pending");
    };
    let allocated = ALLOCATED.get() - before;
    let kind = response.unwrap().extensions().get().map(Rejection::kind);
    (allocated, kind)
}

/// Layers with one issuer and with several.
fn layers(issuer: &TestIssuer) -> [CoverbaseAuthLayer; 2] {
    let one = JwtVerifier::new(ISSUER, issuer.key_set());
    let other = TestIssuer::new("https://other.test");
    let several = one
        .clone()
        .with_issuer(Issuer::new(other.issuer(), other.key_set()));
    [one, several].map(|verifier| CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier))
}

/// Objects of `length` bytes inside one another, and beside one another.
fn objects(length: usize) -> [String; 2] {
    let nested = "{\"a\":".repeat(length / 6) + "0" + &"}".repeat(length / 6);
    let beside = format!("[{}0]", "{\"\":0},".repeat(length / 7));
    [nested, beside]
}

fn header(issuer: &TestIssuer) -> String {
    format!(r#"{{"alg":"ES256","kid":"{}"}}"#, issuer.kid())
}

/// Replaces the signature by that of another token.
fn forged(issuer: &TestIssuer, token: &str) -> String {
    let other = issuer.token().sign();
    let (_, signature) = other.rsplit_once('.').unwrap();
    let (signing_input, _) = token.rsplit_once('.').unwrap();
    format!("{signing_input}.{signature}")
}

// T14
#[test]
fn forged_token_allocates_no_more_than_a_multiple_of_its_length() {
    let issuer = TestIssuer::new(ISSUER);
    for layer in layers(&issuer) {
        // What is initialized once for the thread or process is initialized before anything is counted.
        ask(&layer, &forged(&issuer, &issuer.token().sign()));
        for objects in objects(5_900) {
            let (payload, header) = (format!(r#"{{"iss":"{ISSUER}"}}"#), header(&issuer));
            let with = |json: &str, before: bool| {
                let inside = &json[1..json.len() - 1];
                if before {
                    format!("{{\"x\":{objects},{inside}}}")
                } else {
                    format!("{{{inside},\"x\":{objects}}}")
                }
            };
            for token in [
                issuer.sign_raw(&header, with(&payload, true)),
                issuer.sign_raw(&header, with(&payload, false)),
                issuer.sign_raw(with(&header, true), &payload),
                issuer.sign_raw(with(&header, false), &payload),
            ] {
                assert!((7_900..=8_192).contains(&token.len()), "{}", token.len());
                let (allocated, kind) = ask(&layer, &forged(&issuer, &token));
                assert_eq!(kind, Some(RejectionKind::InvalidSessionToken));
                assert!(
                    allocated <= BOUND * token.len(),
                    "{allocated} bytes for {}: {}",
                    token.len(),
                    &objects[..10]
                );
            }
        }
    }
}

// The bound is one that the reading of the claims exceeds.
#[test]
fn signed_token_of_many_objects_allocates_more() {
    let issuer = TestIssuer::new(ISSUER);
    let [_, beside] = objects(5_900);
    let claims = format!("{{\"iss\":\"{ISSUER}\",\"x\":{beside}}}");
    let token = issuer.sign_raw(header(&issuer), claims);
    for layer in layers(&issuer) {
        let (allocated, _) = ask(&layer, &token);
        assert!(allocated > BOUND * token.len(), "{allocated}");
    }
}
