//! Header and claims (C13–C15).

use std::time::Duration;

use serde_json::json;

use super::*;

#[test]
fn missing_claim_or_wrong_type_is_rejected() {
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

#[test]
fn other_typ_or_critical_extension_is_rejected() {
    let issuer = issuer();
    let layer = layer(verifier(&issuer));
    for typ in [
        json!("jwt"),
        json!("at+jwt"),
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
        changed(&layer, &issuer, |it| it.with_header("typ", "JWT")),
        None
    );
    assert_eq!(
        changed(&layer, &issuer, |it| it.without_header("typ")),
        None
    );
    assert_eq!(
        changed(&layer, &issuer, |it| it.with_header("cat", "cl_B7d4")),
        None
    );
}

#[test]
fn duplicate_name_or_trailing_data_is_rejected() {
    let issuer = issuer();
    let layer = layer(verifier(&issuer));
    let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, issuer.kid());
    let claims = format!(
        r#"{{"iss":"{ISSUER}","azp":"{}","sub":"user_1","sid":"sess_1","org_id":"org_1","exp":{}}}"#,
        TestIssuer::AUTHORIZED_PARTY,
        NOW + 60
    );
    let signed = |header: &str, claims: &str| rejection(&layer, &issuer.sign_raw(header, claims));
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

#[test]
fn token_is_expired_from_the_exact_second() {
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
                rejection(&layer, &token),
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

#[test]
fn unauthorized_party_is_rejected() {
    let issuer = issuer();
    let unconfigured = layer(JwtVerifier::new(ISSUER, issuer.key_set()));
    let of = |parties: &[&str]| layer(verifier(&issuer).with_authorized_parties(parties.to_vec()));
    let with = |azp: &str| issuer.token().with_claim("azp", azp).sign();
    let without = issuer.token().without_claim("azp").sign();
    for token in [
        with("https://a.test"),
        with("https://evil.test"),
        without.clone(),
    ] {
        assert_eq!(rejection(&unconfigured, &token), None);
    }
    let two = of(&["https://a.test", "https://b.test"]);
    assert_eq!(rejection(&two, &with("https://a.test")), None);
    assert_eq!(rejection(&two, &with("https://b.test")), None);
    for azp in [
        "https://c.test",
        "https://a.test/",
        "https://A.test",
        "https://a.test.evil.test",
        "",
    ] {
        assert_eq!(rejection(&two, &with(azp)), INVALID, "{azp}");
    }
    assert_eq!(rejection(&two, &without), INVALID);
    assert_eq!(rejection(&of(&[]), &with("https://a.test")), INVALID);
}

#[test]
fn foreign_audience_is_rejected() {
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
        assert_eq!(rejection(&none, &token), by_none, "{aud:?}");
        assert_eq!(rejection(&api, &token), by_api, "{aud:?}");
    }
}

#[test]
fn both_claim_versions_are_read_and_never_mixed() {
    let issuer = issuer();
    let layer = layer(verifier(&issuer));
    let identity = |token: TestToken<'_>| {
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
    assert_eq!(identity(version_1()), expected("org_1", "member"));
    assert_eq!(identity(version_2()), expected("org_2", "guest"));

    let other_1 = version_2()
        .with_claim("org_id", "org_1")
        .with_claim("org_role", "org:admin");
    assert_eq!(identity(other_1), expected("org_2", "guest"));
    let other_2 = version_1().with_claim("o", json!({"id": "org_2", "rol": "admin"}));
    assert_eq!(identity(other_2), expected("org_1", "member"));
    assert_eq!(
        identity(version_1().with_claim("v", 1)),
        expected("org_1", "member")
    );

    assert_eq!(
        identity(version_1().with_claim("org_role", "org:billing")),
        expected("org_1", "billing")
    );
    assert_eq!(
        identity(version_1().without_claim("org_role")),
        ("org_1".to_owned(), None)
    );
    for token in [
        version_1().without_claim("org_id"),
        version_1().with_claim("org_id", ""),
        version_1().with_claim("v", 2),
        version_2().without_claim("o"),
        version_2().without_claim("v"),
    ] {
        assert_eq!(rejection(&layer, &token.sign()), INVALID);
    }
}
