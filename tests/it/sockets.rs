//! The routes of the contract over TCP: requests that only a socket can send (C1–C4, C25, C29).

use std::net::SocketAddr;

use coverbase_auth::{ClientIpSource, Scope};
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::service::{ORG, Service};

const OK: (u16, &str) = (200, r#"{"msg":"Auth successful"}"#);
const NOT_AUTHENTICATED: (u16, &str) = (401, r#"{"detail":"Not authenticated"}"#);
const INVALID_KEY: (u16, &str) = (401, r#"{"detail":"Invalid or expired API key."}"#);
/// The answer of hyper to a request that is not HTTP.
const BAD_REQUEST: (u16, &str) = (400, "");

/// A service that listens until the end of the test.
struct Server {
    address: SocketAddr,
    key: String,
    session: String,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Server {
    async fn start(client_ip: ClientIpSource) -> Self {
        let service = Service::new().with_client_ip(client_ip);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = service.app();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let mut serving = JoinSet::new();
        serving.spawn(async { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            key: service.key(&[Scope::KEYS_MANAGE]),
            session: service.session("admin", ORG),
            _serving: serving,
        }
    }

    /// Sends `bytes` on a new connection and returns all answers.
    async fn exchange(&self, bytes: &[u8]) -> Vec<Answer> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The service may close the connection before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received).await;
        answers(&received)
    }

    /// Returns the answer to an `authtest` request with these header lines.
    async fn ask(&self, header_lines: &[u8]) -> Answer {
        let head = b"GET /v1/utils/authtest HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
        let request = [head, header_lines, b"\r\n"].concat();
        let mut answers = self.exchange(&request).await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }
}

/// Parses consecutive responses, each with a `content-length`.
fn answers(mut received: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !received.is_empty() {
        let end = received.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let (head, rest) = received.split_at(end.expect("a whole head") + 4);
        let head = str::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length: usize = length.unwrap().lines().next().unwrap().parse().unwrap();
        let (body, rest) = rest.split_at(length);
        answers.push(Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            body: str::from_utf8(body).unwrap().to_owned(),
            head,
        });
        received = rest;
    }
    answers
}

// C2, C3
#[tokio::test]
async fn authorization_line_is_parsed_strictly() {
    let server = Server::start(ClientIpSource::peer()).await;
    let key = server.key.as_str();
    let lines = |text: String| text.into_bytes();
    for (header_lines, expected) in [
        (lines(format!("authorization: Bearer {key}\r\n")), OK),
        (lines(format!("AUTHORIZATION: BEARER {key}\r\n")), OK),
        (lines(format!("Authorization: bearer {key}\r\n")), OK),
        (lines(format!("Authorization:bEaReR    {key} \t \r\n")), OK),
        (
            lines(format!("Authorization: Bearer {}\r\n", server.session)),
            OK,
        ),
        (lines(String::new()), NOT_AUTHENTICATED),
        (lines("Authorization:\r\n".to_owned()), NOT_AUTHENTICATED),
        (
            lines("Authorization: Bearer\r\n".to_owned()),
            NOT_AUTHENTICATED,
        ),
        (
            lines("Authorization: Bearer  \r\n".to_owned()),
            NOT_AUTHENTICATED,
        ),
        (
            lines(format!("Authorization: Bearer{key}\r\n")),
            NOT_AUTHENTICATED,
        ),
        (
            lines(format!("Authorization: Bearer\t{key}\r\n")),
            NOT_AUTHENTICATED,
        ),
        (
            lines(format!("Authorization: {key}\r\n")),
            NOT_AUTHENTICATED,
        ),
        (
            lines(format!("Authorization: Basic {key}\r\n")),
            NOT_AUTHENTICATED,
        ),
        (
            lines(format!("Authorization: Bearer {key} x\r\n")),
            NOT_AUTHENTICATED,
        ),
        (
            lines(format!("Authorization: Bearer {key},{key}\r\n")),
            NOT_AUTHENTICATED,
        ),
        (
            lines(format!("Authorization: Bearer \"{key}\"\r\n")),
            NOT_AUTHENTICATED,
        ),
        (
            lines(format!("Authorization: Bearer {key}é\r\n")),
            NOT_AUTHENTICATED,
        ),
        (
            [b"Authorization: Bearer ", key.as_bytes(), b"\xe9\r\n"].concat(),
            NOT_AUTHENTICATED,
        ),
        (
            lines(format!("Proxy-Authorization: Bearer {key}\r\n")),
            NOT_AUTHENTICATED,
        ),
        (lines(format!("X-Api-Key: {key}\r\n")), NOT_AUTHENTICATED),
        (
            lines(format!(
                "Cookie: __session={}; key={key}\r\n",
                server.session
            )),
            NOT_AUTHENTICATED,
        ),
        (
            lines(format!("Authorization: Bearer {key}x\r\n")),
            INVALID_KEY,
        ),
        (
            lines(format!("Authorization: Bearer {}\r\n", &key[1..])),
            INVALID_KEY,
        ),
    ] {
        let answer = server.ask(&header_lines).await;
        let shown = String::from_utf8_lossy(&header_lines);
        assert_eq!((answer.status, answer.body.as_str()), expected, "{shown:?}");
        let is_rejected = expected != OK;
        assert!(
            answer
                .head
                .contains("\r\ncontent-type: application/json\r\n"),
            "{shown:?}"
        );
        assert_eq!(
            answer
                .head
                .contains("\r\nwww-authenticate: bearer realm=\"coverbase\""),
            is_rejected
        );
    }
}

// C3
#[tokio::test]
async fn two_authorization_lines_are_malformed() {
    let server = Server::start(ClientIpSource::peer()).await;
    let good = format!("Authorization: Bearer {}\r\n", server.key);
    assert_eq!(server.ask(good.as_bytes()).await.status, 200);
    for second in [
        good.as_str(),
        "authorization: Bearer ak_live_unknown\r\n",
        "AUTHORIZATION: Basic eDp5\r\n",
        "Authorization:\r\n",
    ] {
        for lines in [
            format!("{good}{second}"),
            format!("{second}x-between: y\r\n{good}"),
        ] {
            let answer = server.ask(lines.as_bytes()).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                NOT_AUTHENTICATED,
                "{lines:?}"
            );
        }
    }
}

// C3: hyper rejects these before the layer sees them.
#[tokio::test]
async fn invalid_http_is_400() {
    let server = Server::start(ClientIpSource::peer()).await;
    let key = server.key.as_bytes();
    for header_lines in [
        [b"Authorization: Bearer\r\n ", key, b"\r\n"].concat(),
        [b"Authorization: Bearer ", key, b"\r\n\tx\r\n"].concat(),
        [b"Authorization: Bearer ", key, b"\0\r\n"].concat(),
        [b"Authorization: Bearer \0", key, b"\r\n"].concat(),
        [b"Authorization: Bearer ", key, b"\x01\r\n"].concat(),
        [b"Authorization: Bearer ", key, b"\x7f\r\n"].concat(),
        [b"Authorization: Bearer ", key, b"\rx: y\r\n"].concat(),
        [b"Authorization : Bearer ", key, b"\r\n"].concat(),
        [b" Authorization: Bearer ", key, b"\r\n"].concat(),
        [b"Authorization\0: Bearer ", key, b"\r\n"].concat(),
    ] {
        let answer = server.ask(&header_lines).await;
        let shown = String::from_utf8_lossy(&header_lines);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            BAD_REQUEST,
            "{shown:?}"
        );
        let good = [b"Authorization: Bearer ", key, b"\r\n"].concat();
        assert_eq!(server.ask(&good).await.status, 200);
    }
}

// C3, T14
#[tokio::test]
async fn token_over_8_kib_is_malformed() {
    let server = Server::start(ClientIpSource::peer()).await;
    for (len, expected) in [
        (8 * 1024, INVALID_KEY),
        (8 * 1024 + 1, NOT_AUTHENTICATED),
        (64 * 1024, NOT_AUTHENTICATED),
    ] {
        let line = format!("Authorization: Bearer ak_{}\r\n", "x".repeat(len - 3));
        let answer = server.ask(line.as_bytes()).await;
        assert_eq!((answer.status, answer.body.as_str()), expected, "{len}");
    }
}

// C3
#[tokio::test]
async fn credential_in_the_request_target_is_ignored() {
    let server = Server::start(ClientIpSource::peer()).await;
    let key = &server.key;
    for (target, header, expected) in [
        (
            format!("/v1/utils/authtest?access_token={key}&api_key={key}"),
            String::new(),
            401,
        ),
        (
            format!("http://{key}@x/v1/utils/authtest"),
            String::new(),
            401,
        ),
        (
            "http://elsewhere/v1/utils/authtest".to_owned(),
            format!("authorization: Bearer {key}\r\n"),
            200,
        ),
        ("*".to_owned(), String::new(), 401),
    ] {
        let method = if target == "*" { "OPTIONS" } else { "GET" };
        let request =
            format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
        let answers = server.exchange(request.as_bytes()).await;
        assert_eq!(answers[0].status, expected, "{request}");
    }
}

// C25, C26, C37
#[tokio::test]
async fn forwarded_lines_are_one_list_in_order() {
    let server = Server::start(ClientIpSource::trusted_proxies(1)).await;
    for (lines, expected) in [
        (
            &b"X-Forwarded-For: 192.0.2.66\r\nX-Forwarded-For: 203.0.113.42\r\n"[..],
            r#""203.0.113.42""#,
        ),
        (
            b"X-Forwarded-For: 203.0.113.42\r\nx-forwarded-for: 192.0.2.66\r\n",
            r#""192.0.2.66""#,
        ),
        (
            b"x-forwarded-for: a\r\nX-Other: b\r\nX-FORWARDED-FOR: c, [::ffff:203.0.113.42]:9 \r\n",
            r#""203.0.113.42""#,
        ),
        (
            b"X-Forwarded-For: \xff\xfe\r\nX-Forwarded-For: 2001:DB8::1\r\n",
            r#""2001:db8::1""#,
        ),
        (
            b"X-Forwarded-For: 203.0.113.42\r\nX-Forwarded-For:\r\n",
            "null",
        ),
        (
            b"X-Forwarded-For: 203.0.113.42\r\nX-Forwarded-For: \xff\r\n",
            "null",
        ),
        (
            b"Forwarded: for=203.0.113.42\r\nX-Real-IP: 203.0.113.42\r\n",
            "null",
        ),
        (b"", "null"),
    ] {
        let head = format!(
            "GET /v1/whoami/ip HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n",
            server.key
        );
        let request = [head.as_bytes(), lines, b"\r\n"].concat();
        let answers = server.exchange(&request).await;
        let body = format!(r#"{{"client_ip":{expected}}}"#);
        assert_eq!((answers[0].status, &answers[0].body), (200, &body));
    }
}

// C25
#[tokio::test]
async fn client_address_is_the_peer_by_default() {
    let server = Server::start(ClientIpSource::trusted_proxies(0)).await;
    let request = format!(
        "GET /v1/whoami/ip HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: 203.0.113.42\r\nauthorization: Bearer {}\r\n\r\n",
        server.key
    );
    let answers = server.exchange(request.as_bytes()).await;
    assert_eq!(answers[0].body, r#"{"client_ip":"127.0.0.1"}"#);
}

// C1: requests are authenticated, not connections.
#[tokio::test]
async fn pipelined_requests_are_authenticated_one_by_one() {
    let server = Server::start(ClientIpSource::peer()).await;
    let request =
        |header: &str| format!("GET /v1/utils/authtest HTTP/1.1\r\nhost: x\r\n{header}\r\n");
    let good = format!("authorization: Bearer {}\r\n", server.key);
    let pipelined = [
        request(&good),
        request(""),
        request("authorization: Bearer ak_live_unknown\r\n"),
        request(&good),
        request("connection: close\r\n"),
    ];
    let answers = server.exchange(pipelined.concat().as_bytes()).await;
    let seen: Vec<_> = answers
        .iter()
        .map(|answer| (answer.status, answer.body.as_str()))
        .collect();
    assert_eq!(
        seen,
        [OK, NOT_AUTHENTICATED, INVALID_KEY, OK, NOT_AUTHENTICATED]
    );
}

// C1
#[tokio::test]
async fn body_of_a_rejected_request_is_not_read_as_the_next_request() {
    let server = Server::start(ClientIpSource::peer()).await;
    let good = format!("authorization: Bearer {}\r\n", server.key);
    let smuggled = format!("GET /v1/utils/authtest HTTP/1.1\r\nhost: x\r\n{good}\r\n");
    let post = |framing: &str, body: &str| {
        format!("POST /v1/api-keys HTTP/1.1\r\nhost: x\r\n{framing}\r\n{body}")
    };
    let sized = post(
        &format!("content-length: {}\r\n", smuggled.len()),
        &smuggled,
    );
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let chunked = post("transfer-encoding: chunked\r\n", &chunk);
    let last = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    for rejected in [sized, chunked] {
        let answers = server
            .exchange(format!("{rejected}{last}").as_bytes())
            .await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert!(!statuses.is_empty() && statuses.len() <= 2, "{answers:?}");
        assert!(statuses.iter().all(|status| *status == 401), "{answers:?}");
    }
    let both = post(
        &format!("content-length: 0\r\ntransfer-encoding: chunked\r\n{good}"),
        "0\r\n\r\n",
    );
    let answers = server.exchange(format!("{both}{last}").as_bytes()).await;
    assert!(
        answers.iter().all(|answer| answer.status >= 400),
        "{answers:?}"
    );
}

// C1, C3
#[tokio::test]
async fn http_2_follows_the_same_rules() {
    let server = Server::start(ClientIpSource::peer()).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);

    let key = format!("Bearer {}", server.key);
    let session = format!("bearer {}", server.session);
    for (credentials, expected) in [
        (vec![key.as_str()], OK),
        (vec![session.as_str()], OK),
        (vec![], NOT_AUTHENTICATED),
        (vec![&key, &key], NOT_AUTHENTICATED),
        (vec![&key, "Basic eDp5"], NOT_AUTHENTICATED),
        (vec!["Bearer ak_live_unknown"], INVALID_KEY),
        (vec![&key], OK),
    ] {
        let uri = format!("http://{}/v1/utils/authtest", server.address);
        let mut request = Request::builder().uri(uri).version(Version::HTTP_2);
        for credential in &credentials {
            request = request.header("authorization", *credential);
        }
        let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(response.headers()["content-type"], "application/json");
        let status = response.status();
        let is_challenged = response.headers().contains_key("www-authenticate");
        assert_eq!(is_challenged, status == StatusCode::UNAUTHORIZED);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            (status.as_u16(), str::from_utf8(&body).unwrap()),
            expected,
            "{credentials:?}"
        );
    }
}
