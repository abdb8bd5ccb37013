//! The body of a response: the inner service's, or the bytes of a rejection.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

pin_project! {
    /// The response body of [`CoverbaseAuth`](crate::CoverbaseAuth) and [`Require`](crate::Require).
    ///
    /// It is a [`Body`] of [`Bytes`] if the inner service's body is one; the layer itself does not require that.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: Option<B>,
        // The whole body if there is no inner one.
        rejection: Full<Bytes>,
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn inner(body: B) -> Self {
        Self {
            inner: Some(body),
            rejection: Full::default(),
        }
    }

    pub(super) fn rejection(body: Bytes) -> Self {
        Self {
            inner: None,
            rejection: Full::new(body),
        }
    }

    #[cfg(feature = "axum")]
    pub(crate) fn map_or_else<T>(
        self,
        rejection: impl FnOnce(Full<Bytes>) -> T,
        inner: impl FnOnce(B) -> T,
    ) -> T {
        match self.inner {
            Some(body) => inner(body),
            None => rejection(self.rejection),
        }
    }
}

/// An empty body, which tower-http's CORS and timeout layers need for their own responses.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::rejection(Bytes::new())
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(body) => body.poll_frame(cx),
            None => Pin::new(this.rejection)
                .poll_frame(cx)
                .map_err(|never: Infallible| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Some(body) => body.is_end_stream(),
            None => self.rejection.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(body) => body.size_hint(),
            None => self.rejection.size_hint(),
        }
    }
}
