//! The time that each outcome adds to a request, over the bare service: `cargo bench --all-features --bench request`.

#[path = "support/mod.rs"]
mod support;

use std::fmt::Debug;

use coverbase_auth::{
    ClientIpSource, CoverbaseAuthLayer, KeyDigest, KeyStore, Lookup, MemoryStore, Rejection,
    RejectionKind as Kind, RequireLayer, Requirement, RouteTable, Scope, testing::TestIssuer,
};
use http::{Method, Request, Response};
use support::{
    race::{Contender, Limit, print_budget, print_heading, print_row, race},
    requests::{always, bearer, hot_set, in_turn, key, request},
    services::{
        Bare, Down, Nowhere, cached, layer, record, response_of, restricted, routes, store,
        store_of,
    },
    sessions::{ISSUER, token, verifier},
};
use tower::{Layer, Service};

/// The keys of the hot set; each request presents the next one.
const HOT: u64 = 1000;

/// Calls per round: the first thousand bring the hot set back into the processor's cache.
const CALLS: usize = 4000;

/// Calls per round that verify a signature.
const VERIFICATIONS: usize = 50;

fn main() {
    let issuer = TestIssuer::new(ISSUER);
    let mut contenders = vec![
        Contender::service("bare", CALLS, Bare, hot_set(HOT)),
        Contender::service("bare, no credential", CALLS, Bare, || request(None)),
    ];
    contenders.extend(admitted(&issuer));
    contenders.extend(rejected(&issuer));
    let times = race(contenders, 200);

    let added = |name: &str| match name {
        "rejected: credential missing" => times.of(name) - times.of("bare, no credential"),
        _ => times.of(name) - times.of("bare"),
    };
    print_heading("Time added to a request, by outcome", &["ns"]);
    for (name, _) in times.iter().filter(|(name, _)| !name.starts_with("bare")) {
        print_row(name, &[added(name)]);
    }
    print_budget(
        "added time of a key in a `CachedStore`, to a key in memory",
        added("key, CachedStore") / added("key"),
        Limit::AtMost(1.25),
    );
}

fn admitted(issuer: &TestIssuer) -> [Contender<'static>; 9] {
    let require = RequireLayer::new(Requirement::scope(Scope::AUDIT_READ));
    let sessions = layer(HOT).with_jwt(verifier(issuer)).layer(Bare);
    let key = |name, layer: CoverbaseAuthLayer| admits(name, layer.layer(Bare), hot_set(HOT));
    [
        key("key", layer(HOT)),
        key(
            "key, a row of a RouteTable",
            layer(HOT).with_routes(routes()),
        ),
        admits(
            "key, RequireLayer inside",
            (layer(HOT), require).layer(Bare),
            hot_set(HOT),
        ),
        key("key, an allowlist of 1", restricted(HOT, 1)),
        key("key, an allowlist of 1,000", restricted(HOT, 1000)),
        key("key, CachedStore", CoverbaseAuthLayer::new(cached(HOT))),
        key(
            "key, a store that answers with a future",
            CoverbaseAuthLayer::new(Pending(store(HOT))),
        ),
        key("key, audited", layer(HOT).with_audit(Nowhere)),
        admits(
            "session token, verified before",
            sessions,
            always(&token(issuer, 0)),
        ),
    ]
}

fn rejected(issuer: &TestIssuer) -> [Contender<'static>; 9] {
    let key_of = |name, kind, layer| rejects(name, kind, layer, hot_set(HOT));
    let unknown = (HOT..2 * HOT).map(|number| bearer(key(number).expose_secret()));
    let expired = store_of(HOT, |number| record(number).with_expires_at(1));
    let nowhere = ClientIpSource::from_fn(|_| None);
    let other_routes = RouteTable::new().route(Method::GET, "/healthz", Requirement::public());
    [
        rejects(
            "rejected: credential missing",
            Kind::MissingCredential,
            layer(HOT),
            || request(None),
        ),
        rejects(
            "rejected: credential malformed",
            Kind::MalformedCredential,
            layer(HOT),
            always("a,b"),
        ),
        rejects(
            "rejected: key unknown",
            Kind::InvalidApiKey,
            layer(HOT),
            in_turn(unknown.collect()),
        ),
        key_of(
            "rejected: key expired",
            Kind::InvalidApiKey,
            CoverbaseAuthLayer::new(expired),
        ),
        key_of(
            "rejected: address not in the allowlist",
            Kind::IpNotAllowed,
            restricted(HOT, 1).with_client_ip(nowhere),
        ),
        key_of(
            "rejected: scope missing",
            Kind::InsufficientScope,
            layer(HOT).with_requirement(Requirement::scope(Scope::KEYS_MANAGE)),
        ),
        key_of(
            "rejected: no row of the RouteTable",
            Kind::NotFound,
            layer(HOT).with_routes(other_routes),
        ),
        key_of(
            "rejected: store down",
            Kind::AuthUnavailable,
            CoverbaseAuthLayer::new(Down::new()),
        ),
        rejects(
            "rejected: session token forged",
            Kind::InvalidSessionToken,
            layer(HOT).with_jwt(verifier(issuer)),
            always(&token(&TestIssuer::new(ISSUER), 0)),
        ),
    ]
}

fn admits<S, B>(
    name: &str,
    mut service: S,
    mut request: impl FnMut() -> Request<()> + 'static,
) -> Contender<'static>
where
    S: Service<Request<()>, Response = Response<B>, Error: Debug> + 'static,
{
    let response = response_of(&mut service, request());
    assert!(response.status().is_success(), "{name}");
    Contender::service(name, CALLS, service, request)
}

fn rejects(
    name: &str,
    kind: Kind,
    layer: CoverbaseAuthLayer,
    mut request: impl FnMut() -> Request<()> + 'static,
) -> Contender<'static> {
    let mut service = layer.layer(Bare);
    let response = response_of(&mut service, request());
    let rejected = response.extensions().get().map(Rejection::kind);
    assert_eq!(rejected, Some(kind), "{name}");
    let calls = match kind {
        Kind::InvalidSessionToken => VERIFICATIONS,
        _ => CALLS,
    };
    Contender::service(name, calls, service, request)
}

/// A store that answers with a future, as a database does. The future is ready when it is polled.
#[derive(Debug)]
struct Pending(MemoryStore);

impl KeyStore for Pending {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        Lookup::pending(self.0.lookup(digest))
    }
}
