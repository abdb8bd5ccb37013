//! Who is calling, and may they? A tower layer for API providers.
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
#[cfg(feature = "audit")]
mod decision_slot;
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
mod principal_slot;
mod redact;
mod refusal;
mod rejection;
mod render;
mod require;
mod requirement;
mod requirements;
mod scope;
mod service;
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

#[cfg(all(doctest, feature = "axum", feature = "jwt"))]
#[doc = include_str!("../README.md")]
mod readme {}
