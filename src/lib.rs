//! A tower layer that authenticates and authorizes API requests.
//!
//! [`CoverbaseAuthLayer`] checks the one bearer credential of each request and passes the request on with its [`Principal`]
//! in the extensions, or answers it. Credentials are API keys (`ak_…`), which it looks up in a [`KeyStore`], and with the
//! feature `jwt` session tokens of users. It works in axum, tonic and hyper, and carries the authentication contract of the
//! Coverbase API: a number such as `C18` names one of the contract's rules.
//!
//! ```
//! use coverbase_auth::{ApiKey, CoverbaseAuthLayer, Environment, KeyRecord, MemoryStore, Principal};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (store, key) = (MemoryStore::new(), ApiKey::generate(Environment::Test));
//! store.insert(&key, KeyRecord::new("ak_1", "org_acme"));
//!
//! let service = CoverbaseAuthLayer::new(store).layer(service_fn(async |request: http::Request<()>| {
//!     let caller: &Principal = request.extensions().get().expect("the layer has authenticated the request");
//!     Ok::<_, std::convert::Infallible>(http::Response::new(caller.org_id().to_string()))
//! }));
//!
//! let request = http::Request::builder().header("authorization", format!("Bearer {}", key.expose_secret()));
//! let response = service.clone().oneshot(request.body(()).unwrap()).await.unwrap();
//! assert_eq!(response.status(), 200);
//! let response = service.oneshot(http::Request::new(())).await.unwrap();
//! assert_eq!(response.status(), 401);
//! # }
//! ```
//!
//! # Which item do I need?
//!
//! | task | item |
//! |---|---|
//! | an axum service whose routes are declared with their requirements | `GuardedRouter` (feature `axum`) |
//! | an existing axum router | [`CoverbaseAuthLayer`] around it, [`RequireLayer`] on routes that require more |
//! | a tonic or hyper service | [`CoverbaseAuthLayer::with_routes`] with a [`RouteTable`] |
//! | a health check without a credential | [`Requirement::public`], [`CoverbaseAuthLayer::with_public_route`] |
//! | the caller, in a handler | [`Principal`], [`ServiceAccount`], [`User`] or [`OrgId`] as an extractor; [`Principal::required`] elsewhere |
//! | resources of one organization | [`OrgScoped`] |
//! | keys in memory, in a file, in PostgreSQL, in your own database | [`MemoryStore`], `RedbStore`, `PostgresStore`, [`KeyStore`] with `CachedStore` |
//! | users of a dashboard | `JwtVerifier` with a `KeySet` (feature `jwt`) |
//! | IP allowlists behind proxies | [`ClientIpSource`] |
//! | routes on which customers manage their keys | `routes` (feature `axum`), or [`KeyAdmin`] behind routes of your own |
//! | a record of every authenticated call of `/v1/*` | `CoverbaseAuthLayer::with_audit` (feature `audit`) |
//! | rejections in another format | [`ProblemJson`], [`Render`] |
//! | tests | `testing` (feature `test-util`) |
//!
//! The [manual] has longer pages, and the README a table of the features.
#![forbid(unsafe_code)]
#![warn(
    missing_docs,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "audit")]
pub mod audit;
mod authenticator;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "postgres")]
mod backoff;
mod client_ip;
mod clock;
mod credential;
mod invalid_field;
mod json;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod key_admin;
pub mod key_store;
mod layer;
pub mod manual;
mod principal;
mod requirement;
mod response;
mod telemetry;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(feature = "axum")]
pub use self::axum::{guarded::GuardedRouter, routes};
#[cfg(feature = "jwt")]
pub use self::jwt::{
    algorithm::Algorithm, issuer::Issuer, keys::key_set::KeySet, verifier::JwtVerifier,
};
#[cfg(feature = "cache")]
pub use self::key_store::cached::CachedStore;
#[cfg(feature = "postgres")]
pub use self::key_store::postgres::PostgresStore;
#[cfg(feature = "redb")]
pub use self::key_store::redb::RedbStore;
pub use self::{
    authenticator::rejection::{Rejection, RejectionKind},
    client_ip::{ClientIpSource, InvalidCidr, IpAllowlist, PeerAddr},
    clock::{Clock, SystemClock},
    credential::{
        ApiKey, Credential, CredentialError, Environment, GeneratorUnavailable, InvalidApiKey,
        KeyDigest, KeyFormat, KeyId,
    },
    key_admin::admin::KeyAdmin,
    key_store::{
        memory::MemoryStore,
        record::KeyRecord,
        store::{KeyRegistry, KeyStore, Lookup, StoreError},
    },
    layer::{
        auth_layer::CoverbaseAuthLayer,
        body::ResponseBody,
        future::{RequireFuture, ResponseFuture},
        require::{Require, RequireLayer},
        service::CoverbaseAuth,
    },
    principal::{
        caller::{ServiceAccount, User},
        identity::{Principal, PrincipalKind},
        org_id::OrgId,
        org_scoped::OrgScoped,
        role::Role,
        scope::{InvalidScope, Scope, Scopes},
    },
    requirement::{
        listing::{Listing, RouteRequirement, UnguardedRoute},
        rule::Requirement,
        table::{InvalidRoute, RouteTable},
    },
    response::{
        grpc::GrpcStatus,
        render::{JsonEnvelope, ProblemJson, Render},
    },
};

#[cfg(all(
    doctest,
    feature = "audit",
    feature = "axum",
    feature = "jwt",
    feature = "postgres",
    feature = "test-util",
    feature = "tonic"
))]
#[doc = include_str!("../README.md")]
mod readme {}
