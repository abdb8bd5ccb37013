//! The list of a service's routes with what each requires.

use std::fmt;

use http::Method;

use super::Requirement;

/// A route with its requirement: a row of a [`Listing`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteRequirement {
    /// The method; `None` for every method without a row of its own.
    pub method: Option<Method>,
    /// The path pattern, such as `/v1/api-keys/{id}`.
    pub path: String,
    /// What the route requires.
    pub requirement: Requirement,
}

impl RouteRequirement {
    /// Returns a row.
    pub fn new(
        method: impl Into<Option<Method>>,
        path: impl Into<String>,
        requirement: Requirement,
    ) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            requirement,
        }
    }

    fn method_name(&self) -> &str {
        self.method.as_ref().map_or("any", Method::as_str)
    }
}

/// Every route of a service with its requirement, to be printed at start-up and compared with documents.
///
/// ```
/// use coverbase_auth::{Requirement, RouteTable, Scope};
/// use http::Method;
///
/// let routes = RouteTable::new()
///     .route(Method::GET, "/v1/reports/{id}", Requirement::authenticated())
///     .route(Method::DELETE, "/v1/reports/{id}", Requirement::scope(Scope::from_static("reports:delete")));
/// let listing = routes.listing();
/// assert_eq!(
///     listing.to_string(),
///     "GET     /v1/reports/{id}  any key or any user\n\
///      DELETE  /v1/reports/{id}  scope reports:delete\n"
/// );
/// listing.guards(&Method::GET, "/v1/reports/{id}")?;
/// assert!(listing.guards(&Method::PUT, "/v1/reports/{id}").is_err());
/// # Ok::<(), coverbase_auth::UnguardedRoute>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing(Vec<RouteRequirement>);

impl Listing {
    /// Returns the rows.
    pub fn iter(&self) -> impl Iterator<Item = &RouteRequirement> {
        self.0.iter()
    }

    /// Returns the requirement of a route: that of the row for `method`, or of the row for any method.
    ///
    /// # Errors
    ///
    /// If the listing has no row for the route.
    pub fn guards(&self, method: &Method, path: &str) -> Result<&Requirement, UnguardedRoute> {
        let rows = || self.iter().filter(|row| row.path == path);
        let own = rows().find(|row| row.method.as_ref() == Some(method));
        let row = own.or_else(|| rows().find(|row| row.method.is_none()));
        let row = row.ok_or_else(|| UnguardedRoute {
            method: method.clone(),
            path: path.to_owned(),
        })?;
        Ok(&row.requirement)
    }
}

impl FromIterator<RouteRequirement> for Listing {
    fn from_iter<I: IntoIterator<Item = RouteRequirement>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

/// Writes one line for each route.
impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = |len: fn(&RouteRequirement) -> usize| self.iter().map(len).max().unwrap_or(0);
        let methods = widest(|row| row.method_name().len());
        let paths = widest(|row| row.path.len());
        for row in self.iter() {
            let (method, path) = (row.method_name(), &row.path);
            writeln!(f, "{method:methods$}  {path:paths$}  {}", row.requirement)?;
        }
        Ok(())
    }
}

/// A route that a [`Listing`] has no row for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{method} {path} has no requirement: declare one, or `Requirement::public()` to make the route public"
)]
pub struct UnguardedRoute {
    method: Method,
    path: String,
}
