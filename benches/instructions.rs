//! The outcomes whose instructions `benches/gate` counts: `instructions OUTCOME REPETITIONS`. Without arguments every outcome
//! runs once.

#[path = "support/mod.rs"]
mod support;

use coverbase_auth::{CoverbaseAuthLayer, RequireLayer, Requirement, Scope, testing::TestIssuer};
use http::Request;
use support::{
    requests::{presenting, request, with_key},
    services::{Bare, Down, Nowhere, cached, layer, restricted, routes, serve},
    sessions::{ISSUER, token, verifier},
};
use tower::{Layer, Service};

const KEYS: u64 = 1000;

/// Calls that are not counted: they make what is made once for the process.
const WARM_UP: usize = 10;

/// A name, and a function that repeats the call.
type Outcome = (&'static str, fn(usize));

const OUTCOMES: &[Outcome] = &[
    ("bare", |n| run(n, Bare, with_key(1))),
    ("bare-anonymous", |n| run(n, Bare, request(None))),
    ("bare-no-extensions", |n| {
        run(n, Bare, without_extensions(with_key(1)));
    }),
    ("key", |n| run(n, layer(KEYS).layer(Bare), with_key(1))),
    ("key-no-extensions", |n| {
        run(n, layer(KEYS).layer(Bare), without_extensions(with_key(1)));
    }),
    ("key-route", |n| {
        let auth = layer(KEYS).with_routes(routes());
        run(n, auth.layer(Bare), with_key(1));
    }),
    ("key-require-layer", |n| {
        let require = RequireLayer::new(Requirement::scope(Scope::AUDIT_READ));
        run(n, (layer(KEYS), require).layer(Bare), with_key(1));
    }),
    ("key-allowlist", |n| {
        run(n, restricted(KEYS, 100).layer(Bare), with_key(1));
    }),
    ("key-cached", |n| {
        let auth = CoverbaseAuthLayer::new(cached(KEYS));
        run(n, auth.layer(Bare), with_key(1));
    }),
    ("key-audited", |n| {
        run(n, layer(KEYS).with_audit(Nowhere).layer(Bare), with_key(1));
    }),
    ("session-seen", |n| {
        let issuer = TestIssuer::new(ISSUER);
        let auth = layer(KEYS).with_jwt(verifier(&issuer));
        run(n, auth.layer(Bare), presenting(&token(&issuer, 0)));
    }),
    ("missing", |n| {
        run(n, layer(KEYS).layer(Bare), request(None));
    }),
    ("malformed", |n| {
        run(n, layer(KEYS).layer(Bare), presenting("a,b"));
    }),
    ("unknown", |n| {
        run(n, layer(KEYS).layer(Bare), with_key(KEYS));
    }),
    ("insufficient-scope", |n| {
        let requirement = Requirement::scope(Scope::KEYS_MANAGE);
        let auth = layer(KEYS).with_requirement(requirement);
        run(n, auth.layer(Bare), with_key(1));
    }),
    ("unavailable", |n| {
        let auth = CoverbaseAuthLayer::new(Down::new());
        run(n, auth.layer(Bare), with_key(1));
    }),
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|it| !it.starts_with('-'));
    let outcome = arguments.next();
    let repetitions = arguments
        .next()
        .map_or(1, |it| it.parse().expect("a number"));
    let chosen = |name: &str| outcome.as_ref().is_none_or(|outcome| outcome == name);
    for (_, run) in OUTCOMES.iter().filter(|(name, _)| chosen(name)) {
        run(repetitions);
    }
}

fn run<S: Service<Request<()>>>(repetitions: usize, mut service: S, request: Request<()>) {
    for _ in 0..WARM_UP {
        serve(&mut service, request.clone());
    }
    for _ in 0..repetitions {
        counted(&mut service, request.clone());
    }
}

/// The function inside which `benches/gate` counts.
#[inline(never)]
fn counted<S: Service<Request<()>>>(service: &mut S, request: Request<()>) {
    serve(service, request);
}

fn without_extensions(mut request: Request<()>) -> Request<()> {
    request.extensions_mut().clear();
    request
}
