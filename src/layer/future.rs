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
    pub struct RequireFuture<F> {
        #[pin]
        answer: Answer<F>,
    }
}

pin_project! {
    #[project = AnswerProjection]
    enum Answer<F> {
        Inner { #[pin] future: F },
        Rejected { response: Option<Response<Bytes>> },
    }
}

impl<F> RequireFuture<F> {
    pub(super) const fn inner(future: F) -> Self {
        Self {
            answer: Answer::Inner { future },
        }
    }

    pub(super) const fn rejected(response: Response<Bytes>) -> Self {
        Self {
            answer: Answer::Rejected {
                response: Some(response),
            },
        }
    }
}

impl<F, B, E> Future for RequireFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().answer.project() {
            AnswerProjection::Inner { future } => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map(ResponseBody::inner)))
            }
            AnswerProjection::Rejected { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response.map(ResponseBody::rejection))),
                None => Poll::Pending,
            },
        }
    }
}

impl<F> fmt::Debug for RequireFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// The response future of [`CoverbaseAuth`](crate::CoverbaseAuth).
    ///
    /// It owns the record of the call: when it is dropped before the response head is there, the call is recorded without a
    /// status.
    pub struct ResponseFuture<S: Service<Request<B>>, B> {
        #[pin]
        state: State<S, B>,
        recording: Recording,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S: Service<Request<B>>, B> {
        Decided { #[pin] future: RequireFuture<S::Future> },
        // Boxed, so that a request with a ready answer has a small future.
        Waiting { request: Option<Box<WaitingRequest<S, B>>> },
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

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(super) const fn decided(future: RequireFuture<S::Future>, recording: Recording) -> Self {
        Self {
            state: State::Decided { future },
            recording,
        }
    }

    pub(super) fn waiting(request: WaitingRequest<S, B>, recording: Recording) -> Self {
        Self {
            state: State::Waiting {
                request: Some(Box::new(request)),
            },
            recording,
        }
    }
}

impl<S: Service<Request<B>>, B> WaitingRequest<S, B> {
    fn conclude(mut self, answer: Awaited, recording: &mut Recording) -> RequireFuture<S::Future> {
        let decision = self.shared.authenticator.conclude(answer, &self.parts);
        match self.shared.apply(decision, self.parts, recording) {
            Ok(parts) => {
                let request = Request::from_parts(parts, self.body);
                RequireFuture::inner(self.inner.call(request))
            }
            Err(response) => RequireFuture::rejected(response),
        }
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
        loop {
            let decided = match this.state.as_mut().project() {
                StateProjection::Decided { future } => {
                    let mut response = ready!(future.poll(cx))?;
                    this.recording.complete(&mut response);
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Waiting { request: slot } => {
                    let Some(mut request) = slot.take() else {
                        return Poll::Pending;
                    };
                    match Pin::new(&mut request.waiting).poll(cx) {
                        Poll::Ready(answer) => request.conclude(answer, this.recording),
                        Poll::Pending => {
                            *slot = Some(request);
                            return Poll::Pending;
                        }
                    }
                }
            };
            this.state.set(State::Decided { future: decided });
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
