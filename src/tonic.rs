//! A tonic service with a layer around it is still the service of its name, so that tonic's `Routes` take it; and a refusal
//! is a status.

use ::tonic::{Code, Status, metadata::MetadataMap, server::NamedService};
use http::HeaderMap;

use crate::{
    authenticator::Rejection,
    layer::{CoverbaseAuth, Require},
    requirements::Requirements,
    response::refusal,
};

/// What the layer answers to a gRPC client (`C32`), for methods that refuse by themselves.
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
        refusal::add_headers(&mut headers, &rejection);
        let metadata = MetadataMap::from_headers(headers);
        let code = Code::from_bytes(answer.grpc_status.as_bytes());
        Self::with_metadata(code, answer.message, metadata)
    }
}

impl<S: NamedService> NamedService for CoverbaseAuth<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: NamedService> NamedService for Require<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: NamedService> NamedService for Requirements<S> {
    const NAME: &'static str = S::NAME;
}

#[cfg(feature = "audit")]
impl<S: NamedService> NamedService for crate::audit::Audit<S> {
    const NAME: &'static str = S::NAME;
}
