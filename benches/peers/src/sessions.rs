//! Session tokens: nobody else remembers one that has passed.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use coverbase_auth::{CoverbaseAuthLayer, MemoryStore, testing::TestIssuer};
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
    Answer, admitting,
    race::Contender,
    session::{ALGORITHMS, AUDIENCE, ISSUER, signatures_in_turn, token, verifier},
    support::{Bare, always, bearer, in_turn},
};

/// Enough that what the others have left in the processor's caches, which the first call of a turn pays for, weighs little.
const CALLS: usize = 20;
/// A session goes on for many calls; the first few bring it back into the cache after the others' turns.
const SEEN_CALLS: usize = 1000;

/// A race for each algorithm.
pub(crate) fn contenders(rounds: usize) -> impl Iterator<Item = (String, Vec<Contender<'static>>)> {
    ALGORITHMS.into_iter().map(move |algorithm| {
        let issuer = TestIssuer::new(ISSUER).with_algorithm(algorithm);
        (format!("peers: sessions, {algorithm}"), of(&issuer, rounds))
    })
}

fn of(issuer: &TestIssuer, rounds: usize) -> Vec<Contender<'static>> {
    // A token for each call: one to see that it is good, a round to warm up, and the rounds.
    let calls = CALLS * (rounds + 1) + 1;
    let tokens: Vec<_> = (0..calls).map(|user| token(issuer, user)).collect();
    let floor = signatures_in_turn(issuer, &tokens);
    let new = || in_turn(tokens.iter().map(|token| bearer(token)).collect());
    let seen = || always(&tokens[0]);
    let tower_oauth2 = tower_oauth2_resource_server(issuer).layer(Bare);
    let oauth = oauth_resource_server(issuer).layer(Bare);
    vec![
        admitting("bare", CALLS, Bare, new()),
        admitting("bare, seen", SEEN_CALLS, Bare, seen()),
        Contender::function("floor: one signature, key prepared", CALLS, floor),
        admitting("coverbase-auth, seen", SEEN_CALLS, ours(issuer), seen()),
        admitting("coverbase-auth, new", CALLS, ours(issuer), new()),
        admitting(
            "jwt-authorizer",
            CALLS,
            jwt_authorizer(issuer).layer(Answering),
            new(),
        ),
        admitting("tower-oauth2-resource-server", CALLS, tower_oauth2, new()),
        admitting("oauth-resource-server", CALLS, oauth, new()),
    ]
}

fn ours(
    issuer: &TestIssuer,
) -> impl Service<Request<()>, Response: Answer, Error: Debug> + 'static {
    let layer = CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier(issuer));
    layer.layer(Bare)
}

/// On ring, as its jsonwebtoken is.
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

/// On aws-lc.
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

/// On ring, as its jsonwebtoken is.
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

/// For what a peer does before it serves: no request waits.
fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime")
}

/// The bare service as jwt-authorizer wants it: with an answer that a refusal can be made into.
#[derive(Debug, Clone)]
struct Answering;

struct Answered(Result<Response<()>, AuthError>);

impl From<AuthError> for Answered {
    fn from(refusal: AuthError) -> Self {
        Self(Err(refusal))
    }
}

impl Answer for Answered {
    fn is_success(&self) -> bool {
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
