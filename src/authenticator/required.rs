//! What one request requires, from all the places that can say so.

use http::request::Parts;

use super::rejection::{Rejection, RejectionKind};
use crate::{
    principal::Principal,
    requirement::{Requirement, Route, RouteTable, Unmatched},
};

/// The row of the layer's table and the requirement in the request's extensions; where there is neither, the requirement
/// of the layer. Where both are there, both must hold.
#[derive(Debug)]
pub(super) struct Required<'a> {
    route: Option<Route<'a>>,
    /// The row for the path that the inner service sees, if that is not the path that the client sent.
    rewritten: Option<Route<'a>>,
    extension: Option<&'a Requirement>,
    default: &'a Requirement,
}

impl<'a> Required<'a> {
    pub(super) fn of(
        parts: &'a Parts,
        routes: Option<&'a RouteTable>,
        default: &'a Requirement,
    ) -> Self {
        let (route, rewritten) = routes.map(|table| table.routes_of(parts)).unzip();
        Self {
            rewritten: rewritten.flatten(),
            route: route.filter(|route| !matches!(route, Route::Unmatched(Unmatched::Layer))),
            extension: parts.extensions.get(),
            default,
        }
    }

    /// Whether the row or the extension says that the route is public, and nothing else says otherwise.
    pub(super) fn is_public(&self) -> bool {
        let rewritten = self.rewritten.as_ref().is_none_or(Route::is_public);
        let extension = self.extension.map(Requirement::is_public);
        match &self.route {
            Some(route) => route.is_public() && rewritten && extension.unwrap_or(true),
            None => rewritten && extension.unwrap_or(false),
        }
    }

    pub(super) fn check(&self, principal: Principal) -> Result<Principal, Rejection> {
        if let Some(Route::Unmatched(Unmatched::NotFound)) = self.route {
            let reason = "no row of the RouteTable matches the request";
            let rejection = Rejection::with_reason(RejectionKind::NotFound, reason);
            return Err(rejection.with_principal(principal));
        }
        let routes = self.route.iter().chain(&self.rewritten);
        for requirement in routes.flat_map(Route::requirements).chain(self.extension) {
            requirement.check(&principal)?;
        }
        if self.route.is_none() && self.extension.is_none() {
            self.default.check(&principal)?;
        }
        Ok(principal)
    }
}
