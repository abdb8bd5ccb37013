//! The body of an answer: a refusal's bytes, or what the inner service sent.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

pin_project! {
    /// The response body of [`CoverbaseAuth`](crate::CoverbaseAuth), [`Require`](crate::Require) and
    /// [`Requirements`](crate::Requirements).
    ///
    /// The layer asks nothing of the inner service's body; this one is a [`Body`] of [`Bytes`] where the inner one is.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use coverbase_auth::ResponseBody;
    /// use http::Response;
    /// use http_body_util::{BodyExt, combinators::BoxBody};
    ///
    /// /// For a service that has one type for all of its bodies.
    /// fn boxed<B>(response: Response<ResponseBody<B>>) -> Response<BoxBody<Bytes, B::Error>>
    /// where
    ///     B: http_body::Body<Data = Bytes> + Send + Sync + 'static,
    /// {
    ///     response.map(BodyExt::boxed)
    /// }
    /// ```
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
        Refusal { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(crate) const fn inner(body: B) -> Self {
        Self {
            source: Source::Inner { body },
        }
    }

    /// What `inner` makes of the inner body, or `refused` of a refusal's bytes.
    #[cfg(feature = "axum")]
    pub(crate) fn map_or_else<T>(
        self,
        refused: impl FnOnce(Full<Bytes>) -> T,
        inner: impl FnOnce(B) -> T,
    ) -> T {
        match self.source {
            Source::Inner { body } => inner(body),
            Source::Refusal { body } => refused(body),
        }
    }

    pub(crate) fn refusal(body: Bytes) -> Self {
        Self {
            source: Source::Refusal {
                body: Full::new(body),
            },
        }
    }
}

/// An empty body, as tower-http's CORS and timeout layers put around answers of their own.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::refusal(Bytes::new())
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
            SourceProjection::Refusal { body } => body
                .poll_frame(cx)
                .map_err(|never: std::convert::Infallible| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Inner { body } => body.is_end_stream(),
            Source::Refusal { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Inner { body } => body.size_hint(),
            Source::Refusal { body } => body.size_hint(),
        }
    }
}
