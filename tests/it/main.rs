//! The behaviour of the layer, rule by rule: each file is named for what it holds, each test cites the contract (`C…`) or
//! the threat (`T…`). Beside every refusal stands the request that passes.

#[cfg(all(feature = "axum", feature = "jwt", feature = "redb"))]
mod example;
#[cfg(all(feature = "axum", feature = "jwt", feature = "redb"))]
mod kill;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod lifecycle;
#[cfg(all(feature = "axum", feature = "jwt", feature = "redb"))]
mod program;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod routes;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod service;
#[cfg(all(feature = "axum", feature = "jwt"))]
mod sockets;
mod stores;
