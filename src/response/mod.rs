//! How a rejection is written: status, headers and body, for HTTP and gRPC clients.
//!
//! [`Render`] is the interface, [`JsonEnvelope`] the default, [`ProblemJson`] RFC 9457; gRPC requests are answered by
//! [`GrpcStatus`]. The headers that no renderer may forget are added here. Imports `authenticator` and what is below it.

pub(crate) mod grpc;
pub(crate) mod refusal;
pub(crate) mod render;

pub(crate) use self::{
    grpc::{GrpcStatus, is_grpc},
    render::{JsonEnvelope, Render, Renderer},
};
