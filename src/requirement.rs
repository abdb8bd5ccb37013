//! What a route asks of its caller: this scope **or** this role.

use std::sync::Arc;

use crate::{
    principal::{Principal, PrincipalKind, Role},
    scope::{Scope, Scopes},
};

/// What a route requires of an authenticated caller (`C17`, `C18`).
///
/// A key passes by its scopes and never by a role; a user passes by a role and never by a scope.
///
/// | | a key passes | a user passes |
/// |---|---|---|
/// | [`authenticated()`](Self::authenticated) | always | always |
/// | [`scope(s)`](Self::scope), [`scopes([a, b])`](Self::scopes) | with all of them | never |
/// | [`roles([r])`](Self::roles) | never | with one of them |
/// | `scope(s).or_role(r)` | with `s` | with `r` |
///
/// It takes effect in two ways, and both hold where both are there: in the **request's extensions**, put there by a
/// layer outside [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer), or by [`RequireLayer`](crate::RequireLayer) inside
/// it.
///
/// ```
/// use coverbase_auth::{Requirement, Role, Scope};
///
/// let key_management = Requirement::scope(Scope::KEYS_MANAGE).or_role(Role::ADMIN);
/// let audit_log = Requirement::scope(Scope::AUDIT_READ).or_roles([Role::ADMIN, Role::MEMBER]);
/// # let _ = (key_management, audit_log);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Requirement {
    keys: Keys,
    users: Users,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Keys {
    None,
    WithAll(Scopes),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Users {
    Any,
    WithOneOf(Arc<[Role]>),
}

/// What stood in the way. A rejection says it to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unmet {
    /// A key without the scopes that the route asks for.
    Scopes(Scopes),
    /// A user without a role that the route accepts.
    Role,
}

impl Requirement {
    /// Any valid credential (`C17`).
    pub const fn authenticated() -> Self {
        Self {
            keys: Keys::WithAll(Scopes::new()),
            users: Users::Any,
        }
    }

    /// A key that carries `scope`; add the users with [`or_role`](Self::or_role).
    pub fn scope(scope: Scope) -> Self {
        Self::scopes([scope])
    }

    /// A key that carries every one of `scopes`. With none of them that is every key.
    pub fn scopes(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self {
            keys: Keys::WithAll(scopes.into_iter().collect()),
            users: Users::WithOneOf(Arc::default()),
        }
    }

    /// A user who has one of `roles`, and no key. With none of them that is nobody.
    pub fn roles(roles: impl IntoIterator<Item = Role>) -> Self {
        Self {
            keys: Keys::None,
            users: Users::WithOneOf(roles.into_iter().collect()),
        }
    }

    /// Also a user who has `role`.
    pub fn or_role(self, role: Role) -> Self {
        self.or_roles([role])
    }

    /// Also a user who has one of `roles`.
    pub fn or_roles(self, roles: impl IntoIterator<Item = Role>) -> Self {
        let users = match self.users {
            Users::Any => Users::Any,
            Users::WithOneOf(before) => {
                Users::WithOneOf(before.iter().cloned().chain(roles).collect())
            }
        };
        Self { users, ..self }
    }

    #[inline]
    pub(crate) fn unmet_by(&self, principal: &Principal) -> Option<Unmet> {
        match principal.kind() {
            PrincipalKind::ServiceAccount => match &self.keys {
                Keys::None => Some(Unmet::Scopes(Scopes::new())),
                Keys::WithAll(scopes) => (!principal.scopes().contains_all(scopes))
                    .then(|| Unmet::Scopes(scopes.clone())),
            },
            PrincipalKind::User => {
                let accepted = match &self.users {
                    Users::Any => true,
                    Users::WithOneOf(roles) => {
                        principal.role().is_some_and(|role| roles.contains(role))
                    }
                };
                (!accepted).then_some(Unmet::Role)
            }
        }
    }
}
