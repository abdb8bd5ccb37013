//! What an API key is accepted for, and until when (C6–C10, T10, T11).

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, Environment, KeyRecord, KeyRegistry, MemoryStore, PrincipalKind,
    RejectionKind, Requirement, Scope, testing::TestClock,
};
use http::StatusCode;

use crate::support::{KEY, KEY_ID, ORG, ask, bearer, block_on, key, record, store};

const NOW: u64 = 1_800_000_000;

// C6
#[test]
fn key_authenticates_as_the_service_account_of_its_organization() {
    let store = MemoryStore::new();
    let records = [
        (
            "ak_live_a",
            KeyRecord::new("ak_id_a", "org_a").with_name("ci"),
        ),
        (
            "ak_live_b",
            KeyRecord::new("ak_id_b", "org_b").with_name("ci"),
        ),
    ];
    for (secret, record) in records.clone() {
        store.insert(&key(secret), record);
    }
    let layer = CoverbaseAuthLayer::new(store);
    for (secret, record) in records {
        let answer = ask(&layer, bearer(secret));
        let principal = answer.principal();
        assert_eq!(principal.kind(), PrincipalKind::ServiceAccount);
        assert_eq!(principal.org_id(), record.org_id());
        assert_eq!(principal.key_id(), Some(record.key_id()));
        assert_eq!(principal.key_name(), Some("ci"));
        assert_eq!((principal.user_id(), principal.role()), (None, None));
        assert_eq!(principal.session_id(), None);
    }
}

// C8, T10
#[test]
fn unknown_revoked_and_expired_keys_get_the_same_response() {
    let store = MemoryStore::new();
    store.insert(&key("ak_live_good"), KeyRecord::new("ak_1", ORG));
    store.insert(
        &key("ak_live_revoked"),
        KeyRecord::new("ak_2", ORG).with_revoked_at(NOW - 1),
    );
    store.insert(
        &key("ak_live_expired"),
        KeyRecord::new("ak_3", ORG).with_expires_at(NOW - 1),
    );
    store.insert(
        &key("ak_live_both"),
        KeyRecord::new("ak_4", ORG)
            .with_expires_at(NOW - 1)
            .with_revoked_at(NOW - 2),
    );
    let layer = CoverbaseAuthLayer::new(store).with_clock(TestClock::at(NOW));

    let unknown = ask(&layer, bearer("ak_live_unknown"));
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    assert_eq!(unknown.body, r#"{"detail":"Invalid or expired API key."}"#);
    for token in [
        "ak_live_revoked",
        "ak_live_expired",
        "ak_live_both",
        "nonsense",
    ] {
        let answer = ask(&layer, bearer(token));
        assert_eq!(answer.rejection_kind(), Some(RejectionKind::InvalidApiKey));
        assert_eq!(answer.wire(), unknown.wire(), "{token}");
        assert!(answer.rejection.unwrap().principal().is_none());
    }
    assert_eq!(ask(&layer, bearer("ak_live_good")).rejection_kind(), None);
}

// C10
#[test]
fn key_is_expired_from_the_second_of_its_expiry() {
    let clock = TestClock::at(0);
    let layer = CoverbaseAuthLayer::new(store(record().with_expires_at(NOW)));
    let layer = layer.with_clock(clock.clone());
    let expired = Some(RejectionKind::InvalidApiKey);
    for (now, refusal) in [
        (0, None),
        (NOW - 1, None),
        (NOW, expired),
        (NOW + 1, expired),
        (u64::MAX, expired),
        // T4: the clock was set back.
        (NOW - 3_600, None),
    ] {
        clock.set(now);
        assert_eq!(ask(&layer, bearer(KEY)).rejection_kind(), refusal, "{now}");
    }
}

// C10
#[test]
fn key_without_expiry_does_not_expire() {
    let layer = CoverbaseAuthLayer::new(store(record())).with_clock(TestClock::at(u64::MAX));
    assert_eq!(ask(&layer, bearer(KEY)).rejection_kind(), None);
}

// C10: from the moment of revocation, independent of the clock.
#[test]
fn revoked_key_is_rejected() {
    let store = store(record());
    let clock = TestClock::at(NOW);
    let layer = CoverbaseAuthLayer::new(store.clone()).with_clock(clock.clone());
    assert_eq!(ask(&layer, bearer(KEY)).rejection_kind(), None);

    let revocation = block_on(store.revoke(&ORG.into(), &KEY_ID.into(), NOW + 10)).unwrap();
    assert!(revocation.unwrap().is_first);
    for now in [0, NOW, NOW + 9, NOW + 10, NOW + 11] {
        clock.set(now);
        let answer = ask(&layer, bearer(KEY));
        assert_eq!(
            answer.rejection_kind(),
            Some(RejectionKind::InvalidApiKey),
            "{now}"
        );
    }
}

// C9
#[test]
fn key_without_scopes_is_accepted_on_ordinary_routes_only() {
    let layer = CoverbaseAuthLayer::new(store(record()));
    let answer = ask(&layer, bearer(KEY));
    assert!(answer.principal().scopes().is_empty());
    for scope in Scope::known() {
        let admin = layer
            .clone()
            .with_requirement(Requirement::scope(scope.clone()));
        let kind = ask(&admin, bearer(KEY)).rejection_kind();
        assert_eq!(kind, Some(RejectionKind::InsufficientScope), "{scope}");

        let scoped = store(record().with_scopes([scope.clone()]));
        let admin =
            CoverbaseAuthLayer::new(scoped).with_requirement(Requirement::scope(scope.clone()));
        assert_eq!(ask(&admin, bearer(KEY)).rejection_kind(), None, "{scope}");
    }
}

// C9: scopes are compared whole and with case; there is no hierarchy, prefix match or wildcard.
#[test]
fn scope_grants_no_other_scope() {
    for (granted, required) in [
        ("keys:manage", "keys:managed"),
        ("keys:managed", "keys:manage"),
        ("keys", "keys:manage"),
        ("keys:", "keys:manage"),
        ("keys:*", "keys:manage"),
        ("*", "keys:manage"),
        ("KEYS:MANAGE", "keys:manage"),
        ("keys:manage,audit:read", "audit:read"),
        ("reports", "reports:export"),
        ("reports:Export", "reports:export"),
    ] {
        let [granted, required]: [Scope; 2] = [granted, required].map(|it| it.parse().unwrap());
        let layer = CoverbaseAuthLayer::new(store(record().with_scopes([granted.clone()])));
        let foreign = layer.clone().with_requirement(Requirement::scope(required));
        let kind = ask(&foreign, bearer(KEY)).rejection_kind();
        assert_eq!(kind, Some(RejectionKind::InsufficientScope), "{granted}");

        let own = layer.with_requirement(Requirement::scope(granted.clone()));
        assert_eq!(ask(&own, bearer(KEY)).rejection_kind(), None, "{granted}");
    }
}

// T11, C7: what a database dump contains is no credential.
#[test]
fn digest_id_or_part_of_the_secret_is_rejected() {
    let secret = ApiKey::generate(Environment::Live);
    let digest = secret.digest();
    let store = MemoryStore::new();
    store.insert(&secret, record());
    let layer = CoverbaseAuthLayer::new(store);
    let secret = secret.expose_secret();
    assert_eq!(ask(&layer, bearer(secret)).rejection_kind(), None);

    let digest = digest.as_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut stolen = vec![
        hex.to_uppercase(),
        STANDARD_NO_PAD.encode(digest),
        URL_SAFE_NO_PAD.encode(digest),
        hex,
        KEY_ID.to_owned(),
        ORG.to_owned(),
        secret.to_lowercase(),
        format!("{secret}="),
        format!("{secret}a"),
        format!("ak_live_{secret}"),
        secret["ak_live_".len()..].to_owned(),
    ];
    stolen.extend((1..secret.len()).map(|end| secret[..end].to_owned()));
    for prefix in ["ak_", "ak_live_"] {
        stolen.extend(stolen.clone().iter().map(|text| format!("{prefix}{text}")));
    }
    for token in stolen.iter().filter(|token| **token != secret) {
        let kind = ask(&layer, bearer(token)).rejection_kind();
        assert_eq!(kind, Some(RejectionKind::InvalidApiKey), "{token}");
    }
}
