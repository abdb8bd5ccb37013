//! Who is calling, and may they? A tower layer for API providers.
//!
//! [`CoverbaseAuthLayer`] stands in front of a service, checks the one bearer credential of each request, and lets it through
//! with its [`Principal`] in the extensions, or answers it. Credentials are API keys (`ak_…`), found in a [`KeyStore`], and
//! with the feature `jwt` session tokens of users. It works in axum, tonic and hyper, and carries the authentication contract
//! of the Coverbase API: a number such as `C18` names one of its rules.
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
//!     let caller = Principal::required(request.extensions()).map(|caller| caller.org_id().to_string());
//!     Ok::<_, std::convert::Infallible>(http::Response::new(caller.unwrap_or_default()))
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
//! # Which piece do I need?
//!
//! | I want … | |
//! |---|---|
//! | an axum service whose routes say what they require | [`GuardedRouter`] |
//! | to protect an axum router as it is | [`CoverbaseAuthLayer`] around it, [`RequireLayer`] on routes that ask for more |
//! | to protect a tonic or hyper service | [`CoverbaseAuthLayer`], and a [`RequirementsLayer`] outside of it |
//! | to open a health check | [`Requirement::public`] |
//! | the caller, in a handler | [`Principal`], [`ServiceAccount`], [`User`] or [`OrgId`] as an extractor; [`Principal::of`] elsewhere |
//! | to hide other organizations' rows | [`OrgScoped`] |
//! | keys in memory, in a file, in a database of mine | [`MemoryStore`], [`RedbStore`], [`KeyStore`] for a type of yours |
//! | users of a dashboard too | [`JwtVerifier`] with a [`KeySet`] |
//! | to hold keys to networks, behind proxies | [`ClientIpSource`] |
//! | routes on which customers manage their keys | [`routes`], or [`KeyAdmin`] behind routes of mine |
//! | a record of every authenticated call of `/v1/*` | [`AuditLayer`] |
//! | refusals in another form | [`ProblemJson`], [`Negotiated`], [`Render`] |
//! | to test all that | [`testing`], and [the manual](manual::testing) |
//!
//! Import by name: `use coverbase_auth::*` brings a module `axum` that stands in the way of the crate.
//!
//! The manual: [how to](manual::how_to), [defaults and their reasons](manual::defaults), [threats](manual::threats),
//! [testing](manual::testing), [migrating](manual::migrating), [observability](manual::observability).
//!
//! # Features
//!
//! None is on by default; each adds, and changes nothing that is there.
//!
//! | feature | brings |
//! |---|---|
//! | none | the layers, [`MemoryStore`], [`KeyAdmin`], static answers; no runtime, no TLS |
//! | `axum` | extractors, [`GuardedRouter`], the contract's routes |
//! | `openapi` | the routes, and routes of yours, as an OpenAPI document with their requirements |
//! | `tonic` | a single tonic service wears the layer; a [`Rejection`] is a `tonic::Status`. The layer around a whole server needs no feature |
//! | `jwt` | session tokens, with a key set that is at hand |
//! | `jsonwebtoken` | conversions from and to the types of the crate `jsonwebtoken` |
//! | `jwks` | key sets that are fetched from their issuer, and again when it rotates them |
//! | `redb` | keys and the audit log in one file |
//! | `postgres`, `cache` | keys and the audit log in PostgreSQL for a fleet; a cache in front of any store |
//! | `audit` | a record of each authenticated call of `/v1/*` |
//! | `metrics` | counters by the `metrics` facade |
//! | `test-util` | for tests: principals, tokens, a clock, a store that fails, the tests of stores |
//! | `full` | all of them |
//!
//! The minimum supported Rust version is 1.90.
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
mod client_ip;
mod clock;
mod credential;
mod json;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod key_admin;
pub mod key_store;
mod layer;
pub mod manual;
mod principal;
mod requirement;
mod requirements;
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
    client_ip::{
        allowlist::{InvalidCidr, IpAllowlist},
        source::{ClientIpSource, PeerAddr},
    },
    clock::{Clock, SystemClock},
    credential::{
        api_key::{
            ApiKey, Environment, GeneratorUnavailable, InvalidApiKey, KeyDigest, KeyFormat, KeyId,
        },
        header::{Credential, CredentialError},
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
        future::{DecidedFuture, ResponseFuture},
        require::{Require, RequireLayer},
        service::CoverbaseAuth,
    },
    principal::{
        caller::{ServiceAccount, User},
        identity::{Principal, PrincipalKind, Role},
        org_id::OrgId,
        org_scoped::OrgScoped,
        scope::{InvalidScope, Scope, Scopes},
    },
    requirement::{
        listing::{Listing, RouteRequirement, UnguardedRoute},
        rule::Requirement,
    },
    requirements::{InvalidRoute, Requirements, RequirementsLayer},
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
