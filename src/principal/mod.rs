//! The authenticated caller: [`Principal`] and what it consists of (organization, role, scopes).
//!
//! Imports `client_ip`, `credential` and `clock`.

pub(crate) mod caller;
pub(crate) mod identity;
pub(crate) mod org_id;
pub(crate) mod org_scoped;
pub(crate) mod scope;
pub(crate) mod usage;

pub(crate) use self::{
    caller::{ServiceAccount, User},
    identity::{
        Identity, Labels, Principal, PrincipalKind, Role, ServiceAccountIdentity, UserIdentity,
    },
    org_id::OrgId,
    org_scoped::OrgScoped,
    scope::{Scope, Scopes},
    usage::{LastUsed, Usage, UsageLog},
};
