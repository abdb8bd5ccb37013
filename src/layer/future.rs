//! The response futures of the crate's services.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{ResponseBody, Shared, recording::Recording};
use crate::authenticator::{Awaited, Waiting};

pin_project! {
    /// The response future of [`Require`](crate::Require): the response of the inner service, or a rejection.
    #[derive(Debug)]
    pub struct RequireFuture<F> {
        #[pin]
        inner: Option<F>,
        // Boxed, so that an admitted request has a small future.
        rejection: Option<Box<Response<Bytes>>>,
    }
}

impl<F> RequireFuture<F> {
    pub(super) fn new(answer: Result<F, Response<Bytes>>) -> Self {
        let (inner, rejection) = match answer {
            Ok(inner) => (Some(inner), None),
            Err(response) => (None, Some(Box::new(response))),
        };
        Self { inner, rejection }
    }
}

impl<F, B, E> Future for RequireFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(inner) = this.inner.as_pin_mut() {
            let response = ready!(inner.poll(cx))?;
            return Poll::Ready(Ok(response.map(ResponseBody::inner)));
        }
        match this.rejection.take() {
            Some(response) => Poll::Ready(Ok(response.map(ResponseBody::rejection))),
            None => Poll::Pending,
        }
    }
}

pin_project! {
    /// The response future of [`CoverbaseAuth`](crate::CoverbaseAuth).
    ///
    /// It owns the record of the call: when it is dropped before the response head is there, the call is recorded without a
    /// status.
    pub struct ResponseFuture<S: Service<Request<B>>, B> {
        #[pin]
        pub(super) decided: Option<RequireFuture<S::Future>>,
        // Boxed, so that a request with a ready answer has a small future.
        pub(super) waiting: Option<Box<WaitingRequest<S, B>>>,
        pub(super) recording: Recording,
    }
}

/// A request whose credential is being looked up, with the inner service that was ready for it.
pub(super) struct WaitingRequest<S, B> {
    pub(super) waiting: Waiting,
    pub(super) parts: Parts,
    pub(super) body: B,
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
}

impl<S: Service<Request<B>>, B> WaitingRequest<S, B> {
    fn conclude(mut self, answer: Awaited, recording: &mut Recording) -> RequireFuture<S::Future> {
        let decision = self.shared.authenticator.conclude(answer, &self.parts);
        let admitted = self.shared.apply(decision, self.parts, recording);
        RequireFuture::new(
            admitted.map(|parts| self.inner.call(Request::from_parts(parts, self.body))),
        )
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(request) = this.waiting {
            let answer = ready!(Pin::new(&mut request.waiting).poll(cx));
            if let Some(request) = this.waiting.take() {
                let decided = request.conclude(answer, this.recording);
                this.decided.set(Some(decided));
            }
        }
        let Some(decided) = this.decided.as_pin_mut() else {
            return Poll::Pending;
        };
        let mut response = ready!(decided.poll(cx))?;
        this.recording.complete(&mut response);
        Poll::Ready(Ok(response))
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
