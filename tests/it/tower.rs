//! The contract of tower: readiness, errors, clones, bodies, cancellation.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use coverbase_auth::{
    CoverbaseAuth, CoverbaseAuthLayer, KeyStore, Lookup, Principal, Rejection, Require,
    RequireFuture, RequireLayer, Requirement, ResponseFuture, Scope,
};
use http::{Request, Response, header::AUTHORIZATION};
use tokio::sync::oneshot;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::{assert_request_eq, mock};

use crate::support::{Echo, KEY, StoreFn, ask, bearer, block_on, record, store};

fn layer() -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(store(record()))
}

/// A layer whose lookup completes at the second poll.
fn waiting_layer() -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(StoreFn(|_: &_| {
        Lookup::pending(async {
            tokio::task::yield_now().await;
            Ok(Some(record()))
        })
    }))
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn is_rejected<B>(response: &Response<B>) -> bool {
    response.extensions().get::<Rejection>().is_some()
}

#[test]
fn layer_and_futures_are_send_and_sync() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<CoverbaseAuthLayer>();
    shared::<CoverbaseAuth<Echo>>();
    shared::<RequireLayer>();
    shared::<Require<Echo>>();
    shared::<Principal>();
    shared::<Requirement>();
    shared::<Rejection>();
    sent::<ResponseFuture<Echo, Vec<u8>>>();
    sent::<RequireFuture<Ready<()>>>();
    sent::<Lookup>();
}

#[test]
fn ready_lookup_is_decided_in_one_poll() {
    let future = layer().layer(Echo::default()).oneshot(bearer(KEY));
    assert!(poll_once(pin!(future)).is_ready());
    let future = waiting_layer().layer(Echo::default()).oneshot(bearer(KEY));
    assert!(poll_once(pin!(future)).is_pending());
}

/// A type that is neither a body nor `Send`, `Debug` or `Clone`.
struct Opaque(Rc<u8>);

#[test]
fn body_can_be_of_any_type() {
    for layer in [layer(), waiting_layer()] {
        let inner = service_fn(|request: Request<Opaque>| {
            ready(Ok::<_, Infallible>(Response::new(request.into_body())))
        });
        let layers = (layer, RequireLayer::new(Requirement::authenticated()));
        let body = Opaque(Rc::new(7));
        let same = Rc::clone(&body.0);
        let request = bearer(KEY).map(|()| body);
        let response = block_on(layers.layer(inner).oneshot(request)).unwrap();
        assert!(!is_rejected(&response));
        assert_eq!(Rc::strong_count(&same), 2, "the body went through");
        drop(response);
        assert_eq!(Rc::strong_count(&same), 1);
    }
}

#[derive(Debug, Clone, PartialEq)]
struct OfTheInnerService(u8);

#[test]
fn error_is_that_of_the_inner_service() {
    let failing = service_fn(|_: Request<()>| ready(Err::<Response<()>, _>(OfTheInnerService(7))));
    for layer in [layer(), waiting_layer()] {
        let layers = (
            layer.clone(),
            RequireLayer::new(Requirement::authenticated()),
        );
        let error = block_on(layers.layer(failing).oneshot(bearer(KEY)));
        assert_eq!(error.unwrap_err(), OfTheInnerService(7));

        // A refusal is an answer.
        let refused = block_on(layers.layer(failing).oneshot(bearer("a,b")));
        assert!(is_rejected(&refused.unwrap()));
    }
}

#[tokio::test]
async fn layer_is_ready_when_the_inner_service_is() {
    let (mut service, mut handle) = mock::spawn_layer::<Request<()>, Response<()>, _>(layer());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.is_woken());
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));

    let response = tokio::spawn(service.call(bearer(KEY)));
    let (request, reply) = handle.next_request().await.unwrap();
    assert_eq!(request.headers()[AUTHORIZATION], format!("Bearer {KEY}"));
    reply.send_response(Response::new(()));
    assert!(!is_rejected(&response.await.unwrap().unwrap()));
    assert!(service.poll_ready().is_pending());

    handle.send_error("gone");
    let Poll::Ready(Err(error)) = service.poll_ready() else {
        panic!("the inner service has failed");
    };
    assert_eq!(error.to_string(), "gone");
}

#[tokio::test]
async fn require_is_ready_when_the_inner_service_is() {
    let require = RequireLayer::new(Requirement::authenticated());
    let (mut service, mut handle) = mock::spawn_layer::<&str, &str, _>(());
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let response = service.call("the mock works");
    assert_request_eq!(handle, "the mock works").send_response("yes");
    assert_eq!(response.await.unwrap(), "yes");

    let (mut service, mut handle) = mock::spawn_layer::<Request<()>, Response<()>, _>(require);
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    assert!(is_rejected(&service.call(bearer(KEY)).await.unwrap()));
}

/// A service that can be called once each time it was made ready; a clone has to be made ready itself.
#[derive(Debug, Default)]
struct Fussy {
    ready: bool,
    clones: Arc<AtomicUsize>,
}

impl Clone for Fussy {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::SeqCst);
        let clones = Arc::clone(&self.clones);
        Self {
            ready: false,
            clones,
        }
    }
}

impl Service<Request<()>> for Fussy {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        ready(Ok(Response::new(())))
    }
}

#[test]
#[should_panic(expected = "called without being ready")]
fn fussy_service_panics_when_called_unready() {
    drop(Fussy::default().call(bearer(KEY)));
}

#[tokio::test]
async fn service_that_was_made_ready_is_the_one_called() {
    for layer in [layer(), waiting_layer()] {
        let mut service = layer.layer(Fussy::default());
        for token in [KEY, KEY, "a,b", KEY] {
            let response = service.ready().await.unwrap().call(bearer(token)).await;
            assert_eq!(is_rejected(&response.unwrap()), token != KEY);
        }
        // Two at once: each has a service that was ready for it.
        let one = service.ready().await.unwrap().call(bearer(KEY));
        let other = service.ready().await.unwrap().call(bearer(KEY));
        for response in [other.await, one.await] {
            assert!(!is_rejected(&response.unwrap()));
        }
    }
}

#[tokio::test]
async fn ready_lookup_does_not_clone_the_inner_service() {
    let inner = Fussy::default();
    let clones = Arc::clone(&inner.clones);
    let mut service = layer().layer(inner);
    for token in [KEY, "ak_unknown", "a,b", KEY] {
        drop(service.ready().await.unwrap().call(bearer(token)).await);
    }
    assert_eq!(clones.load(Ordering::SeqCst), 0);

    let inner = Fussy {
        clones: Arc::clone(&clones),
        ..Fussy::default()
    };
    let mut service = waiting_layer().layer(inner);
    drop(service.ready().await.unwrap().call(bearer(KEY)).await);
    assert_eq!(
        clones.load(Ordering::SeqCst),
        1,
        "a request that waits takes its service along"
    );
}

/// Sets a flag when it is dropped.
struct Alarm(Arc<AtomicBool>);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A store that answers on demand, and the flag of a dropped lookup.
fn held_store(answer: oneshot::Receiver<()>) -> (impl KeyStore, Arc<AtomicBool>) {
    let dropped = Arc::new(AtomicBool::new(false));
    let lookup = std::sync::Mutex::new(Some((answer, Alarm(Arc::clone(&dropped)))));
    let store = StoreFn(move |_: &_| {
        let (answer, alarm) = lookup.lock().unwrap().take().expect("one lookup");
        Lookup::pending(async move {
            answer.await.expect("an answer");
            drop(alarm);
            Ok(Some(record()))
        })
    });
    (store, dropped)
}

#[test]
fn lookup_is_dropped_with_its_request() {
    for polls in [0, 1, 3] {
        let (_answer, receiver) = oneshot::channel();
        let (store, dropped) = held_store(receiver);
        let called = Arc::new(AtomicBool::new(false));
        let inner = service_fn({
            let called = Arc::clone(&called);
            move |_: Request<()>| {
                called.store(true, Ordering::SeqCst);
                ready(Ok::<_, Infallible>(Response::new(())))
            }
        });
        let mut service = CoverbaseAuthLayer::new(store).layer(inner);
        let mut future = Box::pin(service.call(bearer(KEY)));
        for _ in 0..polls {
            assert!(poll_once(future.as_mut()).is_pending());
        }
        assert!(!dropped.load(Ordering::SeqCst));
        drop(future);
        assert!(dropped.load(Ordering::SeqCst), "{polls}");
        assert!(!called.load(Ordering::SeqCst));
    }
}

#[tokio::test]
async fn lookup_that_completes_wakes_its_request() {
    let (answer, receiver) = oneshot::channel();
    let (store, dropped) = held_store(receiver);
    let response = tokio::spawn(
        CoverbaseAuthLayer::new(store)
            .layer(Fussy::default())
            .oneshot(bearer(KEY)),
    );
    tokio::task::yield_now().await;
    assert!(!response.is_finished());
    answer.send(()).unwrap();
    assert!(!is_rejected(&response.await.unwrap().unwrap()));
    assert!(dropped.load(Ordering::SeqCst));
}

// C18: each of several layers decides; the handler sees the principal of the innermost.
#[test]
fn layer_composes_with_itself_and_with_require() {
    let require = |scope: Scope| RequireLayer::new(Requirement::scope(scope));
    let scoped = |scopes: &[Scope]| {
        CoverbaseAuthLayer::new(store(record().with_scopes(scopes.iter().cloned())))
    };
    let (none, audit) = (scoped(&[]), scoped(&[Scope::AUDIT_READ]));
    let refused =
        |is_rejected: bool| is_rejected.then_some(coverbase_auth::RejectionKind::InsufficientScope);

    let twice = ask(&(none.clone(), audit.clone()), bearer(KEY));
    assert!(twice.principal().scopes().contains(&Scope::AUDIT_READ));
    for (outer, inner, is_rejected) in [
        (&none, &audit, false),
        (&audit, &none, true),
        (&audit, &audit, false),
    ] {
        let layers = (outer.clone(), inner.clone(), require(Scope::AUDIT_READ));
        assert_eq!(
            ask(&layers, bearer(KEY)).rejection_kind(),
            refused(is_rejected)
        );
    }
    let both = (
        audit,
        require(Scope::AUDIT_READ),
        require(Scope::KEYS_MANAGE),
    );
    assert_eq!(ask(&both, bearer(KEY)).rejection_kind(), refused(true));
    let all = scoped(&[Scope::AUDIT_READ, Scope::KEYS_MANAGE]);
    assert_eq!(
        ask(&(all, both.1, both.2), bearer(KEY)).rejection_kind(),
        None
    );
}

#[test]
fn inner_service_is_accessible() {
    let mut service = layer().layer(7);
    *service.get_mut() += 1;
    assert_eq!((*service.get_ref(), service.into_inner()), (8, 8));
}
