//! Integration with tonic: rejections as [`Status`], the layer around one service, rows for all methods of a service.

use ::tonic::{Code, Status, metadata::MetadataMap, server::NamedService};
use http::{HeaderMap, HeaderValue};

use crate::{
    authenticator::Rejection,
    layer::{CoverbaseAuth, Require},
    requirement::{Requirement, RouteTable},
    response::{self, grpc::ERROR_CODE},
};

/// The status that the layer answers to a gRPC client (`C32`), for methods that return a rejection themselves.
///
/// ```
/// use coverbase_auth::{Principal, ServiceAccount};
/// use tonic::{Request, Status};
///
/// fn key_id(request: &Request<()>) -> Result<String, Status> {
///     let caller = Principal::required(request.extensions())?.clone();
///     Ok(ServiceAccount::try_from(caller)?.key_id().to_string())
/// }
/// assert_eq!(key_id(&Request::new(())).unwrap_err().code(), tonic::Code::Internal);
/// ```
impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let answer = rejection.kind().answer();
        let mut headers = HeaderMap::new();
        response::add_headers(&mut headers, &rejection);
        headers.insert(ERROR_CODE, HeaderValue::from_static(answer.name));
        let code = Code::from_i32(rejection.kind().grpc_status().into());
        Self::with_metadata(code, answer.message, MetadataMap::from_headers(headers))
    }
}

impl RouteTable {
    /// Adds a row for every method of a tonic service.
    ///
    /// ```
    /// use coverbase_auth::{Requirement, RouteTable};
    /// # struct HealthServer;
    /// # impl tonic::server::NamedService for HealthServer { const NAME: &'static str = "grpc.health.v1.Health"; }
    ///
    /// let routes = RouteTable::new().service::<HealthServer>(Requirement::public());
    /// assert!(routes.listing().to_string().contains("/grpc.health.v1.Health/{*method}"));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`route`](Self::route).
    #[must_use]
    pub fn service<S: NamedService>(self, requirement: Requirement) -> Self {
        self.any(&format!("/{}/{{*method}}", S::NAME), requirement)
    }
}

impl<S: NamedService> NamedService for CoverbaseAuth<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: NamedService> NamedService for Require<S> {
    const NAME: &'static str = S::NAME;
}
