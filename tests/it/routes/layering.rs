//! The routes with and without the layer (`C17`, `C21`, `C32`, `C33`, `C36`, T18).

use axum::{Router, routing::get};
use coverbase_auth::{
    Principal, Scope,
    routes::{self, Routes},
};
use http::StatusCode;

use super::{INVALID_KEY, NOT_AUTHENTICATED, NOT_FOUND, ROUTES, ask, request};
use crate::service::{ORG, OTHER_ORG, Service};

// C36, C17
#[tokio::test]
async fn authtest_accepts_any_valid_credential() {
    let service = Service::new();
    for token in [
        service.admin_session(),
        service.session_without_role(),
        service.key(&[]),
        service.key(&[Scope::AUDIT_READ]),
    ] {
        let answer = service.get(&token, "/v1/utils/authtest").await;
        answer.assert_is(200, r#"{"msg":"Auth successful"}"#);
    }
    let answer = service.get("ak_live_unknown", "/v1/utils/authtest").await;
    answer.assert_is(401, INVALID_KEY);
}

// C32: by the layer, a handler, an extractor and the fallback.
#[tokio::test]
async fn grpc_request_is_rejected_with_a_grpc_status() {
    let service = Service::new();
    let key = service.key(&[Scope::KEYS_MANAGE]);
    let granting = r#"{"name":"ci","scopes":["audit:read"]}"#;
    for (token, path, body, status, grpc_status) in [
        ("", "/v1/api-keys", granting, 401, "16"),
        (&*key, "/v1/api-keys", granting, 403, "7"),
        (&key, "/v1/api-keys/ak_unknown/rotate", "", 404, "5"),
        (
            &key,
            "/v1/org/org_other",
            "{\"api_ip_allowlist\":[]}",
            404,
            "5",
        ),
        (&key, "/v1/api-keys/%FF/rotate", "", 404, "5"),
        (&key, "/v1/nope", "", 404, "5"),
    ] {
        let plain = service.post(token, path, body).await;
        assert_eq!(plain.status, status, "{path}");
        assert!(!plain.headers.contains_key("grpc-status"));

        let mut request = request(token, "POST", path, body);
        let grpc = "application/grpc+proto".parse().unwrap();
        request.headers_mut().insert("content-type", grpc);
        let answer = ask(service.app(), request).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["grpc-status"], grpc_status, "{path}");
        assert_eq!(answer.headers["content-type"], "application/grpc");
        assert_eq!(answer.body, "", "{path}");
    }
}

// C21, T18
#[tokio::test]
async fn route_without_the_layer_is_500() {
    let service = Service::new();
    let app = routes::router(Routes::new(service.key_admin.clone()));
    let nothing_there = [
        ("GET", "/v1/nonsense", ""),
        ("DELETE", "/v1/api-keys", ""),
        ("GET", "/", ""),
    ];
    for (method, path, body) in ROUTES.into_iter().chain(nothing_there) {
        for token in ["", &service.admin_session(), &service.key(Scope::known())] {
            let answer = ask(app.clone(), request(token, method, path, body)).await;
            assert_eq!(
                answer.status,
                StatusCode::INTERNAL_SERVER_ERROR,
                "{method} {path}"
            );
            assert_eq!(answer.json()["detail"]["code"], "auth_not_configured");
        }
    }
    let list = service.get(&service.admin_session(), "/v1/api-keys").await;
    let names = list.json()["data"].to_string();
    assert!(!names.contains("\"ci\""), "no key was created: {names}");
}

// T18: routes that are merged after the layer are outside of it.
#[tokio::test]
async fn layer_of_an_inner_router_does_not_open_outer_routes() {
    let service = Service::new();
    let inside = Router::new()
        .route("/mine", get(|_: Principal| async { "mine" }))
        .layer(service.layer.clone());
    let app = inside.merge(routes::router(Routes::new(service.key_admin.clone())));
    let key = service.key(&[]);
    let mine = ask(app.clone(), request(&key, "GET", "/mine", "")).await;
    assert_eq!(mine.text(), "mine");
    let outside = ask(app, request(&key, "GET", "/v1/utils/authtest", "")).await;
    assert_eq!(outside.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn router_can_be_nested_under_a_parameter() {
    let service = Service::new();
    let routes = routes::router(Routes::new(service.key_admin.clone()));
    let app = Router::new()
        .nest("/tenants/{tenant}", routes)
        .route("/v1/reports", get(|| async { "reports" }))
        .layer(service.layer.clone());
    let key = service.create(r#"{"name":"ci"}"#).await;
    let path = format!("/tenants/eu/v1/api-keys/{}/revoke", key.id);
    let answer = ask(
        app.clone(),
        request(&service.admin_session(), "POST", &path, ""),
    )
    .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["id"], key.id.as_str());
    let admin = service.admin_session();
    let own = ask(
        app.clone(),
        request(&admin, "GET", "/tenants/eu/v1/org/org_acme", ""),
    )
    .await;
    assert_eq!(own.json()["id"], ORG);
    let nothing = ask(
        app.clone(),
        request(&admin, "GET", "/tenants/eu/v1/nonsense", ""),
    )
    .await;
    nothing.assert_is(404, NOT_FOUND);
    let reports = ask(app, request(&admin, "GET", "/v1/reports", "")).await;
    assert_eq!(reports.text(), "reports");
}

// C21
#[tokio::test]
async fn optional_principal_is_none_outside_of_the_layer() {
    let describe =
        |principal: &Principal| format!("{:?} of {}", principal.kind(), principal.org_id());
    let handlers = Router::new()
        .route(
            "/must",
            get(async move |principal: Principal| describe(&principal)),
        )
        .route(
            "/may",
            get(async move |principal: Option<Principal>| {
                principal.map_or_else(
                    || "no principal".to_owned(),
                    |principal| describe(&principal),
                )
            }),
        );
    let service = Service::new();
    let layered = handlers.clone().layer(service.layer.clone());
    for path in ["/must", "/may"] {
        let key = ask(layered.clone(), request(&service.key(&[]), "GET", path, "")).await;
        assert_eq!(key.text(), "ServiceAccount of org_acme");
        let user = service.session("guest", OTHER_ORG);
        let user = ask(layered.clone(), request(&user, "GET", path, "")).await;
        assert_eq!(user.text(), "User of org_other");
        let anonymous = ask(layered.clone(), request("", "GET", path, "")).await;
        anonymous.assert_is(401, NOT_AUTHENTICATED);
    }
    let key = service.key(&[]);
    let answer = ask(handlers.clone(), request(&key, "GET", "/may", "")).await;
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::OK, "no principal")
    );
    let answer = ask(handlers, request(&key, "GET", "/must", "")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json()["detail"]["code"], "auth_not_configured");
}

// C33
#[tokio::test]
async fn response_does_not_contain_the_credential() {
    let service = Service::new();
    for token in [service.admin_session(), service.key(Scope::known())] {
        for (method, path, body) in ROUTES.into_iter().chain([("GET", "/v1/nonsense", "")]) {
            let answer = ask(service.app(), request(&token, method, path, body)).await;
            assert!(!answer.text().contains(&token), "{path}");
            assert!(!format!("{:?}", answer.headers).contains(&token), "{path}");
        }
    }
}
