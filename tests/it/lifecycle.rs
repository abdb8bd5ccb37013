//! The life of a key, by `KeyAdmin` alone and without a framework (C18–C20, C38–C42, T6, T7).

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use async_trait::async_trait;
use coverbase_auth::{
    Environment, IpAllowlist, KeyAdmin, KeyDigest, KeyId, KeyRecord, KeyRegistry, MemoryStore,
    OrgId, PeerAddr, Principal, RejectionKind, Scope, StoreError,
    key_admin::{
        CreateKey, KeyAdminError, KeySummary, Organization, RevokeKey, RotatedKey, SetAllowlist,
    },
    key_store::Revocation,
};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt, service_fn};

use crate::service::{DAY, NOON, ORG, OTHER_ORG, Service};

const EXPORT: Scope = Scope::from_static("reports:export");

fn create(body: Value) -> CreateKey {
    CreateKey::from_json(body.to_string().as_bytes()).unwrap()
}

fn allowlist(entries: &[&str]) -> SetAllowlist {
    let body = json!({ "api_ip_allowlist": entries }).to_string();
    SetAllowlist::from_json(body.as_bytes()).unwrap()
}

fn scopes(names: &[&str]) -> Vec<Scope> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Why it was rejected.
fn rejection<T: Debug>(result: Result<T, KeyAdminError>) -> RejectionKind {
    match result {
        Err(KeyAdminError::Rejected(rejection)) => rejection.kind(),
        other => panic!("{other:?} is no rejection"),
    }
}

/// What a client would see of the error.
fn wire<T: Debug>(result: Result<T, KeyAdminError>) -> (StatusCode, Value) {
    let response = result.unwrap_err().to_response();
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = serde_json::from_slice(response.body()).unwrap();
    (response.status(), body)
}

impl Service {
    async fn listed(&self) -> Value {
        let list = self.key_admin.list(&self.admin().await).await.unwrap();
        serde_json::to_value(list).unwrap()
    }

    async fn rotate(&self, caller: &Principal, id: &KeyId) -> Result<RotatedKey, KeyAdminError> {
        self.key_admin.rotate(caller, id).await
    }

    async fn revoke(&self, caller: &Principal, id: &KeyId) -> Result<KeySummary, KeyAdminError> {
        let request = RevokeKey::default();
        self.key_admin.revoke(caller, id, request).await
    }

    async fn restrict(
        &self,
        caller: &Principal,
        org_id: &str,
        entries: &[&str],
    ) -> Result<Organization, KeyAdminError> {
        let request = allowlist(entries);
        let org_id = org_id.into();
        self.key_admin.set_allowlist(caller, &org_id, request).await
    }

    async fn allowlist(&self) -> Vec<String> {
        let organization = self
            .key_admin
            .organization(&self.admin().await, &ORG.into())
            .await;
        organization.unwrap().api_ip_allowlist
    }

    /// One answer to each administrative call on this key by this caller.
    async fn administer(&self, caller: &Principal, id: &KeyId) -> Vec<Result<(), KeyAdminError>> {
        let admin = &self.key_admin;
        let org = caller.org_id();
        vec![
            admin.list(caller).await.map(drop),
            admin.create(caller, CreateKey::new("ci")).await.map(drop),
            admin.rotate(caller, id).await.map(drop),
            admin
                .revoke(caller, id, RevokeKey::default())
                .await
                .map(drop),
            admin
                .set_allowlist(caller, org, allowlist(&[]))
                .await
                .map(drop),
        ]
    }
}

// C18
#[tokio::test]
async fn an_administrator_or_a_key_with_keys_manage_manages_keys_and_nobody_else() {
    let service = Service::new();
    let key_manager = service.key(&[Scope::KEYS_MANAGE, Scope::AUDIT_READ]);
    for token in [service.session("admin", ORG), key_manager] {
        let id = service.create(r#"{"name":"ci"}"#).await.id;
        let caller = service.principal(&token).await.unwrap();
        let results = service.administer(&caller, &id).await;
        assert!(results.iter().all(Result::is_ok), "{caller:?}: {results:?}");
    }

    let others = Scope::known()
        .iter()
        .filter(|scope| **scope != Scope::KEYS_MANAGE);
    let nearly = others
        .cloned()
        .chain(scopes(&["keys:manage2", "KEYS:MANAGE"]));
    let nearly: Vec<_> = nearly.collect();
    let scope = RejectionKind::InsufficientScope;
    let role = RejectionKind::UnauthorizedRole;
    let before = service.listed().await;
    for (token, expected) in [
        (service.key(&[]), scope),
        (service.key(&nearly), scope),
        (service.session("member", ORG), role),
        (service.session("guest", ORG), role),
        (service.session("service_account", ORG), role),
        (service.session("Admin", ORG), role),
        (service.session_without_role(), role),
    ] {
        let id = service.create(r#"{"name":"target"}"#).await.id;
        let caller = service.principal(&token).await.unwrap();
        for result in service.administer(&caller, &id).await {
            assert_eq!(rejection(result), expected, "{caller:?}");
        }
        assert!(!service.record(&id).await.is_revoked());
    }
    // The two keys that were refused, and the seven that were made for the refusals.
    let after = service.listed().await;
    assert_eq!(
        after.as_array().unwrap().len(),
        before.as_array().unwrap().len() + 9
    );
}

// C38
#[tokio::test]
async fn every_key_is_listed_the_dead_ones_too() {
    let service = Service::new();
    let expired = service
        .create(r#"{"name":"expired","seconds_until_expiration":1}"#)
        .await;
    service.clock.advance(1);
    let revoked = service
        .create(r#"{"name":"revoked","scopes":["audit:read"]}"#)
        .await;
    service.clock.advance(1);
    let live = service
        .create(r#"{"name":"live","scopes":["banking:read","audit:read"]}"#)
        .await;
    service.key_of(OTHER_ORG, &[]);
    let admin = service.admin().await;
    service.revoke(&admin, &revoked.id).await.unwrap();
    service.clock.advance(1);
    assert!(service.opens(&live.secret).await);

    let summary = |id: &KeyId, name, age: u64| {
        json!({
            "id": id.as_str(), "name": name, "created_at": NOON + age, "last_used_at": null,
            "revoked": false, "expired": false, "scopes": [], "created_by_clerk_user_id": "user_admin",
        })
    };
    let mut expected = json!([
        summary(&expired.id, "expired", 0),
        summary(&revoked.id, "revoked", 1),
        summary(&live.id, "live", 2),
    ]);
    expected[0]["expired"] = json!(true);
    expected[1]["revoked"] = json!(true);
    expected[2]["last_used_at"] = json!(NOON + 3);
    expected[2]["scopes"] = json!(["audit:read", "banking:read"]);
    assert_eq!(service.listed().await, expected);
}

// C38, C7: neither a secret, nor a digest, nor any part of either.
#[tokio::test]
async fn a_list_helps_nobody_to_guess_a_secret() {
    let service = Service::new();
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(service.create(r#"{"name":"ci"}"#).await);
    }
    let rotated = service
        .rotate(&service.admin().await, &keys[0].id)
        .await
        .unwrap();
    keys.push(rotated.created);

    let list = service.listed().await.to_string();
    assert_eq!(list.matches(r#""id":"ak_"#).count(), 4);
    for key in keys {
        assert!(list.contains(key.id.as_str()));
        let random = key.secret.expose_secret().strip_prefix("ak_live_").unwrap();
        let digest: String = key
            .secret
            .digest()
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        for (whole, width) in [(random, 6), (&digest, 12)] {
            for part in whole.as_bytes().windows(width) {
                let part = str::from_utf8(part).unwrap();
                assert!(!list.contains(part), "{part} of {whole}");
            }
        }
    }
}

// C33
#[tokio::test]
async fn debug_of_an_answer_shows_no_secret() {
    let service = Service::new();
    let created = service.create(r#"{"name":"ci"}"#).await;
    let rotated = service
        .rotate(&service.admin().await, &created.id)
        .await
        .unwrap();
    let text = format!("{created:?} {rotated:?} {:?}", service.key_admin);
    assert!(text.contains(created.id.as_str()));
    assert!(!text.contains(created.secret.expose_secret()));
    assert!(!text.contains(rotated.created.secret.expose_secret()));
}

// C39
#[tokio::test]
async fn a_created_key_opens_requests_at_once() {
    let service = Service::new();
    let created = service
        .create(r#"{"name":"  ci \n","scopes":["audit:read"]}"#)
        .await;
    assert_eq!(
        (created.name.as_str(), created.created_at),
        ("ci", NOON),
        "trimmed"
    );
    let secret = created.secret.expose_secret();
    let principal = service.principal(secret).await.unwrap();
    assert_eq!(principal.org_id().as_str(), ORG);
    assert_eq!(principal.key_id(), Some(&created.id));
    assert_eq!(principal.key_name(), Some("ci"));
    let carried: Vec<_> = principal.scopes().iter().cloned().collect();
    assert_eq!(carried, [Scope::AUDIT_READ]);
    assert_eq!(service.record(&created.id).await.expires_at(), None);
}

// C39
#[tokio::test]
async fn a_name_is_one_to_two_hundred_characters_without_nul() {
    let service = Service::new();
    let admin = service.admin().await;
    for name in [
        "x",
        &"é".repeat(200),
        &format!(" {}\t", "é".repeat(200)),
        "a\u{1}b",
    ] {
        let created = service.key_admin.create(&admin, CreateKey::new(name)).await;
        assert_eq!(created.unwrap().name, name.trim());
    }
    for name in ["", " ", "\t\r\n", "\u{a0}\u{2003}"] {
        let refused = service.key_admin.create(&admin, CreateKey::new(name)).await;
        let invalid_name =
            json!({"detail": {"code": "invalid_name", "message": "Name cannot be empty."}});
        assert_eq!(wire(refused), (StatusCode::BAD_REQUEST, invalid_name));
    }
    for (name, kind) in [
        ("é".repeat(201), "string_too_long"),
        ("a\0b".to_owned(), "string_pattern_mismatch"),
        ("\0".to_owned(), "string_pattern_mismatch"),
    ] {
        let refused = service.key_admin.create(&admin, CreateKey::new(name)).await;
        let (status, body) = wire(refused);
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(body["detail"][0]["loc"], json!(["body", "name"]));
        assert_eq!(body["detail"][0]["type"], kind);
    }
    assert_eq!(service.listed().await.as_array().unwrap().len(), 4);
}

// C39, C10
#[tokio::test]
async fn a_lifetime_ends_in_its_second() {
    let service = Service::new();
    for seconds in [1, 60, 3_153_600_000_u64] {
        service.clock.set(NOON);
        let body = json!({"name": "ci", "seconds_until_expiration": seconds});
        let created = service.create(&body.to_string()).await;
        service.clock.advance(seconds - 1);
        assert!(service.opens(&created.secret).await, "{seconds}");
        service.clock.advance(1);
        assert!(!service.opens(&created.secret).await, "{seconds}");
    }
}

// C39
#[test]
fn a_lifetime_outside_its_bounds_is_refused() {
    for bad in [
        "0",
        "-1",
        "0.5",
        "3153600001",
        "18446744073709551616",
        "\"60\"",
        "false",
    ] {
        let body = format!(r#"{{"name":"ci","seconds_until_expiration":{bad}}}"#);
        let error = CreateKey::from_json(body.as_bytes()).unwrap_err();
        let place = "body.seconds_until_expiration: ";
        assert!(error.to_string().starts_with(place), "{bad}: {error}");
    }
    let absent = create(json!({"name": "ci", "seconds_until_expiration": null}));
    assert_eq!(absent.seconds_until_expiration, None);
}

// C9, C39
#[tokio::test]
async fn an_administrator_grants_the_scopes_that_there_are() {
    let mut service = Service::new();
    let all: Vec<_> = Scope::known().iter().map(Scope::as_str).collect();
    let created = service
        .create(&json!({"name": "ci", "scopes": all}).to_string())
        .await;
    assert_eq!(created.scopes, Scope::known().iter().cloned().collect());

    let admin = service.admin().await;
    let request = create(json!({"name": "ci", "scopes": ["audit:read", "reports:export"]}));
    let refused = service.key_admin.create(&admin, request.clone()).await;
    let detail = json!([{
        "loc": ["body", "scopes", 1],
        "msg": "Input should be one of 'keys:manage', 'audit:read', 'banking:read', 'review:sensitive_changes'",
        "type": "enum",
    }]);
    let expected = json!({ "detail": detail });
    assert_eq!(wire(refused), (StatusCode::UNPROCESSABLE_ENTITY, expected));

    service.key_admin = service.key_admin.with_scopes([EXPORT]);
    let created = service.key_admin.create(&admin, request).await.unwrap();
    assert_eq!(created.scopes, [Scope::AUDIT_READ, EXPORT].into());
    for unknown in [
        "reports:*",
        "Reports:Export",
        "audit:read ",
        "",
        "a b",
        "audit:read,banking:read",
    ] {
        let request = create(json!({"name": "ci", "scopes": [unknown]}));
        let (status, body) = wire(service.key_admin.create(&admin, request).await);
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{unknown:?}");
        let message = body["detail"][0]["msg"].as_str().unwrap();
        assert!(message.ends_with("'review:sensitive_changes', 'reports:export'"));
        assert!(unknown.is_empty() || !message.contains(unknown));
    }
}

// C39
#[tokio::test]
async fn a_scope_that_is_named_twice_is_granted_once() {
    let created = Service::new()
        .create(r#"{"name":"ci","scopes":["audit:read","audit:read"]}"#)
        .await;
    assert_eq!(
        serde_json::to_value(created).unwrap()["scopes"],
        json!(["audit:read"])
    );
}

// C19, T6
#[tokio::test]
async fn a_key_grants_no_scope_not_even_one_that_it_holds() {
    let service = Service::new();
    let key = service.service_account(Scope::known()).await;
    for names in [
        json!(["audit:read"]),
        json!(["keys:manage"]),
        json!(["no:such"]),
    ] {
        let request = create(json!({"name": "ci", "scopes": names}));
        let refused = service.key_admin.create(&key, request.clone()).await;
        assert_eq!(rejection(refused), RejectionKind::ScopeGrantForbidden);
        let by_admin = service
            .key_admin
            .create(&service.admin().await, request)
            .await;
        assert_eq!(by_admin.is_ok(), names != json!(["no:such"]));
    }
    for body in [
        json!({"name": "ci"}),
        json!({"name": "ci", "scopes": []}),
        json!({"name": "ci", "scopes": null}),
    ] {
        let created = service.key_admin.create(&key, create(body)).await.unwrap();
        assert!(created.scopes.is_empty());
        assert!(service.opens(&created.secret).await);
        assert_eq!(service.record(&created.id).await.created_by(), None);
    }
}

// C19: whoever may not make keys grants nothing either, and learns nothing of scopes.
#[tokio::test]
async fn a_member_grants_no_scope() {
    let service = Service::new();
    for role in ["member", "siloed_member", "service_account", "billing"] {
        let request = create(json!({"name": "ci", "scopes": ["audit:read"]}));
        let refused = service
            .key_admin
            .create(&service.user(role).await, request)
            .await;
        assert_eq!(rejection(refused), RejectionKind::UnauthorizedRole);
    }
    assert_eq!(service.listed().await, json!([]));
}

// T6: the organization, the id, the secret and the rest are the service's to say.
#[tokio::test]
async fn a_body_assigns_nothing_but_what_the_schema_names() {
    let service = Service::new();
    let created = service
        .create(
            r#"{"name":"ci","org_id":"org_other","organization":"org_other","id":"ak_mine","key_id":"ak_mine",
                "secret":"ak_live_mine","digest":"00","created_at":1,"expires_at":1,"revoked":true,"last_used_at":7,
                "created_by_clerk_user_id":"user_other","api_ip_allowlist":["10.0.0.0/8"],"role":"admin"}"#,
        )
        .await;
    let record = service.record(&created.id).await;
    assert_ne!(created.id.as_str(), "ak_mine");
    assert_ne!(created.secret.expose_secret(), "ak_live_mine");
    assert_eq!(record.org_id().as_str(), ORG);
    assert_eq!(record.created_by(), Some("user_admin"));
    assert_eq!((record.created_at(), record.last_used_at()), (NOON, None));
    assert!(record.is_live_at(u64::MAX) && record.allowlist().is_empty());
    assert!(service.opens(&created.secret).await);
    let other = service.store.list(&OTHER_ORG.into()).await.unwrap();
    assert!(other.is_empty());
}

// C4
#[tokio::test]
async fn a_sandbox_makes_sandbox_keys() {
    let mut service = Service::new();
    let live = service.create(r#"{"name":"ci"}"#).await;
    assert_eq!(live.secret.environment(), Some(Environment::Live));
    service.key_admin = service.key_admin.with_environment(Environment::Test);
    let created = service.create(r#"{"name":"ci"}"#).await;
    assert_eq!(created.secret.environment(), Some(Environment::Test));
    let rotated = service.rotate(&service.admin().await, &created.id).await;
    let secret = rotated.unwrap().created.secret;
    assert_eq!(secret.environment(), Some(Environment::Test));
}

// C40
#[tokio::test]
async fn a_rotation_replaces_the_key_and_keeps_what_it_may() {
    let service = Service::new();
    let body =
        r#"{"name":"ci","scopes":["audit:read","keys:manage"],"seconds_until_expiration":100}"#;
    let old = service.create(body).await;
    service.clock.advance(40);

    let admin = service.admin().await;
    let new = service.rotate(&admin, &old.id).await.unwrap();
    assert_eq!(new.revoked_id, old.id);
    let new = new.created;
    assert_ne!(new.id, old.id);
    assert_eq!(new.name, "ci (rotated 2026-11-24)");
    assert_eq!((&new.scopes, new.created_at), (&old.scopes, NOON + 40));
    assert!(!service.opens(&old.secret).await);
    assert!(service.opens(&new.secret).await);

    let [old, replacement] = [service.record(&old.id).await, service.record(&new.id).await];
    assert!(old.is_revoked() && old.scopes().is_empty());
    assert_eq!(old.name(), "ci");
    assert_eq!(replacement.created_by(), Some("user_admin"));
    // The lifetime that was left, not the whole one again.
    assert_eq!(replacement.expires_at(), Some(NOON + 100));
    service.clock.set(NOON + 99);
    assert!(service.opens(&new.secret).await);
    service.clock.set(NOON + 100);
    assert!(!service.opens(&new.secret).await);
}

// C40
#[tokio::test]
async fn the_suffix_of_a_name_is_counted_and_replaced_never_stacked() {
    let service = Service::new();
    let admin = service.admin().await;
    let mut id = service.create(r#"{"name":"ci"}"#).await.id;
    for (now, expected) in [
        (NOON, "ci (rotated 2026-11-24)"),
        (NOON + DAY / 2 - 1, "ci (rotated 2026-11-24 2)"),
        (NOON + DAY / 2 - 1, "ci (rotated 2026-11-24 3)"),
        (NOON + DAY / 2, "ci (rotated 2026-11-25)"),
        (NOON + DAY / 2, "ci (rotated 2026-11-25 2)"),
        (NOON + 400 * DAY, "ci (rotated 2027-12-29)"),
    ] {
        service.clock.set(now);
        let rotated = service.rotate(&admin, &id).await.unwrap();
        assert_eq!(rotated.created.name, expected);
        id = rotated.created.id;
    }
}

// C40, C20, T7
#[tokio::test]
async fn only_a_live_key_of_the_own_organization_is_rotated() {
    let service = Service::new();
    let admin = service.admin().await;
    let live = service.create(r#"{"name":"live"}"#).await.id;
    let revoked = service.create(r#"{"name":"revoked"}"#).await.id;
    let expired = service
        .create(r#"{"name":"expired","seconds_until_expiration":9}"#)
        .await;
    service.revoke(&admin, &revoked).await.unwrap();
    service.clock.advance(9);
    service.key_of(OTHER_ORG, &[]);
    let foreign = service.store.list(&OTHER_ORG.into()).await.unwrap()[0].clone();

    let not_found =
        json!({"detail": {"code": "api_key_not_found", "message": "API key not found."}});
    for id in [
        &revoked,
        &expired.id,
        foreign.key_id(),
        &"ak_unknown".into(),
        &"".into(),
        &"ak_\0".into(),
    ] {
        let refused = service.rotate(&admin, id).await;
        let expected = (StatusCode::NOT_FOUND, not_found.clone());
        assert_eq!(wire(refused), expected, "{id:?}");
    }
    assert_eq!(service.listed().await.as_array().unwrap().len(), 3);
    let other = service.store.list(&OTHER_ORG.into()).await.unwrap();
    assert!(other.len() == 1 && !other[0].is_revoked());
    assert!(service.rotate(&admin, &live).await.is_ok());
}

// C19: whoever holds the new secret holds its scopes, so a leaked key must not rotate its way up.
#[tokio::test]
async fn a_key_rotates_none_that_can_do_more_than_itself() {
    let service = Service::new();
    let caller = service
        .service_account(&[Scope::KEYS_MANAGE, Scope::AUDIT_READ])
        .await;
    for (carried, is_allowed) in [
        (json!([]), true),
        (json!(["audit:read"]), true),
        (json!(["keys:manage", "audit:read"]), true),
        (json!(["banking:read"]), false),
        (json!(["keys:manage", "audit:read", "banking:read"]), false),
    ] {
        let body = json!({"name": "ci", "scopes": carried}).to_string();
        let target = service.create(&body).await;
        let rotated = service.rotate(&caller, &target.id).await;
        if is_allowed {
            assert_eq!(rotated.unwrap().created.scopes, target.scopes);
        } else {
            assert_eq!(rejection(rotated), RejectionKind::ScopeGrantForbidden);
            assert!(service.opens(&target.secret).await, "nothing has changed");
            let by_admin = service.rotate(&service.admin().await, &target.id).await;
            assert!(by_admin.is_ok());
        }
    }
    // Itself: it is what it was, under a new secret.
    let own_id = caller.key_id().unwrap();
    let itself = service.rotate(&caller, own_id).await.unwrap();
    assert_eq!(&itself.created.scopes, caller.scopes());
}

// C19: nor may one that is about to expire get hold of what lasts.
#[tokio::test]
async fn a_key_rotates_none_that_outlives_it() {
    const MANAGER: &str = r#"["keys:manage"]"#;

    let service = Service::new();
    let of_lifetime = async |scopes: &str, seconds: Option<u64>| {
        let lifetime = json!(seconds);
        let body =
            format!(r#"{{"name":"ci","scopes":{scopes},"seconds_until_expiration":{lifetime}}}"#);
        service.create(&body).await
    };
    let key = of_lifetime(MANAGER, Some(600)).await;
    let caller = service.principal(key.secret.expose_secret()).await.unwrap();
    for (scopes, seconds, is_allowed) in [
        (MANAGER, Some(60), true),
        (MANAGER, Some(600), true),
        (MANAGER, Some(601), false),
        (MANAGER, None, false),
        ("[]", None, true),
    ] {
        let target = of_lifetime(scopes, seconds).await;
        let rotated = service.rotate(&caller, &target.id).await;
        if is_allowed {
            assert!(rotated.is_ok(), "{scopes} {seconds:?}");
        } else {
            assert_eq!(rejection(rotated), RejectionKind::ScopeGrantForbidden);
            assert!(service.opens(&target.secret).await, "nothing has changed");
        }
    }
    assert!(service.rotate(&caller, &key.id).await.is_ok(), "itself");
    let lasting = service.service_account(&[Scope::KEYS_MANAGE]).await;
    let target = of_lifetime(MANAGER, None).await;
    assert!(service.rotate(&lasting, &target.id).await.is_ok());
}

// C40, T21
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_rotations_of_one_key_one_wins() {
    let service = Arc::new(Service::new());
    let admin = service.admin().await;
    let body = r#"{"name":"ci","scopes":["audit:read"]}"#;
    let old = service.create(body).await;
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let (service, admin, id) = (Arc::clone(&service), admin.clone(), old.id.clone());
        tasks.spawn(async move { service.rotate(&admin, &id).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 63));
    for refused in lost {
        assert_eq!(rejection(refused), RejectionKind::ApiKeyNotFound);
    }
    let winner = won.into_iter().next().unwrap().unwrap().created;
    assert!(service.opens(&winner.secret).await && !service.opens(&old.secret).await);
    let records = service.store.list(&ORG.into()).await.unwrap();
    let live: Vec<_> = records.iter().filter(|key| key.is_live_at(NOON)).collect();
    assert_eq!((records.len(), live.len()), (2, 1));
}

// C40: a chain of rotations under fire of others has one live end, and each loser made nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revocation_between_rotations_leaves_at_most_one_live_key() {
    for _ in 0..50 {
        let service = Arc::new(Service::new());
        let admin = service.admin().await;
        let id = service.create(r#"{"name":"ci"}"#).await.id;
        let rotation = tokio::spawn({
            let (service, admin, id) = (Arc::clone(&service), admin.clone(), id.clone());
            async move { service.rotate(&admin, &id).await.is_ok() }
        });
        let revoked = service.revoke(&admin, &id);
        assert!(revoked.await.unwrap().revoked);
        let was_rotated = rotation.await.unwrap();
        let records = service.store.list(&ORG.into()).await.unwrap();
        let live = records.iter().filter(|key| key.is_live_at(NOON)).count();
        assert_eq!(live, usize::from(was_rotated));
        assert_eq!(records.len(), 1 + usize::from(was_rotated));
    }
}

// C41
#[tokio::test]
async fn a_revocation_is_for_good_and_may_be_repeated() {
    let service = Service::new();
    let admin = service.admin().await;
    let body = r#"{"name":"ci","scopes":["audit:read"]}"#;
    let key = service.create(body).await;
    assert!(service.opens(&key.secret).await);

    let reason = RevokeKey::from_json(br#"{"reason":"leaked"}"#).unwrap();
    let first = service
        .key_admin
        .revoke(&admin, &key.id, reason)
        .await
        .unwrap();
    assert!(!service.opens(&key.secret).await);
    let expected = json!({
        "id": key.id.as_str(), "name": "ci", "created_at": NOON, "last_used_at": NOON,
        "revoked": true, "expired": false, "scopes": [], "created_by_clerk_user_id": "user_admin",
    });
    let first = serde_json::to_value(first).unwrap();
    assert_eq!(first, expected);

    service.clock.advance(10);
    let second = service.revoke(&admin, &key.id);
    assert_eq!(serde_json::to_value(second.await.unwrap()).unwrap(), first);
    // The first one is what is remembered.
    assert_eq!(service.record(&key.id).await.revoked_at(), Some(NOON));
    assert!(!service.opens(&key.secret).await);
}

// C41, C10
#[tokio::test]
async fn an_expired_key_is_revoked_all_the_same() {
    let service = Service::new();
    let key = service
        .create(r#"{"name":"ci","seconds_until_expiration":1}"#)
        .await;
    service.clock.advance(1);
    let revoked = service
        .revoke(&service.admin().await, &key.id)
        .await
        .unwrap();
    assert!(revoked.revoked && revoked.expired);
    // T4: a clock that is set back wakes nothing.
    service.clock.set(NOON);
    assert!(!service.opens(&key.secret).await);
}

// C41, C20, T7
#[tokio::test]
async fn a_key_of_another_organization_is_not_there() {
    let service = Service::new();
    let key = service.create(r#"{"name":"ci"}"#).await;
    let stranger = service.session("admin", OTHER_ORG);
    let stranger = service.principal(&stranger).await.unwrap();
    let unknown = KeyId::from("ak_unknown");
    for id in [&key.id, &unknown] {
        let revoked = service.revoke(&stranger, id).await;
        assert_eq!(rejection(revoked), RejectionKind::ApiKeyNotFound);
        let rotated = service.rotate(&stranger, id).await;
        assert_eq!(rejection(rotated), RejectionKind::ApiKeyNotFound);
    }
    assert!(service.key_admin.list(&stranger).await.unwrap().is_empty());
    assert!(service.opens(&key.secret).await);
    let own = service.revoke(&service.admin().await, &key.id).await;
    assert!(own.is_ok());
}

// C42
#[tokio::test]
async fn an_allowlist_is_kept_in_canonical_form() {
    let service = Service::new();
    assert!(service.allowlist().await.is_empty());
    let written = [
        "198.51.100.7",
        "2001:DB8:0:0::1",
        "203.0.113.0/24",
        "::ffff:10.0.0.0/104",
        "203.0.113.0/24",
    ];
    let canonical = [
        "198.51.100.7/32",
        "2001:db8::1/128",
        "203.0.113.0/24",
        "10.0.0.0/8",
    ];
    let admin = service.admin().await;
    let answer = service.restrict(&admin, ORG, &written).await.unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    assert_eq!(answer, json!({"id": ORG, "api_ip_allowlist": canonical}));
    assert_eq!(service.allowlist().await, canonical);

    let lifted = service.restrict(&admin, ORG, &[]);
    assert!(lifted.await.unwrap().api_ip_allowlist.is_empty());
    assert!(service.allowlist().await.is_empty());
}

// C42
#[tokio::test]
async fn one_invalid_entry_changes_nothing() {
    let service = Service::new();
    let admin = service.admin().await;
    service
        .restrict(&admin, ORG, &["203.0.113.0/24"])
        .await
        .unwrap();
    for bad in [
        "not-a-cidr",
        "10.0.0.1/8",
        "010.0.0.0/8",
        "10.0.0.0/08",
        "10.0.0.0/33",
        "::ffff:0:0/95",
        "fe80::1%eth0",
        " 10.0.0.0/8",
        "",
    ] {
        let entries = ["10.0.0.0/8", bad, "192.0.2.0/24"];
        let refused = service.restrict(&admin, ORG, &entries).await;
        let detail = json!({"error": "Invalid CIDR in api_ip_allowlist", "value": bad});
        let expected = json!({ "detail": detail });
        assert_eq!(wire(refused), (StatusCode::UNPROCESSABLE_ENTITY, expected));
        assert_eq!(service.allowlist().await, ["203.0.113.0/24"]);
    }
}

// C42, C20, T7
#[tokio::test]
async fn everyone_reads_the_own_organization_and_nobody_another() {
    let service = Service::new();
    let members = [
        service.session("admin", ORG),
        service.session("guest", ORG),
        service.session_without_role(),
        service.key(&[]),
        service.key(&[Scope::KEYS_MANAGE]),
    ];
    for token in members {
        let caller = service.principal(&token).await.unwrap();
        let own = service.key_admin.organization(&caller, &ORG.into()).await;
        assert_eq!(own.unwrap().id, ORG);
        for other in [OTHER_ORG, "org_unknown", "", "ORG_ACME", "org_acme "] {
            let refused = service.key_admin.organization(&caller, &other.into()).await;
            assert_eq!(rejection(refused), RejectionKind::OrgNotFound, "{other:?}");
        }
    }
    let admin = service.admin().await;
    let foreign = service.restrict(&admin, OTHER_ORG, &["10.0.0.0/8"]);
    assert_eq!(rejection(foreign.await), RejectionKind::OrgNotFound);
    let untouched = service.store.allowlist(&OTHER_ORG.into()).await.unwrap();
    assert!(untouched.is_empty());
}

// C22, C42: keys that were there, keys that come later, and keys that take another's place.
#[tokio::test]
async fn an_allowlist_holds_for_every_key_of_the_organization() {
    let service = Service::new();
    let admin = service.admin().await;
    let before = service.create(r#"{"name":"before"}"#).await;
    let rotated = service.create(r#"{"name":"rotated"}"#).await;
    service
        .restrict(&admin, ORG, &["203.0.113.0/24"])
        .await
        .unwrap();
    let after = service.create(r#"{"name":"after"}"#).await;
    let rotated = service.rotate(&admin, &rotated.id).await.unwrap();
    let keys = [before.secret, after.secret, rotated.created.secret];

    let admits = |secret: String, address: &str| {
        let request = Request::builder().header("authorization", format!("Bearer {secret}"));
        let mut request = request.body(()).unwrap();
        let peer = PeerAddr::new((address.parse::<std::net::IpAddr>().unwrap(), 1));
        request.extensions_mut().insert(peer);
        let inner = service_fn(async |_: Request<()>| {
            Ok::<_, std::convert::Infallible>(http::Response::new(()))
        });
        let service = service.layer.layer(inner);
        async move { service.oneshot(request).await.unwrap().status() }
    };
    for key in &keys {
        let secret = || key.expose_secret().to_owned();
        assert_eq!(admits(secret(), "203.0.113.9").await, StatusCode::OK);
        assert_eq!(admits(secret(), "192.0.2.66").await, StatusCode::FORBIDDEN);
    }
    service.restrict(&admin, ORG, &[]).await.unwrap();
    for key in &keys {
        let secret = key.expose_secret().to_owned();
        assert_eq!(admits(secret, "192.0.2.66").await, StatusCode::OK);
    }
}

// C38, C7
#[tokio::test]
async fn no_two_keys_have_an_id_or_a_secret_in_common() {
    let service = Service::new();
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let key = service.create(r#"{"name":"ci"}"#).await;
        assert!(seen.insert(key.id.as_str().to_owned()));
        assert!(seen.insert(key.secret.expose_secret().to_owned()));
    }
}

/// A registry whose database is gone.
#[derive(Debug)]
struct Down;

fn down<T>() -> Result<T, StoreError> {
    Err(StoreError::new("connection refused"))
}

#[async_trait]
impl KeyRegistry for Down {
    async fn create(&self, _: KeyDigest, _: KeyRecord) -> Result<(), StoreError> {
        down()
    }

    async fn list(&self, _: &OrgId) -> Result<Vec<KeyRecord>, StoreError> {
        down()
    }

    async fn find(&self, _: &OrgId, _: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        down()
    }

    async fn rotate(
        &self,
        _: &KeyId,
        _: KeyDigest,
        _: KeyRecord,
        _: u64,
    ) -> Result<bool, StoreError> {
        down()
    }

    async fn revoke(&self, _: &OrgId, _: &KeyId, _: u64) -> Result<Option<Revocation>, StoreError> {
        down()
    }

    async fn allowlist(&self, _: &OrgId) -> Result<IpAllowlist, StoreError> {
        down()
    }

    async fn set_allowlist(&self, _: &OrgId, _: IpAllowlist) -> Result<(), StoreError> {
        down()
    }
}

// C31, T20: neither a 404 nor a success.
#[tokio::test]
async fn a_registry_that_is_down_is_unavailable() {
    let service = Service::administered(MemoryStore::new(), KeyAdmin::new(Down));
    let admin = service.admin().await;
    let mut results = service.administer(&admin, &"ak_any".into()).await;
    let read = service.key_admin.organization(&admin, &ORG.into()).await;
    results.push(read.map(drop));
    for result in results {
        let response = result.unwrap_err().to_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["detail"]["code"], "auth_unavailable");
    }
}
