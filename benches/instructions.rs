//! The main outcomes, for `benches/gate` to count the instructions of: `instructions OUTCOME REPETITIONS`. Without
//! arguments it runs every one once.

#[path = "support/mod.rs"]
mod support;

use coverbase_auth::{CoverbaseAuthLayer, IpAllowlist, PeerAddr, Requirement, Scope};
use http::Request;
use support::{Bare, Down, bearer, key, layer, record, request, routed, serve, store};
use tower::{Layer, Service};

const KEYS: u64 = 1000;

/// Name, whether an outer layer has put something into the extensions, and what is called how often.
type Outcome = (&'static str, fn(usize));

const OUTCOMES: &[Outcome] = &[
    ("bare", |n| run(n, &mut Bare, || keyed(1))),
    ("bare-routed", |n| run(n, &mut Bare, || routed(keyed(1)))),
    ("bare-anonymous", |n| run(n, &mut Bare, || request(None))),
    ("key", |n| run(n, &mut auth(), || keyed(1))),
    ("key-routed", |n| run(n, &mut auth(), || routed(keyed(1)))),
    ("key-allowlist", |n| {
        run(n, &mut restricted(), || from_peer(keyed(KEYS)));
    }),
    ("bare-from-peer", |n| {
        run(n, &mut Bare, || from_peer(keyed(KEYS)));
    }),
    ("missing", |n| run(n, &mut auth(), || request(None))),
    ("missing-routed", |n| {
        run(n, &mut auth(), || routed(request(None)));
    }),
    ("bare-anonymous-routed", |n| {
        run(n, &mut Bare, || routed(request(None)));
    }),
    ("malformed", |n| run(n, &mut auth(), || presenting("a,b"))),
    ("unknown", |n| run(n, &mut auth(), || keyed(KEYS))),
    ("unknown-routed", |n| {
        run(n, &mut auth(), || routed(keyed(KEYS)));
    }),
    ("insufficient-scope", |n| {
        let requirement = Requirement::scope(Scope::KEYS_MANAGE);
        let auth = layer(KEYS).with_requirement(requirement);
        run(n, &mut auth.layer(Bare), || keyed(1));
    }),
    ("unavailable", |n| {
        let auth = CoverbaseAuthLayer::new(Down::new());
        run(n, &mut auth.layer(Bare), || keyed(1));
    }),
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|it| !it.starts_with('-'));
    let outcome = arguments.next();
    let repetitions = arguments.next().map_or(1, |it| it.parse().expect("a number"));
    let chosen = |name: &str| outcome.as_ref().is_none_or(|outcome| outcome == name);
    for (_, run) in OUTCOMES.iter().filter(|(name, _)| chosen(name)) {
        run(repetitions);
    }
}

/// What is made once for the process is made in a first call, which is not counted.
fn run<S: Service<Request<()>>>(
    repetitions: usize,
    service: &mut S,
    request: impl Fn() -> Request<()>,
) {
    serve(service, request());
    for _ in 0..repetitions {
        counted(service, request());
    }
}

/// `benches/gate` collects inside of this function alone.
#[inline(never)]
fn counted<S: Service<Request<()>>>(service: &mut S, request: Request<()>) {
    serve(service, request);
}

fn auth() -> impl Service<Request<()>> {
    layer(KEYS).layer(Bare)
}

/// One key more, of an organization that lets in one hundred networks.
fn restricted() -> impl Service<Request<()>> {
    let networks = (0..100).map(|net| format!("203.0.{net}.0/25"));
    let allowlist = IpAllowlist::parse(networks).expect("networks");
    let store = store(KEYS);
    store.insert(&key(KEYS), record(KEYS).with_allowlist(allowlist));
    CoverbaseAuthLayer::new(store).layer(Bare)
}

fn keyed(number: u64) -> Request<()> {
    presenting(key(number).expose_secret())
}

fn presenting(token: &str) -> Request<()> {
    request(Some(&bearer(token)))
}

fn from_peer(mut request: Request<()>) -> Request<()> {
    request
        .extensions_mut()
        .insert(PeerAddr::new(([203, 0, 50, 9], 443)));
    request
}
