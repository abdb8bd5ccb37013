//! What each outcome takes, beside the bare service with the same request. Only ratios within one run are claims.

#[path = "support/cached.rs"]
mod cached;
#[path = "support/floor.rs"]
mod floor;
#[path = "support/race.rs"]
mod race;
#[path = "support/session.rs"]
mod session;
#[path = "support/mod.rs"]
mod support;

use std::{fmt::Debug, hint::black_box, net::IpAddr, time::Duration};

use cached::cached;
use coverbase_auth::{
    CoverbaseAuthLayer, KeyFormat, KeyRecord, MemoryStore, Rejection, RejectionKind, RequireLayer,
    Requirement, Role, Scope,
    audit::{AuditLayer, AuditRecord, AuditSink},
    testing::TestIssuer,
};
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use floor::lookups_in_turn;
use http::{HeaderName, HeaderValue, Request, Response};
use ipnet::IpNet;
use race::{is_test, thread_nanoseconds};
use session::{ALGORITHMS, ISSUER, signatures_in_turn, token, verifier};
use support::{
    Bare, Down, Pending, always, answer, bearer, from_peer, hot_set, in_turn, key, layer, record,
    request, restricted, routed, serve, store, table,
};
use tower::{Layer, Service};

/// The keys of the hot set; each request presents the next one.
const HOT: u64 = 1000;

criterion_group!(
    name = benches;
    config = Criterion::default()
        .with_measurement(ThreadTime)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(700));
    targets = bare, keys, sessions, refusals, allowlists, requirements, audit
);
criterion_main!(benches);

/// The processor time of this thread, so that a busy machine changes little.
struct ThreadTime;

impl Measurement for ThreadTime {
    type Intermediate = f64;
    type Value = f64;

    fn start(&self) -> f64 {
        thread_nanoseconds()
    }

    fn end(&self, started: f64) -> f64 {
        thread_nanoseconds() - started
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, nanoseconds: &f64) -> f64 {
        *nanoseconds
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

type Group<'a> = BenchmarkGroup<'a, ThreadTime>;

/// One outcome, and the bare service with the same request that it is to be set beside.
fn measure<S: Service<Request<()>>>(
    group: &mut Group<'_>,
    name: &str,
    over: &str,
    mut service: S,
    mut request: impl FnMut() -> Request<()>,
) {
    group.bench_function(BenchmarkId::new(name, over), |bencher| {
        bencher.iter(|| serve(&mut service, request()));
    });
}

/// What needs no service.
fn measure_alone<T>(group: &mut Group<'_>, name: &str, mut call: impl FnMut() -> T) {
    group.bench_function(BenchmarkId::new(name, "nothing"), |bencher| {
        bencher.iter(&mut call);
    });
}

fn bare(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("bare");
    let mut hot = hot_set(HOT);
    let mut good = always(key(0).expose_secret());
    let mut bare = |name: &str, request: &mut dyn FnMut() -> Request<()>| {
        measure(&mut group, name, "nothing", Bare, request);
    };
    bare("hot set", &mut hot);
    bare("routed", &mut || routed(hot()));
    bare("one key", &mut good);
    bare("from peer", &mut || from_peer(good()));
    bare("anonymous", &mut || request(None));
    bare("anonymous, gRPC", &mut || as_grpc(request(None)));
    bare("session", &mut always(&token(&TestIssuer::new(ISSUER), 0)));
    let slot = table().layer(Bare);
    measure(&mut group, "slot", "nothing", slot, hot);
}

fn keys(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("key");
    let mut hot = hot_set(HOT);
    let secrets = (0..HOT).map(|number| key(number).expose_secret().to_owned());
    let digests = (0..HOT).map(|number| (*key(number).digest().as_bytes(), ()));
    let floor = lookups_in_turn(digests.collect(), secrets.collect());
    measure_alone(&mut group, "floor", floor);
    let auth = || layer(HOT).layer(Bare);
    measure(&mut group, "extensions empty", "hot set", auth(), &mut hot);
    measure(&mut group, "routed", "routed", auth(), || routed(hot()));
    let slot = (table(), layer(HOT)).layer(Bare);
    measure(&mut group, "slot", "slot", slot, &mut hot);
    let cached = CoverbaseAuthLayer::new(cached(HOT)).layer(Bare);
    measure(&mut group, "cached", "routed", cached, || routed(hot()));
    let pending = CoverbaseAuthLayer::new(Pending(store(HOT))).layer(Bare);
    measure(&mut group, "pending", "routed", pending, || routed(hot()));
}

fn sessions(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("session");
    let users = if is_test() { 1 } else { 1000 };
    for algorithm in ALGORITHMS {
        let issuer = TestIssuer::new(ISSUER).with_algorithm(algorithm);
        let named = |what: &str| format!("{algorithm} {what}");
        let tokens: Vec<_> = (0..users).map(|user| token(&issuer, user)).collect();
        let mut check = signatures_in_turn(&issuer, &tokens);
        measure_alone(&mut group, &named("bare check"), &mut check);

        let seen = always(&tokens[0]);
        let auth = layer_for(&issuer).layer(Bare);
        measure(&mut group, &named("seen"), "session", auth, seen);

        // Fewer are remembered than come in between, so that each is new when its turn comes again.
        let forgetful = verifier(&issuer).with_remembered_tokens(8);
        let auth = layer(0).with_jwt(forgetful).layer(Bare);
        let new = in_turn(tokens.iter().map(|token| bearer(token)).collect());
        measure(&mut group, &named("new"), "session", auth, new);
    }
}

fn layer_for(issuer: &TestIssuer) -> CoverbaseAuthLayer {
    layer(HOT).with_jwt(verifier(issuer))
}

/// Every refusal that is the layer's to answer; the others are answers of the routes inside.
fn refusals(criterion: &mut Criterion<ThreadTime>) {
    use RejectionKind as Kind;

    let mut group = criterion.benchmark_group("refused");
    let issuer = TestIssuer::new(ISSUER);
    let auth = || layer_for(&issuer);

    let mut anonymous = |name: &str, over: &str, request: fn() -> Request<()>| {
        let service = auth().layer(Bare);
        measure_refusal(
            &mut group,
            name,
            over,
            Kind::MissingCredential,
            service,
            request,
        );
    };
    anonymous("missing", "anonymous", || request(None));
    anonymous("missing, gRPC", "anonymous, gRPC", || {
        as_grpc(request(None))
    });

    let mut token_for = |name: &str, kind, layer: CoverbaseAuthLayer, presented: &str| {
        let service = layer.layer(Bare);
        measure_refusal(
            &mut group,
            name,
            "session",
            kind,
            service,
            always(presented),
        );
    };
    let foreign = token(&TestIssuer::new(ISSUER), 0);
    token_for(
        "session invalid",
        Kind::InvalidSessionToken,
        auth(),
        &foreign,
    );
    let members = auth().with_requirement(Requirement::roles([Role::MEMBER]));
    let admin = token(&issuer, 0);
    token_for("role not accepted", Kind::UnauthorizedRole, members, &admin);

    let (good, unknown) = (key(0), key(HOT));
    let mut key_for = |name: &str, kind, layer: CoverbaseAuthLayer, presented: &str| {
        let service = layer.layer(Bare);
        measure_refusal(
            &mut group,
            name,
            "one key",
            kind,
            service,
            always(presented),
        );
    };
    key_for("malformed", Kind::MalformedCredential, auth(), "a,b");
    key_for(
        "key unknown",
        Kind::InvalidApiKey,
        auth(),
        unknown.expose_secret(),
    );
    let good = good.expose_secret();
    let minted = auth().with_key_format(KeyFormat::Minted);
    key_for("key not minted", Kind::InvalidApiKey, minted, good);
    let expired = with_key(record(0).with_expires_at(1));
    key_for("key expired", Kind::InvalidApiKey, expired, good);
    let revoked = with_key(record(0).with_revoked_at(1));
    key_for("key revoked", Kind::InvalidApiKey, revoked, good);
    let managers = auth().with_requirement(Requirement::scope(Scope::KEYS_MANAGE));
    key_for("scope missing", Kind::InsufficientScope, managers, good);
    key_for(
        "address not allowed",
        Kind::IpNotAllowed,
        restricted(1),
        good,
    );
    let down = CoverbaseAuthLayer::new(Down::new());
    key_for("store down", Kind::AuthUnavailable, down, good);

    let alone = RequireLayer::new(Requirement::authenticated()).layer(Bare);
    let kind = Kind::AuthNotConfigured;
    measure_refusal(&mut group, "no layer", "one key", kind, alone, always(good));
}

/// Makes sure that it is refused for what it is to be refused for.
fn measure_refusal<S, B>(
    group: &mut Group<'_>,
    name: &str,
    over: &str,
    kind: RejectionKind,
    mut service: S,
    mut request: impl FnMut() -> Request<()>,
) where
    S: Service<Request<()>, Response = Response<B>, Error: Debug>,
{
    let answer = answer(&mut service, request());
    let refused = answer.extensions().get().map(Rejection::kind);
    assert_eq!(refused, Some(kind), "{name}");
    measure(group, name, over, service, request);
}

fn with_key(record: KeyRecord) -> CoverbaseAuthLayer {
    let store = MemoryStore::new();
    store.insert(&key(0), record);
    CoverbaseAuthLayer::new(store)
}

fn as_grpc(mut request: Request<()>) -> Request<()> {
    let name = HeaderName::from_static("content-type");
    let grpc = HeaderValue::from_static("application/grpc");
    request.headers_mut().insert(name, grpc);
    request
}

fn allowlists(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("allowlist");
    let network: IpNet = "10.0.0.0/25".parse().expect("a network");
    let address: IpAddr = "10.0.0.9".parse().expect("an address");
    measure_alone(&mut group, "IpNet::contains", || {
        black_box(network).contains(black_box(&address))
    });
    let mut good = always(key(0).expose_secret());
    let mut from_peer = || from_peer(good());
    let open = with_key(record(0)).layer(Bare);
    measure(&mut group, "none", "from peer", open, &mut from_peer);
    for networks in [1, 100, 10_000] {
        let name = networks.to_string();
        let auth = restricted(networks).layer(Bare);
        measure(&mut group, &name, "from peer", auth, &mut from_peer);
    }
}

fn requirements(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("requirement");
    let mut hot = hot_set(HOT);
    let auth = || layer(HOT).layer(Bare);
    measure(&mut group, "none", "hot set", auth(), &mut hot);
    measure(&mut group, "in the extensions", "routed", auth(), || {
        routed(hot())
    });
    let require = RequireLayer::new(Requirement::scope(Scope::AUDIT_READ));
    let inside = (layer(HOT), require).layer(Bare);
    measure(&mut group, "by RequireLayer", "hot set", inside, &mut hot);
    let slot = (table(), layer(HOT)).layer(Bare);
    measure(
        &mut group,
        "by RequirementsLayer",
        "hot set",
        slot,
        &mut hot,
    );
}

/// A sink that loses what it is given.
#[derive(Debug)]
struct Nowhere;

impl AuditSink for Nowhere {
    fn record(&self, _: AuditRecord) {}
}

fn audit(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("audit");
    let mut hot = hot_set(HOT);
    let off = layer(HOT).layer(Bare);
    measure(&mut group, "off", "routed", off, || routed(hot()));
    let on = (AuditLayer::new(Nowhere), layer(HOT)).layer(Bare);
    measure(&mut group, "on", "routed", on, || routed(hot()));
}
