//! The tower layer: everything that knows `tower::Layer` and `tower::Service`.
//!
//! [`CoverbaseAuthLayer`] builds a [`CoverbaseAuth`] service, which asks the `authenticator` about each request and either
//! calls the inner service or answers with a rejection. [`RequireLayer`] enforces one requirement at an inner route.
//! Imports `audit`, `authenticator`, `response` and what is below them.

pub(crate) mod auth_layer;
pub(crate) mod body;
pub(crate) mod future;
mod recording;
pub(crate) mod require;
pub(crate) mod service;
mod shared;

#[cfg(feature = "tonic")]
pub(crate) use self::require::Require;
#[cfg(feature = "axum")]
pub(crate) use self::{auth_layer::CoverbaseAuthLayer, require::RequireLayer};
pub(crate) use self::{
    body::ResponseBody, future::ResponseFuture, service::CoverbaseAuth, shared::Shared,
};
