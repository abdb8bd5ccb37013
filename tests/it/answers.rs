//! What a refusal looks like on the wire: one table (C29–C32).

use bytes::Bytes;
use coverbase_auth::{
    CoverbaseAuthLayer, GrpcStatus, IpAllowlist, JsonEnvelope, Lookup, ProblemJson, Rejection,
    RejectionKind, Render, RequireLayer, Requirement, Scope, StoreError,
};
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body::Body as _;
use tower::{Layer, ServiceExt};

use crate::support::{
    Answer, Echo, KEY, KEY_ID, StoreFn, ask, bearer, block_on, record, store, with_headers,
};

struct Row {
    kind: RejectionKind,
    status: u16,
    code: Option<&'static str>,
    message: &'static str,
    challenge: Option<&'static str>,
    grpc_status: &'static str,
}

const PLAIN: Option<&str> = Some(r#"Bearer realm="coverbase""#);
const INVALID_TOKEN: Option<&str> = Some(r#"Bearer realm="coverbase", error="invalid_token""#);
const INSUFFICIENT_SCOPE: Option<&str> =
    Some(r#"Bearer realm="coverbase", error="insufficient_scope", scope="keys:manage""#);

#[rustfmt::skip]
const TABLE: [Row; 13] = {
    use RejectionKind::*;
    const fn row(kind: RejectionKind, status: u16, code: Option<&'static str>, message: &'static str, challenge: Option<&'static str>, grpc_status: &'static str) -> Row {
        Row { kind, status, code, message, challenge, grpc_status }
    }
    [
        row(MissingCredential, 401, None, "Not authenticated", PLAIN, "16"),
        row(MalformedCredential, 401, None, "Not authenticated", PLAIN, "16"),
        row(InvalidApiKey, 401, None, "Invalid or expired API key.", INVALID_TOKEN, "16"),
        row(InvalidSessionToken, 401, None, "Invalid or expired session token.", INVALID_TOKEN, "16"),
        row(UnauthorizedRole, 401, None, "Unauthorized role.", PLAIN, "16"),
        row(InsufficientScope, 403, Some("insufficient_scope"), "This API key does not carry the scope that this request requires.", INSUFFICIENT_SCOPE, "7"),
        row(ScopeGrantForbidden, 403, Some("scope_grant_forbidden"), "Only an organization admin may grant scopes to an API key.", None, "7"),
        row(IpNotAllowed, 403, Some("ip_not_allowed"), "This request originates from an IP address that is not in your organization's API allowlist.", None, "7"),
        row(ApiKeyNotFound, 404, Some("api_key_not_found"), "API key not found.", None, "5"),
        row(OrgNotFound, 404, Some("org_not_found"), "Organization not found.", None, "5"),
        row(NotFound, 404, None, "Not Found", None, "5"),
        row(AuthUnavailable, 503, Some("auth_unavailable"), "Authentication is temporarily unavailable. Please retry.", None, "14"),
        row(AuthNotConfigured, 500, Some("auth_not_configured"), "This route requires authentication, and the service has not set it up.", None, "13"),
    ]
};

impl Row {
    fn of(kind: RejectionKind) -> &'static Self {
        TABLE.iter().find(|row| row.kind == kind).unwrap()
    }

    fn body(&self) -> String {
        match self.code {
            None => format!(r#"{{"detail":"{}"}}"#, self.message),
            Some(code) => {
                format!(
                    r#"{{"detail":{{"code":"{code}","message":"{}"}}}}"#,
                    self.message
                )
            }
        }
    }
}

/// The answer to each request that the layer rejects.
fn provoke(render: impl Render + Clone, request: impl Fn(&str) -> Request<()>) -> Vec<Answer> {
    let restricted = IpAllowlist::parse(["203.0.113.0/24"]).unwrap();
    let down = StoreFn(|_: &_| Lookup::ready(Err(StoreError::new("connection refused"))));
    let auth = |record| CoverbaseAuthLayer::new(store(record)).with_render(render.clone());
    let require =
        RequireLayer::new(Requirement::scope(Scope::KEYS_MANAGE)).with_render(render.clone());
    let mut anonymous = request(KEY);
    anonymous.headers_mut().remove("authorization");
    let answers = vec![
        ask(&auth(record()), anonymous),
        ask(&auth(record()), request("a,b")),
        ask(&auth(record()), request("ak_unknown")),
        ask(&auth(record()), request("e30.e30.AA")),
        ask(&auth(record().with_allowlist(restricted)), request(KEY)),
        ask(
            &auth(record()).with_requirement(Requirement::scope(Scope::KEYS_MANAGE)),
            request(KEY),
        ),
        ask(&(auth(record()), require.clone()), request(KEY)),
        ask(&require, request(KEY)),
        ask(
            &CoverbaseAuthLayer::new(down).with_render(render.clone()),
            request(KEY),
        ),
    ];
    assert_eq!(ask(&auth(record()), request(KEY)).rejection_kind(), None);
    answers
}

const PROVOKED: [RejectionKind; 9] = [
    RejectionKind::MissingCredential,
    RejectionKind::MalformedCredential,
    RejectionKind::InvalidApiKey,
    RejectionKind::InvalidSessionToken,
    RejectionKind::IpNotAllowed,
    RejectionKind::InsufficientScope,
    RejectionKind::InsufficientScope,
    RejectionKind::AuthNotConfigured,
    RejectionKind::AuthUnavailable,
];

fn grpc(content_type: &'static str) -> impl Fn(&str) -> Request<()> {
    move |token| {
        let authorization = format!("Bearer {token}");
        let mut request = with_headers(&[
            ("authorization", &authorization),
            ("content-type", content_type),
        ]);
        *request.method_mut() = Method::POST;
        request
    }
}

fn kinds(answers: &[Answer]) -> Vec<RejectionKind> {
    answers
        .iter()
        .map(|answer| answer.rejection_kind().unwrap())
        .collect()
}

// C29, C30, C31
#[test]
fn every_rejection_is_answered_by_the_row_of_its_kind() {
    let answers = provoke(JsonEnvelope::new(), bearer);
    assert_eq!(kinds(&answers), PROVOKED);
    for answer in answers {
        let row = Row::of(answer.rejection_kind().unwrap());
        let kind = row.kind;
        assert_eq!(answer.status.as_u16(), row.status, "{kind:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{kind:?}"
        );
        assert_eq!(answer.body, row.body(), "{kind:?}");
        assert_eq!(answer.header("www-authenticate"), row.challenge, "{kind:?}");
        let retry_after = (row.status == 503).then_some("1");
        assert_eq!(answer.header("retry-after"), retry_after, "{kind:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let expected = 2 + usize::from(row.challenge.is_some()) + usize::from(row.status == 503);
        assert_eq!(
            answer.headers.len(),
            expected,
            "no other header: {answer:?}"
        );
    }
}

// C29: also the kinds that only handlers return.
#[test]
fn table_is_that_of_the_contract() {
    let (request, ()) = Request::new(()).into_parts();
    for row in &TABLE {
        let kind = row.kind;
        assert_eq!(kind.status().as_u16(), row.status);
        assert_eq!(kind.code(), row.code);
        assert_eq!(kind.message(), row.message);
        let answer = JsonEnvelope::new().render(&kind.into(), &request);
        assert_eq!(answer.status().as_u16(), row.status);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(*answer.body(), row.body());
        let answer = GrpcStatus::new().render(&kind.into(), &request);
        assert_eq!(answer.headers()["grpc-status"], row.grpc_status);
        assert_eq!(answer.headers()["grpc-message"], row.message);
    }
}

// C30
#[test]
fn missing_credential_can_be_answered_403() {
    let fastapi = JsonEnvelope::new().with_forbidden_for_missing_credential();
    let answers = provoke(fastapi, bearer);
    assert_eq!(kinds(&answers), PROVOKED);
    for answer in answers {
        let row = Row::of(answer.rejection_kind().unwrap());
        let status = match row.kind {
            RejectionKind::MissingCredential | RejectionKind::MalformedCredential => 403,
            _ => row.status,
        };
        assert_eq!(answer.status.as_u16(), status, "{:?}", row.kind);
        assert_eq!(answer.body, row.body());
    }
}

// C32
#[test]
fn grpc_request_gets_a_trailers_only_answer() {
    for (content_type, answered) in [
        ("application/grpc", "application/grpc"),
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc;charset=utf-8", "application/grpc"),
        ("APPLICATION/GRPC", "application/grpc"),
        ("application/grpc-web", "application/grpc-web"),
        ("application/grpc-web+proto", "application/grpc-web"),
        ("application/grpc-web-text", "application/grpc-web-text"),
    ] {
        let answers = provoke(JsonEnvelope::new(), grpc(content_type));
        assert_eq!(kinds(&answers), PROVOKED);
        for answer in answers {
            let row = Row::of(answer.rejection_kind().unwrap());
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.header("content-type"), Some(answered));
            let grpc_status = answer.header("grpc-status");
            assert_eq!(grpc_status, Some(row.grpc_status), "{:?}", row.kind);
            let message = answer.header("grpc-message").unwrap();
            assert!(message.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            let message = percent_encoding::percent_decode_str(message).decode_utf8();
            assert_eq!(message.unwrap(), row.message);
            if row.code.is_some() {
                assert_eq!(answer.header("x-error-code"), row.code);
            }
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("www-authenticate"), row.challenge);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            let metadata = usize::from(row.challenge.is_some()) + usize::from(row.status == 503);
            assert_eq!(
                answer.headers.len(),
                5 + metadata,
                "no other header: {answer:?}"
            );
        }
    }
}

// C32
#[test]
fn other_requests_get_an_http_answer() {
    for content_type in [
        "application/json",
        "application/grpcx",
        "text/plain; application/grpc",
    ] {
        let answers = provoke(JsonEnvelope::new(), grpc(content_type));
        for answer in answers {
            assert_eq!(
                answer.body,
                Row::of(answer.rejection_kind().unwrap()).body()
            );
        }
    }
    let by_get = |token: &str| {
        let mut request = grpc("application/grpc")(token);
        *request.method_mut() = Method::GET;
        request
    };
    for answer in provoke(JsonEnvelope::new(), by_get) {
        assert_eq!(
            answer.body,
            Row::of(answer.rejection_kind().unwrap()).body()
        );
    }
}

// C32: the body is known to be empty, so a server sends the headers as the last frame.
#[test]
fn grpc_answer_ends_with_its_headers() {
    let layer = CoverbaseAuthLayer::new(store(record()));
    let ends_at_once = |request| {
        let response = block_on(layer.layer(Echo::default()).oneshot(request)).unwrap();
        let body = response.into_body();
        body.is_end_stream() && body.size_hint().exact() == Some(0)
    };
    assert!(ends_at_once(grpc("application/grpc")("ak_unknown")));
    assert!(!ends_at_once(bearer("ak_unknown")));
    assert!(
        !ends_at_once(grpc("application/grpc")(KEY)),
        "an admitted request gets the answer of the inner service"
    );
}

// C29, RFC 9457
#[test]
fn problem_details_say_the_same_as_the_envelope() {
    let answers = provoke(ProblemJson::new(), bearer);
    assert_eq!(kinds(&answers), PROVOKED);
    for answer in answers {
        let row = Row::of(answer.rejection_kind().unwrap());
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let mut expected = serde_json::json!({
            "type": "about:blank",
            "title": answer.status.canonical_reason().unwrap(),
            "status": row.status,
            "detail": row.message,
        });
        if let Some(code) = row.code {
            expected["code"] = code.into();
        }
        assert_eq!(problem, expected);
        assert_eq!(answer.status.as_u16(), row.status);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(answer.header("www-authenticate"), row.challenge);
    }
}

#[derive(Debug, Clone)]
struct Terse;

impl Render for Terse {
    fn render(&self, rejection: &Rejection, request: &Parts) -> Response<Bytes> {
        let text = format!("{:?} at {}\n", rejection.kind(), request.uri.path());
        let mut response = Response::new(text.into());
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
            .headers_mut()
            .insert("www-authenticate", "Negotiate".parse().unwrap());
        response
    }
}

// C30, C31
#[test]
fn custom_renderer_keeps_challenge_and_retry_after() {
    let answers = provoke(Terse, bearer);
    assert_eq!(kinds(&answers), PROVOKED);
    for answer in answers {
        let row = Row::of(answer.rejection_kind().unwrap());
        assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
        assert_eq!(
            answer.body,
            format!("{:?} at /v1/utils/authtest\n", row.kind)
        );
        let challenge = row.challenge.or(Some("Negotiate"));
        assert_eq!(answer.header("www-authenticate"), challenge);
        let retry_after = (row.status == 503).then_some("1");
        assert_eq!(answer.header("retry-after"), retry_after);
    }
    for answer in provoke(Terse, grpc("application/grpc")) {
        assert_eq!(answer.status, StatusCode::OK);
    }
}

// C34
#[test]
fn rejection_is_in_the_extensions_of_the_response() {
    for requests in [
        provoke(JsonEnvelope::new(), bearer),
        provoke(Terse, grpc("application/grpc")),
    ] {
        for answer in requests {
            let rejection = answer.rejection.as_ref().unwrap();
            let is_resolved = rejection.kind().status() == StatusCode::FORBIDDEN;
            let id = is_resolved.then_some(KEY_ID);
            assert_eq!(
                rejection.principal().map(|principal| principal.id()),
                id,
                "{rejection:?}"
            );
        }
    }
    assert!(
        ask(&CoverbaseAuthLayer::new(store(record())), bearer(KEY))
            .rejection
            .is_none()
    );
}
