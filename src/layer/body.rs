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
        source: Source<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = SourceProjection]
    enum Source<B> {
        Inner { #[pin] body: B },
        Rejection { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(super) const fn inner(body: B) -> Self {
        Self {
            source: Source::Inner { body },
        }
    }

    pub(super) fn rejection(body: Bytes) -> Self {
        Self {
            source: Source::Rejection {
                body: Full::new(body),
            },
        }
    }

    #[cfg(feature = "axum")]
    pub(crate) fn map_or_else<T>(
        self,
        rejection: impl FnOnce(Full<Bytes>) -> T,
        inner: impl FnOnce(B) -> T,
    ) -> T {
        match self.source {
            Source::Inner { body } => inner(body),
            Source::Rejection { body } => rejection(body),
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
        match self.project().source.project() {
            SourceProjection::Inner { body } => body.poll_frame(cx),
            SourceProjection::Rejection { body } => body
                .poll_frame(cx)
                .map_err(|never: Infallible| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Inner { body } => body.is_end_stream(),
            Source::Rejection { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Inner { body } => body.size_hint(),
            Source::Rejection { body } => body.size_hint(),
        }
    }
}
