//! The OpenAPI document of the contract's routes, and the `security` of any document from a [`Listing`].

use http::Method;
use utoipa::openapi::{
    Components, Content, Info, ObjectBuilder, OpenApi, PathItem, Ref,
    path::Operation,
    response::ResponseBuilder,
    schema::SchemaType,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use crate::{
    principal::Scope,
    requirement::{Listing, Requirement, Users, listing::UnguardedRoute},
};

const API_KEY: &str = "ApiKey";
const SESSION: &str = "Session";

/// The response that every rejection refers to (`C29`).
const REJECTION: &str = "Rejection";

impl Listing {
    /// Writes the requirement of each route into its operation in `document`, as `security`, and adds the two security
    /// schemes to the components. The document of a service then states what is enforced.
    ///
    /// ```
    /// use coverbase_auth::{Listing, Requirement, RouteRequirement};
    /// use http::Method;
    /// use utoipa::openapi::{HttpMethod, Info, OpenApi, Paths, path::OperationBuilder};
    ///
    /// let mut paths = Paths::new();
    /// paths.add_path_operation("/v1/reports", vec![HttpMethod::Get], OperationBuilder::new());
    /// let mut document = OpenApi::new(Info::new("Reports", "1"), paths);
    ///
    /// let row = RouteRequirement::new(Method::GET, "/v1/reports", Requirement::authenticated());
    /// Listing::from_iter([row]).secure(&mut document)?;
    /// assert!(document.to_json().is_ok_and(|json| json.contains(r#""security":[{"ApiKey":[]},{"Session":[]}]"#)));
    /// # Ok::<(), coverbase_auth::UnguardedRoute>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first operation without a row. The operations before it have been changed.
    pub fn secure(&self, document: &mut OpenApi) -> Result<(), UnguardedRoute> {
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                operation.security = Some(security(self.guards(&method, path)?));
            }
        }
        let bearer = || HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let api_key = bearer().description(Some("A service-account key, `ak_…`"));
        let session = bearer().description(Some("A session token of the dashboard"));
        let session = session.bearer_format("JWT");
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme(API_KEY, SecurityScheme::Http(api_key.build()));
        components.add_security_scheme(SESSION, SecurityScheme::Http(session.build()));
        Ok(())
    }
}

/// Returns the alternatives, one of which must be met: all required scopes are one alternative, each accepted role is one.
fn security(requirement: &Requirement) -> Vec<SecurityRequirement> {
    if requirement.is_public() {
        return Vec::new();
    }
    let (keys, users) = requirement.accepted();
    let mut alternatives = Vec::new();
    if let Some(scopes) = keys {
        let scopes = scopes.iter().map(Scope::as_str);
        alternatives.push(SecurityRequirement::new(API_KEY, scopes));
    }
    match users {
        Users::Any => alternatives.push(SecurityRequirement::new(SESSION, [""; 0])),
        Users::WithOneOf(roles) => {
            let roles = roles.iter().map(|role| [role.as_str()]);
            alternatives.extend(roles.map(|role| SecurityRequirement::new(SESSION, role)));
        }
    }
    if alternatives.is_empty() {
        // An empty list would mean that the route is public. No request can present both credentials.
        let both = SecurityRequirement::new(API_KEY, [""; 0]).add(SESSION, [""; 0]);
        alternatives.push(both);
    }
    alternatives
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let operations = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::OPTIONS, &mut item.options),
        (Method::HEAD, &mut item.head),
        (Method::PATCH, &mut item.patch),
        (Method::TRACE, &mut item.trace),
    ];
    let operations = operations.into_iter();
    operations.filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Completes the document of the contract's routes: removes routes that `listing` does not have, and adds requirements and
/// rejections to the others.
pub(super) fn complete(mut document: OpenApi, listing: &Listing) -> OpenApi {
    document.info = Info::new("Coverbase API", env!("CARGO_PKG_VERSION"));
    let is_listed = |path: &String| listing.iter().any(|row| row.path == *path);
    document.paths.paths.retain(|path, _| is_listed(path));

    for (path, item) in &mut document.paths.paths {
        for (_, operation) in operations(item) {
            // The rejections of any route, and those of routes with an id or a body (`C29`).
            let mut statuses = vec!["401", "403", "503"];
            if path.contains("{id}") {
                statuses.push("404");
            }
            if operation.request_body.is_some() {
                statuses.extend(["400", "413", "422"]);
            }
            let rejection = || Ref::from_response_name(REJECTION).into();
            let rejections = statuses
                .into_iter()
                .map(|status| (status.to_owned(), rejection()));
            operation.responses.responses.extend(rejections);
        }
    }
    let detail = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let body = ObjectBuilder::new()
        .property("detail", detail)
        .required("detail");
    let rejection = ResponseBuilder::new()
        .description(
            "`detail` is a text, an object with `code` and `message`, or a list of invalid fields",
        )
        .content("application/json", Content::new(Some(body)));
    let components = document.components.get_or_insert_with(Components::new);
    components
        .responses
        .insert(REJECTION.to_owned(), rejection.into());
    // Cannot fail: only paths of the listing are left.
    let _ = listing.secure(&mut document);
    document
}
