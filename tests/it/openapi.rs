//! The requirements that are enforced, listed and documented are the same.

use std::collections::BTreeSet;

use axum::{Router, body::Body};
use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, Environment, GuardedRouter, KeyAdmin, KeyRecord, Listing,
    MemoryStore, Requirement, Role, RouteTable, Scope, audit::MemoryAuditLog, routes,
};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

fn routes() -> routes::Routes {
    routes::Routes::new(KeyAdmin::new(MemoryStore::new()))
        .with_audit_log(MemoryAuditLog::new())
        .with_openapi()
}

fn document() -> Value {
    serde_json::from_str(&routes().openapi().to_json().unwrap()).unwrap()
}

fn operation<'a>(document: &'a Value, method: &Method, path: &str) -> &'a Value {
    &document["paths"][path][method.as_str().to_lowercase()]
}

async fn status(app: &Router, method: &Method, path: &str, key: Option<&ApiKey>) -> StatusCode {
    let mut request = Request::builder()
        .method(method)
        .uri(path.replace("{id}", "org_acme"));
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {}", key.expose_secret()));
    }
    let response = app
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    response.status()
}

// C18: sent with a key without scopes.
#[tokio::test]
async fn listed_requirement_is_enforced_and_documented() {
    let (store, key) = (MemoryStore::new(), ApiKey::generate(Environment::Live));
    store.insert(&key, KeyRecord::new("ak_1", "org_acme"));
    let app = routes::router(routes()).layer(CoverbaseAuthLayer::new(store));
    let document = document();
    let mut documented = 0;
    for row in routes().listing().iter() {
        let (method, path) = (row.method.as_ref().unwrap(), &*row.path);
        assert_eq!(
            status(&app, method, path, None).await,
            401,
            "{method} {path}"
        );
        let closed = status(&app, method, path, Some(&key)).await == StatusCode::FORBIDDEN;
        assert_eq!(
            closed,
            row.requirement != Requirement::authenticated(),
            "{method} {path}"
        );

        let security = &operation(&document, method, path)["security"];
        let open = json!([{"ApiKey": []}, {"Session": []}]);
        assert_eq!(closed, *security != open, "{method} {path}: {security}");
        documented += 1;
    }
    let operations = document["paths"].as_object().unwrap().values();
    assert_eq!(
        operations
            .map(|item| item.as_object().unwrap().len())
            .sum::<usize>(),
        documented
    );
    let manage = json!([{"ApiKey": ["keys:manage"]}, {"Session": ["admin"]}]);
    assert_eq!(
        operation(&document, &Method::POST, "/v1/api-keys")["security"],
        manage
    );
}

// C1, C44: the document is behind the layer, and not served by default.
#[tokio::test]
async fn document_is_served_with_a_valid_credential() {
    let (store, key) = (MemoryStore::new(), ApiKey::generate(Environment::Live));
    store.insert(&key, KeyRecord::new("ak_1", "org_acme"));
    let auth = CoverbaseAuthLayer::new(store);
    let without_document = routes::Routes::new(KeyAdmin::new(MemoryStore::new()));
    let without_document = routes::router(without_document).layer(auth.clone());
    assert_eq!(
        status(&without_document, &Method::GET, "/openapi.json", Some(&key)).await,
        404
    );

    let app = routes::router(routes()).layer(auth);
    assert_eq!(status(&app, &Method::GET, "/openapi.json", None).await, 401);
    let request = Request::builder().uri("/openapi.json");
    let request = request.header("authorization", format!("Bearer {}", key.expose_secret()));
    let response = app
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), document());
}

// OpenAPI 3.1 §4.8
#[test]
fn document_is_valid() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{name}: {id} twice");
            assert_ne!(operation["summary"], json!(path), "{name} has no summary");
            let parameters = operation["parameters"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let in_path = parameters.iter().filter(|it| it["in"] == "path");
            assert!(in_path.clone().all(|it| it["required"] == true), "{name}");
            let templates = path.matches('{').count();
            assert_eq!(
                in_path.count(),
                templates,
                "{name}: a parameter for each template"
            );
            let responses = operation["responses"].as_object().unwrap();
            for response in responses.values().filter(|it| it["$ref"].is_null()) {
                assert!(response["description"].is_string(), "{name}");
            }
            for alternative in operation["security"].as_array().unwrap() {
                for scheme in alternative.as_object().unwrap().keys() {
                    assert!(
                        document["components"]["securitySchemes"][scheme].is_object(),
                        "{name}: {scheme}"
                    );
                }
            }
        }
    }
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn document_describes_bodies_and_parameters() {
    let document = document();
    let properties = |schema: &str| {
        let properties = document["components"]["schemas"][schema]["properties"].as_object();
        properties.unwrap().keys().cloned().collect::<Vec<_>>()
    };
    for (path, schema, expected) in [
        (
            "/v1/api-keys",
            "CreateKey",
            &["name", "scopes", "seconds_until_expiration"][..],
        ),
        ("/v1/org/{id}", "SetAllowlist", &["api_ip_allowlist"]),
    ] {
        let body = &operation(&document, &Method::POST, path)["requestBody"];
        let reference = &body["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(*reference, format!("#/components/schemas/{schema}"));
        assert_eq!(properties(schema), expected);
    }
    let created = ["created_at", "id", "name", "scopes", "secret"];
    assert_eq!(properties("CreatedApiKey"), created);
    let log = operation(&document, &Method::GET, "/v1/system_audit_log");
    let parameters = log["parameters"].as_array().unwrap().iter();
    let names: Vec<_> = parameters.map(|it| it["name"].as_str().unwrap()).collect();
    let expected = [
        "start_ts",
        "end_ts",
        "event_groups",
        "event_types",
        "search",
        "limit",
        "offset",
    ];
    assert_eq!(names, expected);
    for (_, item) in document["paths"].as_object().unwrap() {
        for (_, operation) in item.as_object().unwrap() {
            for status in ["401", "403", "503"] {
                assert_eq!(
                    operation["responses"][status]["$ref"],
                    "#/components/responses/Rejection"
                );
            }
        }
    }
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(
                members
                    .get("$ref")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            members
                .values()
                .for_each(|member| collect_references(member, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[test]
fn document_with_an_unguarded_route_is_rejected() {
    let secured = |listing: &Listing| {
        let mut document = routes().openapi();
        listing.secure(&mut document).map(|()| document)
    };
    let whole = secured(&routes().listing()).ok().unwrap();
    assert!(whole == routes().openapi());

    let without_rotation = routes().listing();
    let without_rotation = without_rotation
        .iter()
        .filter(|row| !row.path.ends_with("rotate"));
    let error = secured(&without_rotation.cloned().collect()).err().unwrap();
    assert!(
        error
            .to_string()
            .starts_with("POST /v1/api-keys/{id}/rotate has no requirement")
    );
}

#[test]
fn public_route_differs_from_a_route_that_accepts_no_credential() {
    let security = |requirement: Requirement| {
        let mut document = routes().openapi();
        let table = RouteTable::new().any("/v1/api-keys", requirement);
        document
            .paths
            .paths
            .retain(|path, _| path == "/v1/api-keys");
        table.listing().secure(&mut document).unwrap();
        let document: Value = serde_json::from_str(&document.to_json().unwrap()).unwrap();
        operation(&document, &Method::GET, "/v1/api-keys")["security"].clone()
    };
    let own = Scope::from_static("reports:read");
    for (requirement, expected) in [
        (Requirement::public(), json!([])),
        (
            Requirement::roles([]),
            json!([{"ApiKey": [], "Session": []}]),
        ),
        (Requirement::scopes([]), json!([{"ApiKey": []}])),
        (
            Requirement::scopes([Scope::AUDIT_READ, own]).or_roles([Role::ADMIN, Role::GUEST]),
            json!([{"ApiKey": ["audit:read", "reports:read"]}, {"Session": ["admin"]}, {"Session": ["guest"]}]),
        ),
    ] {
        let name = requirement.to_string();
        assert_eq!(security(requirement), expected, "{name}");
    }
}

// C21, C44: the router enforces its requirements without the layer as well.
#[tokio::test]
async fn guarded_router_without_a_layer_is_closed() {
    let router = || {
        GuardedRouter::<()>::new()
            .get("/open", Requirement::public(), async || "")
            .get("/closed", Requirement::authenticated(), async || "")
            .delete("/closed", Requirement::roles([Role::ADMIN]), async || "")
    };
    let merged =
        router().merge(GuardedRouter::new().put("/closed", Requirement::scopes([]), async || ""));
    assert_eq!(merged.listing().iter().count(), 4);
    let unlayered = merged.clone().into_router();
    assert_eq!(status(&unlayered, &Method::GET, "/open", None).await, 200);
    for method in [
        Method::GET,
        Method::HEAD,
        Method::DELETE,
        Method::PUT,
        Method::POST,
    ] {
        assert_eq!(
            status(&unlayered, &method, "/closed", None).await,
            500,
            "{method}"
        );
    }
    assert_eq!(status(&unlayered, &Method::GET, "/else", None).await, 500);

    let (store, key) = (MemoryStore::new(), ApiKey::generate(Environment::Live));
    store.insert(&key, KeyRecord::new("ak_1", "org_acme"));
    let whole = merged.protected_by(CoverbaseAuthLayer::new(store));
    for (method, path, anonymous, with_key) in [
        (Method::GET, "/open", 200, 200),
        (Method::POST, "/open", 401, 404),
        (Method::GET, "/closed", 401, 200),
        (Method::HEAD, "/closed", 401, 200),
        (Method::PUT, "/closed", 401, 200),
        (Method::DELETE, "/closed", 401, 403),
        (Method::PATCH, "/closed", 401, 404),
        (Method::GET, "/else", 401, 404),
    ] {
        assert_eq!(
            status(&whole, &method, path, None).await,
            anonymous,
            "{method} {path}"
        );
        assert_eq!(
            status(&whole, &method, path, Some(&key)).await,
            with_key,
            "{method} {path}"
        );
    }
}
