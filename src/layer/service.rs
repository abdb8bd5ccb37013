//! The service that [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer) wraps around another.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    ResponseBody, ResponseFuture, Shared,
    future::{RequireFuture, WaitingRequest},
    recording::Recording,
};
use crate::{authenticator::Decision, credential::mark_sensitive};

/// Passes authenticated requests on to `S`, with their [`Principal`](crate::Principal) in the extensions, and answers the
/// others.
///
/// Created by [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer). Its error is the error of `S`: a rejection is a response.
#[derive(Debug, Clone)]
pub struct CoverbaseAuth<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> CoverbaseAuth<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Removes the layer from the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, ResBody> Service<Request<B>> for CoverbaseAuth<S>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        // C33: before anything can log the headers.
        mark_sensitive(&mut parts.headers);
        let mut recording = Recording::begin(&self.shared, &parts);
        let decision = match self.shared.authenticator.decide(&parts) {
            Decision::Admitted(principal) => Ok(principal),
            Decision::Rejected(rejection) => Err(rejection),
            Decision::Waiting(waiting) => {
                // The service that `poll_ready` made ready is the one to call; its clone takes its place.
                let next = self.inner.clone();
                let request = Box::new(WaitingRequest {
                    waiting,
                    parts,
                    body,
                    inner: mem::replace(&mut self.inner, next),
                    shared: Arc::clone(&self.shared),
                });
                return ResponseFuture {
                    decided: None,
                    waiting: Some(request),
                    recording,
                };
            }
        };
        let admitted = self.shared.apply(decision, parts, &mut recording);
        let answer = admitted.map(|parts| self.inner.call(Request::from_parts(parts, body)));
        ResponseFuture {
            decided: Some(RequireFuture::new(answer)),
            waiting: None,
            recording,
        }
    }
}
