//! coverbase-auth beside its peers, in one run on the same work: `cargo run --release >../results/peers.tsv`. With
//! `--test` each contender runs once.
//!
//! Each puts who is calling into the extensions of a request with four headers. The hot set is a thousand keys.

mod by_hand;
#[path = "../../support/floor.rs"]
mod floor;
#[path = "../../support/race.rs"]
mod race;
#[path = "../../support/session.rs"]
mod session;
mod sessions;
#[path = "../../support/mod.rs"]
mod support;

use std::{
    fmt::Debug,
    sync::{Arc, RwLock},
};

use axum::{
    Router,
    body::Body,
    extract::{Request as AxumRequest, State},
    http::StatusCode,
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use by_hand::{ByDigest, ByHexDigest, Principal, hex};
use floor::{Digests, lookups_in_turn};
use http::Request;
use race::{Contender, print, race};
use support::{Bare, PATH, answer, hot_set, key, layer, routed};
use tonic::{Status, service::interceptor::InterceptedService};
use tower::{Layer, Service, ServiceBuilder};
use tower_http::auth::AsyncRequireAuthorizationLayer;

const HOT: u64 = 1000;
/// Calls in a turn: the first thousand bring the hot set back into the cache.
const CALLS: usize = 4000;

fn main() {
    let rounds = if race::is_test() { 1 } else { 200 };
    print("peers: keys", &race(keys(), rounds));
    print("peers: in axum", &race(in_axum(), rounds));
    for (section, contenders) in sessions::contenders(rounds) {
        print(&section, &race(contenders, rounds));
    }
}

/// A contender that has been seen to let a request in: one that refuses would be measured refusing.
fn admitting<S, B>(
    name: &str,
    calls: usize,
    mut service: S,
    mut request: impl FnMut() -> Request<B> + 'static,
) -> Contender<'static>
where
    S: Service<Request<B>, Response: Answer, Error: Debug> + 'static,
{
    let answer = answer(&mut service, request());
    assert!(answer.is_success(), "{name} lets nobody in");
    Contender::service(name, calls, service, request)
}

trait Answer {
    fn is_success(&self) -> bool;
}

impl<B> Answer for Response<B> {
    fn is_success(&self) -> bool {
        self.status().is_success()
    }
}

fn digests() -> Digests<Arc<Principal>> {
    let of = |number| {
        (
            *key(number).digest().as_bytes(),
            Arc::new(Principal::of(number)),
        )
    };
    (0..HOT).map(of).collect()
}

fn by_digest() -> ByDigest {
    ByDigest(Arc::new(RwLock::new(digests())))
}

fn by_hex_digest() -> ByHexDigest {
    let of = |number| (hex(key(number).digest().as_bytes()), Principal::of(number));
    ByHexDigest(Arc::new(RwLock::new((0..HOT).map(of).collect())))
}

fn keys() -> Vec<Contender<'static>> {
    let secrets = (0..HOT).map(|number| key(number).expose_secret().to_owned());
    let floor = lookups_in_turn(digests(), secrets.collect());
    let routed_requests = || {
        let mut hot = hot_set(HOT);
        move || routed(hot())
    };
    let intercepted = {
        let keys = by_digest();
        InterceptedService::new(Bare, move |mut request: tonic::Request<()>| {
            let authorization = request.metadata().get("authorization");
            let token = authorization
                .and_then(|it| it.to_str().ok())
                .and_then(|it| it.strip_prefix("Bearer "));
            let principal = token.and_then(|token| keys.find_token(token));
            let principal = principal.ok_or_else(|| Status::unauthenticated("unknown"))?;
            request.extensions_mut().insert(principal);
            Ok(request)
        })
    };
    let require = AsyncRequireAuthorizationLayer::new(by_digest());
    let require_hex = AsyncRequireAuthorizationLayer::new(by_hex_digest());
    vec![
        admitting("bare", CALLS, Bare, hot_set(HOT)),
        admitting("bare, routed", CALLS, Bare, routed_requests()),
        Contender::function("floor: one block and one lookup", CALLS, floor),
        admitting(
            "coverbase-auth",
            CALLS,
            layer(HOT).layer(Bare),
            hot_set(HOT),
        ),
        admitting(
            "coverbase-auth, routed",
            CALLS,
            layer(HOT).layer(Bare),
            routed_requests(),
        ),
        admitting(
            "tower-http by hand",
            CALLS,
            require.layer(Bare),
            hot_set(HOT),
        ),
        admitting(
            "tower-http by hand, routed",
            CALLS,
            require.layer(Bare),
            routed_requests(),
        ),
        admitting(
            "tower-http, hex and by value",
            CALLS,
            require_hex.layer(Bare),
            hot_set(HOT),
        ),
        admitting("tonic's interceptor", CALLS, intercepted, hot_set(HOT)),
    ]
}

fn in_axum() -> Vec<Contender<'static>> {
    let router = || Router::new().route(PATH, get(async || ()));
    let requests = || {
        let mut hot = hot_set(HOT);
        move || hot().map(|()| Body::empty())
    };
    let from_fn = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(by_digest(), authenticate))
        .service(router());
    let inside = router().layer(middleware::from_fn_with_state(by_digest(), authenticate));
    vec![
        admitting("bare", CALLS, router(), requests()),
        admitting(
            "coverbase-auth",
            CALLS,
            layer(HOT).layer(router()),
            requests(),
        ),
        admitting(
            "coverbase-auth, Router::layer",
            CALLS,
            router().layer(layer(HOT)),
            requests(),
        ),
        admitting("from_fn", CALLS, from_fn, requests()),
        admitting("from_fn, Router::layer", CALLS, inside, requests()),
    ]
}

async fn authenticate(
    State(keys): State<ByDigest>,
    mut request: AxumRequest,
    next: Next,
) -> Result<Response, StatusCode> {
    let principal = keys
        .find(request.headers())
        .ok_or(StatusCode::UNAUTHORIZED)?;
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}
