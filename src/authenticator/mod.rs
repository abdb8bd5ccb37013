//! The decision on a request: request parts in; admitted, rejected or waiting out. It knows neither tower nor futures of an
//! inner service.
//!
//! [`Authenticator`] runs the checks in the order of C28: the credential, then the organization's IP allowlist, then the
//! requirement. [`Rejection`] is the reason why a request fails one of them, and holds the one table from a kind of
//! rejection to its answer. Imports `jwt`, `key_store` and what is below them.

mod callers;
mod decision;
pub(crate) mod rejection;
mod required;
mod waiting;

pub(crate) use self::{
    decision::{Authenticator, Decision},
    rejection::{Rejection, RejectionKind},
    waiting::{Awaited, Waiting},
};
