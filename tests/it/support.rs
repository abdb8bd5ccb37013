//! Shared by several tests: requests, the answer of a layer, and the events that it logs.

use std::{
    cell::RefCell,
    convert::Infallible,
    fmt,
    fmt::Write as _,
    future::{Future, Ready, ready},
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use coverbase_auth::{
    ApiKey, KeyDigest, KeyRecord, KeyStore, Lookup, MemoryStore, Principal, Rejection,
    RejectionKind,
};
use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION, request::Parts};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt};
use tracing::{Level, Metadata, Subscriber, field::Visit, span, subscriber::Interest};

/// The key of [`store`].
pub(crate) const KEY: &str = "ak_live_7Qd0cX3vJ1pWk9Zs2RtB6yLh";
pub(crate) const KEY_ID: &str = "ak_6sLyzf0Xz0Cq";
pub(crate) const ORG: &str = "org_acme";

/// The record of [`KEY`].
pub(crate) fn record() -> KeyRecord {
    KeyRecord::new(KEY_ID, ORG)
}

/// A store of one key, [`KEY`].
pub(crate) fn store(record: KeyRecord) -> MemoryStore {
    let store = MemoryStore::new();
    store.insert(&key(KEY), record);
    store
}

pub(crate) fn key(secret: &str) -> ApiKey {
    secret.parse().unwrap()
}

pub(crate) fn bearer(token: &str) -> Request<()> {
    with_headers(&[("authorization", &format!("Bearer {token}"))])
}

pub(crate) fn with_headers(headers: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().uri("/v1/utils/authtest");
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    request.body(()).unwrap()
}

/// The answer to a request, and the request that the inner service saw.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) rejection: Option<Rejection>,
    pub(crate) admitted: Option<Parts>,
}

impl Answer {
    /// The kind of the rejection; `None` if the request reached the inner service.
    pub(crate) fn rejection_kind(&self) -> Option<RejectionKind> {
        assert_ne!(
            self.rejection.is_some(),
            self.admitted.is_some(),
            "a request is either rejected or passed on: {self:?}"
        );
        self.rejection.as_ref().map(Rejection::kind)
    }

    /// All that a client can see.
    pub(crate) fn wire(&self) -> (StatusCode, &HeaderMap, &Bytes) {
        (self.status, &self.headers, &self.body)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        value
    }

    /// The principal that the inner service was given.
    pub(crate) fn principal(&self) -> &Principal {
        let parts = self.admitted.as_ref().expect("it was admitted");
        Principal::of(&parts.extensions).expect("a principal lies in the extensions")
    }
}

/// Sends `request` through `layer` to a service that answers 200.
pub(crate) fn ask<L, S, B>(layer: &L, request: Request<()>) -> Answer
where
    L: Layer<Echo, Service = S>,
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes, Error: fmt::Debug>,
{
    Recorder::install();
    let echo = Echo::default();
    let response = block_on(layer.layer(echo.clone()).oneshot(request)).unwrap();
    let (parts, body) = response.into_parts();
    let mut seen = echo.seen.lock().unwrap();
    assert!(seen.len() <= 1, "one request, one call");
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: block_on(body.collect()).unwrap().to_bytes(),
        rejection: parts.extensions.get().cloned(),
        admitted: seen.pop(),
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// The inner service: it answers 200 and keeps what it was sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Echo {
    seen: Arc<Mutex<Vec<Parts>>>,
}

impl<B> Service<Request<B>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.seen.lock().unwrap().push(request.into_parts().0);
        ready(Ok(Response::new(Full::from("inner"))))
    }
}

/// A store that counts its lookups.
#[derive(Debug, Clone)]
pub(crate) struct CountingStore {
    pub(crate) store: MemoryStore,
    asked: Arc<AtomicUsize>,
}

impl CountingStore {
    pub(crate) fn new(store: MemoryStore) -> Self {
        let asked = Arc::default();
        Self { store, asked }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl KeyStore for CountingStore {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.store.lookup(digest)
    }
}

/// A store that answers each lookup with a closure.
pub(crate) struct StoreFn<F>(pub(crate) F);

impl<F: Fn(&KeyDigest) -> Lookup + Send + Sync + 'static> KeyStore for StoreFn<F> {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        self.0(digest)
    }
}

impl<F> fmt::Debug for StoreFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreFn(..)")
    }
}

/// An event, as a plain text formatter writes it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) text: String,
}

thread_local! {
    /// The events of this thread, while a test records them.
    static LOG: RefCell<Option<Vec<Line>>> = const { RefCell::new(None) };
}

/// Returns the events that are logged while `run` runs, down to TRACE.
pub(crate) fn log_of(run: impl FnOnce()) -> Vec<Line> {
    Recorder::install();
    LOG.set(Some(Vec::new()));
    run();
    LOG.take().unwrap()
}

/// The subscriber of the whole program, with a log for each thread. `tracing` caches for the whole program whether an event is
/// wanted, so a subscriber for each test would miss events that another test logs first.
struct Recorder;

impl Recorder {
    fn install() {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| tracing::subscriber::set_global_default(Self).unwrap());
    }
}

impl Subscriber for Recorder {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Other crates have words of their own.
        metadata.target().starts_with("coverbase_auth") && LOG.with_borrow(Option::is_some)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        push(event.metadata(), |text| event.record(text));
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        push(span.metadata(), |text| span.record(text));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {
        panic!("a span that learns more later: record it here");
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn push(metadata: &Metadata<'_>, record: impl FnOnce(&mut Text)) {
    let mut text = Text(metadata.target().to_owned());
    record(&mut text);
    let (level, text) = (*metadata.level(), text.0);
    LOG.with_borrow_mut(|log| log.as_mut().unwrap().push(Line { level, text }));
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

pub(crate) fn is_sensitive(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter().peekable();
    assert!(values.peek().is_some(), "there is a credential");
    values.all(http::HeaderValue::is_sensitive)
}
