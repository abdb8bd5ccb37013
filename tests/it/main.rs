//! The behaviour of the layer, rule by rule: each file is named for what it holds, each test cites the contract (`C…`) or
//! the threat (`T…`). Beside every refusal stands the request that passes.

mod allowlist;
mod answers;
mod compile_fail;
mod credential;
#[cfg(feature = "jwt")]
mod interop;
#[cfg(feature = "jwt")]
mod jwt;
mod keys;
mod module_graph;
mod requirements;
mod secrecy;
mod store_faults;
mod support;
mod tower;
