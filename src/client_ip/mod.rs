//! The client address of a request ([`ClientIpSource`]), and the networks from which an organization's keys can be used
//! ([`IpAllowlist`]).
//!
//! This folder imports nothing from the rest of the crate.

mod allowlist;
mod source;

pub use self::{
    allowlist::{InvalidCidr, IpAllowlist},
    source::{ClientIpSource, PeerAddr},
};
