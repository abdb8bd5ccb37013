//! Session tokens: nobody else remembers one that has passed.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use coverbase_auth::{
    Algorithm, CoverbaseAuthLayer, JwtVerifier, MemoryStore, jwt::TestIssuer,
};
use http::{Request, Response};
use jwt_authorizer::{AuthError, JwtAuthorizer, RegisteredClaims, Validation};
use tower::{Layer, Service};
use tower_oauth2_resource_server::{
    claims::DefaultClaims, server::OAuth2ResourceServer, tenant::TenantConfiguration,
    validation::ClaimsValidationSpec,
};

use crate::{
    race::Contender,
    support::{Bare, presenting},
};

const CALLS: usize = 10;
const ISSUER: &str = "https://clerk.example.com";

pub fn contenders() -> impl Iterator<Item = (String, Vec<Contender<'static>>)> {
    let algorithms = [("RS256", Algorithm::Rs256), ("ES256", Algorithm::Es256)];
    algorithms.into_iter().map(|(name, algorithm)| {
        let issuer = TestIssuer::new(ISSUER).with_algorithm(algorithm);
        (format!("peers: sessions, {name}"), of(&issuer))
    })
}

fn of(issuer: &TestIssuer) -> Vec<Contender<'static>> {
    let request = presenting(&issuer.token().sign());
    let same = move || {
        let request = request.clone();
        move || request.clone()
    };
    // Each presented once: what was remembered of others does not help.
    let new = {
        let tokens: Vec<_> = (0..6000)
            .map(|user| issuer.token().with_subject(&format!("user_{user}")).sign())
            .collect();
        let mut tokens = tokens.into_iter().cycle();
        move || presenting(&tokens.next().expect("a cycle does not end"))
    };
    let verifier = || {
        JwtVerifier::new(ISSUER, issuer.key_set())
            .with_authorized_parties([TestIssuer::AUTHORIZED_PARTY])
    };
    let ours = || {
        let layer = CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier());
        layer.layer(Bare)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let authorizer = JwtAuthorizer::<RegisteredClaims>::from_jwks_text(&issuer.jwks_json())
        .validation(Validation::new().iss(&[ISSUER]))
        .layer();
    let authorizer = runtime.block_on(authorizer).expect("a key set");
    let tenant = TenantConfiguration::static_builder(issuer.jwks_json())
        .claims_validation(ClaimsValidationSpec::new().exp(true).nbf(true).iss(ISSUER))
        .build()
        .expect("a key set");
    let server = OAuth2ResourceServer::<DefaultClaims>::builder().add_tenant(tenant).build();
    let server = runtime.block_on(server).expect("a tenant");
    vec![
        Contender::service("bare", CALLS, Bare, same()),
        Contender::service("coverbase-auth, seen", CALLS, ours(), same()),
        Contender::service("coverbase-auth, new", CALLS, ours(), new),
        Contender::service("jwt-authorizer", CALLS, authorizer.layer(Answering), same()),
        Contender::service(
            "tower-oauth2-resource-server",
            CALLS,
            server.into_layer::<()>().layer(Bare),
            same(),
        ),
    ]
}

/// The bare service as jwt-authorizer wants it.
#[derive(Debug, Clone)]
struct Answering;

struct Answer(#[expect(dead_code, reason = "it is dropped, as every answer is")] Response<()>);

impl From<AuthError> for Answer {
    fn from(error: AuthError) -> Self {
        panic!("the token is good: {error}")
    }
}

impl Service<Request<()>> for Answering {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        std::hint::black_box(&request);
        ready(Ok(Answer(Response::new(()))))
    }
}
