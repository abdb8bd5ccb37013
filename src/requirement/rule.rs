//! What a route asks of its caller: this scope **or** this role.

use std::{fmt, sync::Arc};

use crate::principal::{Principal, PrincipalKind, Role, Scope, Scopes};

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
/// | [`public()`](Self::public) | always | always, and so does everybody else |
///
/// It takes effect in two ways, and both hold where both are there: in the **request's extensions**, put there by a
/// layer outside [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer), such as
/// [`RequirementsLayer`](crate::RequirementsLayer), or by [`RequireLayer`](crate::RequireLayer) inside it.
///
/// ```
/// use coverbase_auth::{Requirement, Role, Scope};
///
/// let key_management = Requirement::scope(Scope::KEYS_MANAGE).or_role(Role::ADMIN);
/// let audit_log = Requirement::scope(Scope::AUDIT_READ).or_roles([Role::ADMIN, Role::MEMBER]);
/// let both = Requirement::scopes([Scope::AUDIT_READ, Scope::BANKING_READ]);
/// let no_key = Requirement::roles([Role::ADMIN]);
/// let anybody = Requirement::authenticated();
/// # let _ = (key_management, audit_log, both, no_key);
/// assert_eq!(anybody.to_string(), "any key or any user");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Requirement {
    keys: Keys,
    users: Users,
    is_public: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keys {
    None,
    WithAll(Scopes),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Users {
    Any,
    WithOneOf(Arc<[Role]>),
}

impl Requirement {
    /// Any valid credential (`C17`).
    pub const fn authenticated() -> Self {
        Self {
            keys: Keys::WithAll(Scopes::new()),
            users: Users::Any,
            is_public: false,
        }
    }

    /// No credential at all: the one way through the layer without a principal, open only where a service's author writes
    /// it (`C1`).
    ///
    /// It opens a request that carries it in its extensions, as a row of a [`RequirementsLayer`](crate::RequirementsLayer)
    /// puts it there. A credential that such a request presents is neither verified nor refused, only marked sensitive:
    /// [`Principal::of`] finds nobody. As the default of a layer or of a table it counts as
    /// [`authenticated`](Self::authenticated), so that what nobody has named is never open.
    ///
    /// ```
    /// use coverbase_auth::{Requirement, RequirementsLayer};
    ///
    /// let open = RequirementsLayer::new().any("/grpc.health.v1.Health/{*method}", Requirement::public());
    /// # let _ = open;
    /// ```
    pub const fn public() -> Self {
        Self {
            keys: Keys::WithAll(Scopes::new()),
            users: Users::Any,
            is_public: true,
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
            is_public: false,
        }
    }

    /// A user who has one of `roles`, and no key. With none of them that is nobody.
    pub fn roles(roles: impl IntoIterator<Item = Role>) -> Self {
        Self {
            keys: Keys::None,
            users: Users::WithOneOf(roles.into_iter().collect()),
            is_public: false,
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
    pub(crate) const fn is_public(&self) -> bool {
        self.is_public
    }

    /// The same, for whoever presents a credential.
    pub(crate) fn never_public(self) -> Self {
        Self {
            is_public: false,
            ..self
        }
    }

    #[cfg(feature = "openapi")]
    pub(crate) const fn accepted(&self) -> (&Keys, &Users) {
        (&self.keys, &self.users)
    }

    #[inline]
    pub(crate) fn is_met_by(&self, principal: &Principal) -> bool {
        match principal.kind() {
            PrincipalKind::ServiceAccount => match &self.keys {
                Keys::None => false,
                Keys::WithAll(scopes) => principal.scopes().contains_all(scopes),
            },
            PrincipalKind::User => match &self.users {
                Users::Any => true,
                Users::WithOneOf(roles) => {
                    principal.role().is_some_and(|role| roles.contains(role))
                }
            },
        }
    }

    /// What a key must carry; nothing, where no scope opens the way.
    pub(crate) fn scopes_of_a_key(&self) -> Scopes {
        match &self.keys {
            Keys::None => Scopes::new(),
            Keys::WithAll(scopes) => scopes.clone(),
        }
    }
}

/// As a listing of routes shows it: `scope keys:manage or role admin`.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_public {
            return f.write_str("public");
        }
        let keys = match &self.keys {
            Keys::None => None,
            Keys::WithAll(scopes) if scopes.is_empty() => Some("any key".to_owned()),
            Keys::WithAll(scopes) => {
                Some(named("scope", scopes.iter().map(Scope::as_str), " and "))
            }
        };
        let users = match &self.users {
            Users::Any => Some("any user".to_owned()),
            Users::WithOneOf(roles) if roles.is_empty() => None,
            Users::WithOneOf(roles) => Some(named("role", roles.iter().map(Role::as_str), " or ")),
        };
        match (keys, users) {
            (Some(keys), Some(users)) => write!(f, "{keys} or {users}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(&one),
            (None, None) => f.write_str("nobody"),
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
    fn a_listing_says_who_passes() {
        let export = Scope::from_static("reports:export");
        for (requirement, text) in [
            (Requirement::public(), "public"),
            (Requirement::authenticated(), "any key or any user"),
            (Requirement::scopes([]), "any key"),
            (Requirement::roles([]), "nobody"),
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

    // C1: to accept more callers is not to accept everybody, nor the other way round.
    #[test]
    fn only_public_is_public() {
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
