//! WebSockets through `GuardedRouter`, over HTTP/1.1 and HTTP/2, with real clients.

use std::net::SocketAddr;

use axum::{
    extract::{WebSocketUpgrade, ws::Message as ServerMessage},
    response::Response,
};
use bytes::Bytes;
use coverbase_auth::{CoverbaseAuthLayer, GuardedRouter, Principal, Requirement, Scope};
use futures_util::{SinkExt, StreamExt};
use http::{Method, Request};
use http_body_util::Empty;
use hyper::{client::conn::http2, ext::Protocol};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::support::{KEY, record, store};

/// Answers each message with the id of the caller.
async fn echo(caller: Principal, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        while let Some(Ok(ServerMessage::Text(_))) = socket.recv().await {
            let answer = ServerMessage::text(caller.id());
            socket.send(answer).await.unwrap();
        }
    })
}

async fn start() -> SocketAddr {
    let auth = CoverbaseAuthLayer::new(store(record().with_scopes([Scope::AUDIT_READ])));
    let app = GuardedRouter::new()
        .any("/open", Requirement::scope(Scope::AUDIT_READ), echo)
        .any("/closed", Requirement::scope(Scope::KEYS_MANAGE), echo)
        .protected_by(auth);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let mut server = auto::Builder::new(TokioExecutor::new());
                server.http2().enable_connect_protocol();
                let stream = TokioIo::new(stream);
                server
                    .serve_connection_with_upgrades(stream, service)
                    .await
                    .unwrap();
            });
        }
    });
    address
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> String {
    socket.send(Message::text("who am I?")).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap();
    answer.into_text().unwrap().to_string()
}

fn bearer(has_key: bool) -> Option<String> {
    has_key.then(|| format!("Bearer {KEY}"))
}

#[tokio::test]
async fn websocket_over_http1_is_authenticated_and_authorized() {
    let address = start().await;
    let connect = async |path: &str, has_key: bool| {
        let mut request = Request::get(format!("ws://{address}{path}"))
            .header("host", address.to_string())
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        if let Some(bearer) = bearer(has_key) {
            request = request.header("authorization", bearer);
        }
        let stream = TcpStream::connect(address).await.unwrap();
        tokio_tungstenite::client_async(request.body(()).unwrap(), stream).await
    };
    let (mut socket, _) = connect("/open", true).await.unwrap();
    assert_eq!(ask(&mut socket).await, record().key_id().as_str());
    for (path, has_key, expected) in [("/closed", true, 403), ("/open", false, 401)] {
        let error = connect(path, has_key).await.unwrap_err();
        let tokio_tungstenite::tungstenite::Error::Http(response) = error else {
            panic!("not an HTTP answer: {error}");
        };
        assert_eq!(response.status(), expected, "{path}");
    }
}

// RFC 8441
#[tokio::test]
async fn websocket_over_http2_is_authenticated_and_authorized() {
    let address = start().await;
    let connect = async |path: &str, has_key: bool| {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        // With an answer, the settings of the server have arrived, which allow the extended CONNECT.
        let first = Request::get(format!("http://{address}/")).body(Empty::<Bytes>::new());
        assert_eq!(
            sender.send_request(first.unwrap()).await.unwrap().status(),
            401
        );
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{address}{path}"))
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"));
        if let Some(bearer) = bearer(has_key) {
            request = request.header("authorization", bearer);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        (sender.send_request(request).await.unwrap(), sender)
    };
    let (response, _sender) = connect("/open", true).await;
    assert_eq!(response.status(), 200);
    let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    assert_eq!(ask(&mut socket).await, record().key_id().as_str());
    for (path, has_key, expected) in [("/closed", true, 403), ("/open", false, 401)] {
        let (response, _sender) = connect(path, has_key).await;
        assert_eq!(response.status(), expected, "{path}");
    }
}
