//! The behaviour of the crate: one file or folder for each concept. Each test cites the rule of the contract (`C…`) or the threat
//! (`T…`) that it holds, and each rejection has a twin that passes.

mod allowlist;
mod answers;
#[cfg(all(feature = "audit", feature = "axum", feature = "jwt"))]
mod audit;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "cache")]
mod cached_store;
mod compile_fail;
mod credential;
#[cfg(all(feature = "axum", feature = "cache"))]
mod custom_store;
#[cfg(all(feature = "audit", feature = "axum", feature = "jwt", feature = "redb"))]
mod example;
#[cfg(feature = "axum")]
mod examples;
mod features;
#[cfg(feature = "axum")]
mod guarded_router;
#[cfg(feature = "axum")]
mod hyper;
#[cfg(feature = "jwt")]
mod interop;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "jwks")]
mod key_server;
#[cfg(feature = "jwks")]
mod key_set;
mod keys;
#[cfg(all(feature = "audit", feature = "axum", feature = "jwt", feature = "redb"))]
mod kill;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod lifecycle;
#[cfg(feature = "metrics")]
mod metrics;
mod module_graph;
#[cfg(all(feature = "audit", feature = "openapi"))]
mod openapi;
#[cfg(all(feature = "postgres", feature = "audit", feature = "test-util"))]
mod postgres;
#[cfg(all(feature = "axum", feature = "jwt", feature = "redb"))]
mod program;
mod requirements;
mod route_table;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod routes;
mod secrecy;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod service;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod sockets;
mod store_faults;
mod stores;
mod support;
#[cfg(all(feature = "axum", feature = "tonic"))]
mod tonic;
mod tower;
#[cfg(feature = "jwt")]
mod verified;
#[cfg(feature = "axum")]
mod websocket;
