//! The layer that notes calls.

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Method, Request, Response, Uri};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    AuditSink,
    future::AuditFuture,
    pending::{PendingCall, Shared},
};
use crate::clock::{Clock, SystemClock};

/// Leaves one record of each authenticated call of a `/v1/*` route, and gives every response an `x-request-id` (`C34`).
///
/// It stands **outside** of [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer), which tells it whom the credential turned
/// out to be: a request that is admitted, or refused for anything but its credential, is recorded; one whose credential
/// was missing or bad is not. The client's address is the one that the allowlist was checked against. A caller that hangs
/// up is recorded without a status.
///
/// ```
/// use coverbase_auth::{CoverbaseAuthLayer, MemoryStore, audit::{AuditLayer, MemoryAuditLog}};
/// use tower::ServiceBuilder;
///
/// let log = MemoryAuditLog::new();
/// let stack = ServiceBuilder::new()
///     .layer(AuditLayer::new(log))
///     .layer(CoverbaseAuthLayer::new(MemoryStore::new()));
/// # let _ = stack;
/// ```
///
/// # The correlation id
///
/// It is the request's own `x-request-id`, if that is one value of 1 to 128 visible ASCII characters and no credential;
/// else a new UUIDv7. The record and the response have the same one, and an id that the inner service had set gives way.
///
/// # The route's template
///
/// It is what [`with_route`](Self::with_route) says. Without that, and with the `axum` feature, it is the request's
/// `MatchedPath`, which axum knows from `Router::layer` inwards. Around the finished `Router`, which is cheaper, the layer
/// stands before axum has found the route; it then looks for a `MatchedPath` in the **response's** extensions, where a
/// handler may put it by returning `Extension(matched_path)` beside its answer. Else it is `null`.
#[derive(Clone)]
pub struct AuditLayer {
    shared: Arc<Shared>,
}

impl AuditLayer {
    /// Gives its records to `sink`, mostly an [`AuditQueue`](super::AuditQueue).
    #[must_use]
    pub fn new(sink: impl AuditSink) -> Self {
        Self {
            shared: Arc::new(Shared {
                sink: Arc::new(sink),
                clock: Arc::new(SystemClock),
                route: None,
            }),
        }
    }

    /// Finds a request's route template by `route`. It runs on every request, and must not wait.
    ///
    /// ```
    /// use coverbase_auth::audit::{AuditLayer, MemoryAuditLog};
    ///
    /// let layer = AuditLayer::new(MemoryAuditLog::new()).with_route(|_method, uri| {
    ///     let id = uri.path().strip_prefix("/v1/reports/")?;
    ///     (!id.contains('/')).then_some("/v1/reports/{id}".into())
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn with_route(
        self,
        route: impl Fn(&Method, &Uri) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        self.change(|shared| shared.route = Some(Arc::new(route)))
    }

    /// Tells the time by `clock`. The default is [`SystemClock`].
    ///
    #[cfg_attr(feature = "test-util", doc = "```")]
    #[cfg_attr(not(feature = "test-util"), doc = "```ignore")]
    /// use coverbase_auth::{audit::{AuditLayer, MemoryAuditLog}, testing::TestClock};
    ///
    /// let clock = TestClock::at(1_700_000_000);
    /// let layer = AuditLayer::new(MemoryAuditLog::new()).with_clock(clock.clone());
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.change(|shared| shared.clock = Arc::new(clock))
    }

    fn change(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }
}

impl<S> Layer<S> for AuditLayer {
    type Service = Audit<S>;

    fn layer(&self, inner: S) -> Audit<S> {
        Audit {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer")
            .field("sink", &self.shared.sink)
            .finish_non_exhaustive()
    }
}

/// Notes the calls of `S`. Made by [`AuditLayer`]; its answers, its error and its readiness are the inner service's.
///
/// ```
/// use coverbase_auth::audit::{Audit, AuditLayer, MemoryAuditLog};
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let inner = service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new("pong")));
/// let service: Audit<_> = AuditLayer::new(MemoryAuditLog::new()).layer(inner);
/// let response = service.oneshot(Request::new(())).await.unwrap();
/// assert!(response.headers().contains_key("x-request-id"));
/// # }
/// ```
#[derive(Clone)]
pub struct Audit<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, ResBody> Service<Request<B>> for Audit<S>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = AuditFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let pending = PendingCall::begin(&self.shared, &mut request);
        AuditFuture::new(self.inner.call(request), pending)
    }
}

impl<S: fmt::Debug> fmt::Debug for Audit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
