//! Session tokens. No peer remembers a token that it has verified.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use coverbase_auth::{Algorithm, CoverbaseAuthLayer, MemoryStore, testing::TestIssuer};
use http::{Request, Response};
use jwt_authorizer::{
    AuthError, IntoLayer, JwtAuthorizer, RegisteredClaims, Validation, layer::AuthorizationLayer,
};
use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator, http_layer::HttpAuthLayer};
use tokio::runtime::Runtime;
use tower::{Layer, Service};
use tower_oauth2_resource_server::{
    claims::DefaultClaims, layer::OAuth2ResourceServerLayer, server::OAuth2ResourceServer,
    tenant::TenantConfiguration, validation::ClaimsValidationSpec,
};

use crate::{
    Admission, ROUNDS, added, admitting,
    floor::signatures_in_turn,
    print,
    support::{
        race::{Contender, Limit, is_test, print_budget, race},
        requests::{always, bearer, in_turn},
        services::Bare,
        sessions::{AUDIENCE, ISSUER, token, verifier},
    },
};

/// Calls per round: enough that the first one, which finds cold caches, weighs little.
const CALLS: usize = 20;

/// Calls per round with a token that was verified before.
const SEEN_CALLS: usize = 1000;

const SEEN: &str = "coverbase-auth, verified before";
const NEW: &str = "coverbase-auth, new";
const FLOOR: &str = "floor: one signature, key parsed before";
const PEERS: [&str; 3] = [
    "jwt-authorizer",
    "oauth-resource-server",
    "tower-oauth2-resource-server",
];

/// For each algorithm: how many times as long the quickest peer takes at least, and how a new token compares to its
/// signature at most.
const ALGORITHMS: [(Algorithm, Option<f64>, f64); 3] = [
    (Algorithm::Rs256, Some(100.0), 1.25),
    (Algorithm::Es256, Some(250.0), 1.1),
    (Algorithm::EdDsa, None, 1.1),
];

pub(crate) fn run() {
    for (algorithm, times_as_long, to_signature) in ALGORITHMS {
        let issuer = TestIssuer::new(ISSUER).with_algorithm(algorithm);
        let times = race(contenders(&issuer), ROUNDS);
        print(
            &format!("Time added by a session token: {algorithm}"),
            &times,
            SEEN,
        );
        let added = |name| added(&times, name);
        if let Some(limit) = times_as_long {
            let quickest = PEERS.into_iter().map(added).fold(f64::INFINITY, f64::min);
            let name = format!(
                "{algorithm} token verified before: the quickest peer takes so many times as long"
            );
            print_budget(&name, quickest / added(SEEN), Limit::AtLeast(limit));
        }
        let name = format!("{algorithm} token, new, to the bare signature check");
        print_budget(
            &name,
            added(NEW) / added(FLOOR),
            Limit::AtMost(to_signature),
        );
    }
}

fn contenders(issuer: &TestIssuer) -> Vec<Contender<'static>> {
    // A token for each call: one to see that it is admitted, a round to warm up, and the rounds.
    let rounds = if is_test() { 1 } else { ROUNDS };
    let calls = CALLS * (rounds + 1) + 1;
    let tokens: Vec<_> = (0..calls).map(|user| token(issuer, user)).collect();
    let signatures = signatures_in_turn(issuer, &tokens);
    let new = || in_turn(tokens.iter().map(|token| bearer(token)).collect());
    let seen = || always(&tokens[0]);
    let [jwt_authorizer_name, oauth_name, tower_oauth2_name] = PEERS;
    let jwt_authorizer = jwt_authorizer(issuer).layer(Answering);
    let oauth = oauth_resource_server(issuer).layer(Bare);
    let tower_oauth2 = tower_oauth2_resource_server(issuer).layer(Bare);
    vec![
        admitting("bare", CALLS, Bare, new()),
        admitting("bare, verified before", SEEN_CALLS, Bare, seen()),
        Contender::function(FLOOR, CALLS, signatures),
        admitting(SEEN, SEEN_CALLS, ours(issuer), seen()),
        admitting(NEW, CALLS, ours(issuer), new()),
        admitting(jwt_authorizer_name, CALLS, jwt_authorizer, new()),
        admitting(oauth_name, CALLS, oauth, new()),
        admitting(tower_oauth2_name, CALLS, tower_oauth2, new()),
    ]
}

fn ours(
    issuer: &TestIssuer,
) -> impl Service<Request<()>, Response: Admission, Error: Debug> + 'static {
    let layer = CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier(issuer));
    layer.layer(Bare)
}

/// It verifies with ring.
fn jwt_authorizer(issuer: &TestIssuer) -> AuthorizationLayer<RegisteredClaims> {
    let validation = Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]).nbf(true);
    let authorizer = JwtAuthorizer::<RegisteredClaims>::from_jwks_text(&issuer.jwks_json())
        .validation(validation)
        .build();
    runtime()
        .block_on(authorizer)
        .expect("a key set")
        .into_layer()
}

/// It verifies with aws-lc.
fn tower_oauth2_resource_server(
    issuer: &TestIssuer,
) -> OAuth2ResourceServerLayer<(), DefaultClaims> {
    let validation = ClaimsValidationSpec::recommended(ISSUER, &vec![AUDIENCE.to_owned()]);
    let tenant = TenantConfiguration::static_builder(issuer.jwks_json())
        .claims_validation(validation)
        .build()
        .expect("a key set");
    let server = OAuth2ResourceServer::<DefaultClaims>::builder()
        .add_tenant(tenant)
        .build();
    runtime().block_on(server).expect("a tenant").into_layer()
}

/// It verifies with ring.
fn oauth_resource_server(issuer: &TestIssuer) -> HttpAuthLayer {
    let config = OAuthConfig {
        enabled: true,
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        resource: AUDIENCE.to_owned(),
        allow_unscoped_tokens: true,
        ..OAuthConfig::default()
    };
    let config = config
        .resolve(KeyNaming::Dotted("oauth"))
        .expect("a configuration");
    let validator = OAuthValidator::builder(&config.expect("it is enabled"))
        .initial_jwks(&issuer.jwks_json())
        .build()
        .expect("a key set");
    let layer = HttpAuthLayer::builder().oauth(Arc::new(validator)).build();
    layer.expect("a layer")
}

/// A runtime for what a peer does before it serves. No request waits.
fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime")
}

/// The bare service with a response that jwt-authorizer's rejections convert to.
#[derive(Debug, Clone)]
struct Answering;

struct Answered(Result<Response<()>, AuthError>);

impl From<AuthError> for Answered {
    fn from(rejection: AuthError) -> Self {
        Self(Err(rejection))
    }
}

impl Admission for Answered {
    fn is_admission(&self) -> bool {
        self.0.is_ok()
    }
}

impl Service<Request<()>> for Answering {
    type Response = Answered;
    type Error = Infallible;
    type Future = Ready<Result<Answered, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        std::hint::black_box(&request);
        ready(Ok(Answered(Ok(Response::new(())))))
    }
}
