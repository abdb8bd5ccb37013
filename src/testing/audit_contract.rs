//! What every [`AuditStore`] must do, as a test to run against yours.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "these are tests, and a panic is how one fails"
)]

use serde_json::{Value, json};

use crate::{
    audit::{
        AuditEventType, AuditQuery, AuditRecord, AuditRecordId, AuditStore,
        call::{ApiCall, Outcome},
        change::{Change, FieldChange, Target},
    },
    key_store::KeyRecord,
    principal::Principal,
};

/// 2023-11-14T22:13:20Z
const START: u64 = 1_700_000_000;

/// Holds `store`, which is empty, to the contract of an audit log.
///
/// ```
/// use coverbase_auth::{audit::MemoryAuditLog, testing::audit_contract};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// audit_contract::check(MemoryAuditLog::new()).await;
/// # }
/// ```
///
/// # Panics
///
/// Where the store breaks it.
pub async fn check(store: impl AuditStore) {
    let acme = calls("org_acme", 250);
    let other = calls("org_other", 3);
    let created = change("org_acme", START + 1_000);
    store.append(&acme[..100]).await.unwrap();
    store.append(&other).await.unwrap();
    store.append(&acme[100..]).await.unwrap();
    store.append(std::slice::from_ref(&created)).await.unwrap();
    store.append(&[]).await.unwrap();

    let ask = async |org: &str, query: AuditQuery| {
        let page = store.query(&org.into(), &query).await.unwrap();
        let ids = page.entries.iter().map(|entry| {
            let entry: Value = serde_json::from_str(entry.as_json()).unwrap();
            entry["id"].as_str().map(ToOwned::to_owned)
        });
        (page.total, ids.collect::<Option<Vec<_>>>().unwrap())
    };
    let ids = |records: &[AuditRecord]| -> Vec<String> {
        let newest_first = records.iter().rev();
        newest_first.map(|record| record.id().to_string()).collect()
    };

    // C20: another organization's records are not there.
    let (total, found) = ask("org_other", AuditQuery::default()).await;
    assert_eq!(
        (total, found),
        (3, ids(&other)),
        "an organization has its own records, newest first"
    );
    let (total, found) = ask("org_nobody", AuditQuery::default()).await;
    assert_eq!(
        (total, found),
        (0, Vec::new()),
        "an organization that has none has none"
    );

    // C43: pages, newest first, with the total of all pages.
    let (total, first) = ask("org_acme", AuditQuery::default()).await;
    assert_eq!(total, 251);
    assert_eq!(first.len(), 100);
    assert_eq!(first[0], created.id().to_string());
    assert_eq!(first[1..], ids(&acme[151..]));
    let third = AuditQuery {
        offset: 200,
        ..AuditQuery::default()
    };
    assert_eq!(
        ask("org_acme", third).await,
        (251, ids(&acme[..51])),
        "the last page"
    );
    let beyond = AuditQuery {
        offset: i64::MAX as u64,
        ..AuditQuery::default()
    };
    assert_eq!(
        ask("org_acme", beyond).await,
        (251, Vec::new()),
        "past the last page"
    );
    let one = AuditQuery {
        limit: 1,
        offset: 1,
        ..AuditQuery::default()
    };
    assert_eq!(ask("org_acme", one).await, (251, ids(&acme[249..])));

    // C43: the window's two ends are in it. One call a second.
    let window = AuditQuery {
        start_ts: Some(START + 10),
        end_ts: Some(START + 12),
        ..AuditQuery::default()
    };
    assert_eq!(ask("org_acme", window).await, (3, ids(&acme[10..13])));
    let empty = AuditQuery {
        start_ts: Some(START + 12),
        end_ts: Some(START + 10),
        ..AuditQuery::default()
    };
    assert_eq!(ask("org_acme", empty).await, (0, Vec::new()));
    let open = AuditQuery {
        start_ts: Some(0),
        end_ts: Some(i64::MAX as u64),
        ..AuditQuery::default()
    };
    assert_eq!(ask("org_acme", open).await.0, 251);

    // C43: groups and types. Unknown names select nothing.
    let total_of = async |groups: &[&str], types: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let query = AuditQuery {
            event_groups: owned(groups),
            event_types: owned(types),
            ..AuditQuery::default()
        };
        ask("org_acme", query).await.0
    };
    let (call, added) = ("external_api_call", "integration_added");
    assert_eq!(total_of(&["integrations"], &[]).await, 251);
    assert_eq!(total_of(&[], &[added]).await, 1);
    assert_eq!(total_of(&["integrations"], &[call]).await, 250);
    assert_eq!(total_of(&[], &[call, added, "unknown"]).await, 251);
    assert_eq!(total_of(&[], &["unknown"]).await, 0, "an unknown type");
    assert_eq!(total_of(&["unknown"], &[call]).await, 0, "an unknown group");

    // C43: a search is for a part, without case, and nothing in it is a pattern.
    for (search, expected) in [
        ("/v1/reports/17:", ids(&acme[17..18])),
        ("\"c%i_\\\" created", vec![created.id().to_string()]),
        ("c_i", Vec::new()),
        ("%", vec![created.id().to_string()]),
        ("ak_key_of_org_acme", Vec::new()),
        ("no such text", Vec::new()),
    ] {
        let query = AuditQuery {
            search: Some(search.to_owned()),
            ..AuditQuery::default()
        };
        let (total, found) = ask("org_acme", query).await;
        if search == "ak_key_of_org_acme" {
            assert_eq!(total, 251, "the actor's id is searched");
        } else {
            assert_eq!(
                (total, found),
                (expected.len() as u64, expected),
                "{search}"
            );
        }
    }

    // A batch whose answer was lost is appended again.
    store.append(&acme[..100]).await.unwrap();
    assert_eq!(
        ask("org_acme", AuditQuery::default()).await.0,
        251,
        "each id once"
    );

    // What is kept is what was written.
    let query = AuditQuery {
        limit: 1,
        ..AuditQuery::default()
    };
    let page = store.query(&"org_acme".into(), &query).await.unwrap();
    assert_eq!(page.entries, [created.entry()], "an entry is kept as it is");
}

/// `n` calls of an organization, one a second.
pub(crate) fn calls(org_id: &str, n: u64) -> Vec<AuditRecord> {
    let call = |n| {
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
    };
    (0..n).map(call).collect()
}

fn change(org_id: &str, unix_seconds: u64) -> AuditRecord {
    let change = Change {
        event_type: AuditEventType::IntegrationAdded,
        target: Target::ApiKey {
            id: "ak_new".to_owned(),
            name: r"C%i_\".to_owned(),
        },
        summary: r#"API key "C%i_\" created"#.to_owned(),
        fields: vec![FieldChange {
            field: "scopes",
            old: Value::Null,
            new: json!(["audit:read"]),
        }],
        reason: None,
    };
    AuditRecord::of_change(
        AuditRecordId::at(unix_seconds * 1000),
        key_of(org_id),
        change,
    )
}

fn key_of(org_id: &str) -> Principal {
    let key = KeyRecord::new(format!("ak_key_of_{org_id}"), org_id).with_name("ci");
    key.into_principal()
}
