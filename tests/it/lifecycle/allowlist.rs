//! The organization and its IP allowlist (`C20`, `C22`, `C42`).

use coverbase_auth::{KeyRegistry, PeerAddr, RejectionKind, Scope};
use http::{Request, StatusCode};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};

use super::{rejection, wire};
use crate::service::{ORG, OTHER_ORG, Service};

// C42
#[tokio::test]
async fn allowlist_is_stored_in_canonical_form() {
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
async fn allowlist_with_an_invalid_entry_is_rejected() {
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
        let rejected = service.restrict(&admin, ORG, &entries).await;
        let detail = json!({"error": "Invalid CIDR in api_ip_allowlist", "value": bad});
        let expected = json!({ "detail": detail });
        assert_eq!(wire(rejected), (StatusCode::UNPROCESSABLE_ENTITY, expected));
        assert_eq!(service.allowlist().await, ["203.0.113.0/24"]);
    }
}

// C42, C20, T7
#[tokio::test]
async fn principal_reads_its_own_organization_only() {
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
            let rejected = service.key_admin.organization(&caller, &other.into()).await;
            assert_eq!(rejection(rejected), RejectionKind::OrgNotFound, "{other:?}");
        }
    }
    let admin = service.admin().await;
    let foreign = service.restrict(&admin, OTHER_ORG, &["10.0.0.0/8"]);
    assert_eq!(rejection(foreign.await), RejectionKind::OrgNotFound);
    let untouched = service.store.allowlist(&OTHER_ORG.into()).await.unwrap();
    assert!(untouched.is_empty());
}

// C22, C42: existing keys, later keys and replacements.
#[tokio::test]
async fn allowlist_applies_to_every_key_of_the_organization() {
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
