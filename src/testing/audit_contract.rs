//! The contract tests that every [`AuditStore`] must pass.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "these are tests, and a panic is how one fails"
)]

use crate::{
    audit::{
        AuditQuery, AuditRecord, AuditRecordId, AuditStore,
        call::{ApiCall, Outcome},
        change::Change,
    },
    key_store::KeyRecord,
    principal::{Principal, Scope},
};

/// 2023-11-14T22:13:20Z
const START: u64 = 1_700_000_000;

/// Runs the tests against `store`, which must be empty.
///
/// # Panics
///
/// If the store breaks a rule.
///
/// ```
/// use coverbase_auth::{audit::MemoryAuditLog, testing::audit_contract};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// audit_contract::check(MemoryAuditLog::new()).await;
/// # }
/// ```
pub async fn check(store: impl AuditStore) {
    let (mut acme, other) = (calls("org_acme", 250), calls("org_other", 3));
    acme.push(change("org_acme", START + 1_000));
    // A batch is appended again if the answer to it was lost.
    for batch in [&acme[..100], &other, &acme[100..], &[], &acme[..100]] {
        store.append(batch).await.unwrap();
    }

    // C20: organizations are separate.
    let all = AuditQuery::default;
    assert_found(&store, "org_other", all(), 3, &other).await;
    assert_found(&store, "org_unknown", all(), 0, &[]).await;

    // C43
    let part = |limit, offset| AuditQuery {
        limit,
        offset,
        ..all()
    };
    let window = |start_ts, end_ts| AuditQuery {
        start_ts: Some(start_ts),
        end_ts: Some(end_ts),
        ..all()
    };
    let of = |event_groups: &[&str], event_types: &[&str]| AuditQuery {
        event_groups: event_groups.iter().map(ToString::to_string).collect(),
        event_types: event_types.iter().map(ToString::to_string).collect(),
        ..all()
    };
    let search = |text: &str| AuditQuery {
        search: Some(text.to_owned()),
        ..all()
    };
    let (call, added) = ("external_api_call", "integration_added");
    let newest = &acme[151..];
    for (query, total, page) in [
        // Pages are newest first.
        (part(100, 0), 251, newest),
        (part(100, 200), 251, &acme[..51]),
        (part(1, 1), 251, &acme[249..250]),
        (part(100, i64::MAX as u64), 251, &[]),
        // A window includes both ends. The calls are one second apart.
        (window(START + 10, START + 12), 3, &acme[10..13]),
        (window(START + 12, START + 10), 0, &[]),
        (window(0, i64::MAX as u64), 251, newest),
        // Groups and types both apply, and an unknown name selects nothing.
        (of(&["integrations"], &[]), 251, newest),
        (of(&[], &[added]), 1, &acme[250..]),
        (of(&["integrations"], &[call]), 250, &acme[150..250]),
        (of(&[], &[call, added, "unknown"]), 251, newest),
        (of(&[], &["unknown"]), 0, &[]),
        (of(&["unknown"], &[call]), 0, &[]),
        // The search ignores case, and no character of it is a pattern.
        (search("/v1/reports/17:"), 1, &acme[17..18]),
        (search(r#""c%i_\\" created"#), 1, &acme[250..]),
        (search("%"), 1, &acme[250..]),
        (search("c_i"), 0, &[]),
        (search("no such text"), 0, &[]),
        (search("ak_key_of_org_acme"), 251, newest),
    ] {
        assert_found(&store, "org_acme", query, total, page).await;
    }
}

/// Asserts the total of a query, and its page: whole entries, newest first. `page` is oldest first.
async fn assert_found(
    store: &impl AuditStore,
    org_id: &str,
    query: AuditQuery,
    total: u64,
    page: &[AuditRecord],
) {
    let found = store.query(&org_id.into(), &query).await.unwrap();
    let expected: Vec<_> = page.iter().rev().map(AuditRecord::entry).collect();
    assert_eq!(found.total, total, "total of {query:?}");
    assert_eq!(found.entries, expected, "page of {query:?}");
}

/// Returns the records of `n` calls of an organization, one second apart.
pub(crate) fn calls(org_id: &str, n: u64) -> Vec<AuditRecord> {
    (0..n).map(|n| call(org_id, n)).collect()
}

fn call(org_id: &str, n: u64) -> AuditRecord {
    let call = ApiCall {
        id: AuditRecordId::at((START + n) * 1000),
        method: "GET".to_owned(),
        path: format!("/v1/reports/{n}"),
        query_params: vec!["page".to_owned(), "secret".to_owned()],
        route: None,
        request_id: format!("req_{n}"),
        client_ip: None,
        outcome: Some(Outcome {
            status: 200,
            grpc_status: None,
        }),
        duration_ms: 1,
    };
    AuditRecord::of_call(key_of(org_id), call)
}

fn change(org_id: &str, unix_seconds: u64) -> AuditRecord {
    let key = KeyRecord::new("ak_new", org_id)
        .with_name(r"C%i_\")
        .with_scopes([Scope::AUDIT_READ]);
    let id = AuditRecordId::at(unix_seconds * 1000);
    AuditRecord::of_change(id, key_of(org_id), Change::creation(&key))
}

fn key_of(org_id: &str) -> Principal {
    let key = KeyRecord::new(format!("ak_key_of_{org_id}"), org_id).with_name("ci");
    key.into_principal()
}
