//! What each outcome takes over the bare service. Only ratios within one run are claims.

#[path = "support/race.rs"]
mod race;
#[path = "support/mod.rs"]
mod support;

use coverbase_auth::{CoverbaseAuthLayer, RequireLayer, Requirement, Scope};
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use http::{HeaderName, HeaderValue, Request};
use race::thread_nanoseconds;
use support::{
    Bare, Down, Pending, from_peer, key, layer, presenting, request, restricted, routed, serve,
    store,
};
use tower::{Layer, Service};

/// The keys of the hot set; each request presents the next one.
const HOT: u64 = 1000;

criterion_group!(
    name = benches;
    config = Criterion::default().with_measurement(ThreadTime);
    targets = bare, keys, refusals, allowlists, requirements
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

fn measure<S: Service<Request<()>>>(
    group: &mut Group<'_>,
    name: &str,
    mut service: S,
    mut request: impl FnMut() -> Request<()>,
) {
    group.bench_function(name, |bencher| {
        bencher.iter_batched(
            &mut request,
            |request| serve(&mut service, request),
            BatchSize::SmallInput,
        );
    });
}

/// Requests that present the keys 0 to 999 in turn.
fn hot_set() -> impl FnMut() -> Request<()> {
    let requests: Vec<_> = (0..HOT)
        .map(|number| presenting(key(number).expose_secret()))
        .collect();
    let mut turn = requests.into_iter().cycle();
    move || turn.next().expect("a cycle does not end")
}

fn bare(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("bare");
    let mut hot = hot_set();
    measure(&mut group, "empty", Bare, &mut hot);
    measure(&mut group, "routed", Bare, || routed(hot()));
    measure(&mut group, "anonymous", Bare, || request(None));
    measure(&mut group, "from peer", Bare, || from_peer(hot()));
}

fn keys(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("key");
    let mut hot = hot_set();
    measure(&mut group, "empty", layer(HOT).layer(Bare), &mut hot);
    measure(&mut group, "routed", layer(HOT).layer(Bare), || {
        routed(hot())
    });
    let pending = CoverbaseAuthLayer::new(Pending(store(HOT)));
    measure(&mut group, "pending", pending.layer(Bare), || routed(hot()));
}

fn refusals(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("refused");
    let auth = || layer(HOT).layer(Bare);
    let good = presenting(key(0).expose_secret());
    let unknown = presenting(key(HOT).expose_secret());
    let malformed = presenting("a,b");
    measure(&mut group, "missing", auth(), || request(None));
    measure(&mut group, "malformed", auth(), || malformed.clone());
    measure(&mut group, "unknown", auth(), || unknown.clone());
    let demanding = layer(HOT).with_requirement(Requirement::scope(Scope::KEYS_MANAGE));
    measure(
        &mut group,
        "insufficient scope",
        demanding.layer(Bare),
        || good.clone(),
    );
    let restricted = restricted(1);
    measure(&mut group, "ip not allowed", restricted.layer(Bare), || {
        good.clone()
    });
    let down = CoverbaseAuthLayer::new(Down::new());
    measure(&mut group, "unavailable", down.layer(Bare), || good.clone());
    let grpc = {
        let mut request = request(None);
        let name = HeaderName::from_static("content-type");
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static("application/grpc"));
        request
    };
    measure(&mut group, "missing, grpc", auth(), || grpc.clone());
}

fn allowlists(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("allowlist");
    let good = presenting(key(0).expose_secret());
    for networks in [1, 100, 10_000] {
        let auth = restricted(networks).layer(Bare);
        measure(&mut group, &networks.to_string(), auth, || {
            from_peer(good.clone())
        });
    }
}

fn requirements(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("requirement");
    let mut hot = hot_set();
    measure(
        &mut group,
        "in the extensions",
        layer(HOT).layer(Bare),
        || routed(hot()),
    );
    let require = RequireLayer::new(Requirement::scope(Scope::AUDIT_READ));
    let inside = (layer(HOT), require).layer(Bare);
    measure(&mut group, "by RequireLayer", inside, &mut hot);
}
