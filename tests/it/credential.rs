//! The credential of a request (C1–C5).

use coverbase_auth::{
    ApiKey, CoverbaseAuthLayer, Environment, KeyFormat, KeyRecord, MemoryStore, RejectionKind,
};
use http::{Method, Request, StatusCode};

use crate::support::{CountingStore, KEY, ask, bearer, key, record, store, with_headers};

fn layer() -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(store(record()))
}

fn authorization(value: &[u8]) -> Request<()> {
    Request::builder()
        .header("authorization", value)
        .body(())
        .unwrap()
}

// C1
#[test]
fn every_method_requires_a_credential() {
    for method in [
        "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND",
    ] {
        let method: Method = method.parse().unwrap();
        let mut anonymous = with_headers(&[]);
        *anonymous.method_mut() = method.clone();
        let answer = ask(&layer(), anonymous);
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method}");
        assert_eq!(
            answer.rejection_kind(),
            Some(RejectionKind::MissingCredential)
        );

        let mut authenticated = bearer(KEY);
        *authenticated.method_mut() = method.clone();
        let answer = ask(&layer(), authenticated);
        assert_eq!(answer.status, StatusCode::OK, "{method}");
        assert_eq!(answer.body, "inner");
        assert_eq!(answer.admitted.unwrap().method, method);
    }
}

// C1
#[test]
fn cors_preflight_requires_a_credential() {
    let preflight = |credential: &[(&str, &str)]| {
        let headers = [
            ("origin", "https://app.example.com"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization"),
        ];
        let mut request = with_headers(&[&headers, credential].concat());
        *request.method_mut() = Method::OPTIONS;
        ask(&layer(), request).rejection_kind()
    };
    assert_eq!(preflight(&[]), Some(RejectionKind::MissingCredential));
    let credential = format!("Bearer {KEY}");
    assert_eq!(preflight(&[("authorization", &credential)]), None);
}

// C2, RFC 9110 §11.1
#[test]
fn scheme_in_any_case_and_any_number_of_spaces_are_accepted() {
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        for spaces in [" ", "  ", "        "] {
            let value = format!("{scheme}{spaces}{KEY}");
            let answer = ask(&layer(), authorization(value.as_bytes()));
            assert_eq!(answer.rejection_kind(), None, "{value}");
        }
        for separator in ["", "\t", ":", "=", ",", " :", "\u{a0}"] {
            let value = format!("{scheme}{separator}{KEY}");
            let answer = ask(&layer(), authorization(value.as_bytes()));
            assert_eq!(answer.body, r#"{"detail":"Not authenticated"}"#, "{value}");
        }
    }
}

// C2: keys minted by Clerk contain `/` and `=`.
#[test]
fn token_with_a_byte_outside_token68_is_malformed() {
    let every_character = "ak_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    for secret in [
        every_character,
        "ak_a/b+c",
        "ak_Zm9v==",
        "ak_a.b.c",
        "ak_a=",
    ] {
        let store = MemoryStore::new();
        store.insert(&key(secret), record());
        let layer = CoverbaseAuthLayer::new(store);
        assert_eq!(
            ask(&layer, bearer(secret)).rejection_kind(),
            None,
            "{secret}"
        );
        assert_eq!(
            ask(&layer, bearer(KEY)).rejection_kind(),
            Some(RejectionKind::InvalidApiKey)
        );
    }
    for byte in (b'!'..=b'~').chain(128..=255) {
        if byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte) {
            continue;
        }
        let value = [b"Bearer ak_a".as_slice(), &[byte], b"z"].concat();
        assert_eq!(
            ask(&layer(), authorization(&value)).rejection_kind(),
            Some(RejectionKind::MalformedCredential),
            "{byte:#x}"
        );
    }
}

// C3
#[test]
fn header_without_a_bearer_token_is_missing() {
    let basic = "Basic YWtfbGl2ZV94Og==";
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer   ",
        "bearer",
        KEY,
        basic,
        "Digest x=y",
    ] {
        let answer = ask(&layer(), with_headers(&[("authorization", value)]));
        assert_eq!(
            answer.rejection_kind(),
            Some(RejectionKind::MissingCredential),
            "{value:?}"
        );
    }
    for scheme in [
        "Basic", "Token", "ApiKey", "DPoP", "Bear", "Bearers", "XBearer",
    ] {
        let value = format!("{scheme} {KEY}");
        let answer = ask(&layer(), with_headers(&[("authorization", &value)]));
        assert_eq!(
            answer.rejection_kind(),
            Some(RejectionKind::MissingCredential),
            "{value:?}"
        );
    }
    assert_eq!(ask(&layer(), bearer(KEY)).rejection_kind(), None);
}

// C3: the inner service could read either of the two.
#[test]
fn two_authorization_headers_are_malformed() {
    let good = &*format!("Bearer {KEY}");
    for [one, other] in [
        [good, good],
        [good, "Bearer ak_live_other"],
        ["Bearer ak_live_other", good],
        ["Basic YQ==", good],
        [good, "Basic YQ=="],
        [good, ""],
    ] {
        let twice = with_headers(&[("authorization", one), ("Authorization", other)]);
        assert_eq!(
            ask(&layer(), twice).rejection_kind(),
            Some(RejectionKind::MalformedCredential),
            "{one:?}, {other:?}"
        );
    }
    let once = with_headers(&[("authorization", good)]);
    assert_eq!(ask(&layer(), once).rejection_kind(), None);
}

// C3
#[test]
fn several_quoted_or_encoded_tokens_are_malformed() {
    let good = &*format!("Bearer {KEY}");
    for value in [
        &*format!("{good}, {good}"),
        &*format!("{good} {KEY}"),
        &*format!("Bearer \"{KEY}\""),
        &*format!("Bearer ={KEY}"),
        &*format!("{good}=x"),
        &*format!("{good}%20"),
        "Bearer =",
        "Bearer ak_live_\u{e9}",
    ] {
        assert_eq!(
            ask(&layer(), authorization(value.as_bytes())).rejection_kind(),
            Some(RejectionKind::MalformedCredential),
            "{value:?}"
        );
    }
    assert_eq!(
        ask(&layer(), authorization(good.as_bytes())).rejection_kind(),
        None
    );
}

// C3
#[test]
fn token_over_8_kib_is_malformed_without_a_store_call() {
    let longest = format!("ak_{}", "x".repeat(8 * 1024 - 3));
    let store = CountingStore::new(MemoryStore::new());
    store.store.insert(&key(&longest), record());
    let layer = CoverbaseAuthLayer::new(store.clone());

    assert_eq!(ask(&layer, bearer(&longest)).rejection_kind(), None);
    assert_eq!(store.asked(), 1);
    for token in [format!("{longest}x"), format!("a.b.{longest}")] {
        assert_eq!(
            ask(&layer, bearer(&token)).rejection_kind(),
            Some(RejectionKind::MalformedCredential)
        );
    }
    assert_eq!(store.asked(), 1);
}

// C3
#[test]
fn credential_outside_the_authorization_header_is_ignored() {
    let credential = format!("Bearer {KEY}");
    let uri = format!("/v1/utils/authtest?access_token={KEY}&api_key={KEY}&authorization={KEY}");
    let elsewhere = || {
        Request::post(&uri)
            .header("cookie", format!("__session={KEY}; access_token={KEY}"))
            .header("proxy-authorization", &credential)
            .header("x-authorization", &credential)
            .header("x-api-key", KEY)
            .header("content-type", "application/x-www-form-urlencoded")
    };
    let answer = ask(&layer(), elsewhere().body(()).unwrap());
    assert_eq!(
        answer.rejection_kind(),
        Some(RejectionKind::MissingCredential)
    );

    let request = elsewhere().header("authorization", &credential).body(());
    assert_eq!(ask(&layer(), request.unwrap()).rejection_kind(), None);
}

// C4
#[test]
fn token_is_a_key_a_jwt_or_an_unknown_key() {
    let store = MemoryStore::new();
    for good in ["ak_live_1", "ak_test_1", "ak_1", "ak_a.b.c", "ak_live_a.b"] {
        store.insert(&key(good), KeyRecord::new(good, "org_acme"));
    }
    let layer = CoverbaseAuthLayer::new(store);
    for good in ["ak_live_1", "ak_test_1", "ak_1", "ak_a.b.c", "ak_live_a.b"] {
        assert_eq!(ask(&layer, bearer(good)).principal().id(), good);
    }
    for (token, kind) in [
        ("ak_live_2", RejectionKind::InvalidApiKey),
        ("ak_live_1.", RejectionKind::InvalidApiKey),
        ("ak_", RejectionKind::InvalidApiKey),
        ("AK_live_1", RejectionKind::InvalidApiKey),
        ("ak-live-1", RejectionKind::InvalidApiKey),
        ("sk_live_1", RejectionKind::InvalidApiKey),
        ("live_1", RejectionKind::InvalidApiKey),
        ("1", RejectionKind::InvalidApiKey),
        ("e30.e30.AA", RejectionKind::InvalidSessionToken),
        ("e30.e30", RejectionKind::InvalidSessionToken),
        ("e30.e30.AA.AA.AA", RejectionKind::InvalidSessionToken),
        ("AK_live.1", RejectionKind::InvalidSessionToken),
        (".", RejectionKind::InvalidSessionToken),
    ] {
        assert_eq!(
            ask(&layer, bearer(token)).rejection_kind(),
            Some(kind),
            "{token}"
        );
    }
}

// C5
#[test]
fn key_of_the_other_environment_is_rejected() {
    let store = MemoryStore::new();
    for secret in ["ak_live_1", "ak_test_1", "ak_1", "ak_Live_1", "ak_live"] {
        store.insert(&key(secret), KeyRecord::new(secret, "org_acme"));
    }
    let both = CoverbaseAuthLayer::new(store);
    let live = both.clone().with_environment(Environment::Live);
    let test = both.clone().with_environment(Environment::Test);
    let rejected = Some(RejectionKind::InvalidApiKey);
    for (secret, in_live, in_test) in [
        ("ak_live_1", None, rejected),
        ("ak_test_1", rejected, None),
        // Keys of other issuers name no environment.
        ("ak_1", None, None),
        ("ak_Live_1", None, None),
        ("ak_live", None, None),
    ] {
        assert_eq!(
            ask(&both, bearer(secret)).rejection_kind(),
            None,
            "{secret}"
        );
        assert_eq!(
            ask(&live, bearer(secret)).rejection_kind(),
            in_live,
            "{secret}"
        );
        assert_eq!(
            ask(&test, bearer(secret)).rejection_kind(),
            in_test,
            "{secret}"
        );
    }
    let (foreign, unknown) = (ask(&live, bearer("ak_test_1")), ask(&live, bearer("ak_2")));
    assert_eq!(foreign.wire(), unknown.wire());
}

// C8, T14
#[test]
fn key_without_checksum_is_rejected_without_a_store_call() {
    let minted = ApiKey::generate(Environment::Live);
    let store = CountingStore::new(store(record()));
    store
        .store
        .insert(&minted, KeyRecord::new("ak_minted", "org_acme"));
    let any = CoverbaseAuthLayer::new(store.clone());
    let minted_only = any.clone().with_key_format(KeyFormat::Minted);

    let mut mistyped = minted.expose_secret().to_owned();
    let last = mistyped.pop().unwrap();
    mistyped.push(if last == 'a' { 'b' } else { 'a' });
    for token in [KEY, &*mistyped, "ak_", "ak_live_", "ak_a.b.c"] {
        let answer = ask(&minted_only, bearer(token));
        assert_eq!(answer.rejection_kind(), Some(RejectionKind::InvalidApiKey));
    }
    assert_eq!(store.asked(), 0);
    assert_eq!(
        ask(&minted_only, bearer(minted.expose_secret())).rejection_kind(),
        None
    );
    assert_eq!(store.asked(), 1);

    assert_eq!(ask(&any, bearer(KEY)).rejection_kind(), None);
    assert_eq!(
        ask(&any, bearer(&mistyped)).rejection_kind(),
        Some(RejectionKind::InvalidApiKey)
    );
    assert_eq!(store.asked(), 3);
}
