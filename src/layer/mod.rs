//! The tower layer: everything that knows `tower::Layer` and `tower::Service`.
//!
//! [`CoverbaseAuthLayer`] builds a [`CoverbaseAuth`] service, which asks the `authenticator` about each request and either
//! calls the inner service or answers with a rejection. [`RequireLayer`] enforces one requirement at an inner route.
//! Imports: anything below; imported by `axum` and `tonic` alone.

pub(crate) mod auth_layer;
pub(crate) mod body;
pub(crate) mod future;
mod gate;
pub(crate) mod require;
pub(crate) mod service;

pub(crate) use self::{
    auth_layer::CoverbaseAuthLayer,
    body::ResponseBody,
    future::{DecidedFuture, ResponseFuture, WaitingRequest},
    gate::Gate,
    require::{Require, RequireLayer},
    service::CoverbaseAuth,
};
