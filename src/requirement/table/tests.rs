use super::*;
use crate::principal::Scope;

/// Each row requires a scope of its own, by which it is recognized.
fn table(rows: &[(&str, &str, &str)]) -> RouteTable {
    rows.iter().fold(RouteTable::new(), |table, row| {
        add(table, row).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn add(
    table: RouteTable,
    (method, path, scope): &(&str, &str, &str),
) -> Result<RouteTable, InvalidRoute> {
    let method = (*method != "any").then(|| method.parse().unwrap());
    let scope: Scope = scope.parse().unwrap();
    table.try_route(method, path, Requirement::scope(scope))
}

/// The scopes that a request requires, or `404`.
fn required(table: &RouteTable, method: &str, path: &str) -> String {
    let method = method.parse().unwrap();
    let route = table.find(&method, path);
    if let Route::Unmatched(_) = route {
        return "404".to_owned();
    }
    let mut scopes: Vec<_> = route
        .requirements()
        .map(|it| it.to_string().replace("scope ", ""))
        .collect();
    scopes.sort();
    scopes.join(" ")
}

#[track_caller]
fn assert_required(table: &RouteTable, cases: &[(&str, &str, &str)]) {
    for (method, path, expected) in cases {
        assert_eq!(required(table, method, path), *expected, "{method} {path}");
    }
}

#[test]
fn most_specific_path_wins_in_any_order_of_rows() {
    let mut rows = vec![
        ("any", "/v1/{*rest}", "rest"),
        ("any", "/v1/keys/{id}", "id"),
        ("any", "/v1/keys/self", "self"),
        ("GET", "/v1/keys/self", "get-self"),
        ("DELETE", "/v1/keys/{id}", "delete-id"),
    ];
    for _ in 0..rows.len() {
        assert_required(
            &table(&rows),
            &[
                ("GET", "/v1/keys/self", "get-self"),
                ("HEAD", "/v1/keys/self", "get-self"),
                ("DELETE", "/v1/keys/self", "self"),
                ("DELETE", "/v1/keys/1", "delete-id"),
                ("GET", "/v1/keys/1", "id"),
                ("PURGE", "/v1/else/where", "rest"),
                ("GET", "/v1", "rest"),
                ("GET", "/v1/", "rest"),
                ("GET", "/v2/keys", "404"),
                ("OPTIONS", "*", "404"),
            ],
        );
        rows.rotate_left(1);
    }
}

// T18: `nest_service("/v1/files", …)` serves all three.
#[test]
fn rest_covers_its_root_with_and_without_slash() {
    let table = table(&[("any", "/v1/files/{*rest}", "files")]);
    assert_required(
        &table,
        &[
            ("GET", "/v1/files", "files"),
            ("GET", "/v1/files/", "files"),
            ("GET", "/v1/files/a/b", "files"),
            ("GET", "/v1/filesystem", "404"),
        ],
    );
    let root = super::RouteTable::new().any("/{*rest}", Requirement::roles([]));
    assert!(matches!(root.find(&Method::GET, "/"), Route::Row { .. }));
}

// T18: the table cannot know which of the two serves the path.
#[test]
fn root_that_another_row_matches_too_requires_both() {
    let mut rows = vec![
        ("any", "/v1/{id}", "id"),
        ("any", "/v1/files/{*rest}", "files"),
    ];
    for _ in 0..2 {
        assert_required(
            &table(&rows),
            &[
                ("GET", "/v1/files", "files id"),
                ("GET", "/v1/other", "id"),
                ("GET", "/v1/files/", "files"),
            ],
        );
        rows.rotate_left(1);
    }
    rows.push(("any", "/v1/files", "root"));
    assert_required(&table(&rows), &[("GET", "/v1/files", "root")]);
}

#[test]
fn method_without_a_row_requires_every_row_of_the_path() {
    let table = table(&[
        ("GET", "/keys/self", "get"),
        ("PUT", "/keys/self", "put"),
        ("POST", "/keys/{id}", "post"),
    ]);
    assert_required(
        &table,
        &[
            ("GET", "/keys/self", "get"),
            ("POST", "/keys/self", "get post put"),
            ("GET", "/keys/1", "post"),
        ],
    );
}

// T18: public rows open what they name and nothing else.
#[test]
fn public_row_covers_only_what_it_names() {
    let table = RouteTable::new()
        .route(Method::GET, "/healthz", Requirement::public())
        .any("/assets/{*rest}", Requirement::public())
        .route(Method::GET, "/mixed", Requirement::public())
        .with_default(Requirement::roles([]));
    let is_public = |method: Method, path| table.find(&method, path).is_public();
    assert!(is_public(Method::GET, "/healthz") && is_public(Method::HEAD, "/healthz"));
    assert!(is_public(Method::GET, "/assets/a.css"));
    for (method, path) in [
        (Method::POST, "/healthz"),
        (Method::GET, "/healthz/"),
        (Method::GET, "/assets"),
        (Method::GET, "/assets/"),
    ] {
        let route = table.find(&method, path);
        assert!(matches!(route, Route::Unmatched(_)), "{method} {path}");
        assert_eq!(route.requirements().count(), 1, "the default applies");
    }
    let scope = Requirement::scope(Scope::AUDIT_READ);
    let mixed = table.route(Method::PUT, "/mixed", scope);
    let route = mixed.find(&Method::DELETE, "/mixed");
    assert!(!route.is_public());
    assert_eq!(
        route.requirements().count(),
        2,
        "the row for PUT, and the default"
    );
}

// RFC 8441
#[test]
fn connect_counts_as_get_unless_any_method_has_a_row_too() {
    let get = table(&[("GET", "/ws", "get")]);
    assert_required(&get, &[("CONNECT", "/ws", "get")]);
    let both = table(&[("GET", "/ws", "get"), ("any", "/ws", "any")]);
    assert_required(
        &both,
        &[("CONNECT", "/ws", "any get"), ("HEAD", "/ws", "get")],
    );
    let own = table(&[("GET", "/ws", "get"), ("CONNECT", "/ws", "connect")]);
    assert_required(&own, &[("CONNECT", "/ws", "connect")]);
}

// A path of the same form as a root, with another name for its parameter, is a row like any other.
#[test]
fn row_outranks_a_root_of_the_same_form() {
    let mut rows = vec![
        ("any", "/t/{id}", "id"),
        ("any", "/t/{tenant}/{*rest}", "rest"),
    ];
    for _ in 0..2 {
        let table = table(&rows);
        assert_required(
            &table,
            &[
                ("GET", "/t/1", "id"),
                ("GET", "/t/1/", "rest"),
                ("GET", "/t/1/a", "rest"),
            ],
        );
        rows.rotate_left(1);
    }
}

#[test]
fn invalid_row_is_rejected_with_its_fault() {
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
        let error = add(table(&before), &(method, path, "x")).unwrap_err();
        assert!(error.to_string().contains(fault), "{error}");
    }
    add(table(&before), &("HEAD", "/b", "x")).unwrap();
}
