//! The service that [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer) puts around another.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use crate::{
    authenticator::Decision,
    layer::{DecidedFuture, Gate, ResponseBody, ResponseFuture, WaitingRequest},
};

/// Lets authenticated requests through to `S`, with their [`Principal`](crate::Principal) in the extensions, and answers the others.
///
/// Made by [`CoverbaseAuthLayer`](crate::CoverbaseAuthLayer). Its error is the inner service's: a refusal is a response.
///
/// ```
/// use coverbase_auth::{CoverbaseAuth, CoverbaseAuthLayer, MemoryStore};
/// use tower::Layer;
///
/// let mut service: CoverbaseAuth<_> = CoverbaseAuthLayer::new(MemoryStore::new()).layer("inner");
/// assert_eq!(*service.get_ref(), "inner");
/// *service.get_mut() = "another";
/// assert_eq!(service.into_inner(), "another");
/// ```
#[derive(Debug, Clone)]
pub struct CoverbaseAuth<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> CoverbaseAuth<S> {
    pub(crate) const fn new(inner: S, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Takes the layer off again.
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
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.gate.authenticator.decide(&mut request) {
            Decision::Admitted(principal) => {
                self.gate.admit(&mut request, principal);
                ResponseFuture::decided(DecidedFuture::inner(self.inner.call(request)))
            }
            Decision::Public => {
                self.gate.let_through(&mut request);
                ResponseFuture::decided(DecidedFuture::inner(self.inner.call(request)))
            }
            Decision::Refused(rejection) => {
                let (mut parts, _) = request.into_parts();
                let response = self.gate.refuse(rejection, &mut parts);
                ResponseFuture::decided(DecidedFuture::refused(response))
            }
            Decision::Waiting(waiting) => {
                // The service that `poll_ready` made ready is the one to be called.
                let next = self.inner.clone();
                ResponseFuture::waiting(WaitingRequest {
                    waiting,
                    request,
                    inner: mem::replace(&mut self.inner, next),
                    gate: Arc::clone(&self.gate),
                })
            }
        }
    }
}
