//! hyper without a framework, over real connections of both protocols.

use std::net::SocketAddr;

use bytes::Bytes;
use coverbase_auth::{ApiKey, Environment, IpAllowlist, KeyRecord, MemoryStore, Scope};
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::examples::hyper::serve;

async fn start() -> (MemoryStore, SocketAddr) {
    let store = MemoryStore::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, store.clone()));
    (store, address)
}

/// The answer to one request on a connection of its own.
async fn answer(
    address: SocketAddr,
    version: Version,
    request: Request<Empty<Bytes>>,
) -> (u16, String) {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let response: Response<hyper::body::Incoming> = if version == Version::HTTP_2 {
        let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    assert_eq!(response.version(), version);
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    key: Option<&ApiKey>,
) -> Request<Empty<Bytes>> {
    let uri = format!("http://{address}{path}");
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header("host", address.to_string());
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {}", key.expose_secret()));
    }
    request.body(Empty::new()).unwrap()
}

#[tokio::test]
async fn http1_and_http2_are_served_behind_the_layer() {
    let (store, address) = start().await;
    let [reader, writer] = [(); 2].map(|()| ApiKey::generate(Environment::Live));
    store.insert(&reader, KeyRecord::new("ak_reader", "org_acme"));
    let write = Scope::from_static("reports:write");
    store.insert(
        &writer,
        KeyRecord::new("ak_writer", "org_acme").with_scopes([write]),
    );
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (method, path, key, expected) in [
            ("GET", "/health", None, (200, "for anonymous")),
            ("GET", "/v1/reports", None, (401, "Not authenticated")),
            ("GET", "/v1/reports", Some(&reader), (200, "for ak_reader")),
            (
                "POST",
                "/v1/reports",
                Some(&reader),
                (403, "insufficient_scope"),
            ),
            ("POST", "/v1/reports", Some(&writer), (200, "for ak_writer")),
        ] {
            let (status, body) =
                answer(address, version, request(address, method, path, key)).await;
            assert_eq!(status, expected.0, "{version:?} {method} {path}");
            assert!(
                body.contains(expected.1),
                "{version:?} {method} {path}: {body}"
            );
        }
    }
}

// C24
#[tokio::test]
async fn peer_of_the_connection_is_the_client_address() {
    let (store, address) = start().await;
    for (network, expected) in [("127.0.0.1/32", 200), ("203.0.113.0/24", 403)] {
        let key = ApiKey::generate(Environment::Live);
        let allowlist = IpAllowlist::parse([network]).unwrap();
        store.insert(
            &key,
            KeyRecord::new("ak_1", network).with_allowlist(allowlist),
        );
        let (status, _) = answer(
            address,
            Version::HTTP_11,
            request(address, "GET", "/v1/reports", Some(&key)),
        )
        .await;
        assert_eq!(status, expected, "{network}");
    }
}
