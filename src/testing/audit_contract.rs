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
    let log = Log::fill(store).await;
    log.organizations_are_separate().await;
    log.pages_are_newest_first().await;
    log.window_includes_both_ends().await;
    log.groups_and_types_both_apply().await;
    log.search_is_for_a_literal_part().await;
    log.appending_again_changes_nothing().await;
}

/// A store with 250 calls and one change of `org_acme`, and three calls of `org_other`.
struct Log<S> {
    store: S,
    acme: Vec<AuditRecord>,
    other: Vec<AuditRecord>,
}

impl<S: AuditStore> Log<S> {
    async fn fill(store: S) -> Self {
        let (mut acme, other) = (calls("org_acme", 250), calls("org_other", 3));
        acme.push(change("org_acme", START + 1_000));
        store.append(&acme[..100]).await.unwrap();
        store.append(&other).await.unwrap();
        store.append(&acme[100..]).await.unwrap();
        store.append(&[]).await.unwrap();
        Self { store, acme, other }
    }

    /// Asserts the total of a query, and its page: whole entries, newest first. `page` is oldest first.
    async fn assert_found(
        &self,
        org_id: &str,
        query: AuditQuery,
        total: u64,
        page: &[AuditRecord],
    ) {
        let found = self.store.query(&org_id.into(), &query).await.unwrap();
        let expected: Vec<_> = page.iter().rev().map(AuditRecord::entry).collect();
        assert_eq!(found.total, total, "total of {query:?}");
        assert_eq!(found.entries, expected, "page of {query:?}");
    }

    /// As [`assert_found`](Self::assert_found), for a query of `org_acme` whose records are all on one page.
    async fn assert_all(&self, query: AuditQuery, records: &[AuditRecord]) {
        let total = records.len() as u64;
        self.assert_found("org_acme", query, total, records).await;
    }

    // C20
    async fn organizations_are_separate(&self) {
        let newest = AuditQuery::default;
        self.assert_found("org_other", newest(), 3, &self.other)
            .await;
        self.assert_found("org_unknown", newest(), 0, &[]).await;
    }

    // C43
    async fn pages_are_newest_first(&self) {
        for (limit, offset, page) in [
            (100, 0, 151..251),
            (100, 200, 0..51),
            (1, 1, 249..250),
            (100, i64::MAX as u64, 0..0),
        ] {
            let query = AuditQuery {
                limit,
                offset,
                ..AuditQuery::default()
            };
            self.assert_found("org_acme", query, 251, &self.acme[page])
                .await;
        }
    }

    // C43: the calls are one second apart.
    async fn window_includes_both_ends(&self) {
        let window = |start_ts, end_ts| AuditQuery {
            start_ts: Some(start_ts),
            end_ts: Some(end_ts),
            ..AuditQuery::default()
        };
        let three = window(START + 10, START + 12);
        self.assert_all(three, &self.acme[10..13]).await;
        self.assert_all(window(START + 12, START + 10), &[]).await;
        let everything = window(0, i64::MAX as u64);
        let newest = &self.acme[151..];
        self.assert_found("org_acme", everything, 251, newest).await;
    }

    // C43: an unknown name selects nothing.
    async fn groups_and_types_both_apply(&self) {
        let of = |event_groups: &[&str], event_types: &[&str]| AuditQuery {
            event_groups: event_groups.iter().map(ToString::to_string).collect(),
            event_types: event_types.iter().map(ToString::to_string).collect(),
            ..AuditQuery::default()
        };
        let (call, added) = ("external_api_call", "integration_added");
        let (newest, calls) = (&self.acme[151..], &self.acme[150..250]);
        for (query, total, page) in [
            (of(&["integrations"], &[]), 251, newest),
            (of(&[], &[added]), 1, &self.acme[250..]),
            (of(&["integrations"], &[call]), 250, calls),
            (of(&[], &[call, added, "unknown"]), 251, newest),
            (of(&[], &["unknown"]), 0, &[]),
            (of(&["unknown"], &[call]), 0, &[]),
        ] {
            self.assert_found("org_acme", query, total, page).await;
        }
    }

    // C43: without case, and no character of the search is a pattern.
    async fn search_is_for_a_literal_part(&self) {
        let search = |text: &str| AuditQuery {
            search: Some(text.to_owned()),
            ..AuditQuery::default()
        };
        self.assert_all(search("/v1/reports/17:"), &self.acme[17..18])
            .await;
        self.assert_all(search(r#""c%i_\\" created"#), &self.acme[250..])
            .await;
        self.assert_all(search("%"), &self.acme[250..]).await;
        self.assert_all(search("c_i"), &[]).await;
        self.assert_all(search("no such text"), &[]).await;
        let (actor, newest) = (search("ak_key_of_org_acme"), &self.acme[151..]);
        self.assert_found("org_acme", actor, 251, newest).await;
    }

    /// A batch is appended again if the answer to it was lost.
    async fn appending_again_changes_nothing(&self) {
        self.store.append(&self.acme[..100]).await.unwrap();
        let newest = &self.acme[151..];
        self.assert_found("org_acme", AuditQuery::default(), 251, newest)
            .await;
    }
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
