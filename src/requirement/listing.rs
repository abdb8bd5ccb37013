//! Which route asks what, for people to read and for documents to repeat.

use std::fmt;

use http::Method;

use crate::requirement::Requirement;

/// A route and what it requires.
///
/// ```
/// use coverbase_auth::{Listing, Requirement, RouteRequirement};
/// use http::Method;
///
/// let listing = Listing::from_iter([
///     RouteRequirement::new(Method::GET, "/v1/reports", Requirement::authenticated()),
///     RouteRequirement::new(None::<Method>, "/health", Requirement::public()),
/// ]);
/// let open: Vec<_> = listing.iter().filter(|row| row.requirement == Requirement::public()).collect();
/// assert_eq!(open.len(), 1);
/// assert_eq!(open[0].path, "/health");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteRequirement {
    /// `None`: every method that no row of its own names.
    pub method: Option<Method>,
    /// The path pattern, such as `/v1/api-keys/{id}`.
    pub path: String,
    /// What it asks of its caller.
    pub requirement: Requirement,
}

impl RouteRequirement {
    /// A row of a [`Listing`].
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

/// Every route with its requirement: what a service prints when it starts, and what its documents are held to.
///
/// ```
/// use coverbase_auth::{Requirement, RequirementsLayer, Scope};
/// use http::Method;
///
/// let requirements = RequirementsLayer::new()
///     .route(Method::GET, "/v1/reports/{id}", Requirement::authenticated())
///     .route(Method::DELETE, "/v1/reports/{id}", Requirement::scope(Scope::from_static("reports:delete")));
/// let listing = requirements.listing();
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
    /// The rows, in the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = &RouteRequirement> {
        self.0.iter()
    }

    /// What the route asks, by the row of its method or else by the one of every method.
    ///
    /// # Errors
    ///
    /// When no row names it: the fault that a service stops at when it starts.
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

/// A line for each route.
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

/// A route that has no requirement.
///
/// ```
/// use coverbase_auth::Listing;
///
/// let error = Listing::default().guards(&http::Method::GET, "/v1/reports").unwrap_err();
/// assert_eq!(error.to_string(), "GET /v1/reports has no requirement: declare one, `Requirement::public()` if it is to be open");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{method} {path} has no requirement: declare one, `Requirement::public()` if it is to be open"
)]
pub struct UnguardedRoute {
    method: Method,
    path: String,
}
