//! Key sets that are fetched, from servers that hang, lie and lead astray (C12, C31, T14–T16).
//!
//! The sockets are real; the clock is tokio's, which stands still until a test moves it.

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

/// As long as unknown `kid`s wait for a fetch.
const INTERVAL: Duration = Duration::from_secs(10);

/// As long as a fetch may take.
const DEADLINE: Duration = Duration::from_secs(2);

const INVALID: Option<RejectionKind> = Some(RejectionKind::InvalidSessionToken);
const UNAVAILABLE: Option<RejectionKind> = Some(RejectionKind::AuthUnavailable);

fn issuer() -> TestIssuer {
    TestIssuer::new(ISSUER)
}

fn layer(keys: KeySet) -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(MemoryStore::new()).with_jwt(JwtVerifier::new(ISSUER, keys))
}

/// A server of the issuer's keys, and a layer that has fetched them.
async fn fetched(issuer: &TestIssuer) -> (KeyServer, CoverbaseAuthLayer) {
    let server = KeyServer::new(Reply::json(&issuer.jwks_json())).await;
    let layer = layer(KeySet::url(server.url("/jwks.json")).unwrap());
    assert_eq!(refusal(&layer, &issuer.token().sign()).await, None);
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

/// Why the token is refused; `None` where it is not.
async fn refusal(layer: &CoverbaseAuthLayer, token: &str) -> Option<RejectionKind> {
    let response = ask(layer, token).await;
    response.extensions().get().map(Rejection::kind)
}

/// What the layer answers without waiting.
fn refusal_at_once(layer: &CoverbaseAuthLayer, token: &str) -> Option<RejectionKind> {
    let answer = pin!(refusal(layer, token));
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(refusal) => refusal,
        Poll::Pending => panic!("it waits"),
    }
}

fn with_kid(issuer: &TestIssuer, kid: impl std::fmt::Display) -> String {
    issuer.token().with_header("kid", kid.to_string()).sign()
}

// C12, T14
#[tokio::test(start_paused = true)]
async fn ten_thousand_unknown_kids_are_one_fetch_in_ten_seconds() {
    let _frozen = Frozen::new();
    let issuer = issuer();
    let (server, layer) = fetched(&issuer).await;
    for kid in 0..10_000 {
        assert_eq!(refusal(&layer, &with_kid(&issuer, kid)).await, INVALID);
    }
    assert_eq!(server.requests(), 1);

    advance(INTERVAL).await;
    for kid in 0..100 {
        assert_eq!(refusal(&layer, &with_kid(&issuer, kid)).await, INVALID);
    }
    assert_eq!(server.requests(), 2);
}

// C12
#[tokio::test(start_paused = true)]
async fn the_first_token_of_a_new_key_waits_for_it_and_passes() {
    let _frozen = Frozen::new();
    let mut issuer = issuer();
    let (server, layer) = fetched(&issuer).await;
    let old = issuer.token().sign();
    issuer.rotate();
    server.answer(Reply::json(&issuer.jwks_json()));
    let new = issuer.token().sign();
    assert_eq!(refusal(&layer, &new).await, INVALID, "the set is new");

    advance(INTERVAL).await;
    assert_eq!(refusal_at_once(&layer, &old), None);
    assert_eq!(refusal(&layer, &new).await, None);
    // What the withdrawn key has signed was remembered; no longer.
    assert_eq!(refusal(&layer, &old).await, INVALID);
    assert_eq!(server.requests(), 2);
}

// C12, C31
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_delays_no_known_key() {
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
        "it waits for as long as a fetch may take"
    );
    advance(Duration::from_millis(1)).await;
    // It may be a key that nobody could read.
    let answer = stranger.await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key(RETRY_AFTER));
}

// C12: the figure that stands in the issue.
#[tokio::test(start_paused = true)]
async fn known_keys_are_decided_at_once_while_a_server_hangs() {
    let _frozen = Frozen::new();
    let issuer = issuer();
    let (server, layer) = fetched(&issuer).await;
    server.answer(Reply::Silence);
    advance(INTERVAL).await;
    let stranger = with_kid(&issuer, "stranger");
    let waiting = pin!(refusal(&layer, &stranger));
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
        assert_eq!(refusal_at_once(&layer, &new), None, "verified now");
        assert_eq!(refusal_at_once(&layer, &new), None, "remembered");
    }
}

// C31
#[tokio::test(start_paused = true)]
async fn a_set_that_was_never_fetched_is_503_and_keys_go_on() {
    let _frozen = Frozen::new();
    let server = KeyServer::new(Reply::with_status("500 No", "", "")).await;
    let keys = KeySet::url(server.url("/")).unwrap();
    let layer = CoverbaseAuthLayer::new(store(record())).with_jwt(JwtVerifier::new(ISSUER, keys));
    let token = issuer().token().sign();
    let answer = ask(&layer, &token).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key(RETRY_AFTER));
    assert_eq!(refusal_at_once(&layer, &token), UNAVAILABLE);
    assert_eq!(refusal_at_once(&layer, KEY), None);
}

// T16
#[tokio::test(start_paused = true)]
async fn a_bad_set_leaves_the_old_keys_at_work() {
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
        let unknown = refusal(&layer, &with_kid(&issuer, "stranger")).await;
        assert!(server.requests() > before, "{what}");
        assert_eq!(unknown, UNAVAILABLE, "{what}");
        assert_eq!(refusal_at_once(&layer, &token), None, "{what}");
        assert_eq!(
            refusal_at_once(&layer, &issuer.token().with_subject(what).sign()),
            None,
            "{what}"
        );
    }
    // Of the gibibyte was read what a set may have, and what lay in the sockets' buffers went nowhere.
    assert!(server.sent() < 32 << 20, "{}", server.sent());
}

// T15
#[tokio::test(start_paused = true)]
async fn a_redirect_stays_on_its_server() {
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
        assert_eq!(refusal(&layer, &token).await, expected, "{shown}");
    }
    assert_eq!(other.connections(), 0);
}

// T15
#[tokio::test(start_paused = true)]
async fn only_a_redirect_leads_on() {
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
        let refusal = refusal(&layer, &issuer.token().sign()).await;
        assert_eq!(refusal, expected, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn three_redirects_are_followed_and_no_fourth() {
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
            refusal(&layer, &issuer.token().sign()).await,
            expected,
            "{path}"
        );
        assert_eq!(server.requests() - before, requests, "{path}");
    }
}

// T15, C12
#[tokio::test(start_paused = true)]
async fn no_token_causes_a_connection_to_where_it_points() {
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
            refusal(&layer, &token).await;
        }
    }
    assert!(server.requests() > 1);
    assert_eq!(silent.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_openid_provider_is_found_by_its_name() {
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
        assert_eq!(refusal(&layer, &token).await, expected, "{shown}");
    }
}

// T15: what has been said over TLS is not undone by what it says.
#[tokio::test(start_paused = true)]
async fn a_provider_over_tls_names_no_address_without() {
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
        let refusal = refusal(&layer, &issuer.token().sign()).await;
        assert_eq!(refusal, expected, "{jwks_uri}");
    }
    assert_eq!(plain.connections(), 0);
}

// Without it nobody would learn that a key of their issuer's does not count.
#[test]
fn refused_keys_are_counted_and_named_in_one_warning() {
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
        assert_eq!(refusal(&layer, &issuer.token().sign()).await, None);
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
    assert!(text.contains(" refused=2 "), "{text}");
    assert!(
        text.contains("sealing") && text.contains("shared"),
        "{text}"
    );
    assert!(!text.contains("c2VjcmV0"), "{text}");
}

// T15
#[tokio::test(start_paused = true)]
async fn over_tls_the_server_must_prove_itself() {
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
    assert_eq!(refusal(&trusting(&by_name), &token).await, None);
    // The certificate is not for this name.
    let by_address = format!("https://127.0.0.1:{}/", server.port());
    assert_eq!(refusal(&trusting(&by_address), &token).await, UNAVAILABLE);
    // Nobody vouches for it.
    let (_, other) = KeyServer::with_tls(Reply::Silence).await;
    let source = HttpsJwks::url(&by_name)
        .unwrap()
        .with_root_certificates(other)
        .unwrap();
    let distrusting = layer(KeySet::from_source(source).unwrap());
    assert_eq!(refusal(&distrusting, &token).await, UNAVAILABLE);
    assert_eq!(server.requests(), 1);

    // A server without TLS waits for a request, where it should have greeted.
    let plain = KeyServer::new(Reply::Silence).await;
    let url = format!("https://localhost:{}/", plain.port());
    let layer = trusting(&url);
    let deadline = async {
        while plain.connections() == 0 {
            tokio::task::yield_now().await;
        }
        advance(DEADLINE).await;
    };
    let (refusal, ()) = tokio::join!(refusal(&layer, &token), deadline);
    assert_eq!(refusal, UNAVAILABLE);
}

#[test]
fn an_address_that_is_not_to_be_asked_is_an_error_that_says_why() {
    for (url, reason) in [
        (
            "http://clerk.example.com/jwks.json",
            "`http` is for loopback alone",
        ),
        (
            "http://127.0.0.1.example.com/",
            "`http` is for loopback alone",
        ),
        (
            "http://localhost.example.com/",
            "`http` is for loopback alone",
        ),
        ("http://10.0.0.1/", "`http` is for loopback alone"),
        ("http://[::2]/", "`http` is for loopback alone"),
        ("ftp://localhost/", "`http` is for loopback alone"),
        ("file:///etc/passwd", "not a"),
        (
            "https://user:secret@clerk.example.com/",
            "a user name or a password",
        ),
        (
            "http://127.0.0.1@clerk.example.com/",
            "a user name or a password",
        ),
        ("/jwks.json", "not a whole address"),
        ("clerk.example.com", "not a"),
        ("https://", "not an address"),
        ("", "not an address"),
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
