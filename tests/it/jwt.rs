//! Session tokens of users, through the layer (C11–C18, C27, C31, T1–T4).

use std::{net::IpAddr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use coverbase_auth::{
    Algorithm, ClientIpSource, CoverbaseAuthLayer, IpAllowlist, JwtVerifier, KeySet, MemoryStore,
    PeerAddr, PrincipalKind, RejectionKind, RequireLayer, Requirement, Role, Scope,
    testing::{TestClock, TestIssuer, TestToken},
};
use http::StatusCode;
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use crate::support::{Answer, KEY, ask, bearer, log_of, record, store};

const ISSUER: &str = "https://clerk.coverbase.test";
const NOW: u64 = 1_800_000_000;
const INVALID: Option<RejectionKind> = Some(RejectionKind::InvalidSessionToken);

fn issuer() -> TestIssuer {
    TestIssuer::new(ISSUER)
}

fn verifier(issuer: &TestIssuer) -> JwtVerifier {
    JwtVerifier::new(ISSUER, issuer.key_set())
        .with_authorized_parties([TestIssuer::AUTHORIZED_PARTY])
}

fn layer(verifier: JwtVerifier) -> CoverbaseAuthLayer {
    CoverbaseAuthLayer::new(MemoryStore::new())
        .with_jwt(verifier)
        .with_clock(TestClock::at(NOW))
}

fn refusal(layer: &CoverbaseAuthLayer, token: &str) -> Option<RejectionKind> {
    ask(layer, bearer(token)).rejection_kind()
}

/// The answers to a change of the ordinary token.
fn changed<'a>(
    layer: &CoverbaseAuthLayer,
    issuer: &'a TestIssuer,
    change: impl FnOnce(TestToken<'a>) -> TestToken<'a>,
) -> Option<RejectionKind> {
    refusal(layer, &change(issuer.token()).sign())
}

// C4, C15
#[test]
fn a_session_token_is_its_user() {
    let issuer = issuer();
    let token = issuer
        .token()
        .with_subject("user_7")
        .with_org("org_7")
        .with_role("member")
        .sign();
    let answer = ask(&layer(verifier(&issuer)), bearer(&token));
    let user = answer.principal();
    assert_eq!(user.kind(), PrincipalKind::User);
    assert_eq!((user.user_id(), user.id()), (Some("user_7"), "user_7"));
    assert_eq!(user.org_id().as_str(), "org_7");
    assert_eq!(user.org_slug(), Some("test"));
    assert_eq!(user.role(), Some(&Role::MEMBER));
    assert_eq!(user.session_id(), Some("sess_test"));
    assert_eq!((user.key_id(), user.key_name()), (None, None));
    assert!(user.scopes().is_empty());
}

// C16: nothing on the wire says what is wrong with a token.
#[test]
fn every_invalid_token_gets_one_answer() {
    let issuer = issuer();
    let layer = layer(verifier(&issuer));
    let good = issuer.token().sign();
    let invalid = [
        issuer.token().with_claim("exp", NOW - 3_600).sign(),
        issuer
            .token()
            .with_claim("iss", "https://other.test")
            .sign(),
        issuer.token().with_header("alg", "none").sign(),
        issuer.token().without_claim("sub").sign(),
        issuer.sign_raw("{}", "{}"),
        format!("{good}A"),
        "e30.e30.AA".to_owned(),
        "..".to_owned(),
        good.rsplit_once('.').unwrap().0.to_owned(),
    ];
    let answers = invalid.map(|token| ask(&layer, bearer(&token)));
    for answer in &answers {
        assert_eq!(answer.rejection_kind(), INVALID);
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            answer.body,
            r#"{"detail":"Invalid or expired session token."}"#
        );
        assert_eq!(answer.wire(), answers[0].wire());
    }
    assert_eq!(refusal(&layer, &good), None);
    let without_a_verifier = CoverbaseAuthLayer::new(MemoryStore::new());
    assert_eq!(
        ask(&without_a_verifier, bearer(&good)).wire(),
        answers[0].wire()
    );
}

// C11
#[test]
fn three_algorithms_are_accepted_by_default() {
    for (algorithm, by_default) in [
        (Algorithm::Rs256, None),
        (Algorithm::Es256, None),
        (Algorithm::EdDsa, None),
        (Algorithm::Es384, INVALID),
        (Algorithm::Ps256, INVALID),
    ] {
        let issuer = issuer().with_algorithm(algorithm);
        let token = issuer.token().sign();
        assert_eq!(
            refusal(&layer(verifier(&issuer)), &token),
            by_default,
            "{algorithm}"
        );
        let listed = layer(verifier(&issuer).with_algorithms([algorithm]));
        assert_eq!(refusal(&listed, &token), None, "{algorithm}");
        let unlisted = layer(verifier(&issuer).with_algorithms([Algorithm::Rs512]));
        assert_eq!(refusal(&unlisted, &token), INVALID, "{algorithm}");
    }
}

// C11, T1
#[test]
fn none_hmac_and_another_algorithm_are_refused() {
    let issuer = issuer();
    let layer = layer(verifier(&issuer));
    let of = |alg: &str| issuer.token().with_header("alg", alg).sign();
    let with_signature = |token: &str, signature: &[u8]| {
        let (input, _) = token.rsplit_once('.').unwrap();
        format!("{input}.{}", BASE64URL.encode(signature))
    };
    for alg in [
        "none", "None", "NONE", "", "RS256", "EdDSA", "es256", "ES256K", "ES384",
    ] {
        assert_eq!(refusal(&layer, &of(alg)), INVALID, "{alg}");
        assert_eq!(
            refusal(&layer, &with_signature(&of(alg), &[])),
            INVALID,
            "{alg}"
        );
    }
    let (input, secrets) = (of("HS256"), [issuer.jwks_json(), String::new()]);
    for secret in secrets {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let input = input.rsplit_once('.').unwrap().0;
        let tag = aws_lc_rs::hmac::sign(&key, input.as_bytes());
        assert_eq!(
            refusal(&layer, &with_signature(&format!("{input}."), tag.as_ref())),
            INVALID
        );
    }
    let good = of("ES256");
    for zero in [vec![0; 64], vec![], vec![0; 72]] {
        assert_eq!(refusal(&layer, &with_signature(&good, &zero)), INVALID);
    }
    assert_eq!(refusal(&layer, &good), None);
}

// C12, T1, T15: a key that a token brings along or points to is ignored.
#[test]
fn a_key_comes_from_the_key_set_alone() {
    let (trusted, attacker) = (issuer(), issuer());
    let layer = layer(verifier(&trusted));
    let jwks: Value = serde_json::from_str(&attacker.jwks_json()).unwrap();
    let offer = |token: TestToken<'_>| {
        let token = token
            .with_header("jwk", &jwks["keys"][0])
            .with_header("jku", "http://127.0.0.1:9/jwks");
        token
            .with_header("x5u", "http://127.0.0.1:9/x5u")
            .with_header("x5c", ["AA"])
            .sign()
    };
    assert_eq!(refusal(&layer, &offer(attacker.token())), INVALID);
    assert_eq!(refusal(&layer, &offer(trusted.token())), None);

    for kid in [
        json!("ins_test_2"),
        json!(""),
        json!("INS_TEST_1"),
        json!("../ins_test_1"),
        json!(1),
        json!(null),
    ] {
        assert_eq!(
            changed(&layer, &trusted, |it| it.with_header("kid", &kid)),
            INVALID,
            "{kid}"
        );
    }
    assert_eq!(
        changed(&layer, &trusted, |it| it.without_header("kid")),
        INVALID
    );
    assert_eq!(
        changed(&layer, &trusted, |it| it.with_header("kid", trusted.kid())),
        None
    );
}

// C12, T2
#[test]
fn two_issuers_with_one_kid_are_two_issuers() {
    let [ours, theirs] = [ISSUER, "https://clerk.other.test"].map(TestIssuer::new);
    assert_eq!(ours.kid(), theirs.kid());
    let layer = layer(verifier(&ours));
    assert_eq!(refusal(&layer, &ours.token().sign()), None);
    assert_eq!(refusal(&layer, &theirs.token().sign()), INVALID);
    // Their key, our name; our key, their name.
    assert_eq!(
        changed(&layer, &theirs, |it| it.with_claim("iss", ISSUER)),
        INVALID
    );
    assert_eq!(
        changed(&layer, &ours, |it| it.with_claim("iss", theirs.issuer())),
        INVALID
    );
}

// C12
#[test]
fn a_rotated_key_is_another_key() {
    let mut issuer = issuer();
    let (before, old_layer) = (issuer.token().sign(), layer(verifier(&issuer)));
    issuer.rotate();
    let (after, new_layer) = (issuer.token().sign(), layer(verifier(&issuer)));
    assert_eq!(
        [refusal(&old_layer, &before), refusal(&old_layer, &after)],
        [None, INVALID]
    );
    assert_eq!(
        [refusal(&new_layer, &before), refusal(&new_layer, &after)],
        [INVALID, None]
    );
}

// C13
#[test]
fn a_claim_that_is_missing_or_of_the_wrong_type_is_refused() {
    let issuer = issuer();
    let layer = layer(verifier(&issuer));
    for name in ["sub", "exp", "iss", "sid", "azp", "o"] {
        assert_eq!(
            changed(&layer, &issuer, |it| it.without_claim(name)),
            INVALID,
            "{name}"
        );
    }
    let (past, soon) = (json!(NOW - 60), json!(NOW + 60));
    for (name, good, bad) in [
        ("sub", json!("user_1"), json!("")),
        ("sub", json!("user_mch_1"), json!("mch_1")),
        ("sub", json!("1"), json!(1)),
        ("iss", json!(ISSUER), json!(format!("{ISSUER}/"))),
        ("iss", json!(ISSUER), json!([ISSUER])),
        ("exp", soon.clone(), json!((NOW + 60).to_string())),
        (
            "exp",
            json!(253_402_300_799_u64),
            json!(253_402_300_800_u64),
        ),
        ("exp", soon.clone(), json!((NOW + 60) * 1_000)),
        ("exp", json!(NOW as f64 + 60.5), json!(null)),
        ("iat", past.clone(), json!((NOW - 60).to_string())),
        ("iat", past.clone(), json!(null)),
        ("nbf", past.clone(), json!([NOW - 60])),
        ("nbf", past, json!((NOW - 60) * 1_000)),
        ("jti", json!("1"), json!(1)),
        ("sid", json!("sess_1"), json!("")),
        ("sid", json!("sess_1"), json!(null)),
        ("sts", json!("active"), json!("pending")),
        ("sts", json!("active"), json!(true)),
        (
            "azp",
            json!(TestIssuer::AUTHORIZED_PARTY),
            json!([TestIssuer::AUTHORIZED_PARTY]),
        ),
        ("v", json!(2), json!("2")),
        ("v", json!(2), json!(3)),
        ("o", json!({"id": "org_1"}), json!({"id": ""})),
        ("o", json!({"id": "org_1"}), json!({"id": 1})),
        ("o", json!({"id": "org_1"}), json!({"rol": "admin"})),
        (
            "o",
            json!({"id": "org_1", "rol": "admin"}),
            json!({"id": "org_1", "rol": ["admin"]}),
        ),
    ] {
        assert_eq!(
            changed(&layer, &issuer, |it| it.with_claim(name, &good)),
            None,
            "{name} {good}"
        );
        assert_eq!(
            changed(&layer, &issuer, |it| it.with_claim(name, &bad)),
            INVALID,
            "{name} {bad}"
        );
    }
}

// C13
#[test]
fn a_header_is_a_jwts_and_critical_extensions_are_none() {
    let issuer = issuer();
    let layer = layer(verifier(&issuer));
    for typ in [
        json!("at+jwt"),
        json!("jwt"),
        json!("JWS"),
        json!(null),
        json!(""),
    ] {
        assert_eq!(
            changed(&layer, &issuer, |it| it.with_header("typ", &typ)),
            INVALID,
            "{typ}"
        );
    }
    for crit in [json!(["exp"]), json!([]), json!(null)] {
        assert_eq!(
            changed(&layer, &issuer, |it| it.with_header("crit", &crit)),
            INVALID,
            "{crit}"
        );
    }
    assert_eq!(
        changed(&layer, &issuer, |it| it.without_header("typ")),
        None
    );
    assert_eq!(
        changed(&layer, &issuer, |it| it.with_header("cat", "cl_B7d4")),
        None
    );
}

// C13, T3
#[test]
fn a_name_occurs_once_and_nothing_follows() {
    let issuer = issuer();
    let layer = layer(verifier(&issuer));
    let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, issuer.kid());
    let claims = format!(
        r#"{{"iss":"{ISSUER}","azp":"{}","sub":"user_1","sid":"sess_1","org_id":"org_1","exp":{}}}"#,
        TestIssuer::AUTHORIZED_PARTY,
        NOW + 60
    );
    let signed = |header: &str, claims: &str| refusal(&layer, &issuer.sign_raw(header, claims));
    assert_eq!(signed(&header, &claims), None);
    for twice in [
        header.replacen('{', r#"{"alg":"none","#, 1),
        header.replacen('{', r#"{"k\u0069d":"other","#, 1),
        format!("{header} {{}}"),
        format!("\u{feff}{header}"),
    ] {
        assert_eq!(signed(&twice, &claims), INVALID, "{twice}");
    }
    for twice in [
        claims.replacen('{', r#"{"sub":"user_2","#, 1),
        claims.replacen('{', r#"{"org\u005fid":"org_2","#, 1),
        claims.replacen('{', r#"{"x":{"y":1,"y":2},"#, 1),
        format!("{claims}x"),
        format!("[{claims}]"),
    ] {
        assert_eq!(signed(&header, &twice), INVALID, "{twice}");
    }
    assert_eq!(
        signed(&header, &claims.replacen('{', r#"{"x":{"y":1,"z":2},"#, 1)),
        None
    );
}

// C13, T4: the exact second, with the leeway; a clock set back or forth.
#[test]
fn a_token_is_expired_from_its_second_on() {
    let issuer = issuer();
    let clock = TestClock::at(0);
    let of = |verifier: JwtVerifier| {
        CoverbaseAuthLayer::new(MemoryStore::new())
            .with_jwt(verifier)
            .with_clock(clock.clone())
    };
    let token = issuer.token().with_times(NOW, NOW + 60).sign();
    for (leeway, layer) in [
        (5, of(verifier(&issuer))),
        (0, of(verifier(&issuer).with_leeway(Duration::ZERO))),
        (
            30,
            of(verifier(&issuer).with_leeway(Duration::from_secs(30))),
        ),
    ] {
        for (now, expected) in [
            (0, INVALID),
            (NOW - leeway - 1, INVALID),
            (NOW - leeway, None),
            (NOW + 60 + leeway - 1, None),
            (NOW + 60 + leeway, INVALID),
            (NOW + 60 + 3_600, INVALID),
            (NOW + 30, None),
            (NOW + 30 - 3_600, INVALID),
            (u64::MAX, INVALID),
        ] {
            clock.set(now);
            assert_eq!(
                refusal(&layer, &token),
                expected,
                "leeway {leeway}, now {now}"
            );
        }
    }
    let layer = of(verifier(&issuer));
    clock.set(NOW);
    for name in ["iat", "nbf"] {
        assert_eq!(
            changed(&layer, &issuer, |it| it.with_claim(name, NOW + 5)),
            None,
            "{name}"
        );
        assert_eq!(
            changed(&layer, &issuer, |it| it.with_claim(name, NOW + 6)),
            INVALID,
            "{name}"
        );
    }
}

// C14
#[test]
fn azp_is_an_authorized_party() {
    let issuer = issuer();
    let anybody = layer(JwtVerifier::new(ISSUER, issuer.key_set()));
    let of = |parties: &[&str]| layer(verifier(&issuer).with_authorized_parties(parties.to_vec()));
    let with = |azp: &str| issuer.token().with_claim("azp", azp).sign();
    let without = issuer.token().without_claim("azp").sign();
    for token in [
        with("https://a.test"),
        with("https://evil.test"),
        without.clone(),
    ] {
        assert_eq!(refusal(&anybody, &token), None);
    }
    let two = of(&["https://a.test", "https://b.test"]);
    assert_eq!(refusal(&two, &with("https://a.test")), None);
    assert_eq!(refusal(&two, &with("https://b.test")), None);
    for azp in [
        "https://c.test",
        "https://a.test/",
        "https://A.test",
        "https://a.test.evil.test",
        "",
    ] {
        assert_eq!(refusal(&two, &with(azp)), INVALID, "{azp}");
    }
    assert_eq!(refusal(&two, &without), INVALID);
    assert_eq!(refusal(&of(&[]), &with("https://a.test")), INVALID);
}

// C14, RFC 7519 §4.1.3
#[test]
fn aud_names_a_configured_audience() {
    let issuer = issuer();
    let none = layer(verifier(&issuer));
    let api = layer(verifier(&issuer).with_audiences(["https://api.test"]));
    for (aud, by_none, by_api) in [
        (None, None, INVALID),
        (Some(json!("https://api.test")), INVALID, None),
        (
            Some(json!(["https://other.test", "https://api.test"])),
            INVALID,
            None,
        ),
        (Some(json!("https://other.test")), INVALID, INVALID),
        (Some(json!(["https://api.test", 1])), INVALID, INVALID),
        (Some(json!([])), INVALID, INVALID),
        (Some(json!(1)), INVALID, INVALID),
        (Some(json!(null)), INVALID, INVALID),
    ] {
        let token = match &aud {
            Some(aud) => issuer.token().with_claim("aud", aud).sign(),
            None => issuer.token().sign(),
        };
        assert_eq!(refusal(&none, &token), by_none, "{aud:?}");
        assert_eq!(refusal(&api, &token), by_api, "{aud:?}");
    }
}

// C15
#[test]
fn both_shapes_of_clerk_are_read_and_never_mixed() {
    let issuer = issuer();
    let layer = layer(verifier(&issuer));
    let told = |token: TestToken<'_>| {
        let answer = ask(&layer, bearer(&token.sign()));
        let user = answer.principal();
        (
            user.org_id().to_string(),
            user.role().map(|role| role.as_str().to_owned()),
        )
    };
    let expected = |org: &str, role: &str| (org.to_owned(), Some(role.to_owned()));
    let version_1 = || {
        let token = issuer
            .token()
            .without_claim("v")
            .without_claim("o")
            .without_claim("sts");
        token
            .with_claim("org_id", "org_1")
            .with_claim("org_role", "org:member")
    };
    let version_2 = || issuer.token().with_org("org_2").with_role("guest");
    assert_eq!(told(version_1()), expected("org_1", "member"));
    assert_eq!(told(version_2()), expected("org_2", "guest"));

    let other_1 = version_2()
        .with_claim("org_id", "org_1")
        .with_claim("org_role", "org:admin");
    assert_eq!(told(other_1), expected("org_2", "guest"));
    let other_2 = version_1().with_claim("o", json!({"id": "org_2", "rol": "admin"}));
    assert_eq!(told(other_2), expected("org_1", "member"));
    assert_eq!(
        told(version_1().with_claim("v", 1)),
        expected("org_1", "member")
    );

    assert_eq!(
        told(version_1().with_claim("org_role", "org:billing")),
        expected("org_1", "billing")
    );
    assert_eq!(
        told(version_1().without_claim("org_role")),
        ("org_1".to_owned(), None)
    );
    for homeless in [
        version_1().without_claim("org_id"),
        version_1().with_claim("org_id", ""),
        version_1().with_claim("v", 2),
        version_2().without_claim("o"),
        version_2().without_claim("v"),
    ] {
        assert_eq!(refusal(&layer, &homeless.sign()), INVALID);
    }
}

// C16, C18
#[test]
fn a_user_passes_by_a_role_and_by_no_scope() {
    let issuer = issuer();
    let key_management = Requirement::scope(Scope::KEYS_MANAGE).or_role(Role::ADMIN);
    let audit_log = Requirement::scope(Scope::AUDIT_READ).or_roles([
        Role::ADMIN,
        Role::MEMBER,
        Role::SILOED_MEMBER,
        Role::GUEST,
    ]);
    let keys_alone = Requirement::scopes([]);
    let auth = layer(verifier(&issuer));
    let outcomes = |token: TestToken<'_>| {
        let token = token
            .with_claim("scopes", ["keys:manage"])
            .with_claim("scope", "keys:manage")
            .sign();
        [
            &key_management,
            &audit_log,
            &keys_alone,
            &Requirement::authenticated(),
        ]
        .map(|requirement| {
            let mut request = bearer(&token);
            request.extensions_mut().insert(requirement.clone());
            let outside = ask(&auth, request);
            let inside = ask(
                &(auth.clone(), RequireLayer::new(requirement.clone())),
                bearer(&token),
            );
            assert_eq!(outside.wire(), inside.wire());
            if let Some(refusal) = outside.rejection_kind() {
                assert_eq!(refusal, RejectionKind::UnauthorizedRole);
                assert_is_unauthorized_role(&outside);
            }
            outside.rejection_kind().is_none()
        })
    };
    for (role, expected) in [
        ("admin", [true, true, false, true]),
        ("org:admin", [true, true, false, true]),
        ("member", [false, true, false, true]),
        ("siloed_member", [false, true, false, true]),
        ("guest", [false, true, false, true]),
        ("auxiliary_member", [false, false, false, true]),
        ("service_account", [false, false, false, true]),
        ("Admin", [false, false, false, true]),
        ("admin ", [false, false, false, true]),
        ("org:org:admin", [false, false, false, true]),
        ("administrator", [false, false, false, true]),
        ("", [false, false, false, true]),
    ] {
        assert_eq!(
            outcomes(issuer.token().with_role(role)),
            expected,
            "{role:?}"
        );
    }
    let no_role = issuer.token().with_claim("o", json!({"id": "org_1"}));
    assert_eq!(outcomes(no_role), [false, false, false, true]);
}

fn assert_is_unauthorized_role(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.body, r#"{"detail":"Unauthorized role."}"#);
    assert_eq!(
        answer.header("www-authenticate"),
        Some(r#"Bearer realm="coverbase""#)
    );
    assert!(answer.rejection.as_ref().unwrap().principal().is_some());
}

// C17
#[test]
fn a_layer_may_name_the_roles_that_it_accepts_at_all() {
    let issuer = issuer();
    let staff = CoverbaseAuthLayer::new(store(record())).with_jwt(verifier(&issuer));
    let staff = staff.with_accepted_roles([Role::ADMIN, Role::new("org:billing")]);
    let of = |role: &str| ask(&staff, bearer(&issuer.token().with_role(role).sign()));
    for role in ["admin", "billing", "org:billing"] {
        assert_eq!(of(role).rejection_kind(), None, "{role}");
    }
    for role in ["member", "guest", "Admin", ""] {
        assert_eq!(
            of(role).rejection_kind(),
            Some(RejectionKind::UnauthorizedRole),
            "{role}"
        );
        assert_is_unauthorized_role(&of(role));
    }
    let keys_are_not_affected = ask(&staff, bearer(KEY));
    assert_eq!(keys_are_not_affected.rejection_kind(), None);
}

// C27: the allowlist is for keys.
#[test]
fn a_user_is_not_subject_to_the_allowlist() {
    let issuer = issuer();
    let allowlist = IpAllowlist::parse(["203.0.113.0/24"]).unwrap();
    let auth = CoverbaseAuthLayer::new(store(record().with_allowlist(allowlist)));
    let auth = auth
        .with_jwt(verifier(&issuer))
        .with_client_ip(ClientIpSource::peer());
    let token = issuer.token().with_org(crate::support::ORG).sign();
    for (peer, key) in [
        (Some("203.0.113.9"), None),
        (Some("192.0.2.66"), Some(RejectionKind::IpNotAllowed)),
        (None, Some(RejectionKind::IpNotAllowed)),
    ] {
        for (credential, expected) in [(&*token, None), (KEY, key)] {
            let mut request = bearer(credential);
            if let Some(peer) = peer {
                let peer: IpAddr = peer.parse().unwrap();
                request.extensions_mut().insert(PeerAddr::new((peer, 443)));
            }
            assert_eq!(ask(&auth, request).rejection_kind(), expected, "{peer:?}");
        }
    }
}

// C31, T20: without keys there is no telling, and API keys never notice.
#[test]
fn a_key_set_that_cannot_answer_is_a_503() {
    let issuer = issuer();
    let of =
        |keys| CoverbaseAuthLayer::new(store(record())).with_jwt(JwtVerifier::new(ISSUER, keys));
    let down = of(KeySet::unavailable());
    let token = issuer.token().sign();
    let answer = ask(&down, bearer(&token));
    assert_eq!(
        answer.rejection_kind(),
        Some(RejectionKind::AuthUnavailable)
    );
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(ask(&down, bearer(KEY)).rejection_kind(), None);
    // What no key could verify is still told.
    assert_eq!(
        refusal(&down, &issuer.token().with_header("alg", "none").sign()),
        INVALID
    );
    assert_eq!(refusal(&of(issuer.key_set()), &token), None);
}

// C33, T12
#[test]
fn the_log_holds_no_part_of_a_token() {
    let issuer = issuer();
    let auth = layer(verifier(&issuer));
    let staff = auth.clone().with_accepted_roles([Role::GUEST]);
    let odd = "x\r\nERROR forged\u{1b}[2J";
    let tokens = [
        issuer.token().sign(),
        issuer.token().with_claim("exp", NOW - 60).sign(),
        issuer.token().with_header("kid", odd).sign(),
        issuer.token().with_header("alg", odd).sign(),
        issuer.token().with_claim("iss", odd).sign(),
        issuer
            .token()
            .with_subject(odd)
            .with_org(odd)
            .with_role(odd)
            .sign(),
        issuer.sign_raw(odd, odd),
    ];
    let lines = log_of(|| {
        for token in &tokens {
            drop((ask(&auth, bearer(token)), ask(&staff, bearer(token))));
        }
    });
    assert_eq!(lines.len(), 2 * tokens.len());
    for line in &lines {
        for part in tokens.iter().flat_map(|token| token.split('.')) {
            assert!(!line.text.contains(part), "{}", line.text);
        }
        assert!(!line.text.contains(char::is_control), "{:?}", line.text);
    }
    let shown = format!("{auth:?} {:?} {issuer:?}", verifier(&issuer));
    assert!(!shown.contains("\"d\"") && !shown.contains("PRIVATE"));
}

proptest! {
    // T3: a token has one spelling. Whatever else is like it, is another one, and is refused.
    #[test]
    fn no_second_spelling_of_a_token_passes(
        place in any::<Index>(),
        text in "[A-Za-z0-9._~+/=-]{0,3}",
        replaced in 0..3_usize,
    ) {
        thread_local! {
            static FIXED: (CoverbaseAuthLayer, String) = {
                let issuer = issuer();
                (layer(verifier(&issuer)), issuer.token().sign())
            };
        }
        FIXED.with(|(layer, token)| {
            let start = place.index(token.len() + 1);
            let end = token.len().min(start + replaced);
            let other = [&token[..start], &text, &token[end..]].concat();
            let expected = other == *token;
            prop_assert_eq!(refusal(layer, &other).is_none(), expected, "{}", other);
            Ok(())
        })?;
    }
}
