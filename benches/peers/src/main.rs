//! coverbase-auth and its peers, in one run on the same requests: `cargo run --release`. With `--test` each contender runs
//! once.
//!
//! Each contender adds the caller to the extensions of a request with four headers, and each layer of keys knows the same
//! thousand.

mod by_hand;
mod floor;
mod sessions;
#[path = "../../support/mod.rs"]
mod support;

use std::fmt::Debug;

use axum::{
    Router,
    body::Body,
    extract::{Request as AxumRequest, State},
    http::StatusCode,
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use by_hand::{Keys, KeysByHexDigest, digests, require_authorization};
use coverbase_auth::{CoverbaseAuthLayer, Requirement, Scope};
use floor::lookups_in_turn;
use http::Request;
use ipnet::IpNet;
use support::{
    race::{Contender, Limit, Medians, print_budget, print_heading, print_row, race},
    requests::{PATH, hot_set, key},
    services::{Bare, allowlist, response_of, restricted},
};
use tonic::{Status, service::interceptor::InterceptedService};
use tower::{Layer, Service, ServiceBuilder};

const HOT: u64 = 1000;

/// Calls per round: the first thousand bring the hot set back into the processor's cache.
const CALLS: usize = 4000;

const ROUNDS: usize = 200;

/// The networks that each key is restricted to. The client is in the last one.
const NETWORKS: u16 = 3;

const OURS: &str = "coverbase-auth";
const SAME_CHECKS: &str = "by hand, the same checks";

fn main() {
    let keys = race(keys(), ROUNDS);
    print(
        "Time added by a known key: tower-http and tonic",
        &keys,
        OURS,
    );
    print_budget(
        "added time of a known key, to tower-http by hand with the same checks",
        added(&keys, OURS) / added(&keys, SAME_CHECKS),
        Limit::AtMost(1.0),
    );
    let around = race(around_router(), ROUNDS);
    print(
        "Time added by a known key: axum, around the Router",
        &around,
        OURS,
    );
    print_budget(
        "added time of a known key, to axum's from_fn with the same checks",
        added(&around, OURS) / added(&around, SAME_CHECKS),
        Limit::AtMost(0.5),
    );
    let inside = race(inside_router(), ROUNDS);
    print(
        "Time added by a known key: axum, Router::layer",
        &inside,
        OURS,
    );
    sessions::run();
}

/// Returns what a contender adds to the bare service with the same kind of request. A floor has no service.
fn added(times: &Medians, name: &str) -> f64 {
    if name.starts_with("floor") {
        return times.of(name);
    }
    let bare = match name.ends_with("verified before") {
        true => "bare, verified before",
        false => "bare",
    };
    times.of(name) - times.of(bare)
}

/// Prints what each contender adds to the bare service, and how much `ours` adds in comparison.
fn print(title: &str, times: &Medians, ours: &str) {
    print_heading(title, &["ns", "coverbase-auth to this"]);
    for (name, _) in times.iter().filter(|(name, _)| !name.starts_with("bare")) {
        let ratio = added(times, ours) / added(times, name);
        print_row(name, &[added(times, name), ratio]);
    }
}

/// Measures a contender after a check that it admits the request: rejecting would be measured as well.
fn admitting<S, B>(
    name: &str,
    calls: usize,
    mut service: S,
    mut request: impl FnMut() -> Request<B> + 'static,
) -> Contender<'static>
where
    S: Service<Request<B>, Response: Admission, Error: Debug> + 'static,
{
    let response = response_of(&mut service, request());
    assert!(response.is_admission(), "{name} rejects the request");
    Contender::service(name, calls, service, request)
}

trait Admission {
    fn is_admission(&self) -> bool;
}

impl<B> Admission for Response<B> {
    fn is_admission(&self) -> bool {
        self.status().is_success()
    }
}

/// The layer with the checks that are then written by hand.
fn ours() -> CoverbaseAuthLayer {
    restricted(HOT, NETWORKS).with_requirement(Requirement::scope(Scope::AUDIT_READ))
}

fn networks() -> Vec<IpNet> {
    allowlist(NETWORKS).networks().to_vec()
}

fn keys() -> Vec<Contender<'static>> {
    let secrets = (0..HOT).map(|number| key(number).expose_secret().to_owned());
    let floor = lookups_in_turn(digests(HOT, |_| ()), secrets.collect());
    let by_hand = Keys::new(HOT, &networks());
    let (look_up, intercept, by_hex) =
        (by_hand.clone(), by_hand.clone(), KeysByHexDigest::new(HOT));
    let same_checks =
        require_authorization(move |request| by_hand.authorize(request, "audit:read"));
    let lookup = require_authorization(move |request| look_up.find(request.headers()));
    let hex = require_authorization(move |request| by_hex.find(request.headers()));
    let intercepted = InterceptedService::new(Bare, move |mut request: tonic::Request<()>| {
        let authorization = request.metadata().get("authorization");
        let token = authorization
            .and_then(|it| it.to_str().ok())
            .and_then(|it| it.strip_prefix("Bearer "));
        let record = token.and_then(|token| intercept.find_token(token).ok());
        let record = record.ok_or_else(|| Status::unauthenticated("unknown"))?;
        request.extensions_mut().insert(record);
        Ok(request)
    });
    let hot = || hot_set(HOT);
    vec![
        admitting("bare", CALLS, Bare, hot()),
        Contender::function("floor: one SHA-256, one lookup", CALLS, floor),
        admitting(OURS, CALLS, ours().layer(Bare), hot()),
        admitting(SAME_CHECKS, CALLS, same_checks.layer(Bare), hot()),
        admitting("by hand, only the lookup", CALLS, lookup.layer(Bare), hot()),
        admitting(
            "by hand, only the lookup, by a hexadecimal digest",
            CALLS,
            hex.layer(Bare),
            hot(),
        ),
        admitting(
            "tonic's interceptor, only the lookup",
            CALLS,
            intercepted,
            hot(),
        ),
    ]
}

fn router() -> Router {
    Router::new().route(PATH, get(async || ()))
}

/// The middlewares as services around the Router.
fn around_router() -> Vec<Contender<'static>> {
    let keys = Keys::new(HOT, &networks());
    let same_checks = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(keys.clone(), authorize))
        .service(router());
    let lookup = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(keys, look_up))
        .service(router());
    vec![
        in_axum("bare", router()),
        in_axum(OURS, ours().layer(router())),
        in_axum(SAME_CHECKS, same_checks),
        in_axum("by hand, only the lookup", lookup),
    ]
}

/// The middlewares as layers of the Router.
fn inside_router() -> Vec<Contender<'static>> {
    let keys = Keys::new(HOT, &networks());
    let same_checks = middleware::from_fn_with_state(keys.clone(), authorize);
    let lookup = middleware::from_fn_with_state(keys, look_up);
    vec![
        in_axum("bare", router()),
        in_axum(OURS, router().layer(ours())),
        in_axum(SAME_CHECKS, router().layer(same_checks)),
        in_axum("by hand, only the lookup", router().layer(lookup)),
    ]
}

fn in_axum<S>(name: &str, service: S) -> Contender<'static>
where
    S: Service<AxumRequest, Response: Admission, Error: Debug> + 'static,
{
    let mut hot = hot_set(HOT);
    admitting(name, CALLS, service, move || hot().map(|()| Body::empty()))
}

async fn authorize(
    State(keys): State<Keys>,
    mut request: AxumRequest,
    next: Next,
) -> Result<Response, StatusCode> {
    let record = keys.authorize(&request, "audit:read")?;
    request.extensions_mut().insert(record);
    Ok(next.run(request).await)
}

async fn look_up(
    State(keys): State<Keys>,
    mut request: AxumRequest,
    next: Next,
) -> Result<Response, StatusCode> {
    let record = keys.find(request.headers())?;
    request.extensions_mut().insert(record);
    Ok(next.run(request).await)
}
