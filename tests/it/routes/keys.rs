//! The routes of the API keys (`C18`–`C20`, `C38`–`C41`).

use coverbase_auth::Scope;
use http::StatusCode;
use serde_json::json;

use super::{INVALID_KEY, KEY_NOT_FOUND, ROUTES, ask, request};
use crate::service::{NOON, ORG, OTHER_ORG, Service};

// C38, C39
#[tokio::test]
async fn secret_is_in_the_creation_response_only() {
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
async fn blank_name_is_400() {
    let service = Service::new();
    for name in ["", "  ", "\\u00a0\\n"] {
        let body = format!(r#"{{"name":"{name}"}}"#);
        let admin = service.admin_session();
        let answer = service.post(&admin, "/v1/api-keys", body).await;
        let expected = r#"{"detail":{"code":"invalid_name","message":"Name cannot be empty."}}"#;
        answer.assert_is(400, expected);
    }
}

// C18, C30
#[tokio::test]
async fn key_management_requires_the_scope_or_the_role() {
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
async fn key_that_grants_scopes_is_403() {
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

    // A rotation cannot grant scopes either.
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

// C40
#[tokio::test]
async fn rotation_answers_with_the_new_secret_and_the_old_id() {
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
async fn revocation_answers_with_the_revoked_key() {
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
async fn key_of_another_organization_is_404() {
    let service = Service::new();
    let key = service.create(r#"{"name":"ci"}"#).await;
    let foreign_admin = service.session("admin", OTHER_ORG);
    for action in ["rotate", "revoke"] {
        let foreign = format!("/v1/api-keys/{}/{action}", key.id);
        let unknown = format!("/v1/api-keys/ak_unknown/{action}");
        for path in [foreign, unknown] {
            let answer = service.post(&foreign_admin, &path, "").await;
            answer.assert_is(404, KEY_NOT_FOUND);
            assert!(answer.headers.get("www-authenticate").is_none());
        }
    }
    let live = service.get(key.secret.expose_secret(), "/v1/utils/authtest");
    assert_eq!(live.await.status, StatusCode::OK);
}
