//! Secrets in logs, responses and `Debug` output (C33, T12), and text from clients in logs (T13).

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, Credential, Environment, IpAllowlist, KeyRecord, KeyStore, Lookup,
    Rejection, RejectionKind, Render, RequireLayer, Requirement, Scope, StoreError,
};
use http::{HeaderMap, Request, Response, header::AUTHORIZATION, request::Parts};
use tower::{Layer, Service};

use crate::support::{
    Echo, KEY, Line, StoreFn, ask, bearer, is_sensitive, key, log_of, record, store, with_headers,
};

const JWT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1c2VyXzEifQ.c2lnbmF0dXJl";

/// Spellings of a secret, of half of it, and of its digest.
fn spellings(secret: &str) -> Vec<String> {
    let digest = key(secret).digest();
    let digest = digest.as_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        secret.to_owned(),
        secret[secret.len() / 2..].to_owned(),
        hex.to_uppercase(),
        hex,
        format!("{digest:?}"),
        format!("{:?}", secret.as_bytes()),
    ]
}

#[track_caller]
fn assert_silent(text: &str, secret: &str) {
    for spelling in spellings(secret) {
        assert!(!text.contains(&spelling), "{spelling} in {text}");
    }
}

// C33
#[test]
fn credential_is_marked_sensitive_for_the_inner_service() {
    assert!(
        !is_sensitive(bearer(KEY).headers()),
        "a client does not mark it"
    );
    for layer in [
        CoverbaseAuthLayer::new(store(record())),
        CoverbaseAuthLayer::new(pending(record())),
    ] {
        let parts = ask(&layer, bearer(KEY)).admitted.unwrap();
        assert!(is_sensitive(&parts.headers));
        assert_eq!(parts.headers[AUTHORIZATION], format!("Bearer {KEY}"));
        assert_silent(&format!("{parts:?}"), KEY);
    }
}

// C33
#[test]
fn stripped_credential_does_not_reach_the_inner_service() {
    for layer in [
        CoverbaseAuthLayer::new(store(record())),
        CoverbaseAuthLayer::new(pending(record())),
    ] {
        let request = || {
            with_headers(&[
                ("authorization", &format!("Bearer {KEY}")),
                ("x-trace", "1"),
            ])
        };
        let kept = ask(&layer, request()).admitted.unwrap().headers;
        assert_eq!(kept.len(), 2);

        let stripped = ask(&layer.with_stripped_credential(), request());
        assert_eq!(stripped.principal().id(), record().key_id().as_str());
        let headers = stripped.admitted.unwrap().headers;
        assert_eq!(
            headers,
            HeaderMap::from_iter([("x-trace".parse().unwrap(), "1".parse().unwrap())])
        );
    }
}

/// A renderer that prints its arguments.
#[derive(Debug, Clone, Default)]
struct PrintingRender(Arc<Mutex<Vec<String>>>);

impl Render for PrintingRender {
    fn render(&self, rejection: &Rejection, request: &Parts) -> Response<Bytes> {
        assert!(is_sensitive(&request.headers));
        self.0
            .lock()
            .unwrap()
            .push(format!("{request:?} {rejection:?} {rejection}"));
        Response::new(Bytes::new())
    }
}

// C33: a renderer can log the request.
#[test]
fn credential_is_marked_sensitive_for_the_renderer() {
    let render = PrintingRender::default();
    let layer =
        CoverbaseAuthLayer::new(store(record().with_revoked_at(1))).with_render(render.clone());
    let waiting = CoverbaseAuthLayer::new(pending(record().with_revoked_at(1)));
    let waiting = waiting.with_render(render.clone());
    let twice = |token: &str| {
        let mut request = bearer(token);
        let other = request.headers()[AUTHORIZATION].clone();
        request.headers_mut().append(AUTHORIZATION, other);
        request
    };
    for token in [KEY, JWT, "no_key_or_jwt"] {
        for (layer, request) in [
            (&layer, bearer(token)),
            (&waiting, bearer(token)),
            (&layer, twice(token)),
        ] {
            assert!(ask(layer, request).rejection_kind().is_some());
        }
    }
    let told = render.0.lock().unwrap().join("\n");
    assert_eq!(told.lines().count(), 9);
    assert!(!told.contains(JWT) && !told.contains("no_key_or_jwt"));
    assert_silent(&told, KEY);
}

// C33, T12
#[test]
fn debug_shows_no_secret() {
    let authorization = bearer(KEY).headers().clone();
    let key: ApiKey = key(KEY);
    let store = store(record().with_name("ci").with_scopes([Scope::KEYS_MANAGE]));
    let layer = CoverbaseAuthLayer::new(store.clone());
    let mut service = layer.layer(Echo::default());
    let mut waiting = CoverbaseAuthLayer::new(pending(record())).layer(Echo::default());
    let answer = ask(&layer, bearer(KEY));
    let rejected = ask(
        &layer.clone().with_requirement(Requirement::roles([])),
        bearer(KEY),
    );

    let shown: [&dyn Debug; 16] = [
        &key,
        &key.digest(),
        &Some((key.clone(), [key.digest()])),
        &"ak_not a key".parse::<ApiKey>(),
        &Credential::from_headers(&authorization),
        &Credential::ApiKey(KEY.as_bytes()),
        &Credential::Jwt(KEY),
        &record(),
        &store,
        &store.lookup(&key.digest()),
        &layer,
        &service.call(bearer(KEY)),
        &waiting.call(bearer(KEY)),
        &service,
        &answer.principal(),
        &rejected.rejection,
    ];
    for value in shown {
        assert_silent(&format!("{value:?}"), KEY);
        assert_silent(&format!("{value:#?}"), KEY);
    }
}

/// A store with pending lookups.
fn pending(record: KeyRecord) -> impl KeyStore {
    StoreFn(move |_: &_| {
        let record = record.clone();
        Lookup::pending(async {
            tokio::task::yield_now().await;
            Ok(Some(record))
        })
    })
}

/// Runs requests with every outcome that a key can have.
fn all_outcomes() {
    let tokens = [KEY, JWT, "no_key_or_jwt", "ak_unknown_7d3", "a,b", ""];
    let allowlist = IpAllowlist::parse(["203.0.113.0/24"]).unwrap();
    let require = RequireLayer::new(Requirement::scope(Scope::KEYS_MANAGE));
    let mut kinds = std::collections::HashSet::new();
    for record in [
        record(),
        record().with_name("ci").with_scopes([Scope::KEYS_MANAGE]),
        record().with_revoked_at(1),
        record().with_expires_at(1),
        record().with_allowlist(allowlist),
    ] {
        for layer in [
            CoverbaseAuthLayer::new(store(record.clone())),
            CoverbaseAuthLayer::new(pending(record.clone())),
        ] {
            for token in tokens {
                kinds.insert(ask(&layer, bearer(token)).rejection_kind());
                kinds
                    .insert(ask(&(layer.clone(), require.clone()), bearer(token)).rejection_kind());
            }
        }
    }
    for store in [
        StoreFn((|_: &_| Lookup::ready(Err(StoreError::new("connection refused")))) as fn(&_) -> _),
        StoreFn(|_: &_| Lookup::pending(async { Err(StoreError::new("timeout")) })),
        StoreFn(|_: &_| panic!("on purpose")),
    ] {
        kinds.insert(ask(&CoverbaseAuthLayer::new(store), bearer(KEY)).rejection_kind());
    }
    kinds.insert(ask(&require, bearer(KEY)).rejection_kind());
    assert_eq!(kinds.len(), 9, "{kinds:?}");
}

// C33, T12
#[test]
fn log_contains_no_token_and_no_digest() {
    let lines = log_of(all_outcomes);
    let log: String = lines
        .iter()
        .map(|line| format!("{} {}\n", line.level, line.text))
        .collect();
    for expected in [
        "admitted",
        "missing_credential",
        "invalid_api_key",
        "connection refused",
        "timeout",
    ] {
        assert!(log.contains(expected), "{expected} is missing in {log}");
    }
    assert_silent(&log, KEY);
    for token in [
        JWT,
        "c2lnbmF0dXJl",
        "eyJhbGci",
        "no_key_or_jwt",
        "ak_unknown_7d3",
        "7d3",
        "a,b",
    ] {
        assert!(!log.contains(token), "{token} in {log}");
    }
}

/// CR LF and a forged line, an escape sequence, NUL, DEL, NEL, a C1 control, a line separator, a direction override.
const ODD: &str = "a\r\nERROR forged\u{1b}[2J\0\u{7f}\u{85}\u{9b}\u{2028}\u{202e}b";

#[track_caller]
fn assert_one_line_each(lines: &[Line]) {
    assert!(!lines.is_empty());
    for line in lines {
        let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}');
        assert!(!line.text.contains(odd), "{:?}", line.text);
    }
}

// T13
#[test]
fn path_is_logged_on_one_line() {
    let layer = CoverbaseAuthLayer::new(store(record()));
    for path in [
        "/v1/%0d%0aERROR%20forged%1b%5b2J",
        "/v1/\u{85}\u{9b}\u{2028}\u{202e}",
        "/v1/\"{quoted}\"",
    ] {
        let request = Request::get(path.as_bytes()).body(()).unwrap();
        let lines = log_of(|| assert!(ask(&layer, request).rejection_kind().is_some()));
        assert_one_line_each(&lines);
        assert!(lines[0].text.contains("/v1/"), "{lines:?}");
    }
}

// T13
#[test]
fn name_and_id_are_logged_on_one_line() {
    let odd = KeyRecord::new(ODD, ODD).with_name(ODD).with_created_by(ODD);
    let layer = CoverbaseAuthLayer::new(store(odd));
    let rejecting = layer
        .clone()
        .with_requirement(Requirement::scope(Scope::AUDIT_READ));
    let lines = log_of(|| {
        assert_eq!(ask(&layer, bearer(KEY)).rejection_kind(), None);
        let kind = ask(&rejecting, bearer(KEY)).rejection_kind();
        assert_eq!(kind, Some(RejectionKind::InsufficientScope));
    });
    assert_one_line_each(&lines);
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.text.contains("forged")));
}

// T13: the error of a database can have several lines.
#[test]
fn error_of_a_store_is_logged_on_one_line() {
    let down = StoreFn(|_: &_| Lookup::ready(Err(StoreError::new(ODD))));
    let lines = log_of(|| {
        let kind = ask(&CoverbaseAuthLayer::new(down), bearer(KEY)).rejection_kind();
        assert_eq!(kind, Some(RejectionKind::AuthUnavailable));
    });
    assert!(lines.iter().any(|line| line.text.contains("forged")));
    assert_one_line_each(&lines);
}

// T13, T14
#[test]
fn long_path_is_cut_in_the_log() {
    let layer = CoverbaseAuthLayer::new(store(record()));
    let request = Request::get(format!("/v1/{}", "x".repeat(60_000)))
        .body(())
        .unwrap();
    let lines = log_of(|| assert!(ask(&layer, request).rejection_kind().is_some()));
    for line in lines {
        assert!(line.text.len() < 4_096, "{} bytes", line.text.len());
    }
}

// C33: a secret or a JWT in a path is redacted, encoded or not.
#[test]
fn credential_in_a_path_is_not_logged() {
    let secret = ApiKey::generate(Environment::Test);
    let secret = secret.expose_secret();
    let layer = CoverbaseAuthLayer::new(store(record()));
    for leaked in [
        secret,
        JWT,
        &secret.replace('_', "%5f"),
        &format!("id={secret}"),
    ] {
        let path = format!("/v1/api-keys/{leaked}/revoke");
        let request = Request::post(path).body(()).unwrap();
        let lines = log_of(|| assert!(ask(&layer, request).rejection_kind().is_some()));
        let logged = "/v1/api-keys/[redacted]/revoke";
        assert!(
            lines.iter().any(|line| line.text.contains(logged)),
            "{lines:?}"
        );
        let random_part = &secret["ak_test_".len()..];
        assert!(
            lines
                .iter()
                .all(|line| !line.text.contains(random_part) && !line.text.contains(JWT))
        );
    }
}
