//! For services on axum: extractors, a router that knows what its routes require, and the contract's routes ready to be
//! served.

#[cfg(feature = "audit")]
mod audit_log;
mod body;
mod extract;
pub(crate) mod guarded;
#[cfg(feature = "openapi")]
mod openapi;
pub mod routes;
