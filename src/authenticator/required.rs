//! What one request requires, from all the places that can say so.

use http::request::Parts;

use super::rejection::{Rejection, RejectionKind};
use crate::{
    principal::Principal,
    requirement::{Requirement, Route, RouteTable, Unmatched, original_uri},
};

/// The row of the layer's table and the requirement in the request's extensions; where there is neither, the requirement
/// of the layer. Where both are there, both must hold.
#[derive(Debug)]
pub(super) struct Required<'a> {
    route: Option<Route<'a>>,
    extension: Option<&'a Requirement>,
    default: &'a Requirement,
}

impl<'a> Required<'a> {
    pub(super) fn of(
        parts: &'a Parts,
        routes: Option<&'a RouteTable>,
        default: &'a Requirement,
    ) -> Self {
        let route = routes.map(|table| table.find(&parts.method, original_uri(parts).path()));
        Self {
            route: route.filter(|route| !matches!(route, Route::Unmatched(Unmatched::Layer))),
            extension: parts.extensions.get(),
            default,
        }
    }

    /// Whether every place that says something says that the route is public.
    pub(super) fn is_public(&self) -> bool {
        match (&self.route, self.extension) {
            (Some(route), Some(extension)) => route.is_public() && extension.is_public(),
            (Some(route), None) => route.is_public(),
            (None, Some(extension)) => extension.is_public(),
            (None, None) => false,
        }
    }

    pub(super) fn check(&self, principal: Principal) -> Result<Principal, Rejection> {
        if let Some(Route::Unmatched(Unmatched::NotFound)) = self.route {
            let reason = "no row of the RouteTable matches the request";
            let rejection = Rejection::with_reason(RejectionKind::NotFound, reason);
            return Err(rejection.with_principal(principal));
        }
        let of_route = self.route.iter().flat_map(Route::requirements);
        for requirement in of_route.chain(self.extension) {
            requirement.check(&principal)?;
        }
        if self.route.is_none() && self.extension.is_none() {
            self.default.check(&principal)?;
        }
        Ok(principal)
    }
}
