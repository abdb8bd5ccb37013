//! What a route requires of its caller: [`Requirement`], and the list of a service's routes with what each requires.
//!
//! Imports `principal` and what is below it.

pub(crate) mod listing;
pub(crate) mod rule;

#[cfg(feature = "openapi")]
pub(crate) use self::rule::{Keys, Users};
pub(crate) use self::{
    listing::{Listing, RouteRequirement, UnguardedRoute},
    rule::Requirement,
};
