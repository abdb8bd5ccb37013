//! For services on axum: extractors, and the contract's routes ready to be served.

#[cfg(feature = "audit")]
mod audit_log;
mod extract;
pub mod routes;
