//! What a route requires of its caller: this scope **or** this role.

use std::{fmt, sync::Arc};

use crate::principal::{Principal, PrincipalKind, Role, Scope, Scopes};

/// What a route requires of its caller (`C17`, `C18`).
///
/// Keys are accepted by their scopes and never by a role; users are accepted by their role and never by a scope.
///
/// | | accepts a key | accepts a user |
/// |---|---|---|
/// | [`authenticated()`](Self::authenticated) | every key | every user |
/// | [`scope(s)`](Self::scope), [`scopes([a, b])`](Self::scopes) | with all of the scopes | no user |
/// | [`roles([r])`](Self::roles) | no key | with one of the roles |
/// | `scope(s).or_role(r)` | with `s` | with `r` |
/// | [`public()`](Self::public) | every key | every user, and requests without a credential |
///
/// A requirement is enforced from a row of a [`RouteTable`](crate::RouteTable), from the extensions of a request, and by
/// [`RequireLayer`](crate::RequireLayer). Where several apply to a request, all must hold.
///
/// ```
/// use coverbase_auth::{Requirement, Role, Scope};
///
/// let key_management = Requirement::scope(Scope::KEYS_MANAGE).or_role(Role::ADMIN);
/// let both_scopes = Requirement::scopes([Scope::AUDIT_READ, Scope::BANKING_READ]);
/// let users_only = Requirement::roles([Role::ADMIN, Role::MEMBER]);
/// # let _ = (key_management, both_scopes, users_only);
/// assert_eq!(Requirement::authenticated().to_string(), "any key or any user");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Requirement {
    /// The scopes that a key must carry; `None` accepts no key.
    keys: Option<Scopes>,
    users: Users,
    is_public: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Users {
    Any,
    WithOneOf(Arc<[Role]>),
}

impl Requirement {
    /// Accepts any valid credential (`C17`).
    pub const fn authenticated() -> Self {
        Self {
            keys: Some(Scopes::new()),
            users: Users::Any,
            is_public: false,
        }
    }

    /// Requires no credential: the only way to exempt a route from authentication (`C1`).
    ///
    /// It takes effect from a row of a [`RouteTable`](crate::RouteTable), from
    /// [`with_public_route`](crate::CoverbaseAuthLayer::with_public_route) or from the extensions of a request. As the default of a
    /// layer or a table it counts as [`authenticated`](Self::authenticated). A credential that a public request presents is
    /// neither verified nor rejected, only marked sensitive, and the request has no [`Principal`].
    pub const fn public() -> Self {
        Self {
            keys: Some(Scopes::new()),
            users: Users::Any,
            is_public: true,
        }
    }

    /// Accepts a key that carries `scope`, and no user; add users with [`or_role`](Self::or_role).
    pub fn scope(scope: Scope) -> Self {
        Self::scopes([scope])
    }

    /// Accepts a key that carries all of `scopes`, and no user. An empty set accepts every key.
    pub fn scopes(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self {
            keys: Some(scopes.into_iter().collect()),
            users: Users::WithOneOf(Arc::default()),
            is_public: false,
        }
    }

    /// Accepts a user with one of `roles`, and no key. An empty set accepts no caller.
    pub fn roles(roles: impl IntoIterator<Item = Role>) -> Self {
        Self {
            keys: None,
            users: Users::WithOneOf(roles.into_iter().collect()),
            is_public: false,
        }
    }

    /// Accepts also a user with `role`.
    pub fn or_role(self, role: Role) -> Self {
        self.or_roles([role])
    }

    /// Accepts also a user with one of `roles`.
    pub fn or_roles(self, roles: impl IntoIterator<Item = Role>) -> Self {
        let users = match self.users {
            Users::Any => Users::Any,
            Users::WithOneOf(before) => {
                Users::WithOneOf(before.iter().cloned().chain(roles).collect())
            }
        };
        Self { users, ..self }
    }

    pub(crate) const fn is_public(&self) -> bool {
        self.is_public
    }

    /// Returns the requirement with [`public`](Self::public) replaced by [`authenticated`](Self::authenticated).
    pub(crate) fn never_public(self) -> Self {
        Self {
            is_public: false,
            ..self
        }
    }

    #[cfg(feature = "openapi")]
    pub(crate) const fn accepted(&self) -> (&Option<Scopes>, &Users) {
        (&self.keys, &self.users)
    }

    pub(crate) fn is_met_by(&self, principal: &Principal) -> bool {
        match principal.kind() {
            PrincipalKind::ServiceAccount => {
                let has_all = |scopes| principal.scopes().contains_all(scopes);
                self.keys.as_ref().is_some_and(has_all)
            }
            PrincipalKind::User => match &self.users {
                Users::Any => true,
                Users::WithOneOf(roles) => {
                    principal.role().is_some_and(|role| roles.contains(role))
                }
            },
        }
    }

    /// Returns the scopes that a key needs; empty if no scope would be sufficient.
    pub(crate) fn scopes_of_a_key(&self) -> Scopes {
        self.keys.clone().unwrap_or_default()
    }
}

/// Writes the form of a [`Listing`](crate::Listing): `scope keys:manage or role admin`.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_public {
            return f.write_str("public");
        }
        let keys = self.keys.as_ref().map(|scopes| match scopes.is_empty() {
            true => "any key".to_owned(),
            false => named("scope", scopes.iter().map(Scope::as_str), " and "),
        });
        let users = match &self.users {
            Users::Any => Some("any user".to_owned()),
            Users::WithOneOf(roles) if roles.is_empty() => None,
            Users::WithOneOf(roles) => Some(named("role", roles.iter().map(Role::as_str), " or ")),
        };
        match (keys, users) {
            (Some(keys), Some(users)) => write!(f, "{keys} or {users}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(&one),
            (None, None) => f.write_str("no caller"),
        }
    }
}

fn named<'a>(kind: &str, names: impl Iterator<Item = &'a str>, conjunction: &str) -> String {
    let names: Vec<_> = names.map(|name| format!("{kind} {name}")).collect();
    names.join(conjunction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_the_accepted_callers() {
        let export = Scope::from_static("reports:export");
        for (requirement, text) in [
            (Requirement::public(), "public"),
            (Requirement::authenticated(), "any key or any user"),
            (Requirement::scopes([]), "any key"),
            (Requirement::roles([]), "no caller"),
            (
                Requirement::roles([Role::ADMIN, Role::GUEST]),
                "role admin or role guest",
            ),
            (
                Requirement::scopes([Scope::AUDIT_READ, export]).or_role(Role::ADMIN),
                "scope audit:read and scope reports:export or role admin",
            ),
        ] {
            assert_eq!(requirement.to_string(), text);
        }
    }

    // C1
    #[test]
    fn only_public_requirement_is_public() {
        assert!(Requirement::public().or_role(Role::ADMIN).is_public());
        assert!(!Requirement::public().never_public().is_public());
        for closed in [
            Requirement::authenticated(),
            Requirement::scopes([]),
            Requirement::roles([]),
            Requirement::authenticated().or_role(Role::GUEST),
        ] {
            assert!(!closed.is_public(), "{closed}");
        }
    }
}
