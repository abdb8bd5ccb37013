//! What a route requires of its caller: [`Requirement`], the [`RouteTable`] from method and path to requirement, and the
//! [`Listing`] of routes.
//!
//! Imports `principal` and what is below it.

pub(crate) mod listing;
pub(crate) mod rule;
pub(crate) mod table;

#[cfg(feature = "openapi")]
pub(crate) use self::rule::Users;
pub(crate) use self::{
    listing::{Listing, RouteRequirement},
    rule::Requirement,
    table::{Route, RouteTable, Unmatched},
};
