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
//! | an axum service whose routes say what they require | [`axum::GuardedRouter`] |
//! | to protect an axum router as it is | [`CoverbaseAuthLayer`] around it, [`RequireLayer`] on routes that ask for more |
//! | to protect a tonic or hyper service | [`CoverbaseAuthLayer`], and a [`RequirementsLayer`] outside of it |
//! | to open a health check | [`Requirement::public`] |
//! | the caller, in a handler | [`Principal`], [`ServiceAccount`], [`User`] or [`OrgId`] as an extractor; [`Principal::of`] elsewhere |
//! | to hide other organizations' rows | [`OrgScoped`] |
//! | keys in memory, in a file, in a database of mine | [`MemoryStore`], [`RedbStore`], [`KeyStore`] for a type of yours |
//! | users of a dashboard too | [`JwtVerifier`] with a [`KeySet`] |
//! | to hold keys to networks, behind proxies | [`ClientIpSource`] |
//! | routes on which customers manage their keys | [`axum::routes`], or [`KeyAdmin`] behind routes of mine |
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
//! | `axum` | extractors, [`axum::GuardedRouter`], the contract's routes |
//! | `openapi` | the routes, and routes of yours, as an OpenAPI document with their requirements |
//! | `tonic` | a single tonic service wears the layer; a [`Rejection`] is a `tonic::Status`. The layer around a whole server needs no feature |
//! | `jwt` | session tokens, with a key set that is at hand |
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

mod allowlist;
mod api_key;
#[cfg(feature = "audit")]
pub mod audit;
mod authenticator;
#[cfg(feature = "axum")]
pub mod axum;
mod body;
mod caller;
mod challenge;
mod client_ip;
mod clock;
mod credential;
mod future;
mod gate;
mod grpc;
mod json;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod key_admin;
pub mod key_store;
mod layer;
mod listing;
pub mod manual;
#[cfg(feature = "metrics")]
mod meter;
mod negotiate;
mod observe;
mod org_id;
mod org_scoped;
mod principal;
mod redact;
mod refusal;
mod rejection;
mod render;
mod require;
mod requirement;
mod requirements;
mod scope;
mod service;
mod slot;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod token68;
#[cfg(feature = "tonic")]
mod tonic;
mod usage;

#[cfg(feature = "audit")]
pub use self::audit::{
    AuditLayer, AuditLog, AuditQuery, AuditQueue, AuditRecord, AuditSink, AuditStore,
    MemoryAuditLog,
};
#[cfg(any(test, feature = "test-util"))]
pub use self::clock::TestClock;
#[cfg(feature = "jwt")]
pub use self::jwt::{Algorithm, Issuer, JwtVerifier, KeySet};
#[cfg(feature = "cache")]
pub use self::key_store::CachedStore;
#[cfg(feature = "postgres")]
pub use self::key_store::PostgresStore;
#[cfg(feature = "redb")]
pub use self::key_store::RedbStore;
pub use self::{
    allowlist::{InvalidCidr, IpAllowlist},
    api_key::{
        ApiKey, Environment, GeneratorUnavailable, InvalidApiKey, KeyDigest, KeyFormat, KeyId,
    },
    body::ResponseBody,
    caller::{ServiceAccount, User},
    client_ip::{ClientIpSource, PeerAddr},
    clock::{Clock, SystemClock},
    credential::{Credential, CredentialError},
    future::{DecidedFuture, ResponseFuture},
    grpc::GrpcStatus,
    key_admin::KeyAdmin,
    key_store::{KeyRecord, KeyRegistry, KeyStore, Lookup, MemoryStore, Revocation, StoreError},
    layer::CoverbaseAuthLayer,
    listing::{Listing, RouteRequirement, UnguardedRoute},
    negotiate::Negotiated,
    org_id::OrgId,
    org_scoped::OrgScoped,
    principal::{Principal, PrincipalKind, Role},
    rejection::{Rejection, RejectionKind},
    render::{JsonEnvelope, ProblemJson, Render},
    require::{Require, RequireLayer},
    requirement::Requirement,
    requirements::{InvalidRoute, Requirements, RequirementsLayer},
    scope::{InvalidScope, Scope, Scopes},
    service::CoverbaseAuth,
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
