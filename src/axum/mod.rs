//! Everything that knows axum: extractors, [`GuardedRouter`](guarded::GuardedRouter), the routes of the contract, and their
//! OpenAPI document. Imports `key_admin`, `audit`, `layer` and what is below them.

#[cfg(feature = "audit")]
mod audit_log;
mod body;
mod extract;
pub(crate) mod guarded;
mod handlers;
#[cfg(feature = "openapi")]
mod openapi;
pub mod routes;
