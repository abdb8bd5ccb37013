//! A store that fails or panics makes the request a 503, and the next request works (C31, T19, T20).

use std::sync::atomic::{AtomicUsize, Ordering};

use coverbase_auth::{
    CoverbaseAuthLayer, KeyDigest, KeyStore, Lookup, MemoryStore, RejectionKind, StoreError,
};
use http::StatusCode;
use tracing::Level;

use crate::support::{Answer, KEY, StoreFn, ask, bearer, log_of, record, store};

/// A store whose `nth` call, counted from 1, fails as `fault` does.
fn faulty_at(
    nth: usize,
    fault: impl Fn(Lookup) -> Lookup + Send + Sync + 'static,
) -> impl KeyStore {
    let store: MemoryStore = store(record());
    let calls = AtomicUsize::new(0);
    StoreFn(move |digest: &KeyDigest| {
        let lookup = store.lookup(digest);
        match calls.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            true => fault(lookup),
            false => lookup,
        }
    })
}

type Fault = fn(Lookup) -> Lookup;

/// Every way to fail: with an error or a panic, in the call, in the first poll or later.
fn faults() -> Vec<(&'static str, Fault)> {
    async fn later() {
        tokio::task::yield_now().await;
    }
    vec![
        ("error", |_| {
            Lookup::ready(Err(StoreError::new("connection refused")))
        }),
        ("late error", |_| {
            Lookup::pending(async {
                later().await;
                Err(StoreError::new("timeout"))
            })
        }),
        ("panic", |_| panic!("on purpose, in lookup")),
        ("panic in the future", |_| {
            Lookup::pending(async { panic!("on purpose, in the first poll") })
        }),
        ("late panic in the future", |_| {
            Lookup::pending(async {
                later().await;
                panic!("on purpose, in a later poll")
            })
        }),
        ("panic without a message", |_| std::panic::panic_any(7)),
    ]
}

fn assert_unavailable(answer: &Answer, fault: &str) {
    assert_eq!(
        answer.rejection_kind(),
        Some(RejectionKind::AuthUnavailable),
        "{fault}"
    );
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{fault}");
    let retry_after: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&retry_after));
    assert_eq!(
        answer.header("www-authenticate"),
        None,
        "a challenge would make clients discard a valid key"
    );
    assert!(
        answer
            .body
            .starts_with(br#"{"detail":{"code":"auth_unavailable","#)
    );
}

// C31, T19, T20
#[test]
fn fault_is_503_and_the_next_request_works() {
    for (name, fault) in faults() {
        for nth in 1..=3 {
            let layer = CoverbaseAuthLayer::new(faulty_at(nth, fault));
            for call in 1..=4 {
                let answer = ask(&layer, bearer(KEY));
                if call == nth {
                    assert_unavailable(&answer, name);
                } else {
                    assert_eq!(
                        answer.rejection_kind(),
                        None,
                        "{name}: call {call} of {nth}"
                    );
                }
            }
        }
    }
}

// C31
#[test]
fn unknown_key_is_503_while_the_store_fails() {
    for (name, fault) in faults() {
        let layer = CoverbaseAuthLayer::new(faulty_at(1, fault));
        assert_unavailable(&ask(&layer, bearer("ak_unknown")), name);
        let answer = ask(&layer, bearer("ak_unknown"));
        assert_eq!(
            answer.rejection_kind(),
            Some(RejectionKind::InvalidApiKey),
            "{name}"
        );
    }
}

// T20
#[test]
fn credential_that_is_no_key_is_answered_without_the_store() {
    let down = StoreFn(|_: &_| -> Lookup { panic!("the store is not asked") });
    let layer = CoverbaseAuthLayer::new(down);
    for (token, kind) in [
        ("a,b", RejectionKind::MalformedCredential),
        ("e30.e30.AA", RejectionKind::InvalidSessionToken),
        ("unrecognized", RejectionKind::InvalidApiKey),
    ] {
        assert_eq!(
            ask(&layer, bearer(token)).rejection_kind(),
            Some(kind),
            "{token}"
        );
    }
}

// T20
#[test]
fn log_level_tells_errors_from_panics() {
    for (name, fault) in faults() {
        let layer = CoverbaseAuthLayer::new(faulty_at(1, fault));
        let worst = |lines: Vec<crate::support::Line>| lines.iter().map(|line| line.level).min();
        let first = log_of(|| drop(ask(&layer, bearer(KEY))));
        let expected = if name.contains("panic") {
            Level::ERROR
        } else {
            Level::WARN
        };
        assert_eq!(worst(first), Some(expected), "{name}");
        let next = log_of(|| drop(ask(&layer, bearer(KEY))));
        assert_eq!(worst(next), Some(Level::DEBUG), "{name}");
    }
}
