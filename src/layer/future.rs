//! The futures of the crate's services.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    authenticator::{Awaited, Waiting},
    layer::{Gate, ResponseBody},
};

pin_project! {
    /// Answers with the inner service's response, or with the refusal that took its place.
    ///
    /// ```
    /// use coverbase_auth::{DecidedFuture, Require};
    /// use http::{Request, Response};
    /// use tower::Service;
    ///
    /// // What a service around `Require` has for its own `type Future`.
    /// fn forward<S, B>(require: &mut Require<S>, request: Request<()>) -> DecidedFuture<S::Future>
    /// where
    ///     S: Service<Request<()>, Response = Response<B>>,
    /// {
    ///     require.call(request)
    /// }
    /// ```
    pub struct DecidedFuture<F> {
        #[pin]
        answer: Answer<F>,
    }
}

pin_project! {
    #[project = AnswerProjection]
    enum Answer<F> {
        Inner { #[pin] future: F },
        Refusal { response: Option<Response<Bytes>> },
    }
}

impl<F> DecidedFuture<F> {
    #[inline]
    pub(crate) const fn inner(future: F) -> Self {
        Self {
            answer: Answer::Inner { future },
        }
    }

    #[inline]
    pub(crate) const fn refused(response: Response<Bytes>) -> Self {
        Self {
            answer: Answer::Refusal {
                response: Some(response),
            },
        }
    }
}

impl<F, B, E> Future for DecidedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().answer.project() {
            AnswerProjection::Inner { future } => future
                .poll(cx)
                .map_ok(|response| response.map(ResponseBody::inner)),
            // To poll again after the answer is the caller's error, as with every future.
            AnswerProjection::Refusal { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response.map(ResponseBody::refusal))),
                None => Poll::Pending,
            },
        }
    }
}

impl<F> fmt::Debug for DecidedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecidedFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// Decides, where the decision had to wait for a store or a key set, and answers as [`DecidedFuture`] does.
    ///
    /// ```
    /// use coverbase_auth::{CoverbaseAuth, ResponseFuture};
    /// use http::{Request, Response};
    /// use tower::Service;
    ///
    /// // What a service around `CoverbaseAuth` has for its own `type Future`.
    /// fn forward<S, B, R>(auth: &mut CoverbaseAuth<S>, request: Request<B>) -> ResponseFuture<S, B>
    /// where
    ///     S: Service<Request<B>, Response = Response<R>> + Clone,
    /// {
    ///     auth.call(request)
    /// }
    /// ```
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        Decided { #[pin] future: DecidedFuture<S::Future> },
        // A box, so that the requests which are decided at once do not carry the room for one that waits.
        Waiting { request: Option<Box<WaitingRequest<S, B>>> },
    }
}

/// A request whose credential is still being checked, with the inner service that was ready for it.
pub(crate) struct WaitingRequest<S, B> {
    pub(crate) waiting: Waiting,
    pub(crate) request: Request<B>,
    pub(crate) inner: S,
    pub(crate) gate: Arc<Gate>,
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    #[inline]
    pub(crate) const fn decided(future: DecidedFuture<S::Future>) -> Self {
        Self {
            state: State::Decided { future },
        }
    }

    pub(crate) fn waiting(request: WaitingRequest<S, B>) -> Self {
        Self {
            state: State::Waiting {
                request: Some(Box::new(request)),
            },
        }
    }
}

impl<S: Service<Request<B>>, B> WaitingRequest<S, B> {
    fn conclude(mut self, answer: Awaited) -> DecidedFuture<S::Future> {
        let authenticator = &self.gate.authenticator;
        match authenticator.conclude(answer, &mut self.request) {
            Ok(principal) => {
                self.gate.admit(&mut self.request, principal);
                DecidedFuture::inner(self.inner.call(self.request))
            }
            Err(rejection) => {
                let (mut parts, _) = self.request.into_parts();
                DecidedFuture::refused(self.gate.refuse(rejection, &mut parts))
            }
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
        let mut state = self.project().state;
        loop {
            let decided = match state.as_mut().project() {
                StateProjection::Decided { future } => return future.poll(cx),
                StateProjection::Waiting { request: slot } => {
                    let Some(mut request) = slot.take() else {
                        return Poll::Pending;
                    };
                    match Pin::new(&mut request.waiting).poll(cx) {
                        Poll::Ready(answer) => request.conclude(answer),
                        Poll::Pending => {
                            *slot = Some(request);
                            return Poll::Pending;
                        }
                    }
                }
            };
            state.set(State::Decided { future: decided });
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
