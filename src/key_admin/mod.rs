//! The rules of the key lifecycle: who may create, list, rotate and revoke keys, and with what effect (`C18`–`C20`,
//! `C38`–`C42`).
//!
//! [`KeyAdmin`] holds the rules and depends on no framework; a [`KeyRegistry`](crate::KeyRegistry) stores
//! the rows. Requests are read by [`CreateKey::from_json`], [`RevokeKey::from_json`] and [`SetAllowlist::from_json`];
//! responses are types of this module that serialize to the bodies of the contract. Imports `audit`, `response` and what is
//! below them.

pub(crate) mod admin;
mod error;
mod name;
mod request;
mod response;

#[cfg(feature = "axum")]
pub(crate) use self::admin::KeyAdmin;
pub use self::{
    error::KeyAdminError,
    request::{CreateKey, RevokeKey, SetAllowlist},
    response::{CreatedKey, KeySummary, Organization, RotatedKey},
};
pub use crate::invalid_field::InvalidField;
