//! coverbase-auth beside its peers, in one run on the same work: `cargo run --release >../results/peers.tsv`.
//!
//! Each contender puts who is calling into the extensions of a request with four headers. The hot set is a thousand keys.

mod by_hand;
mod sessions;
#[path = "../../support/race.rs"]
mod race;
#[path = "../../support/mod.rs"]
mod support;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request as AxumRequest, State},
    http::StatusCode,
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use by_hand::{ByDigest, ByHexDigest, Principal, floor, hex};
use http::Request;
use race::{Contender, print, race};
use support::{Bare, PATH, key, layer, presenting, routed};
use tonic::{Status, service::interceptor::InterceptedService};
use tower::{Layer, ServiceBuilder};
use tower_http::auth::AsyncRequireAuthorizationLayer;

const HOT: u64 = 1000;
const CALLS: usize = 250;

fn main() {
    let rounds = if race::is_test() { 1 } else { 400 };
    print("peers: keys", &race(keys(), rounds));
    print("peers: in axum", &race(in_axum(), rounds));
    for (section, contenders) in sessions::contenders() {
        print(&section, &race(contenders, rounds.div_ceil(4)));
    }
}

/// Requests that present the keys of the hot set in turn.
fn hot_set() -> impl FnMut() -> Request<()> {
    let requests: Vec<_> = (0..HOT).map(|number| presenting(key(number).expose_secret())).collect();
    let mut turn = requests.into_iter().cycle();
    move || turn.next().expect("a cycle does not end")
}

fn by_digest() -> ByDigest {
    let by_digest = ByDigest::default();
    let mut digests = by_digest.0.write().expect("a lock");
    for number in 0..HOT {
        let digest = *key(number).digest().as_bytes();
        digests.insert(digest, Arc::new(Principal::of(number)));
    }
    drop(digests);
    by_digest
}

fn by_hex_digest() -> ByHexDigest {
    let by_hex = ByHexDigest::default();
    let mut digests = by_hex.0.write().expect("a lock");
    for number in 0..HOT {
        let digest = hex(key(number).digest().as_bytes());
        digests.insert(digest, Principal::of(number));
    }
    drop(digests);
    by_hex
}

fn keys() -> Vec<Contender<'static>> {
    let secrets: Vec<_> = (0..HOT).map(|number| key(number).expose_secret().to_owned()).collect();
    let mut secrets = secrets.into_iter().cycle();
    let digests = by_digest();
    let floor = Contender::function("floor: one block and one lookup", CALLS, move || {
        let digests = digests.0.try_read().expect("a lock");
        floor(&digests, secrets.next().expect("a cycle does not end").as_bytes())
    });
    let mut hot = hot_set();
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
        Contender::service("bare", CALLS, Bare, hot_set()),
        Contender::service("bare, routed", CALLS, Bare, move || routed(hot())),
        floor,
        Contender::service("coverbase-auth", CALLS, layer(HOT).layer(Bare), hot_set()),
        Contender::service("coverbase-auth, routed", CALLS, layer(HOT).layer(Bare), {
            let mut hot = hot_set();
            move || routed(hot())
        }),
        Contender::service("tower-http by hand", CALLS, require.layer(Bare), hot_set()),
        Contender::service("tower-http by hand, routed", CALLS, require.layer(Bare), {
            let mut hot = hot_set();
            move || routed(hot())
        }),
        Contender::service(
            "tower-http, hex and by value",
            CALLS,
            require_hex.layer(Bare),
            hot_set(),
        ),
        Contender::service("tonic's interceptor", CALLS, intercepted, hot_set()),
    ]
}

fn in_axum() -> Vec<Contender<'static>> {
    let router = || Router::new().route(PATH, get(async || ()));
    let hot_set = || {
        let mut hot = hot_set();
        move || hot().map(|()| Body::empty())
    };
    let from_fn = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(by_digest(), authenticate))
        .service(router());
    let inside = router().layer(middleware::from_fn_with_state(by_digest(), authenticate));
    vec![
        Contender::service("bare", CALLS, router(), hot_set()),
        Contender::service("coverbase-auth", CALLS, layer(HOT).layer(router()), hot_set()),
        Contender::service("coverbase-auth, Router::layer", CALLS, router().layer(layer(HOT)), hot_set()),
        Contender::service("from_fn", CALLS, from_fn, hot_set()),
        Contender::service("from_fn, Router::layer", CALLS, inside, hot_set()),
    ]
}

async fn authenticate(
    State(keys): State<ByDigest>,
    mut request: AxumRequest,
    next: Next,
) -> Result<Response, StatusCode> {
    let principal = keys.find(request.headers()).ok_or(StatusCode::UNAUTHORIZED)?;
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}
