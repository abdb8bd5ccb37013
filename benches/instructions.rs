//! The main outcomes, for `benches/gate` to count the instructions of: `instructions OUTCOME REPETITIONS`. Without
//! arguments it runs every one once.

#[cfg(feature = "audit")]
#[path = "support/audit_floor.rs"]
mod audit_floor;
#[cfg(feature = "cache")]
#[path = "support/cached.rs"]
mod cached;
#[cfg(all(feature = "jwt", feature = "test-util"))]
#[path = "support/session.rs"]
mod session;
#[path = "support/mod.rs"]
mod support;

#[cfg(feature = "audit")]
use std::sync::Mutex;

#[cfg(feature = "audit")]
use coverbase_auth::audit::{AuditLayer, AuditRecord, AuditSink};
use coverbase_auth::{CoverbaseAuthLayer, Requirement, Scope};
use http::Request;
use support::{
    Bare, Down, answering, from_peer, key, layer, presenting, request, restricted, routed, serve,
    table,
};
use tower::{Layer, Service};

const KEYS: u64 = 1000;

/// How many calls are not counted.
const WARM_UP: usize = 10;

/// Name, and what is called how often.
type Outcome = (&'static str, fn(usize));

const OUTCOMES: &[Outcome] = &[
    ("bare", |n| run(n, Bare, keyed(1))),
    ("bare-routed", |n| run(n, Bare, routed(keyed(1)))),
    ("bare-from-peer", |n| run(n, Bare, from_peer(keyed(0)))),
    ("bare-anonymous", |n| run(n, Bare, request(None))),
    ("bare-anonymous-routed", |n| {
        run(n, Bare, routed(request(None)))
    }),
    ("key", |n| run(n, auth(), keyed(1))),
    ("key-routed", |n| run(n, auth(), routed(keyed(1)))),
    ("bare-slot", |n| run(n, table().layer(Bare), keyed(1))),
    ("key-slot", |n| {
        run(n, (table(), layer(KEYS)).layer(Bare), keyed(1))
    }),
    ("key-allowlist", |n| {
        run(n, restricted(100).layer(Bare), from_peer(keyed(0)))
    }),
    #[cfg(feature = "cache")]
    ("key-cached", |n| {
        let auth = CoverbaseAuthLayer::new(cached::cached(KEYS));
        run(n, auth.layer(Bare), routed(keyed(1)));
    }),
    ("missing", |n| run(n, auth(), request(None))),
    ("missing-routed", |n| run(n, auth(), routed(request(None)))),
    ("malformed", |n| run(n, auth(), presenting("a,b"))),
    ("unknown", |n| run(n, auth(), keyed(KEYS))),
    ("unknown-routed", |n| run(n, auth(), routed(keyed(KEYS)))),
    ("insufficient-scope", |n| run(n, demanding(), keyed(1))),
    ("key-answering", |n| {
        run(n, layer(KEYS).layer(answering()), routed(keyed(1)));
    }),
    #[cfg(feature = "audit")]
    ("key-audited", |n| {
        let audit = AuditLayer::new(Kept::with_room_for(n));
        run(n, (audit, layer(KEYS)).layer(answering()), routed(keyed(1)));
    }),
    #[cfg(feature = "audit")]
    ("key-audited-by-hand", |n| {
        let audited = audit_floor::audited_by_hand(layer(KEYS), n + WARM_UP);
        run(n, audited, routed(keyed(1)));
    }),
    #[cfg(all(feature = "jwt", feature = "test-util"))]
    ("bare-session", |n| run(n, Bare, sessions().1)),
    #[cfg(all(feature = "jwt", feature = "test-util"))]
    ("session-seen", |n| {
        let (auth, request) = sessions();
        run(n, auth.layer(Bare), request);
    }),
    #[cfg(all(feature = "jwt", feature = "test-util"))]
    ("bare-session-routed", |n| {
        run(n, Bare, authenticated(sessions().1));
    }),
    #[cfg(all(feature = "jwt", feature = "test-util"))]
    ("session-seen-routed", |n| {
        let (auth, request) = sessions();
        run(n, auth.layer(Bare), authenticated(request));
    }),
    ("unavailable", |n| run(n, unavailable(), keyed(1))),
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

/// What is made once, for the process or by the allocator, is made in calls that are not counted.
fn run<S: Service<Request<()>>>(repetitions: usize, mut service: S, request: Request<()>) {
    for _ in 0..WARM_UP {
        serve(&mut service, request.clone());
    }
    for _ in 0..repetitions {
        counted(&mut service, request.clone());
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

fn demanding() -> impl Service<Request<()>> {
    let requirement = Requirement::scope(Scope::KEYS_MANAGE);
    layer(KEYS).with_requirement(requirement).layer(Bare)
}

fn unavailable() -> impl Service<Request<()>> {
    CoverbaseAuthLayer::new(Down::new()).layer(Bare)
}

fn keyed(number: u64) -> Request<()> {
    presenting(key(number).expose_secret())
}

/// A sink that only keeps the records: what becomes of them is not the request's to pay.
#[cfg(feature = "audit")]
#[derive(Debug)]
struct Kept(Mutex<Vec<AuditRecord>>);

#[cfg(feature = "audit")]
impl Kept {
    fn with_room_for(records: usize) -> Self {
        Self(Mutex::new(Vec::with_capacity(records + WARM_UP)))
    }
}

#[cfg(feature = "audit")]
impl AuditSink for Kept {
    fn record(&self, record: AuditRecord) {
        self.0.lock().expect("a lock").push(record);
    }
}

/// The request as an outer layer hands it on, which asks for no more than a credential.
fn authenticated(mut request: Request<()>) -> Request<()> {
    request
        .extensions_mut()
        .insert(Requirement::authenticated());
    request
}

/// A layer that takes session tokens, and a request with one of 780 bytes.
#[cfg(all(feature = "jwt", feature = "test-util"))]
fn sessions() -> (CoverbaseAuthLayer, Request<()>) {
    use coverbase_auth::testing::TestIssuer;
    use session::{ISSUER, token, verifier};

    let issuer = TestIssuer::new(ISSUER);
    let auth = layer(KEYS).with_jwt(verifier(&issuer));
    (auth, presenting(&token(&issuer, 0)))
}
