//! The table of routes: from a request's method and path to what it requires.

use http::{Method, Uri, request::Parts};
use matchit::InsertError;

use super::{Listing, Requirement, RouteRequirement};

/// Requirements by method and path, for [`CoverbaseAuthLayer::with_routes`](crate::CoverbaseAuthLayer::with_routes).
///
/// ```
/// use coverbase_auth::{Requirement, Role, RouteTable, Scope};
/// use http::Method;
///
/// let routes = RouteTable::new()
///     .route(Method::GET, "/v1/reports/{id}", Requirement::authenticated())
///     .route(Method::POST, "/v1/reports", Requirement::scope(Scope::from_static("reports:write")).or_role(Role::ADMIN))
///     .any("/v1/files/{*rest}", Requirement::scope(Scope::from_static("files:read")))
///     .any("/healthz", Requirement::public());
/// # let _ = routes;
/// ```
///
/// # Which row applies
///
/// Paths are matched by the matcher that axum uses: `{id}` is one segment, `{*rest}` all that follow. `{*rest}` also covers
/// its root with and without a trailing slash: `/v1/files/{*rest}` covers `/v1/files` and `/v1/files/`; a public row covers only
/// what it names. A literal segment outranks `{id}`, and `{id}` outranks `{*rest}`.
///
/// A row for the request's method outranks a row for [any](Self::any) method. `HEAD` counts as `GET`, and so does an
/// extended `CONNECT` (WebSocket over HTTP/2, RFC 8441).
///
/// The path is matched as the client sent it, without decoding or normalization, as axum and tonic do: `/v1/%61dmin` and
/// `/v1//admin` are other paths than `/v1/admin`. Inside an axum `nest` it is the full path, before the prefix was removed (with
/// the feature `axum`; without it the layer cannot know the full path). Where a layer inside an axum router has rewritten the
/// path, the rows of both paths must hold.
///
/// # The table fails closed
///
/// - A request that no row matches is authenticated and then answered `404 {"detail":"Not Found"}` (`C44`), unless
///   [`with_default`](Self::with_default) says otherwise.
/// - A method without a row, on a path that has rows, must satisfy every row that matches the path, and the default. Public rows do
///   not count for it: if all are public, the request is one that no row matches.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    patterns: Vec<Pattern>,
    tree: matchit::Router<Target>,
    unmatched: Unmatched,
    /// Whether the rows are the routes of the router that the layer wraps: their paths are those that the router sees, and a
    /// `CONNECT` is served by its own route only.
    is_of_router: bool,
}

/// One path of the table, with its rows.
#[derive(Debug, Clone)]
struct Pattern {
    path: String,
    /// Matches this pattern alone.
    matcher: matchit::Router<()>,
    rows: Vec<RouteRequirement>,
}

/// What the matcher finds under a path.
#[derive(Debug, Clone, Copy)]
struct Target {
    /// The position in `RouteTable::patterns`.
    pattern: usize,
    /// Whether the path is the root of `{*rest}`, which no row names itself.
    is_implied: bool,
}

/// What a request requires that no row matches.
#[derive(Debug, Clone, Default)]
pub(crate) enum Unmatched {
    #[default]
    NotFound,
    Requires(Requirement),
    /// The requirement of the layer: the table only declares public routes.
    Layer,
}

/// What the table says of one request.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    Row {
        requirement: &'a Requirement,
        #[cfg_attr(
            not(feature = "audit"),
            expect(dead_code, reason = "for the record of a call")
        )]
        path: &'a str,
    },
    /// Every row of every pattern that matches the path.
    Every {
        table: &'a RouteTable,
        path: &'a str,
    },
    Unmatched(&'a Unmatched),
}

impl RouteTable {
    /// Returns a table without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row for one method.
    ///
    /// # Panics
    ///
    /// If the path is invalid, or the table has such a row already. [`try_route`](Self::try_route) returns an error instead.
    #[must_use]
    pub fn route(self, method: Method, path: &str, requirement: Requirement) -> Self {
        checked(self.try_route(Some(method), path, requirement))
    }

    /// Adds a row for every method that has no row of its own at this path.
    ///
    /// # Panics
    ///
    /// As [`route`](Self::route).
    #[must_use]
    pub fn any(self, path: &str, requirement: Requirement) -> Self {
        checked(self.try_route(None, path, requirement))
    }

    /// Adds a row for one method, or for any method with `None`: for rows that come from a configuration file.
    ///
    /// # Errors
    ///
    /// If the path is invalid, or the table has such a row already.
    pub fn try_route(
        mut self,
        method: Option<Method>,
        path: &str,
        requirement: Requirement,
    ) -> Result<Self, InvalidRoute> {
        self.add(RouteRequirement::new(method, path, requirement))?;
        Ok(self)
    }

    /// Sets the requirement of requests that no row matches; [`Requirement::public`] counts as
    /// [`Requirement::authenticated`]. By default they are authenticated and answered 404.
    #[must_use]
    pub fn with_default(mut self, requirement: Requirement) -> Self {
        self.unmatched = Unmatched::Requires(requirement.never_public());
        self
    }

    /// Returns the rows, path by path.
    #[must_use]
    pub fn listing(&self) -> Listing {
        self.rows().cloned().collect()
    }

    /// Returns a table that leaves every unmatched request to the layer's own requirement.
    pub(crate) fn of_public_routes() -> Self {
        Self {
            unmatched: Unmatched::Layer,
            ..Self::default()
        }
    }

    /// Adds all rows of `other`.
    pub(crate) fn with_rows_of(mut self, other: &Self) -> Self {
        // Rows of another origin are full paths.
        self.is_of_router &= other.is_of_router || other.patterns.is_empty();
        other.rows().cloned().fold(self, |table, row| {
            checked(table.try_route(row.method, &row.path, row.requirement))
        })
    }

    /// Returns a table of the routes of the router that the layer wraps.
    #[cfg(feature = "axum")]
    pub(crate) fn of_router() -> Self {
        Self {
            is_of_router: true,
            ..Self::default()
        }
    }

    /// Returns what the table says of the path that the client sent, and of the path that the inner service sees, if that is
    /// another path with rows.
    pub(crate) fn routes_of<'a>(&'a self, parts: &'a Parts) -> (Route<'a>, Option<Route<'a>>) {
        let inner = parts.uri.path();
        let sent = match self.is_of_router {
            true => inner,
            false => original_uri(parts).path(),
        };
        let rewritten = (sent != inner).then(|| self.find(&parts.method, inner));
        let rewritten = rewritten.filter(|route| !matches!(route, Route::Unmatched(_)));
        (self.find(&parts.method, sent), rewritten)
    }

    pub(crate) fn find<'a>(&'a self, method: &Method, path: &'a str) -> Route<'a> {
        let found = self.tree.at(path).ok().map(|found| *found.value);
        let Some(Target {
            pattern,
            is_implied,
        }) = found
        else {
            return Route::Unmatched(&self.unmatched);
        };
        let pattern = self.patterns.get(pattern);
        let row = pattern.and_then(|it| Some((it, it.requirement_for(method, self.is_of_router)?)));
        let is_ambiguous = is_implied && self.matching(path).nth(1).is_some();
        match row {
            Some((pattern, requirement))
                if !(is_ambiguous || is_implied && requirement.is_public()) =>
            {
                let path = &pattern.path;
                Route::Row { requirement, path }
            }
            _ if self.closed_rows(path).next().is_some() => Route::Every { table: self, path },
            _ => Route::Unmatched(&self.unmatched),
        }
    }

    /// Returns the requirements of the rows that match the path, without public ones.
    fn closed_rows<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Requirement> {
        let rows = self.matching(path).flat_map(|pattern| &pattern.rows);
        let requirements = rows.map(|row| &row.requirement);
        requirements.filter(|requirement| !requirement.is_public())
    }

    fn matching<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Pattern> {
        let matches = move |pattern: &&Pattern| pattern.matcher.at(path).is_ok();
        self.patterns.iter().filter(matches)
    }

    fn rows(&self) -> impl Iterator<Item = &RouteRequirement> {
        self.patterns.iter().flat_map(|pattern| &pattern.rows)
    }

    fn add(&mut self, row: RouteRequirement) -> Result<(), InvalidRoute> {
        check_path(&row)?;
        if let Some(pattern) = self.patterns.iter_mut().find(|it| it.path == row.path) {
            if pattern.rows.iter().any(|it| it.method == row.method) {
                return Err(InvalidRoute::new(
                    &row,
                    "the table has a row for it already",
                ));
            }
            pattern.rows.push(row);
            return Ok(());
        }
        let invalid = |error: InsertError| InvalidRoute::new(&row, &fault(&error));
        let mut matcher = matchit::Router::new();
        let mut target = Target {
            pattern: self.patterns.len(),
            is_implied: false,
        };
        match self.tree.insert(&row.path, target) {
            // The root of another pattern, which gives way to a row.
            Err(InsertError::Conflict { with })
                if self.patterns.iter().all(|pattern| pattern.path != with) =>
            {
                self.tree.remove(with);
                self.tree.insert(&row.path, target).map_err(invalid)?;
            }
            result => result.map_err(invalid)?,
        }
        matcher.insert(&row.path, ()).map_err(invalid)?;
        target.is_implied = true;
        for root in implied_roots(&row.path) {
            matcher.insert(root, ()).map_err(invalid)?;
            // It fails if a row names a path of the same form: then that row applies.
            let _ = self.tree.insert(root, target);
        }
        self.patterns.push(Pattern {
            path: row.path.clone(),
            matcher,
            rows: vec![row],
        });
        Ok(())
    }
}

/// Returns the paths that `{*rest}` covers beside those that it matches: `/files` and `/files/` for `/files/{*rest}`.
fn implied_roots(path: &str) -> impl Iterator<Item = &str> {
    let with_slash = path.rfind("{*").and_then(|rest| path.get(..rest));
    let without = with_slash.and_then(|root| root.strip_suffix('/'));
    with_slash
        .into_iter()
        .chain(without.filter(|root| !root.is_empty()))
}

impl Pattern {
    fn requirement_for(&self, method: &Method, is_of_router: bool) -> Option<&Requirement> {
        let row = |method: Option<&Method>| {
            let mut rows = self.rows.iter();
            rows.find(|row| row.method.as_ref() == method)
        };
        let any = || row(None);
        let get = || row(Some(&Method::GET));
        let found = row(Some(method)).or_else(|| match *method {
            Method::HEAD => get().or_else(any),
            // A router may serve it as `GET` or as any method: with rows for both, both must hold.
            Method::CONNECT if !is_of_router => match (get(), any()) {
                (Some(_), Some(_)) => None,
                (get, any) => get.or(any),
            },
            _ => any(),
        });
        found.map(|row| &row.requirement)
    }
}

impl Route<'_> {
    pub(crate) const fn is_public(&self) -> bool {
        matches!(self, Self::Row { requirement, .. } if requirement.is_public())
    }

    /// Returns what the caller must satisfy, all of it.
    pub(crate) fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        let (one, every) = match self {
            Self::Row { requirement, .. } => (Some(*requirement), None),
            Self::Every { table, path } => {
                (table.unmatched.requirement(), Some(table.closed_rows(path)))
            }
            Self::Unmatched(unmatched) => (unmatched.requirement(), None),
        };
        one.into_iter().chain(every.into_iter().flatten())
    }
}

impl Unmatched {
    const fn requirement(&self) -> Option<&Requirement> {
        match self {
            Self::Requires(requirement) => Some(requirement),
            Self::NotFound | Self::Layer => None,
        }
    }
}

/// Returns the URI as the client sent it: inside an axum `nest`, the one before the prefix was removed.
pub(crate) fn original_uri(parts: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(uri)) = parts.extensions.get() {
        return uri;
    }
    &parts.uri
}

/// Rejects the paths that axum rejects: as a row they would never match.
fn check_path(row: &RouteRequirement) -> Result<(), InvalidRoute> {
    let Some(path) = row.path.strip_prefix('/') else {
        return Err(InvalidRoute::new(row, "a path begins with `/`"));
    };
    if path.split('/').any(|it| it.starts_with([':', '*'])) {
        return Err(InvalidRoute::new(
            row,
            "write `{name}` for one segment and `{*name}` for all that follow",
        ));
    }
    Ok(())
}

fn fault(error: &InsertError) -> String {
    match error {
        InsertError::Conflict { with } => {
            format!("it conflicts with `{with}`: use one name for the parameters in one place")
        }
        error => error.to_string(),
    }
}

#[expect(clippy::panic, reason = "documented; `try_route` does not panic")]
fn checked(table: Result<RouteTable, InvalidRoute>) -> RouteTable {
    table.unwrap_or_else(|error| panic!("{error}"))
}

/// A row that a [`RouteTable`] cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid route `{path}`: {fault}")]
pub struct InvalidRoute {
    path: String,
    fault: String,
}

impl InvalidRoute {
    fn new(row: &RouteRequirement, fault: &str) -> Self {
        Self {
            path: row.path.clone(),
            fault: fault.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
