//! Exactly one record of each call, whatever happens to the caller or the handler (T22, C35).

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
};

use coverbase_auth::{
    CoverbaseAuthLayer, Lookup, RequireLayer, Requirement, Scope,
    audit::{AuditRecord, AuditSink, MemoryAuditLog},
};
use http::{Method, Request, Response};
use serde_json::{Value, json};
use tower::{Layer, Service as _, ServiceExt, service_fn};

use super::*;
use crate::support::{KEY, StoreFn, bearer, record, store};

/// Completes after `n` polls.
async fn polled(mut n: usize) {
    poll_fn(|_| {
        n = n.saturating_sub(1);
        if n == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

// T22: the caller hangs up at each await, in the lookup and in the handler.
#[tokio::test(start_paused = true)]
async fn call_is_recorded_once_wherever_the_caller_hangs_up() {
    const LOOKUP: usize = 3;
    const HANDLER: usize = 4;

    for allowed in [true, false] {
        for polls in 0.. {
            let log = MemoryAuditLog::new();
            let slow = StoreFn(|_: &_| {
                Lookup::pending(async {
                    polled(LOOKUP).await;
                    Ok(Some(record().with_scopes([Scope::AUDIT_READ])))
                })
            });
            let scope = if allowed {
                Scope::AUDIT_READ
            } else {
                Scope::KEYS_MANAGE
            };
            let stack = (
                CoverbaseAuthLayer::new(slow).with_audit(log.clone()),
                RequireLayer::new(Requirement::scope(scope)),
            );
            let mut service = stack.layer(service_fn(|_: Request<()>| async {
                polled(HANDLER).await;
                Ok::<_, Infallible>(Response::new(()))
            }));
            let mut answer = None;
            {
                let mut future = pin!(service.call(bearer(KEY)));
                for _ in 0..polls {
                    let poll = future
                        .as_mut()
                        .poll(&mut Context::from_waker(Waker::noop()));
                    if let Poll::Ready(response) = poll {
                        answer = Some(response.unwrap().status().as_u16());
                        break;
                    }
                }
                assert_eq!(
                    records(&log).await.len(),
                    usize::from(answer.is_some()),
                    "a call on its way has left none yet"
                );
            }
            let recorded = records(&log).await;
            let is_decided = polls >= LOOKUP;
            assert_eq!(recorded.len(), usize::from(is_decided), "{polls} polls");
            if let Some(record) = recorded.first() {
                assert_eq!(record["data"]["status"], json!(answer), "{polls} polls");
            }
            if answer.is_some() {
                assert_eq!(answer, Some(if allowed { 200 } else { 403 }));
                break;
            }
        }
    }
}

// T22
#[tokio::test]
async fn call_whose_handler_fails_or_panics_is_recorded_once() {
    let log = MemoryAuditLog::new();
    let stack = CoverbaseAuthLayer::new(store(record())).with_audit(log.clone());
    let failing = stack.clone().layer(service_fn(|_: Request<()>| async {
        Err::<Response<()>, _>("broken pipe")
    }));
    assert_eq!(
        failing.oneshot(bearer(KEY)).await.unwrap_err(),
        "broken pipe"
    );
    let panicking = stack.layer(service_fn(|request: Request<()>| async move {
        assert!(request.uri().path().is_empty(), "on purpose");
        empty(request).await
    }));
    let panicked = tokio::spawn(panicking.oneshot(bearer(KEY))).await;
    assert!(panicked.unwrap_err().is_panic());
    let recorded = records(&log).await;
    assert_eq!(recorded.len(), 2);
    for record in recorded {
        assert_eq!(record["data"]["status"], Value::Null);
        assert_eq!(record["summary"], "GET /v1/utils/authtest: no response");
    }
}

// C35
#[tokio::test]
async fn panicking_sink_fails_no_call() {
    #[derive(Debug)]
    struct Panicking;

    impl AuditSink for Panicking {
        fn record(&self, _: AuditRecord) {
            panic!("on purpose");
        }
    }

    let auth = CoverbaseAuthLayer::new(store(record()));
    let stack = auth.with_audit(Panicking).layer(service_fn(empty));
    assert_eq!(stack.oneshot(bearer(KEY)).await.unwrap().status(), 200);
}

// C32, C34: the HTTP status of a gRPC answer is 200, the record has the status of the rejection.
#[tokio::test]
async fn rejected_grpc_call_is_recorded_with_the_status_of_its_rejection() {
    let log = MemoryAuditLog::new();
    let auth = CoverbaseAuthLayer::new(store(record())).with_audit(log.clone());
    let require = RequireLayer::new(Requirement::scope(Scope::AUDIT_READ));
    let stack = (auth, require).layer(service_fn(empty));
    for (method, http_status, grpc_status) in [
        (Method::POST, 200, json!(7)),
        (Method::GET, 403, Value::Null),
    ] {
        let mut request = bearer(KEY);
        *request.method_mut() = method;
        let grpc = http::HeaderValue::from_static("application/grpc");
        request.headers_mut().insert("content-type", grpc);
        let answer = stack.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), http_status);
        let record = record_of(&log, &answer).await;
        let data = &record["data"];
        assert_eq!(
            (&data["status"], &data["grpc_status"]),
            (&json!(403), &grpc_status)
        );
    }
}
