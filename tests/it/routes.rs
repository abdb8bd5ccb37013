//! The contract's routes as axum serves them: exact statuses, headers and bodies (C36–C42, C44, C20, C21).

use std::net::SocketAddr;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
    routing::get,
};
use coverbase_auth::{
    ClientIpSource, PeerAddr, Principal, Scope,
    routes::{self, Routes},
};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::service::{NOON, ORG, OTHER_ORG, Service};

const NOT_AUTHENTICATED: &str = r#"{"detail":"Not authenticated"}"#;
const NOT_FOUND: &str = r#"{"detail":"Not Found"}"#;
const KEY_NOT_FOUND: &str =
    r#"{"detail":{"code":"api_key_not_found","message":"API key not found."}}"#;
const ORG_NOT_FOUND: &str =
    r#"{"detail":{"code":"org_not_found","message":"Organization not found."}}"#;
const INVALID_KEY: &str = r#"{"detail":"Invalid or expired API key."}"#;

/// Every route with its method and a body that it takes.
const ROUTES: [(&str, &str, &str); 8] = [
    ("GET", "/v1/utils/authtest", ""),
    ("GET", "/v1/whoami/ip", ""),
    ("GET", "/v1/api-keys", ""),
    ("POST", "/v1/api-keys", r#"{"name":"ci"}"#),
    ("POST", "/v1/api-keys/ak_unknown/rotate", ""),
    ("POST", "/v1/api-keys/ak_unknown/revoke", ""),
    ("GET", "/v1/org/org_acme", ""),
    ("POST", "/v1/org/org_acme", r#"{"api_ip_allowlist":[]}"#),
];

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    fn assert_is(&self, status: u16, body: &str) {
        assert_eq!((self.status.as_u16(), self.text()), (status, body));
        assert_eq!(self.headers["content-type"], "application/json");
    }
}

fn request(token: &str, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = match token {
        "" => request,
        token => request.header("authorization", format!("Bearer {token}")),
    };
    request.body(body.into()).unwrap()
}

async fn ask(app: Router, request: Request<Body>) -> Answer {
    let response = app.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

impl Service {
    async fn get(&self, token: &str, path: &str) -> Answer {
        ask(self.app(), request(token, "GET", path, "")).await
    }

    async fn post(&self, token: &str, path: &str, body: impl Into<Body>) -> Answer {
        ask(self.app(), request(token, "POST", path, body)).await
    }

    fn admin_session(&self) -> String {
        self.session("admin", ORG)
    }
}

// C36, C17
#[tokio::test]
async fn authtest_answers_any_valid_credential() {
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

// C37, C24–C26
#[tokio::test]
async fn whoami_tells_the_address_that_the_allowlist_is_checked_against() {
    for (source, peer, forwarded, expected) in [
        (ClientIpSource::peer(), None, None, None),
        (ClientIpSource::peer(), None, Some("203.0.113.42"), None),
        (
            ClientIpSource::peer(),
            Some("203.0.113.42:9"),
            Some("192.0.2.66"),
            Some("203.0.113.42"),
        ),
        (
            ClientIpSource::peer(),
            Some("[::ffff:203.0.113.42]:9"),
            None,
            Some("203.0.113.42"),
        ),
        (
            ClientIpSource::peer(),
            Some("[2001:db8:0:0::1]:9"),
            None,
            Some("2001:db8::1"),
        ),
        (
            ClientIpSource::trusted_proxies(1),
            Some("10.0.0.7:9"),
            Some("192.0.2.66, 203.0.113.42"),
            Some("203.0.113.42"),
        ),
        (
            ClientIpSource::trusted_proxies(1),
            Some("10.0.0.7:9"),
            Some("::ffff:203.0.113.42"),
            Some("203.0.113.42"),
        ),
        (
            ClientIpSource::trusted_proxies(1),
            Some("10.0.0.7:9"),
            None,
            None,
        ),
        (
            ClientIpSource::trusted_proxies(1),
            Some("10.0.0.7:9"),
            Some("010.0.0.1"),
            None,
        ),
    ] {
        let service = Service::new().with_client_ip(source);
        let key = service.key(&[]);
        let app = service.app();
        let ask_from = async |path| {
            let mut request = request(&key, "GET", path, "");
            if let Some(peer) = peer {
                let peer = PeerAddr::new(peer.parse::<SocketAddr>().unwrap());
                request.extensions_mut().insert(peer);
            }
            if let Some(forwarded) = forwarded {
                let value = forwarded.parse().unwrap();
                request.headers_mut().insert("x-forwarded-for", value);
            }
            ask(app.clone(), request).await
        };
        let answer = ask_from("/v1/whoami/ip").await;
        answer.assert_is(200, &json!({ "client_ip": expected }).to_string());

        // Whoever is let in by that very address, and by no other, is who it says.
        let allowed = expected.unwrap_or("203.0.113.42");
        let body = json!({"api_ip_allowlist": [allowed]}).to_string();
        let admin = service.admin_session();
        let set = service.post(&admin, "/v1/org/org_acme", body).await;
        assert_eq!(set.status, StatusCode::OK);
        let status = ask_from("/v1/utils/authtest").await.status.as_u16();
        assert_eq!(status, if expected.is_some() { 200 } else { 403 });
    }
}

// C37: axum's own word for the peer.
#[tokio::test]
async fn whoami_knows_the_peer_of_axum() {
    let service = Service::new();
    let mut request = request(&service.key(&[]), "GET", "/v1/whoami/ip", "");
    let peer = ConnectInfo(SocketAddr::from(([203, 0, 113, 42], 9)));
    request.extensions_mut().insert(peer);
    let answer = ask(service.app(), request).await;
    answer.assert_is(200, r#"{"client_ip":"203.0.113.42"}"#);
}

// C38, C39
#[tokio::test]
async fn a_key_is_created_shown_once_and_listed_without_its_secret() {
    let service = Service::new();
    let admin = service.admin_session();
    let body = r#"{"name":" ci ","seconds_until_expiration":60,"scopes":["audit:read"]}"#;
    let created = service.post(&admin, "/v1/api-keys", body).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.headers["cache-control"], "no-store");
    let key = created.json();
    let (id, secret) = (key["id"].as_str().unwrap(), key["secret"].as_str().unwrap());
    assert!(id.starts_with("ak_") && secret.starts_with("ak_live_"));
    assert_eq!(
        created.text(),
        format!(
            r#"{{"id":"{id}","name":"ci","secret":"{secret}","created_at":{NOON},"scopes":["audit:read"]}}"#
        )
    );

    let list = service.get(&admin, "/v1/api-keys").await;
    list.assert_is(
        200,
        &format!(
            r#"{{"data":[{{"id":"{id}","name":"ci","created_at":{NOON},"last_used_at":null,"revoked":false,"expired":false,"scopes":["audit:read"],"created_by_clerk_user_id":"user_admin"}}]}}"#
        ),
    );
    assert!(list.headers.get("cache-control").is_none());
    let other = service.session("admin", OTHER_ORG);
    let list = service.get(&other, "/v1/api-keys").await;
    list.assert_is(200, r#"{"data":[]}"#);
    let used = service.get(secret, "/v1/utils/authtest").await;
    assert_eq!(used.status, StatusCode::OK);
}

// C39
#[tokio::test]
async fn a_blank_name_is_a_bad_request() {
    let service = Service::new();
    for name in ["", "  ", "\\u00a0\\n"] {
        let body = format!(r#"{{"name":"{name}"}}"#);
        let admin = service.admin_session();
        let answer = service.post(&admin, "/v1/api-keys", body).await;
        let expected = r#"{"detail":{"code":"invalid_name","message":"Name cannot be empty."}}"#;
        answer.assert_is(400, expected);
    }
}

// C39: FastAPI's shape.
#[tokio::test]
async fn a_body_that_does_not_fit_is_named_field_by_field() {
    let service = Service::new();
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(201));
    let deep = format!(
        r#"{{"name":"a","x":{}{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    let lifetime = json!(["body", "seconds_until_expiration"]);
    for (body, loc, message, kind) in [
        ("{}", json!(["body", "name"]), "Field required", "missing"),
        ("", json!(["body"]), "Field required", "missing"),
        (
            r#"{"name":1}"#,
            json!(["body", "name"]),
            "Input should be a valid string",
            "string_type",
        ),
        (
            &long,
            json!(["body", "name"]),
            "String should have at most 200 characters",
            "string_too_long",
        ),
        (
            r#"{"name":"a","seconds_until_expiration":"60"}"#,
            lifetime.clone(),
            "Input should be a valid integer",
            "int_type",
        ),
        (
            r#"{"name":"a","seconds_until_expiration":1.5}"#,
            lifetime.clone(),
            "Input should be a valid integer",
            "int_type",
        ),
        (
            r#"{"name":"a","seconds_until_expiration":0}"#,
            lifetime.clone(),
            "Input should be greater than or equal to 1",
            "greater_than_equal",
        ),
        (
            r#"{"name":"a","seconds_until_expiration":3153600001}"#,
            lifetime,
            "Input should be less than or equal to 3153600000",
            "less_than_equal",
        ),
        (
            r#"{"name":"a","scopes":{}}"#,
            json!(["body", "scopes"]),
            "Input should be a valid list",
            "list_type",
        ),
        (
            r#"{"name":"a","scopes":["audit:read",7]}"#,
            json!(["body", "scopes", 1]),
            "Input should be a valid string",
            "string_type",
        ),
        (
            r#"{"name":"a","scopes":["no:such"]}"#,
            json!(["body", "scopes", 0]),
            "Input should be one of 'keys:manage', 'audit:read', 'banking:read', 'review:sensitive_changes'",
            "enum",
        ),
        (
            "{",
            json!(["body"]),
            "JSON decode error: not a JSON object",
            "json_invalid",
        ),
        (
            r#"{"name":"a","name":"b"}"#,
            json!(["body"]),
            "JSON decode error: a name occurs twice in one JSON object",
            "json_invalid",
        ),
        (
            &deep,
            json!(["body"]),
            "JSON decode error: JSON nested too deeply",
            "json_invalid",
        ),
    ] {
        let answer = service
            .post(&service.admin_session(), "/v1/api-keys", body.to_owned())
            .await;
        let expected = json!({"detail": [{"loc": loc, "msg": message, "type": kind}]});
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (422, expected),
            "{body}"
        );
    }
    let list = service.get(&service.admin_session(), "/v1/api-keys").await;
    list.assert_is(200, r#"{"data":[]}"#);
}

// C39: what the body says of itself does not matter, and bytes that are no text are no JSON.
#[tokio::test]
async fn a_body_is_read_as_json_whatever_its_content_type() {
    let service = Service::new();
    for content_type in [
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
    ] {
        let body = r#"{"name":"ci"}"#;
        let mut request = request(&service.admin_session(), "POST", "/v1/api-keys", body);
        let value = content_type.parse().unwrap();
        request.headers_mut().insert("content-type", value);
        assert_eq!(
            ask(service.app(), request).await.status,
            StatusCode::CREATED
        );
    }
    let answer = service
        .post(
            &service.admin_session(),
            "/v1/api-keys",
            &b"{\"name\":\"\xff\"}"[..],
        )
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["detail"][0]["type"], "json_invalid");
}

// T14
#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let service = Service::new();
    let admin = service.admin_session();
    let body = |len: usize| format!(r#"{{"name":"ci","x":"{}"}}"#, "x".repeat(len - 20));
    for path in [
        "/v1/api-keys",
        "/v1/api-keys/ak_unknown/revoke",
        "/v1/org/org_acme",
    ] {
        let answer = service.post(&admin, path, body(512 * 1024 + 1)).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        assert!(answer.json()["detail"].is_string());
        let answer = service.post(&admin, path, body(512 * 1024)).await;
        assert_ne!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    // Who they are comes first.
    let answer = service.post("", "/v1/api-keys", body(1 << 20)).await;
    answer.assert_is(401, NOT_AUTHENTICATED);
    let key = service.key(&[]);
    let answer = service.post(&key, "/v1/api-keys", body(1 << 20)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

// C42: an allowlist of ten thousand networks fits.
#[tokio::test]
async fn a_long_allowlist_fits() {
    let service = Service::new();
    let networks = (0..10_000_u32).map(|n| format!("2001:db8:{n:x}:ffff:ffff:ffff:ffff:fff0/124"));
    let body = json!({"api_ip_allowlist": networks.collect::<Vec<_>>()}).to_string();
    let answer = service
        .post(&service.admin_session(), "/v1/org/org_acme", body.clone())
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{} bytes", body.len());
    let list = answer.json()["api_ip_allowlist"].as_array().unwrap().len();
    assert_eq!(list, 10_000);
}

// C18, C30
#[tokio::test]
async fn key_management_asks_for_its_scope_or_its_role() {
    let service = Service::new();
    for (method, path, body) in ROUTES {
        let manages = path.contains("api-keys") || method == "POST";
        let with = async |token: &str| ask(service.app(), request(token, method, path, body)).await;

        let key = with(&service.key(&[Scope::AUDIT_READ])).await;
        let member = with(&service.session("member", ORG)).await;
        if manages {
            assert_eq!(key.status, StatusCode::FORBIDDEN, "{path}");
            assert_eq!(key.json()["detail"]["code"], "insufficient_scope");
            let challenge =
                r#"Bearer realm="coverbase", error="insufficient_scope", scope="keys:manage""#;
            assert_eq!(key.headers["www-authenticate"], challenge);
            member.assert_is(401, r#"{"detail":"Unauthorized role."}"#);
            assert_eq!(
                member.headers["www-authenticate"],
                r#"Bearer realm="coverbase""#
            );
        } else {
            assert_eq!(
                (key.status, member.status),
                (StatusCode::OK, StatusCode::OK)
            );
        }
        let expected = match path {
            "/v1/api-keys" if method == "POST" => 201,
            path if path.contains("ak_unknown") => 404,
            _ => 200,
        };
        for token in [service.key(&[Scope::KEYS_MANAGE]), service.admin_session()] {
            assert_eq!(with(&token).await.status.as_u16(), expected, "{path}");
        }
    }
}

// C19
#[tokio::test]
async fn a_key_that_would_grant_scopes_is_told_so() {
    let service = Service::new();
    let key = service.key(Scope::known());
    let body = r#"{"name":"ci","scopes":["audit:read"]}"#;
    let answer = service.post(&key, "/v1/api-keys", body).await;
    let forbidden = r#"{"detail":{"code":"scope_grant_forbidden","message":"Only an organization admin may grant scopes to an API key."}}"#;
    answer.assert_is(403, forbidden);
    assert!(answer.headers.get("www-authenticate").is_none());
    for body in [r#"{"name":"ci","scopes":[]}"#, r#"{"name":"ci"}"#] {
        let answer = service.post(&key, "/v1/api-keys", body).await;
        assert_eq!(answer.status, StatusCode::CREATED);
    }

    // By rotation neither.
    let stronger = service
        .create(r#"{"name":"ci","scopes":["banking:read"]}"#)
        .await;
    let path = format!("/v1/api-keys/{}/rotate", stronger.id);
    let weaker = service.key(&[Scope::KEYS_MANAGE]);
    service
        .post(&weaker, &path, "")
        .await
        .assert_is(403, forbidden);
    assert_eq!(service.post(&key, &path, "").await.status, StatusCode::OK);
}

// C32: wherever it is refused.
#[tokio::test]
async fn a_grpc_client_is_refused_in_its_own_way() {
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

// C40
#[tokio::test]
async fn a_rotation_answers_with_the_new_secret_and_the_old_id() {
    let service = Service::new();
    let old = service
        .create(r#"{"name":"ci","scopes":["audit:read"]}"#)
        .await;
    let path = format!("/v1/api-keys/{}/rotate", old.id);
    let answer = service.post(&service.admin_session(), &path, "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let new = answer.json();
    let expected = json!({
        "id": new["id"], "name": "ci (rotated 2026-11-24)", "secret": new["secret"], "revoked_id": old.id.as_str(),
        "created_at": NOON, "scopes": ["audit:read"],
    });
    assert_eq!(new, expected);

    let secret = new["secret"].as_str().unwrap();
    let live = service.get(secret, "/v1/utils/authtest").await;
    assert_eq!(live.status, StatusCode::OK);
    let dead = service.get(old.secret.expose_secret(), "/v1/utils/authtest");
    dead.await.assert_is(401, INVALID_KEY);
    let again = service.post(&service.admin_session(), &path, "").await;
    again.assert_is(404, KEY_NOT_FOUND);
}

// C41
#[tokio::test]
async fn a_revocation_answers_with_the_key_as_it_is_now() {
    let service = Service::new();
    let key = service
        .create(r#"{"name":"ci","scopes":["audit:read"]}"#)
        .await;
    let (id, secret) = (key.id.as_str(), key.secret.expose_secret());
    let path = format!("/v1/api-keys/{id}/revoke");
    let admin = service.admin_session();
    for (body, kind) in [
        (r#"{"reason":7}"#, "string_type"),
        ("[]", "json_invalid"),
        ("leaked", "json_invalid"),
    ] {
        let answer = service.post(&admin, &path, body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.json()["detail"][0]["type"], kind);
        let live = service.get(secret, "/v1/utils/authtest").await;
        assert_eq!(live.status, StatusCode::OK);
    }
    let revoked = format!(
        r#"{{"id":"{id}","name":"ci","created_at":{NOON},"last_used_at":{NOON},"revoked":true,"expired":false,"scopes":[],"created_by_clerk_user_id":"user_admin"}}"#
    );
    for body in [r#"{"reason":"leaked"}"#, "", "{}", r#"{"reason":null}"#] {
        let answer = service.post(&admin, &path, body).await;
        answer.assert_is(200, &revoked);
        let dead = service.get(secret, "/v1/utils/authtest").await;
        dead.assert_is(401, INVALID_KEY);
    }
    let answer = service.get(&admin, "/v1/api-keys").await;
    answer.assert_is(200, &format!(r#"{{"data":[{revoked}]}}"#));
}

// C20, T7
#[tokio::test]
async fn a_key_of_another_organization_is_answered_as_one_that_does_not_exist() {
    let service = Service::new();
    let key = service.create(r#"{"name":"ci"}"#).await;
    let stranger = service.session("admin", OTHER_ORG);
    for action in ["rotate", "revoke"] {
        let foreign = format!("/v1/api-keys/{}/{action}", key.id);
        let unknown = format!("/v1/api-keys/ak_unknown/{action}");
        for path in [foreign, unknown] {
            let answer = service.post(&stranger, &path, "").await;
            answer.assert_is(404, KEY_NOT_FOUND);
            assert!(answer.headers.get("www-authenticate").is_none());
        }
    }
    let live = service.get(key.secret.expose_secret(), "/v1/utils/authtest");
    assert_eq!(live.await.status, StatusCode::OK);
}

// C42
#[tokio::test]
async fn an_organization_answers_with_its_allowlist() {
    let service = Service::new();
    let admin = service.admin_session();
    let path = "/v1/org/org_acme";
    let empty = r#"{"id":"org_acme","api_ip_allowlist":[]}"#;
    service.get(&admin, path).await.assert_is(200, empty);

    let body = r#"{"api_ip_allowlist":["198.51.100.7","2001:DB8::/32"]}"#;
    let canonical = r#"{"id":"org_acme","api_ip_allowlist":["198.51.100.7/32","2001:db8::/32"]}"#;
    service
        .post(&admin, path, body)
        .await
        .assert_is(200, canonical);
    service.get(&admin, path).await.assert_is(200, canonical);

    let body = r#"{"api_ip_allowlist":["10.0.0.0/8","not-a-cidr"]}"#;
    let invalid = r#"{"detail":{"error":"Invalid CIDR in api_ip_allowlist","value":"not-a-cidr"}}"#;
    service
        .post(&admin, path, body)
        .await
        .assert_is(422, invalid);
    for (body, loc) in [
        ("{}", json!(["body", "api_ip_allowlist"])),
        ("", json!(["body"])),
        (
            r#"{"api_ip_allowlist":null}"#,
            json!(["body", "api_ip_allowlist"]),
        ),
        (
            r#"{"api_ip_allowlist":"10.0.0.0/8"}"#,
            json!(["body", "api_ip_allowlist"]),
        ),
        (
            r#"{"api_ip_allowlist":["10.0.0.0/8",1]}"#,
            json!(["body", "api_ip_allowlist", 1]),
        ),
    ] {
        let answer = service.post(&admin, path, body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer.json()["detail"][0]["loc"], loc);
    }
    service.get(&admin, path).await.assert_is(200, canonical);
}

// C42, C20: whatever the body says of it.
#[tokio::test]
async fn another_organization_is_not_there() {
    let service = Service::new();
    for token in [service.admin_session(), service.key(&[Scope::KEYS_MANAGE])] {
        for org in [OTHER_ORG, "org_unknown", "ORG_ACME", "%00", "org_acme%20"] {
            let path = format!("/v1/org/{org}");
            service
                .get(&token, &path)
                .await
                .assert_is(404, ORG_NOT_FOUND);
            for body in [
                r#"{"api_ip_allowlist":[]}"#,
                r#"{"api_ip_allowlist":["x"]}"#,
                "{",
                "",
            ] {
                let answer = service.post(&token, &path, body).await;
                answer.assert_is(404, ORG_NOT_FOUND);
            }
        }
        let encoded = service.get(&token, "/v1/org/org%5Facme").await;
        assert_eq!(encoded.status, StatusCode::OK);
    }
}

// C44, C20, T13: text that no id can hold.
#[tokio::test]
async fn an_odd_id_is_one_that_is_not_there() {
    let service = Service::new();
    let admin = service.admin_session();
    let long = "x".repeat(10 * 1024);
    let empty = service.post(&admin, "/v1/api-keys//revoke", "").await;
    empty.assert_is(404, KEY_NOT_FOUND);
    for id in [
        "%00",
        "ak_%00",
        "%25",
        "%0d%0aSet-Cookie:%20a",
        "%2e%2e%2f",
        "%F0%9F%94%91",
        &long,
    ] {
        for action in ["rotate", "revoke"] {
            let answer = service
                .post(&admin, &format!("/v1/api-keys/{id}/{action}"), "")
                .await;
            answer.assert_is(404, KEY_NOT_FOUND);
        }
        service
            .get(&admin, &format!("/v1/org/{id}"))
            .await
            .assert_is(404, ORG_NOT_FOUND);
    }
    for not_utf8 in ["%FF", "ak_%C3%28", "%ED%A0%80"] {
        for action in ["rotate", "revoke"] {
            let path = format!("/v1/api-keys/{not_utf8}/{action}");
            service
                .post(&admin, &path, "")
                .await
                .assert_is(404, NOT_FOUND);
            service
                .post("", &path, "")
                .await
                .assert_is(401, NOT_AUTHENTICATED);
        }
        let path = format!("/v1/org/{not_utf8}");
        service.get(&admin, &path).await.assert_is(404, NOT_FOUND);
        service
            .post(&admin, &path, "")
            .await
            .assert_is(404, NOT_FOUND);
    }
}

// C44, C1
#[tokio::test]
async fn whatever_else_is_asked_for_is_not_found_with_a_credential_and_refused_without() {
    let service = Service::new();
    let unknown = [
        "/",
        "/v1",
        "/v1/",
        "/v1/nonsense",
        "/v1/utils/authtest/",
        "//v1/utils/authtest",
        "/v1/utils",
        "/v1/utils/AUTHTEST",
        "/v1/utils/authtest%00",
        "/v1/utils%2Fauthtest",
        "/v1/api-keys/",
        "/v1/api-keys/ak_x",
        "/v1/api-keys/ak_x/rotate/",
        "/v1/api-keys/ak_x/delete",
        "/v1/org",
        "/v1/org/",
        "/v1/org/org_acme/",
        "/v1/../v1/utils/authtest",
        "/healthz",
        "/%FF",
    ];
    let mut requests: Vec<(String, &str)> = Vec::new();
    for path in unknown {
        requests.extend(["GET", "POST", "DELETE"].map(|method| (method.to_owned(), path)));
    }
    for (served, path, _) in ROUTES {
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE", "OPTIONS",
        ] {
            let other_serves = ROUTES
                .iter()
                .any(|route| route.0 == method && route.1 == path);
            if method != served && !other_serves {
                requests.push((method.to_owned(), path));
            }
        }
    }
    // A member and a key without scopes too: what is not there asks for no rights (C28).
    let tokens = [
        service.admin_session(),
        service.session("member", ORG),
        service.key(&[]),
        service.key(&[Scope::KEYS_MANAGE]),
    ];
    for (method, path) in requests {
        for token in &tokens {
            let answer = ask(service.app(), request(token, &method, path, "")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.text()),
                (404, NOT_FOUND),
                "{method} {path}"
            );
            assert!(!answer.headers.contains_key("allow"), "{method} {path}");
        }
        let answer = ask(service.app(), request("", &method, path, "")).await;
        answer.assert_is(401, NOT_AUTHENTICATED);
        // Nothing tells a path that is there from one that is not.
        let headers: Vec<_> = answer
            .headers
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        assert_eq!(
            headers,
            ["content-type", "www-authenticate", "content-length"],
            "{method} {path}"
        );
        let answer = ask(service.app(), request("ak_live_unknown", &method, path, "")).await;
        answer.assert_is(401, INVALID_KEY);
    }
}

// C1
#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let service = Service::new();
    let head = async |token: &str, path| ask(service.app(), request(token, "HEAD", path, "")).await;
    for path in [
        "/v1/utils/authtest",
        "/v1/whoami/ip",
        "/v1/api-keys",
        "/v1/org/org_acme",
    ] {
        assert_eq!(head("", path).await.status, StatusCode::UNAUTHORIZED);
        let answer = head(&service.admin_session(), path).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, ""));
    }
    let answer = head(&service.key(&[]), "/v1/api-keys").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answer = head(&service.admin_session(), "/v1/nonsense").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

// C1: a CORS layer, when wanted, goes outside.
#[tokio::test]
async fn options_is_refused_without_a_credential() {
    let service = Service::new();
    for (_, path, _) in ROUTES {
        let mut preflight = request("", "OPTIONS", path, "");
        let headers = preflight.headers_mut();
        headers.insert("origin", "https://evil.example".parse().unwrap());
        headers.insert("access-control-request-method", "POST".parse().unwrap());
        let answer = ask(service.app(), preflight).await;
        answer.assert_is(401, NOT_AUTHENTICATED);
    }
}

// C21, T18
#[tokio::test]
async fn without_the_layer_every_route_is_a_server_fault() {
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
    assert!(!names.contains("\"ci\""), "nothing was created: {names}");
}

// T18: routes that are added to the router after the layer are not behind it, and are closed all the same.
#[tokio::test]
async fn a_layer_that_stands_inside_opens_nothing_outside() {
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

/// The router as a part of a larger service, under a parameter of that service's own.
#[tokio::test]
async fn the_router_can_be_nested_beside_routes_of_ones_own() {
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
async fn a_handler_takes_the_principal_or_perhaps_one() {
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
                principal.map_or_else(|| "nobody".to_owned(), |principal| describe(&principal))
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
        let nobody = ask(layered.clone(), request("", "GET", path, "")).await;
        nobody.assert_is(401, NOT_AUTHENTICATED);
    }
    let key = service.key(&[]);
    let answer = ask(handlers.clone(), request(&key, "GET", "/may", "")).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "nobody"));
    let answer = ask(handlers, request(&key, "GET", "/must", "")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json()["detail"]["code"], "auth_not_configured");
}

// C33
#[tokio::test]
async fn no_answer_repeats_the_credential() {
    let service = Service::new();
    for token in [service.admin_session(), service.key(Scope::known())] {
        for (method, path, body) in ROUTES.into_iter().chain([("GET", "/v1/nonsense", "")]) {
            let answer = ask(service.app(), request(&token, method, path, body)).await;
            assert!(!answer.text().contains(&token), "{path}");
            assert!(!format!("{:?}", answer.headers).contains(&token), "{path}");
        }
    }
}
