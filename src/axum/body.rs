//! The conversion of response bodies to axum's `Body`.

use axum::body::Body;

use crate::layer::ResponseBody;

/// Converts the body of a service that the layer is wrapped around, so that axum can serve it. A layer around the finished
/// router costs less than [`Router::layer`](axum::Router::layer), which adds it to every route:
///
/// ```
/// use axum::{Router, ServiceExt, body::Body, extract::Request, response::Response, routing::get};
/// use coverbase_auth::{CoverbaseAuthLayer, MemoryStore, ResponseBody};
/// use tower::ServiceBuilder;
///
/// # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
/// let router: Router = Router::new().route("/", get(|| async { "…" }));
/// let app = ServiceBuilder::new()
///     .map_response(|response: Response<ResponseBody<Body>>| response.map(Body::from))
///     .layer(CoverbaseAuthLayer::new(MemoryStore::new()))
///     .service(router);
/// axum::serve(listener, ServiceExt::<Request>::into_make_service(app)).await
/// # }
/// ```
impl<B: Into<Self>> From<ResponseBody<B>> for Body {
    fn from(body: ResponseBody<B>) -> Self {
        body.map_or_else(Self::new, Into::into)
    }
}
