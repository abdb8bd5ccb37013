//! The behaviour of the layer, rule by rule: each file is named for what it holds, each test cites the contract (`C…`) or
//! the threat (`T…`). Beside every refusal stands the request that passes.

mod allowlist;
mod answers;
mod compile_fail;
mod credential;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod example;
#[cfg(feature = "jwt")]
mod interop;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "jwks")]
mod key_server;
#[cfg(feature = "jwks")]
mod key_set;
mod keys;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod lifecycle;
mod module_graph;
mod requirements;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod routes;
mod secrecy;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod service;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod sockets;
mod store_faults;
#[cfg(feature = "test-util")]
mod stores;
mod support;
mod tower;
#[cfg(feature = "jwt")]
mod verified;
