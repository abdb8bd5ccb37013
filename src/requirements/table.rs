//! From method and path to requirement, by the matcher that axum routes with.

use http::Method;
use matchit::InsertError;

use crate::requirement::{Listing, Requirement, RouteRequirement};

/// A tree of paths for each method that a row names, in which the rows for every method stand too: the most exact path
/// with a row for the method wins, whatever other methods are served under one that is more exact still.
#[derive(Debug, Clone)]
pub(super) struct Table {
    rows: Vec<RouteRequirement>,
    by_method: Vec<(Method, PathTree)>,
    other_methods: PathTree,
}

type PathTree = matchit::Router<Entry>;

#[derive(Debug, Clone)]
struct Entry {
    rank: Rank,
    requirement: Requirement,
}

/// Of two rows for one path, which holds for a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    EveryMethod,
    /// Frameworks answer `HEAD` by the handler of `GET` (RFC 9110 §9.3.2).
    HeadByGet,
    ThisMethod,
}

impl Table {
    /// What the row for this request requires, if there is one.
    #[inline]
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<&Requirement> {
        let own = self.by_method.iter().find(|(named, _)| named == method);
        let tree = own.map_or(&self.other_methods, |(_, tree)| tree);
        let found = tree.at(path).ok()?;
        Some(&found.value.requirement)
    }

    pub(super) fn add(&mut self, row: RouteRequirement) -> Result<(), InvalidRoute> {
        check_path(&row)?;
        if let Some(method) = &row.method {
            self.grow_tree(method)?;
        }
        for (method, tree) in &mut self.by_method {
            if let Some(rank) = rank(&row, method) {
                place(tree, rank, &row)?;
            }
        }
        if row.method.is_none() {
            place(&mut self.other_methods, Rank::EveryMethod, &row)?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Makes a tree for the method out of what has been said before, if there is none.
    fn grow_tree(&mut self, method: &Method) -> Result<(), InvalidRoute> {
        if self.by_method.iter().any(|(named, _)| named == method) {
            return Ok(());
        }
        let mut tree = PathTree::new();
        for row in &self.rows {
            if let Some(rank) = rank(row, method) {
                place(&mut tree, rank, row)?;
            }
        }
        self.by_method.push((method.clone(), tree));
        Ok(())
    }

    pub(super) fn listing(&self) -> Listing {
        self.rows.iter().cloned().collect()
    }
}

impl Default for Table {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            by_method: vec![(Method::HEAD, PathTree::new())],
            other_methods: PathTree::new(),
        }
    }
}

/// axum refuses the same paths: as a row they would never match, and their routes would fall to the default.
fn check_path(row: &RouteRequirement) -> Result<(), InvalidRoute> {
    let Some(path) = row.path.strip_prefix('/') else {
        return Err(InvalidRoute::new(row, "a path begins with `/`"));
    };
    if path
        .split('/')
        .any(|segment| segment.starts_with([':', '*']))
    {
        return Err(InvalidRoute::new(
            row,
            "write `{name}` for one segment and `{*name}` for all that follow",
        ));
    }
    Ok(())
}

/// `None`: the row is not for `method`.
fn rank(row: &RouteRequirement, method: &Method) -> Option<Rank> {
    match &row.method {
        None => Some(Rank::EveryMethod),
        Some(named) if named == method => Some(Rank::ThisMethod),
        Some(named) if named == Method::GET && method == Method::HEAD => Some(Rank::HeadByGet),
        Some(_) => None,
    }
}

fn place(tree: &mut PathTree, rank: Rank, row: &RouteRequirement) -> Result<(), InvalidRoute> {
    let entry = match tree.remove(&row.path) {
        Some(before) if before.rank == rank => {
            return Err(InvalidRoute::new(row, "there is a row for it already"));
        }
        Some(before) if before.rank > rank => before,
        Some(_) | None => Entry {
            rank,
            requirement: row.requirement.clone(),
        },
    };
    tree.insert(&row.path, entry)
        .map_err(|error| InvalidRoute::new(row, &fault(&error)))
}

fn fault(error: &InsertError) -> String {
    match error {
        InsertError::Conflict { with } => {
            format!("no request could tell it from `{with}`: give parameters in one place one name")
        }
        error => error.to_string(),
    }
}

/// A row that a table cannot hold.
///
/// ```
/// use coverbase_auth::{Requirement, RequirementsLayer};
///
/// let error = RequirementsLayer::new().try_route(None, "/v1/*", Requirement::authenticated());
/// assert_eq!(
///     error.unwrap_err().to_string(),
///     "`/v1/*`: write `{name}` for one segment and `{*name}` for all that follow"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {fault}")]
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
mod tests {
    use super::*;
    use crate::principal::Scope;

    /// Each row's requirement is a scope of its own, by which it is recognized.
    fn table(rows: &[(&str, &str, &str)]) -> Table {
        let mut table = Table::default();
        for (method, path, scope) in rows {
            table.add(row(method, path, scope)).unwrap();
        }
        table
    }

    fn row(method: &str, path: &str, scope: &str) -> RouteRequirement {
        let method = (method != "any").then(|| method.parse().unwrap());
        RouteRequirement::new(
            method,
            path,
            Requirement::scope(scope.parse::<Scope>().unwrap()),
        )
    }

    fn found(table: &Table, method: &str, path: &str) -> String {
        let found = table.find(&method.parse().unwrap(), path);
        found.map_or_else(|| "-".to_owned(), |it| it.to_string().replace("scope ", ""))
    }

    #[test]
    fn the_most_exact_path_with_a_row_for_the_method_wins_in_any_order_of_rows() {
        let mut rows = vec![
            ("any", "/v1/{*rest}", "prefix"),
            ("any", "/v1/keys/{id}", "parameter"),
            ("any", "/v1/keys/self", "exact"),
            ("GET", "/v1/keys/self", "get-exact"),
            ("DELETE", "/v1/keys/{id}", "delete-parameter"),
        ];
        for _ in 0..rows.len() {
            let table = table(&rows);
            for (method, path, expected) in [
                ("GET", "/v1/keys/self", "get-exact"),
                ("HEAD", "/v1/keys/self", "get-exact"),
                ("DELETE", "/v1/keys/self", "exact"),
                ("DELETE", "/v1/keys/1", "delete-parameter"),
                ("GET", "/v1/keys/1", "parameter"),
                ("PATCH", "/v1/keys/1", "parameter"),
                ("PURGE", "/v1/else/where", "prefix"),
                ("GET", "/v1/", "-"),
                ("GET", "/v2/keys", "-"),
                ("OPTIONS", "*", "-"),
            ] {
                assert_eq!(
                    found(&table, method, path),
                    expected,
                    "{method} {path}: {rows:?}"
                );
            }
            rows.rotate_left(1);
        }
    }

    // A router that knows other methods under the more exact path would go on to the parameter.
    #[test]
    fn a_row_for_another_method_hides_none() {
        let table = table(&[("GET", "/keys/self", "get"), ("POST", "/keys/{id}", "post")]);
        assert_eq!(found(&table, "POST", "/keys/self"), "post");
        assert_eq!(found(&table, "GET", "/keys/1"), "-");
    }

    #[test]
    fn head_is_get_unless_it_has_a_row() {
        for rows in [
            [("any", "/a", "any"), ("GET", "/a", "get")],
            [("GET", "/a", "get"), ("any", "/a", "any")],
        ] {
            assert_eq!(found(&table(&rows), "HEAD", "/a"), "get");
            let mut table = table(&rows);
            table.add(row("HEAD", "/a", "head")).unwrap();
            assert_eq!(found(&table, "HEAD", "/a"), "head");
            assert_eq!(found(&table, "GET", "/a"), "get");
        }
    }

    #[test]
    fn a_row_that_could_not_hold_is_refused() {
        let before = [("any", "/a/{id}", "a"), ("GET", "/b", "b")];
        for (method, path, fault) in [
            ("any", "a", "begins with `/`"),
            ("any", "", "begins with `/`"),
            ("GET", "/c/:id", "write `{name}`"),
            ("GET", "/c/*", "write `{name}`"),
            ("GET", "/c/{", "valid name"),
            ("any", "/a/{id}", "already"),
            ("GET", "/b", "already"),
            ("GET", "/a/{name}", "one name"),
            ("any", "/a/{*rest}", "one name"),
        ] {
            let error = table(&before).add(row(method, path, "x")).unwrap_err();
            assert!(error.to_string().contains(fault), "{error}");
        }
        table(&before).add(row("HEAD", "/b", "x")).unwrap();
    }
}
