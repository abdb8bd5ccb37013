//! A tonic service with a layer around it is still the service of its name, so that tonic's `Routes` take it.

use ::tonic::server::NamedService;

use crate::{require::Require, requirements::Requirements, service::CoverbaseAuth};

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
