//! The authenticated caller: [`Principal`] and what it consists of (organization, role, scopes).
//!
//! Imports `client_ip`, `credential` and `clock`.

pub(crate) mod caller;
pub(crate) mod identity;
pub(crate) mod org_id;
pub(crate) mod org_scoped;
pub(crate) mod role;
pub(crate) mod scope;
pub(crate) mod usage;

pub(crate) use self::{
    caller::{ServiceAccount, User},
    identity::{Identity, Principal, PrincipalKind, ServiceAccountIdentity, UserIdentity},
    org_id::OrgId,
    org_scoped::OrgScoped,
    role::Role,
    scope::{Scope, Scopes},
    usage::{LastUsed, UsageLog},
};
