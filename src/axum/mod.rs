//! For services on axum: extractors, and the contract's routes ready to be served.

mod extract;
pub mod routes;
