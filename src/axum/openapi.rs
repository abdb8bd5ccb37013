//! The contract's routes as an OpenAPI document, and the `security` of any document by what its routes require.

use http::Method;
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, HttpMethod, Info, OpenApi, Paths, Ref, RefOr, Required,
    Schema,
    path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
    response::ResponseBuilder,
    schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use crate::{
    principal::Scope,
    requirement::{Keys, Listing, Requirement, RouteRequirement, UnguardedRoute, Users},
};

const API_KEY: &str = "ApiKey";
const SESSION: &str = "Session";

impl Listing {
    /// Writes into each operation of `document` what its route requires, and the two security schemes beside them: a
    /// service's own document then says what is enforced.
    ///
    /// ```
    /// use coverbase_auth::{Requirement, RequirementsLayer};
    /// use utoipa::openapi::{HttpMethod, Info, OpenApi, Paths, path::OperationBuilder};
    ///
    /// let mut paths = Paths::new();
    /// paths.add_path_operation("/v1/reports", vec![HttpMethod::Get], OperationBuilder::new());
    /// let mut document = OpenApi::new(Info::new("Reports", "1"), paths);
    ///
    /// let requirements = RequirementsLayer::new().any("/v1/reports", Requirement::authenticated());
    /// requirements.listing().secure(&mut document)?;
    /// assert!(document.to_json().is_ok_and(|json| json.contains(r#""security":[{"ApiKey":[]},{"Session":[]}]"#)));
    /// # Ok::<(), coverbase_auth::UnguardedRoute>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first operation that no row names. The document is then as far as it was written.
    pub fn secure(&self, document: &mut OpenApi) -> Result<(), UnguardedRoute> {
        for (path, item) in &mut document.paths.paths {
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
            for (method, operation) in operations {
                if let Some(operation) = operation {
                    let requirement = self.guards(&method, path)?;
                    operation.security = Some(security(requirement));
                }
            }
        }
        let components = document.components.get_or_insert_with(Components::new);
        add_schemes(components);
        Ok(())
    }
}

/// The alternatives, of which one must be met. What a key must carry stands in one of them; of roles each stands alone.
fn security(requirement: &Requirement) -> Vec<SecurityRequirement> {
    if requirement.is_public() {
        return Vec::new();
    }
    let (keys, users) = requirement.accepted();
    let mut alternatives = Vec::new();
    if let Keys::WithAll(scopes) = keys {
        let scopes = scopes.iter().map(Scope::as_str);
        alternatives.push(SecurityRequirement::new(API_KEY, scopes));
    }
    match users {
        Users::Any => alternatives.push(SecurityRequirement::new(SESSION, [""; 0])),
        Users::WithOneOf(roles) => alternatives.extend(
            roles
                .iter()
                .map(|role| SecurityRequirement::new(SESSION, [role.as_str()])),
        ),
    }
    if alternatives.is_empty() {
        // Nobody passes, and an empty list would say that everybody does: both credentials at once nobody can present.
        let both = SecurityRequirement::new(API_KEY, [""; 0]).add(SESSION, [""; 0]);
        alternatives.push(both);
    }
    alternatives
}

fn add_schemes(components: &mut Components) {
    let bearer = |description: &str| {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        scheme.description(Some(description))
    };
    let api_key = bearer("A service-account key, `ak_…`").build();
    let session = bearer("A session of the dashboard")
        .bearer_format("JWT")
        .build();
    components.add_security_scheme(API_KEY, SecurityScheme::Http(api_key));
    components.add_security_scheme(SESSION, SecurityScheme::Http(session));
}

/// The document of the contract's routes, those that `listing` has.
pub(super) fn document(listing: &Listing) -> OpenApi {
    let mut paths = Paths::new();
    for row in listing.iter() {
        let (method, mut operation) = operation(row);
        operation.security = Some(security(&row.requirement));
        paths.add_path_operation(&row.path, vec![method], operation);
    }
    let mut document = OpenApi::new(Info::new("Coverbase API", env!("CARGO_PKG_VERSION")), paths);
    let mut components = components();
    add_schemes(&mut components);
    document.components = Some(components);
    document
}

fn operation(row: &RouteRequirement) -> (HttpMethod, Operation) {
    let posts = row.method == Some(Method::POST);
    let operation = match (posts, &*row.path) {
        (false, "/v1/utils/authtest") => {
            let answer = object([("msg", text())]);
            described("authtest", "Whether the credential is good", "200", answer)
        }
        (false, "/v1/whoami/ip") => {
            let answer = object([("client_ip", nullable(Type::String))]);
            described(
                "whoami_ip",
                "From where the service sees the caller",
                "200",
                answer,
            )
        }
        (false, "/v1/api-keys") => {
            let answer = object([("data", list(schema("ApiKey")))]);
            described(
                "list_api_keys",
                "Every key, revoked and expired ones too",
                "200",
                answer,
            )
        }
        (true, "/v1/api-keys") => {
            let body = object([("name", text())])
                .property("seconds_until_expiration", nullable(Type::Integer))
                .property("scopes", list(text()));
            described(
                "create_api_key",
                "A new key",
                "201",
                schema("CreatedApiKey"),
            )
            .request_body(Some(json_body(body)))
            .response("400", Ref::from_response_name("Refusal"))
        }
        (true, "/v1/api-keys/{id}/rotate") => {
            let summary = "A new key in the place of a live one";
            described("rotate_api_key", summary, "200", schema("RotatedApiKey"))
        }
        (true, "/v1/api-keys/{id}/revoke") => {
            let body = ObjectBuilder::new().property("reason", nullable(Type::String));
            described(
                "revoke_api_key",
                "The key, revoked for good",
                "200",
                schema("ApiKey"),
            )
            .request_body(Some(json_body(body)))
        }
        (false, "/v1/org/{id}") => described(
            "get_organization",
            "The organization",
            "200",
            schema("Organization"),
        ),
        (true, "/v1/org/{id}") => {
            let body = object([("api_ip_allowlist", list(text()))]);
            let summary = "From where the organization's keys may be used";
            described("set_allowlist", summary, "200", schema("Organization"))
                .request_body(Some(json_body(body)))
        }
        (false, "/v1/system_audit_log") => described(
            "list_audit_log",
            "The audit log, newest first",
            "200",
            list(anything()),
        )
        .parameters(Some(AUDIT_QUERY.map(|(name, it)| query(name, it)))),
        (false, "/v1/system_audit_log/metadata") => {
            let summary = "The groups and types of the audit log, with labels";
            described("audit_log_metadata", summary, "200", anything())
        }
        (false, "/openapi.json") => described("openapi", "This document", "200", anything()),
        (_, path) => described(path, path, "200", anything()),
    };
    let operation = match row.path.contains("{id}") {
        true => operation
            .parameter(parameter("id", ParameterIn::Path).schema(Some(text())))
            .response("404", Ref::from_response_name("Refusal")),
        false => operation,
    };
    let method = if posts {
        HttpMethod::Post
    } else {
        HttpMethod::Get
    };
    (method, operation.build())
}

/// The query of the audit log (`C43`); the lists are repeated parameters.
const AUDIT_QUERY: [(&str, Type); 7] = [
    ("start_ts", Type::Integer),
    ("end_ts", Type::Integer),
    ("event_groups", Type::Array),
    ("event_types", Type::Array),
    ("search", Type::String),
    ("limit", Type::Integer),
    ("offset", Type::Integer),
];

/// With the refusals that every route knows (`C29`).
fn described(
    id: &str,
    summary: &str,
    status: &str,
    answer: impl Into<RefOr<Schema>>,
) -> OperationBuilder {
    let answer = ResponseBuilder::new()
        .description(summary)
        .content(JSON, Content::new(Some(answer)));
    let operation = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
        .response(status, answer);
    ["401", "403", "503"]
        .into_iter()
        .fold(operation, |operation, status| {
            operation.response(status, Ref::from_response_name("Refusal"))
        })
}

fn components() -> Components {
    let key = || {
        object([
            ("id", text()),
            ("name", text()),
            ("created_at", integer()),
            ("scopes", list(text())),
        ])
    };
    let summary = key()
        .property("last_used_at", nullable(Type::Integer))
        .property("revoked", of_type(Type::Boolean))
        .property("expired", of_type(Type::Boolean))
        .property("created_by_clerk_user_id", nullable(Type::String));
    let created = || key().property("secret", text()).required("secret");
    let rotated = created()
        .property("revoked_id", text())
        .required("revoked_id");
    let organization = object([("id", text()), ("api_ip_allowlist", list(text()))]);
    let refusal = ResponseBuilder::new()
        .description("Refused: `detail` is text, or has a code and a message")
        .content(JSON, Content::new(Some(object([("detail", anything())]))));
    ComponentsBuilder::new()
        .schema("ApiKey", summary)
        .schema("CreatedApiKey", created())
        .schema("RotatedApiKey", rotated)
        .schema("Organization", organization)
        .response("Refusal", refusal)
        .build()
}

const JSON: &str = "application/json";

fn json_body(schema: ObjectBuilder) -> RequestBody {
    let body = RequestBodyBuilder::new();
    body.content(JSON, Content::new(Some(schema))).build()
}

fn query(name: &str, it: Type) -> ParameterBuilder {
    let schema = match it {
        Type::Array => list(text()),
        one => of_type(one),
    };
    parameter(name, ParameterIn::Query).schema(Some(schema))
}

fn parameter(name: &str, place: ParameterIn) -> ParameterBuilder {
    let required = match place {
        ParameterIn::Path => Required::True,
        _ => Required::False,
    };
    let parameter = ParameterBuilder::new().name(name).parameter_in(place);
    parameter.required(required)
}

/// An object whose `properties` are always there.
fn object<const N: usize>(properties: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    let object = ObjectBuilder::new();
    properties
        .into_iter()
        .fold(object, |object, (name, schema)| {
            object.property(name, schema).required(name)
        })
}

fn schema(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

fn list(item: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new().items(item).into()
}

fn text() -> RefOr<Schema> {
    of_type(Type::String)
}

fn integer() -> RefOr<Schema> {
    of_type(Type::Integer)
}

fn of_type(it: Type) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(it).into()
}

fn nullable(it: Type) -> RefOr<Schema> {
    let schema_type = SchemaType::Array(vec![it, Type::Null]);
    ObjectBuilder::new().schema_type(schema_type).into()
}

fn anything() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .into()
}
