//! What the benches share: requests, inner services and stores, session tokens, and the race that measures contenders.
#![allow(dead_code, reason = "no bench uses all of it")]

pub(crate) mod race;
pub(crate) mod requests;
pub(crate) mod services;
pub(crate) mod sessions;
