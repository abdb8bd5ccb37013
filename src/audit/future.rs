//! The future of [`Audit`](super::Audit).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::pending::PendingCall;

pin_project! {
    /// Answers as the inner service does. Dropped before it has, it leaves a record without a status.
    ///
    /// ```
    /// use coverbase_auth::audit::{Audit, AuditFuture};
    /// use http::{Request, Response};
    /// use tower::Service;
    ///
    /// // What a service around `Audit` has for its own `type Future`.
    /// fn forward<S, B>(audit: &mut Audit<S>, request: Request<()>) -> AuditFuture<S::Future>
    /// where
    ///     S: Service<Request<()>, Response = Response<B>>,
    /// {
    ///     audit.call(request)
    /// }
    /// ```
    pub struct AuditFuture<F> {
        #[pin]
        inner: F,
        call: Option<PendingCall>,
    }
}

impl<F> AuditFuture<F> {
    #[inline]
    pub(super) const fn new(inner: F, call: PendingCall) -> Self {
        Self {
            inner,
            call: Some(call),
        }
    }
}

impl<F, B, E> Future for AuditFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.inner.poll(cx));
        if let Some(call) = this.call.take() {
            match &mut answer {
                Ok(response) => call.complete(response),
                Err(_) => drop(call),
            }
        }
        Poll::Ready(answer)
    }
}

impl<F> fmt::Debug for AuditFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditFuture").finish_non_exhaustive()
    }
}
