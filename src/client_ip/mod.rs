//! Where a request comes from ([`ClientIpSource`]) and from where an organization's keys may be used ([`IpAllowlist`]).
//!
//! Imports nothing of this crate.

pub(crate) mod allowlist;
pub(crate) mod source;

pub(crate) use self::{
    allowlist::{InvalidCidr, IpAllowlist},
    source::ClientIpSource,
};
