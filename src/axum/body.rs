//! The layer around a whole router answers with the body that axum serves.

use axum::body::Body;

use crate::layer::ResponseBody;

/// The router's own body as it is, however many layers there are around it, and a refusal's bytes in a new one. axum serves
/// nothing else, so a router that the layer is wrapped around, which is cheaper than
/// [`Router::layer`](axum::Router::layer), is served like this:
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
