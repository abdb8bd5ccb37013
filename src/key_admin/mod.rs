//! The life of a key: who may create, list, rotate and revoke, and what that does.
//!
//! [`KeyAdmin`] holds the rules and knows no framework; a [`KeyRegistry`] keeps the rows. What a client sends is read by
//! [`CreateKey::from_json`] and its like, what it gets back are the values of this module, which serialize to the
//! contract's answers.

pub(crate) mod admin;
mod error;
#[cfg(feature = "audit")]
mod lifecycle;
mod name;
mod request;
mod response;

pub(crate) use self::admin::KeyAdmin;
pub use self::{
    error::{InvalidField, KeyAdminError},
    request::{CreateKey, RevokeKey, SetAllowlist},
    response::{CreatedKey, KeySummary, Organization, RotatedKey},
};
