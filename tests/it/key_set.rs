//! Key sets that are fetched from slow, broken and hostile servers (C12, C31, T14–T16).
//!
//! The sockets are real. The clock is tokio's, paused until a test advances it.

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use coverbase_auth::{
    CoverbaseAuthLayer, JwtVerifier, KeySet, MemoryStore, Rejection, RejectionKind, jwt::HttpsJwks,
    testing::TestIssuer,
};
use http::{Response, header::RETRY_AFTER};
use serde_json::{Value, json};
use tokio::time::advance;
use tower::{Layer, ServiceExt};
use tracing::Level;

use crate::{
    key_server::{Frozen, KeyServer, Reply},
    support::{Echo, KEY, bearer, log_of, record, store},
};

const ISSUER: &str = "https://clerk.coverbase.test";

/// The time between fetches that tokens cause.
const INTERVAL: Duration = Duration::from_secs(10);

/// The deadline of a fetch.
const DEADLINE: Duration = Duration::from_secs(2);

const INVALID: Option<RejectionKind> = Some(RejectionKind::InvalidSessionToken);
const UNAVAILABLE: Option<RejectionKind> = Some(RejectionKind::AuthUnavailable);

fn issuer() -> TestIssuer {
    TestIssuer::new(ISSUER)
}

fn layer(keys: KeySet) -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(JwtVerifier::new(ISSUER, keys))
}

/// A server with the issuer's keys, and a layer that has fetched them.
async fn fetched(issuer: &TestIssuer) -> (KeyServer, CoverbaseAuthLayer) {
    let server = KeyServer::new(Reply::json(&issuer.jwks_json())).await;
    let layer = layer(KeySet::url(server.url("/jwks.json")).unwrap());
    assert_eq!(rejection(&layer, &issuer.token().sign()).await, None);
    (server, layer)
}

fn ask(
    layer: &CoverbaseAuthLayer,
    token: &str,
) -> impl Future<Output = Response<impl Sized + use<>>> + use<> {
    let answer = layer.layer(Echo::default()).oneshot(bearer(token));
    async {
        answer
            .await
            .unwrap_or_else(|never: Infallible| match never {})
    }
}

/// Why the token is rejected, if it is.
async fn rejection(layer: &CoverbaseAuthLayer, token: &str) -> Option<RejectionKind> {
    let response = ask(layer, token).await;
    response.extensions().get().map(Rejection::kind)
}

/// As [`rejection`], without waiting.
fn rejection_at_once(layer: &CoverbaseAuthLayer, token: &str) -> Option<RejectionKind> {
    let answer = pin!(rejection(layer, token));
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(rejection) => rejection,
        Poll::Pending => panic!("the answer is pending"),
    }
}

fn with_kid(issuer: &TestIssuer, kid: impl std::fmt::Display) -> String {
    issuer.token().with_header("kid", kid.to_string()).sign()
}

// C12, T14
#[tokio::test(start_paused = true)]
async fn unknown_kids_cause_one_fetch_in_ten_seconds() {
    let _frozen = Frozen::new();
    let issuer = issuer();
    let (server, layer) = fetched(&issuer).await;
    for kid in 0..10_000 {
        assert_eq!(rejection(&layer, &with_kid(&issuer, kid)).await, INVALID);
    }
    assert_eq!(server.requests(), 1);

    advance(INTERVAL).await;
    for kid in 0..100 {
        assert_eq!(rejection(&layer, &with_kid(&issuer, kid)).await, INVALID);
    }
    assert_eq!(server.requests(), 2);
}

// C12
#[tokio::test(start_paused = true)]
async fn first_token_of_a_new_key_waits_for_it_and_passes() {
    let _frozen = Frozen::new();
    let mut issuer = issuer();
    let (server, layer) = fetched(&issuer).await;
    let old = issuer.token().sign();
    issuer.rotate();
    server.answer(Reply::json(&issuer.jwks_json()));
    let new = issuer.token().sign();
    assert_eq!(rejection(&layer, &new).await, INVALID, "the set is new");

    advance(INTERVAL).await;
    assert_eq!(rejection_at_once(&layer, &old), None);
    assert_eq!(rejection(&layer, &new).await, None);
    // The token of the withdrawn key was cached, and is not any more.
    assert_eq!(rejection(&layer, &old).await, INVALID);
    assert_eq!(server.requests(), 2);
}

// C12
#[tokio::test(start_paused = true)]
async fn key_replaced_under_the_same_kid_is_accepted_after_one_fetch() {
    let _frozen = Frozen::new();
    let (old, new) = (issuer(), issuer());
    let (server, layer) = fetched(&old).await;
    server.answer(Reply::json(&new.jwks_json()));
    let token = new.token().sign();
    assert_eq!(rejection(&layer, &token).await, INVALID, "the set is new");

    advance(INTERVAL).await;
    assert_eq!(rejection(&layer, &token).await, None);
    assert_eq!(rejection(&layer, &old.token().sign()).await, INVALID);
    assert_eq!(server.requests(), 2);
}

// C12, C31
#[tokio::test(start_paused = true)]
async fn unknown_kid_is_answered_503_when_the_server_hangs() {
    let _frozen = Frozen::new();
    let issuer = issuer();
    let (server, layer) = fetched(&issuer).await;
    server.answer(Reply::Silence);
    advance(INTERVAL).await;

    let stranger = with_kid(&issuer, "stranger");
    let stranger = tokio::spawn(async move { ask(&layer, &stranger).await.into_parts().0 });
    while server.requests() < 2 {
        tokio::task::yield_now().await;
    }
    advance(DEADLINE - Duration::from_millis(1)).await;
    assert!(
        !stranger.is_finished(),
        "the request waits until the deadline of the fetch"
    );
    advance(Duration::from_millis(1)).await;
    // The `kid` may be in the set that could not be read.
    let answer = stranger.await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key(RETRY_AFTER));
}

// C12
#[tokio::test(start_paused = true)]
async fn known_keys_are_decided_at_once_while_the_server_hangs() {
    let _frozen = Frozen::new();
    let issuer = issuer();
    let (server, layer) = fetched(&issuer).await;
    server.answer(Reply::Silence);
    advance(INTERVAL).await;
    let stranger = with_kid(&issuer, "stranger");
    let waiting = pin!(rejection(&layer, &stranger));
    assert!(
        waiting
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    for number in 0..1_000 {
        let new = issuer
            .token()
            .with_subject(&format!("user_{number}"))
            .sign();
        assert_eq!(rejection_at_once(&layer, &new), None, "verified now");
        assert_eq!(rejection_at_once(&layer, &new), None, "remembered");
    }
}

// C31
#[tokio::test(start_paused = true)]
async fn set_that_was_never_fetched_is_answered_503_and_api_keys_pass() {
    let _frozen = Frozen::new();
    let server = KeyServer::new(Reply::with_status("500 No", "", "")).await;
    let keys = KeySet::url(server.url("/")).unwrap();
    let layer = CoverbaseAuthLayer::new(store(record())).with_jwt(JwtVerifier::new(ISSUER, keys));
    let token = issuer().token().sign();
    let answer = ask(&layer, &token).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key(RETRY_AFTER));
    assert_eq!(rejection_at_once(&layer, &token), UNAVAILABLE);
    assert_eq!(rejection_at_once(&layer, KEY), None);
}

// T16
#[tokio::test(start_paused = true)]
async fn old_keys_are_used_after_a_bad_set() {
    let _frozen = Frozen::new();
    let issuer = issuer();
    let good = issuer.jwks_json();
    let length = good.len();
    let (server, layer) = fetched(&issuer).await;
    let token = issuer.token().sign();
    for (what, reply) in [
        ("empty", Reply::json(r#"{"keys":[]}"#)),
        ("nothing", Reply::json("")),
        ("garbage", Reply::json("\u{1f}\u{8b}garbage")),
        ("a page", Reply::json("<!doctype html><title>502</title>")),
        (
            "no usable key",
            Reply::json(r#"{"keys":[{"kty":"oct","kid":"a","k":"AA"}]}"#),
        ),
        (
            "too large",
            Reply::json(&format!("{good}{}", " ".repeat(256 * 1024))),
        ),
        ("a gibibyte", Reply::Gibibyte),
        ("an error", Reply::with_status("500 No", "", &good)),
        ("not there", Reply::with_status("404 No", "", &good)),
        (
            "a part",
            Reply::with_status("206 Partial Content", "", &good),
        ),
        (
            "cut off",
            Reply::Raw(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{good}",
                length + 1
            )),
        ),
        (
            "cut short",
            Reply::Raw(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{good}",
                length - 2
            )),
        ),
        ("no HTTP", Reply::Raw("SSH-2.0-OpenSSH_9.2\r\n\r\n".into())),
        ("no answer", Reply::Raw(String::new())),
    ] {
        let before = server.requests();
        server.answer(reply);
        advance(INTERVAL).await;
        let unknown = rejection(&layer, &with_kid(&issuer, "stranger")).await;
        assert!(server.requests() > before, "{what}");
        assert_eq!(unknown, UNAVAILABLE, "{what}");
        assert_eq!(rejection_at_once(&layer, &token), None, "{what}");
        assert_eq!(
            rejection_at_once(&layer, &issuer.token().with_subject(what).sign()),
            None,
            "{what}"
        );
    }
    // No more of the gibibyte was sent than the size limit and the sockets' buffers.
    assert!(server.sent() < 32 << 20, "{}", server.sent());
}

// T15
#[tokio::test(start_paused = true)]
async fn redirect_to_another_server_is_rejected() {
    let _frozen = Frozen::new();
    let issuer = issuer();
    let token = issuer.token().sign();
    let other = KeyServer::new(Reply::json(&issuer.jwks_json())).await;
    let server = KeyServer::new(Reply::Silence).await;
    let here = server.url("/keys");
    let to_other_host = format!("http://localhost:{}/keys", server.port());
    let good = issuer.jwks_json();
    for (location, passes) in [
        ("/keys", true),
        (&*here, true),
        (&*other.url("/keys"), false),
        (&*to_other_host, false),
        (&*format!("//127.0.0.1:{}/keys", other.port()), false),
        (
            &*format!("http://user@127.0.0.1:{}/keys", server.port()),
            false,
        ),
        ("https://clerk.coverbase.test/keys", false),
        ("file:///etc/passwd", false),
        ("keys", false),
        ("", false),
    ] {
        let (good, location) = (good.clone(), location.to_owned());
        let shown = location.clone();
        server.answer_with(move |path| match path {
            "/keys" => Reply::json(&good),
            _ => Reply::redirect(&location),
        });
        let layer = layer(KeySet::url(server.url("/jwks.json")).unwrap());
        let expected = if passes { None } else { UNAVAILABLE };
        assert_eq!(rejection(&layer, &token).await, expected, "{shown}");
    }
    assert_eq!(other.connections(), 0);
}

// T15
#[tokio::test(start_paused = true)]
async fn location_without_redirect_status_is_ignored() {
    let _frozen = Frozen::new();
    let issuer = issuer();
    let server = KeyServer::new(Reply::Silence).await;
    for (status, expected) in [
        ("302 Found", None),
        ("308 Permanent Redirect", None),
        ("201 Created", UNAVAILABLE),
        ("404 Not Found", UNAVAILABLE),
        ("503 Service Unavailable", UNAVAILABLE),
    ] {
        let good = issuer.jwks_json();
        server.answer_with(move |path| match path {
            "/keys" => Reply::json(&good),
            _ => Reply::with_status(status, "location: /keys\r\n", ""),
        });
        let layer = layer(KeySet::url(server.url("/jwks.json")).unwrap());
        let rejection = rejection(&layer, &issuer.token().sign()).await;
        assert_eq!(rejection, expected, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn fourth_redirect_is_rejected() {
    let _frozen = Frozen::new();
    let issuer = issuer();
    let good = issuer.jwks_json();
    let server = KeyServer::new(Reply::Silence).await;
    server.answer_with(move |path| match path.trim_start_matches('/').parse() {
        Ok(0) => Reply::json(&good),
        Ok(left) => Reply::redirect(&format!("/{}", left - 1_u32)),
        Err(_) => Reply::redirect(path),
    });
    for (path, expected, requests) in [
        ("/3", None, 4),
        ("/4", UNAVAILABLE, 4),
        ("/loop", UNAVAILABLE, 4),
    ] {
        let before = server.requests();
        let layer = layer(KeySet::url(server.url(path)).unwrap());
        assert_eq!(
            rejection(&layer, &issuer.token().sign()).await,
            expected,
            "{path}"
        );
        assert_eq!(server.requests() - before, requests, "{path}");
    }
}

// T15, C12
#[tokio::test(start_paused = true)]
async fn address_inside_a_token_is_never_fetched() {
    let _frozen = Frozen::new();
    let issuer = issuer();
    let (server, layer) = fetched(&issuer).await;
    let silent = KeyServer::new(Reply::Silence).await;
    let there = silent.url("/jwks.json");
    for name in ["jku", "x5u", "kid", "iss", "jwk", "x5c"] {
        let pointing = issuer.token().with_header(name, &there);
        for token in [
            pointing.clone().sign(),
            pointing.with_claim("iss", &there).sign(),
            issuer
                .token()
                .with_header("kid", "stranger")
                .with_header(name, &there)
                .sign(),
        ] {
            advance(INTERVAL).await;
            rejection(&layer, &token).await;
        }
    }
    assert!(server.requests() > 1);
    assert_eq!(silent.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn openid_provider_is_found_by_its_issuer() {
    const DOCUMENT: &str = "/.well-known/openid-configuration";
    let _frozen = Frozen::new();
    let server = KeyServer::new(Reply::Silence).await;
    let elsewhere = KeyServer::new(Reply::Silence).await;
    let issuer = TestIssuer::new(server.url(""));
    let token = issuer.token().sign();
    elsewhere.answer(Reply::json(&issuer.jwks_json()));
    let name = issuer.issuer();
    let jwks_uri = server.url("/keys");
    for (document, expected) in [
        (
            format!(r#"{{"issuer":"{name}","jwks_uri":"{jwks_uri}"}}"#),
            None,
        ),
        (
            format!(
                r#"{{"issuer":"{name}","jwks_uri":"{}"}}"#,
                elsewhere.url("/keys")
            ),
            None,
        ),
        (
            format!(r#"{{"issuer":"{name}/","jwks_uri":"{jwks_uri}"}}"#),
            UNAVAILABLE,
        ),
        (
            format!(r#"{{"issuer":"https://other.test","jwks_uri":"{jwks_uri}"}}"#),
            UNAVAILABLE,
        ),
        (format!(r#"{{"jwks_uri":"{jwks_uri}"}}"#), UNAVAILABLE),
        (
            format!(r#"{{"issuer":"{name}","jwks_uri":"http://other.test/"}}"#),
            UNAVAILABLE,
        ),
        (
            format!(r#"{{"issuer":"{name}","jwks_uri":"/keys"}}"#),
            UNAVAILABLE,
        ),
        (format!(r#"{{"issuer":"{name}"}}"#), UNAVAILABLE),
        (
            format!(r#"{{"issuer":"x","issuer":"{name}","jwks_uri":"{jwks_uri}"}}"#),
            UNAVAILABLE,
        ),
        ("<html>".into(), UNAVAILABLE),
    ] {
        let (jwks, shown) = (issuer.jwks_json(), document.clone());
        server.answer_with(move |path| match path {
            DOCUMENT => Reply::json(&document),
            "/keys" => Reply::json(&jwks),
            _ => Reply::with_status("404 No", "", ""),
        });
        let verifier = JwtVerifier::new(name, KeySet::openid(name).unwrap());
        let layer = CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier);
        assert_eq!(rejection(&layer, &token).await, expected, "{shown}");
    }
}

// T15
#[tokio::test(start_paused = true)]
async fn plain_jwks_uri_of_a_tls_provider_is_rejected() {
    let _frozen = Frozen::new();
    let (server, certificate) = KeyServer::with_tls(Reply::Silence).await;
    let issuer = TestIssuer::new(format!("https://localhost:{}", server.port()));
    let name = issuer.issuer();
    let plain = KeyServer::new(Reply::json(&issuer.jwks_json())).await;
    for (jwks_uri, expected) in [
        (format!("{name}/keys"), None),
        (plain.url("/keys"), UNAVAILABLE),
    ] {
        let document = json!({"issuer": name, "jwks_uri": jwks_uri}).to_string();
        let good = issuer.jwks_json();
        server.answer_with(move |path| match path {
            "/keys" => Reply::json(&good),
            _ => Reply::json(&document),
        });
        let source = HttpsJwks::openid(name).unwrap();
        let source = source.with_root_certificates(&certificate).unwrap();
        let verifier = JwtVerifier::new(name, KeySet::from_source(source).unwrap());
        let layer = CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(verifier);
        let rejection = rejection(&layer, &issuer.token().sign()).await;
        assert_eq!(rejection, expected, "{jwks_uri}");
    }
    assert_eq!(plain.connections(), 0);
}

#[test]
fn unusable_keys_are_named_in_one_warning() {
    let issuer = issuer();
    let mut set: Value = serde_json::from_str(&issuer.jwks_json()).unwrap();
    let keys = set["keys"].as_array_mut().unwrap();
    let mut for_encryption = keys[0].clone();
    for_encryption["kid"] = json!("sealing");
    for_encryption["use"] = json!("enc");
    keys.push(for_encryption);
    keys.push(json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}));

    let fetch = async |set: &str| {
        let server = KeyServer::new(Reply::json(set)).await;
        let layer = layer(KeySet::url(server.url("/jwks.json")).unwrap());
        assert_eq!(rejection(&layer, &issuer.token().sign()).await, None);
    };
    let log = |set: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let lines = log_of(|| runtime.block_on(fetch(set)));
        let news = lines.iter().any(|line| line.text.contains(" usable=1"));
        assert!(news, "{lines:?}");
        let mut warnings = lines;
        warnings.retain(|line| line.level == Level::WARN);
        warnings
    };
    assert!(log(&issuer.jwks_json()).is_empty());
    let [warning] = &log(&set.to_string())[..] else {
        panic!("one warning");
    };
    let text = &warning.text;
    assert!(text.contains(" unusable=2 "), "{text}");
    assert!(
        text.contains("sealing") && text.contains("shared"),
        "{text}"
    );
    assert!(!text.contains("c2VjcmV0"), "{text}");
}

// T15
#[tokio::test(start_paused = true)]
async fn server_without_trusted_certificate_is_rejected() {
    let _frozen = Frozen::new();
    let issuer = issuer();
    let token = issuer.token().sign();
    let (server, certificate) = KeyServer::with_tls(Reply::json(&issuer.jwks_json())).await;
    let by_name = format!("https://localhost:{}/", server.port());
    let trusting = |url: &str| {
        let source = HttpsJwks::url(url).unwrap();
        let source = source.with_root_certificates(&certificate).unwrap();
        layer(KeySet::from_source(source).unwrap())
    };
    assert_eq!(rejection(&trusting(&by_name), &token).await, None);
    // The certificate is not for this name.
    let by_address = format!("https://127.0.0.1:{}/", server.port());
    assert_eq!(rejection(&trusting(&by_address), &token).await, UNAVAILABLE);
    // The certificate is not trusted.
    let (_, other) = KeyServer::with_tls(Reply::Silence).await;
    let source = HttpsJwks::url(&by_name)
        .unwrap()
        .with_root_certificates(other)
        .unwrap();
    let distrusting = layer(KeySet::from_source(source).unwrap());
    assert_eq!(rejection(&distrusting, &token).await, UNAVAILABLE);
    assert_eq!(server.requests(), 1);

    // A server without TLS sends no handshake.
    let plain = KeyServer::new(Reply::Silence).await;
    let url = format!("https://localhost:{}/", plain.port());
    let layer = trusting(&url);
    let deadline = async {
        while plain.connections() == 0 {
            tokio::task::yield_now().await;
        }
        advance(DEADLINE).await;
    };
    let (rejection, ()) = tokio::join!(rejection(&layer, &token), deadline);
    assert_eq!(rejection, UNAVAILABLE);
}

#[test]
fn url_that_must_not_be_fetched_is_an_error_with_the_reason() {
    for (url, reason) in [
        (
            "http://clerk.example.com/jwks.json",
            "`http` is accepted on loopback only",
        ),
        (
            "http://127.0.0.1.example.com/",
            "`http` is accepted on loopback only",
        ),
        (
            "http://localhost.example.com/",
            "`http` is accepted on loopback only",
        ),
        ("http://10.0.0.1/", "`http` is accepted on loopback only"),
        ("http://[::2]/", "`http` is accepted on loopback only"),
        ("ftp://localhost/", "`http` is accepted on loopback only"),
        ("file:///etc/passwd", "not a"),
        (
            "https://user:secret@clerk.example.com/",
            "a user name or password",
        ),
        (
            "http://127.0.0.1@clerk.example.com/",
            "a user name or password",
        ),
        ("/jwks.json", "not an absolute URL"),
        ("clerk.example.com", "not a"),
        ("https://", "not a URL"),
        ("", "not a URL"),
    ] {
        for error in [
            HttpsJwks::url(url).unwrap_err(),
            HttpsJwks::openid(url).unwrap_err(),
        ] {
            assert!(
                error.to_string().contains(reason) || url.is_empty(),
                "{error}"
            );
            assert!(error.to_string().starts_with(url), "{error}");
        }
    }
    for url in [
        "http://localhost:1/",
        "http://LOCALHOST/",
        "http://127.9.9.9/",
        "http://[::1]:1/",
        "https://a.test",
    ] {
        assert!(HttpsJwks::url(url).is_ok(), "{url}");
    }
    let shown = format!("{:?}", HttpsJwks::url("http://localhost/a?b").unwrap());
    assert_eq!(shown, "HttpsJwks(http://localhost/a?b)");
}
