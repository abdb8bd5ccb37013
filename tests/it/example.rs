//! The example service as a program: flags, output, exit code and port.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use coverbase_auth::testing::TestIssuer;
use serde_json::{Value, json};

use crate::program::{Server, get, post, program, scratch};

/// Returns the error message of the program, which must not start.
fn start_error(flags: &[&str], variables: &[(&str, &str)]) -> String {
    let output = program(flags, variables).output().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{flags:?} {variables:?}: {stderr}");
    assert_eq!(stdout, b"", "{flags:?} {variables:?}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    stderr
}

#[test]
fn program_without_a_key_set_prints_an_admin_token() {
    let server = Server::start(&[]);
    let token = server.token();
    assert_eq!(server.authtest(&token), 200);
    assert_eq!(
        server.get("/v1/api-keys", &token, ""),
        (200, json!({"data": []}))
    );
    let organization = server.get("/v1/org/org_demo", &token, "").1;
    assert_eq!(
        organization,
        json!({"id": "org_demo", "api_ip_allowlist": []})
    );
    // By default no proxy is trusted.
    let spoofed = server
        .get("/v1/whoami/ip", &token, "x-forwarded-for: 203.0.113.42\r\n")
        .1;
    assert_eq!(spoofed, json!({"client_ip": "127.0.0.1"}));

    // Each start creates a new signing key.
    assert_eq!(Server::start(&[]).authtest(&token), 401);
}

// T15: `KeySet::url` trusts the root certificates of the system only.
#[cfg(feature = "jwks")]
#[tokio::test(flavor = "multi_thread")]
async fn key_set_url_is_verified_with_the_system_roots() {
    use crate::key_server::{KeyServer, Reply};

    let issuer = TestIssuer::new("https://clerk.example.com");
    let token = issuer.token().with_role("org:admin").sign();
    let (keys, certificate) = KeyServer::with_tls(Reply::json(&issuer.jwks_json())).await;
    let url = format!("https://localhost:{}/jwks.json", keys.port());
    let (_, of_another) = KeyServer::with_tls(Reply::Silence).await;
    for (root, status) in [(certificate, 200), (of_another, 503)] {
        let file = scratch("root.pem");
        fs::write(&file, root).unwrap();
        let answered = tokio::task::spawn_blocking({
            let (token, url) = (token.clone(), url.clone());
            move || {
                let root = [("SSL_CERT_FILE", file.to_str().unwrap())];
                let issuer = ["--issuer", "https://clerk.example.com", "--jwks", &url];
                let flags = [&["--listen", "127.0.0.1:0"], &issuer[..]].concat();
                Server::start_with(&flags, &root).authtest(&token)
            }
        });
        assert_eq!(answered.await.unwrap(), status);
    }
}

#[test]
#[ignore = "needs curl: tests/run"]
fn printed_commands_work_in_a_shell() {
    let server = Server::start(&[]);
    let printed = server.printed();
    let lines: Vec<_> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    let pasted = Command::new("sh")
        .arg("-euc")
        .arg(lines.join("\n"))
        .output()
        .unwrap();
    assert!(pasted.status.success(), "{pasted:?}");
    let answers = serde_json::Deserializer::from_slice(&pasted.stdout).into_iter::<Value>();
    let answers: Vec<Value> = answers.map(Result::unwrap).collect();

    let success = json!({"msg": "Auth successful"});
    assert_eq!(answers.len(), 11, "{answers:#?}");
    assert_eq!(answers[0], success);
    assert_eq!(answers[1], json!({"client_ip": "127.0.0.1"}));
    assert_eq!(answers[2], success);
    assert_eq!(answers[3]["detail"]["code"], "insufficient_scope");
    assert_eq!(
        answers[4],
        json!({"id": "org_demo", "api_ip_allowlist": ["203.0.113.0/24"]})
    );
    assert_eq!(answers[5]["detail"]["code"], "ip_not_allowed");
    assert_eq!(
        answers[6],
        json!({"id": "org_demo", "api_ip_allowlist": []})
    );
    assert_eq!(answers[7], json!({"detail": "Invalid or expired API key."}));
    assert_eq!(answers[8]["revoked"], true);
    let listed = answers[9]["data"].as_array().unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|key| key["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&"ci") && names.iter().any(|name| name.starts_with("ci (rotated ")));
    assert!(listed.iter().all(|key| key["revoked"] == true));
    let records = answers[10].as_array().unwrap().iter();
    let events: Vec<_> = records.map(|record| &record["event_type"]).collect();
    for event in [
        "external_api_call",
        "integration_added",
        "integration_updated",
    ] {
        assert!(
            events.iter().any(|of| **of == event),
            "{event} in {events:?}"
        );
    }
}

/// Returns an issuer and a file with its key set.
fn issuer() -> (TestIssuer, PathBuf) {
    let issuer = TestIssuer::new("https://clerk.example.test");
    let jwks = scratch("jwks.json");
    fs::write(&jwks, issuer.jwks_json()).unwrap();
    (issuer, jwks)
}

// C11–C14
#[test]
fn session_token_options_are_read_from_flags_or_variables() {
    let (issuer, jwks) = issuer();
    let jwks = jwks.to_str().unwrap();
    let (iss, one, two) = (
        issuer.issuer(),
        "https://one.example",
        "https://two.example",
    );
    let both = format!("{one},{two}");
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--jwks",
        jwks,
        "--issuer",
        iss,
        "--authorized-party",
        one,
        "--authorized-party",
        two,
    ];
    let variables = [
        ("COVERBASE_LISTEN", "127.0.0.1:0"),
        ("COVERBASE_JWKS", jwks),
        ("COVERBASE_ISSUER", iss),
        ("COVERBASE_AUTHORIZED_PARTY", &both),
        ("COVERBASE_STORE", "memory"),
    ];
    for server in [
        Server::start_with(&flags, &[]),
        Server::start_with(&[], &variables),
    ] {
        for party in [one, two] {
            assert_eq!(
                server.authtest(&issuer.token().with_claim("azp", party).sign()),
                200
            );
        }
        for invalid in [
            issuer
                .token()
                .with_claim("azp", "https://three.example")
                .sign(),
            issuer.token().without_claim("azp").sign(),
            issuer
                .token()
                .with_claim("azp", one)
                .with_claim("iss", "https://other.example")
                .sign(),
            TestIssuer::new(iss).token().with_claim("azp", one).sign(),
        ] {
            assert_eq!(server.authtest(&invalid), 401);
        }
        let first_line = format!("listening on http://{}\n", server.address);
        let printed = server.printed();
        assert!(printed.starts_with(&first_line), "{printed}");
        assert!(
            !printed.contains("TOKEN="),
            "no token is printed with a given key set"
        );
    }
}

#[test]
fn printed_token_has_the_issuer_and_the_first_authorized_party() {
    let server = Server::start(&[
        "--issuer",
        "https://mine.example",
        "--authorized-party",
        "https://app.example",
    ]);
    assert_eq!(server.authtest(&server.token()), 200);
}

// C25
#[test]
fn trusted_proxies_flag_overrides_the_variable() {
    let any_port = ["--listen", "127.0.0.1:0"];
    let one = ["--listen", "127.0.0.1:0", "--trusted-proxies", "1"];
    for (flags, variable, expected) in [
        (&one[..], None, json!("192.0.2.66")),
        (&any_port, Some("1"), json!("192.0.2.66")),
        (&any_port, Some("2"), json!("203.0.113.42")),
        (&any_port, Some("3"), json!(null)),
        (&one, Some("2"), json!("192.0.2.66")),
    ] {
        let variables = variable.map(|count| ("COVERBASE_TRUSTED_PROXIES", count));
        let server = Server::start_with(flags, variables.as_slice());
        let lines = "x-forwarded-for: 203.0.113.42, 192.0.2.66\r\n";
        let answer = server.get("/v1/whoami/ip", &server.token(), lines);
        assert_eq!(answer, (200, json!({ "client_ip": expected })));
    }
}

#[test]
fn invalid_value_is_named_in_the_error() {
    for (flag, variable, value) in [
        ("--store", "COVERBASE_STORE", "nonsense"),
        ("--listen", "COVERBASE_LISTEN", "localhost"),
        ("--listen", "COVERBASE_LISTEN", "127.0.0.1:65536"),
        ("--trusted-proxies", "COVERBASE_TRUSTED_PROXIES", "-1"),
        ("--trusted-proxies", "COVERBASE_TRUSTED_PROXIES", "one"),
    ] {
        let by_flag = start_error(&[&format!("{flag}={value}")], &[]);
        let by_variable = start_error(&[], &[(variable, value)]);
        for error in [by_flag, by_variable] {
            assert!(error.contains(value) && error.contains(flag), "{error}");
        }
    }
    assert!(
        start_error(&["--store", "nonsense"], &[]).contains("`redb://PATH`"),
        "the error lists the valid forms"
    );
    start_error(&["--store", "redb://"], &[]);
    start_error(&["--store", "redb:keys.redb"], &[]);
    assert!(start_error(&["--nonsense"], &[]).contains("--nonsense"));
}

#[test]
fn invalid_key_set_is_named_with_the_reason() {
    let garbage = scratch("garbage.json");
    fs::write(&garbage, "not json").unwrap();
    let empty = scratch("empty.json");
    fs::write(&empty, r#"{"keys":[]}"#).unwrap();
    let unfit = scratch("unfit.json");
    fs::write(&unfit, r#"{"keys":[{"kty":"oct","kid":"a","k":"AA"}]}"#).unwrap();
    for (file, reason) in [
        (Path::new("/no/such/jwks.json"), "No such file"),
        (Path::new(env!("CARGO_MANIFEST_DIR")), "directory"),
        (&garbage, "not a JSON object"),
        (&empty, "it is empty"),
        (&unfit, "key \"a\""),
    ] {
        let file = file.to_str().unwrap();
        for error in [
            start_error(&["--listen", "127.0.0.1:0", "--jwks", file], &[]),
            start_error(&["--listen", "127.0.0.1:0"], &[("COVERBASE_JWKS", file)]),
        ] {
            assert!(error.contains(file) && error.contains(reason), "{error}");
        }
    }
}

#[test]
fn port_in_use_is_named_in_the_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = start_error(&["--listen", &address], &[]);
    assert!(
        error.contains(&format!("cannot listen on {address}: ")),
        "{error}"
    );
}

// The default store is a file.
#[test]
fn keys_last_use_and_audit_log_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, jwks) = issuer();
    let jwks = jwks.to_str().unwrap();
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--jwks",
        jwks,
        "--issuer",
        issuer.issuer(),
    ];
    let start = || {
        let mut command = program(&flags, &[]);
        command.env_remove("COVERBASE_STORE").current_dir(&folder);
        Server::spawn(command)
    };
    let token = issuer.token().sign();
    let mut server = start();
    let (_, key) = post(server.address, "/v1/api-keys", &token, r#"{"name":"ci"}"#).unwrap();
    let secret = key["secret"].as_str().unwrap();
    assert_eq!(server.authtest(secret), 200);
    assert!(folder.path().join("coverbase.redb").exists());
    assert_eq!(server.stop("TERM").0.code(), Some(0));

    let server = start();
    let (_, list) = server.get("/v1/api-keys", &token, "");
    assert_eq!(list["data"][0]["id"], key["id"]);
    assert!(list["data"][0]["last_used_at"].is_u64(), "{list}");
    assert_eq!(server.authtest(secret), 200);
    let (_, log) = server.get("/v1/system_audit_log", &token, "");
    let types = log.as_array().unwrap().iter().map(|entry| &entry["type"]);
    let of_type = |name: &str| types.clone().filter(|of| **of == name).count();
    assert_eq!(of_type("integration_added"), 1, "{log}");
    assert!(of_type("external_api_call") >= 2, "{log}");
}

#[test]
fn store_that_cannot_be_opened_is_named_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("redb://{}", folder.path().join(name).display());
    let in_use = url("keys.redb");
    let _server = Server::start(&["--store", &in_use]);
    fs::write(folder.path().join("notes.txt"), "hello").unwrap();
    for (store, fix) in [
        (in_use.clone(), "stop the other process"),
        (url("notes.txt"), "name another file"),
        (url("no/such/folder/keys.redb"), "the folder must exist"),
    ] {
        let error = start_error(&["--listen", "127.0.0.1:0", "--store", &store], &[]);
        let path = store.strip_prefix("redb://").unwrap();
        assert!(error.contains(path) && error.contains(fix), "{error}");
    }
}

#[test]
fn sigterm_and_sigint_stop_the_program_cleanly() {
    for signal in ["TERM", "INT"] {
        let (status, took) = Server::start(&[]).stop(signal);
        assert_eq!(status.code(), Some(0), "{signal}: {status}");
        assert!(took < Duration::from_secs(3), "{signal}: {took:?}");
    }
}

#[test]
fn stalled_client_does_not_prevent_a_stop() {
    let whole = "GET /v1/utils/authtest HTTP/1.1\r\nhost: x\r\n\r\n";
    for (kept, sent) in [
        ("silent", ""),
        ("idle", whole),
        ("half a head", "GET /v1/utils/authtest HTTP/1.1\r\nhost:"),
        (
            "half a body",
            "POST /v1/api-keys HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
        ),
        ("half an HTTP/2 preface", "PRI * HTTP/2.0\r\n"),
    ] {
        let mut server = Server::start(&[]);
        let authorization = format!("authorization: Bearer {}\r\n\r\n", server.token());
        let sent = sent.replacen("\r\n\r\n", &format!("\r\n{authorization}"), 1);
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        if kept == "idle" {
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            assert_eq!(line, "HTTP/1.1 200 OK\r\n");
        }
        // Ensures that the connection is accepted before the signal.
        assert_eq!(server.authtest("ak_live_unknown"), 401);
        let (status, took) = server.stop("TERM");
        assert_eq!(status.code(), Some(0), "{kept}: {status}");
        assert!(took < Duration::from_secs(3), "{kept}: {took:?}");
    }
}

#[test]
fn closed_stdout_does_not_stop_the_program() {
    let mut child = program(&["--listen", "127.0.0.1:0"], &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut byte = [0];
    let mut stdout = child.stdout.take().unwrap();
    let mut line = Vec::new();
    while byte != *b"\n" {
        stdout.read_exact(&mut byte).unwrap();
        line.extend(byte);
    }
    drop(stdout);
    let line = String::from_utf8(line).unwrap();
    let address = line
        .trim_end()
        .strip_prefix("listening on http://")
        .unwrap();
    let (status, _) = get(
        address.parse().unwrap(),
        "/v1/utils/authtest",
        "ak_live_unknown",
        "",
    );
    assert_eq!(status, 401);
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn help_names_every_flag_and_its_variable() {
    let help = program(&["--help"], &[]).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    for name in [
        "listen",
        "store",
        "jwks",
        "issuer",
        "authorized-party",
        "trusted-proxies",
    ] {
        let variable = format!("COVERBASE_{}", name.to_uppercase().replace('-', "_"));
        assert!(
            help.contains(&format!("--{name} ")) && help.contains(&variable),
            "{help}"
        );
    }
}
