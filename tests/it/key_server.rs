//! An HTTP server of key sets on loopback, with TLS or without, whose replies a test sets and whose requests it counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Sends these bytes and closes the connection.
    Raw(String),
    /// Sends nothing and keeps the connection open.
    Silence,
    /// Sends a head and a body of one gibibyte.
    Gibibyte,
}

impl Reply {
    pub(crate) fn json(body: &str) -> Self {
        Self::with_status("200 OK", "", body)
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::with_status("302 Found", &format!("location: {location}\r\n"), "")
    }

    pub(crate) fn with_status(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Raw(format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}"
        ))
    }
}

type Answers = dyn Fn(&str) -> Reply + Send + Sync;

/// Clones share one server.
#[derive(Clone)]
pub(crate) struct KeyServer {
    address: SocketAddr,
    answers: Arc<Mutex<Arc<Answers>>>,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl KeyServer {
    /// Sends `reply` for every path.
    pub(crate) async fn new(reply: Reply) -> Self {
        Self::start(reply, None).await
    }

    /// Serves TLS with a self-signed certificate for `localhost`, which is returned in PEM.
    pub(crate) async fn with_tls(reply: Reply) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::from(key))
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        (Self::start(reply, Some(acceptor)).await, made.cert.pem())
    }

    async fn start(reply: Reply, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            answers: Arc::new(Mutex::new(Arc::new(move |_: &str| reply.clone()))),
            connections: Arc::default(),
            requests: Arc::default(),
            sent: Arc::default(),
        };
        tokio::spawn(server.clone().serve(listener, tls));
        server
    }

    /// Replaces the replies.
    pub(crate) fn answer_with(&self, answers: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        *self.answers.lock().unwrap() = Arc::new(answers);
    }

    pub(crate) fn answer(&self, reply: Reply) {
        self.answer_with(move |_| reply.clone());
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The bytes of bodies that have been written.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    async fn serve(self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        while let Ok((socket, _)) = listener.accept().await {
            self.connections.fetch_add(1, Ordering::SeqCst);
            let (server, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => server.converse(socket).await,
                    Some(tls) => {
                        if let Ok(socket) = tls.accept(socket).await {
                            server.converse(socket).await;
                        }
                    }
                }
            });
        }
    }

    async fn converse(self, mut socket: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match socket.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let head = String::from_utf8(head).unwrap();
        let answers = Arc::clone(&self.answers.lock().unwrap());
        match answers(head.split(' ').nth(1).unwrap()) {
            Reply::Raw(text) => {
                let _ = socket.write_all(text.as_bytes()).await;
                let _ = socket.shutdown().await;
            }
            Reply::Silence => std::future::pending().await,
            Reply::Gibibyte => {
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"keys\":[";
                let _ = socket.write_all(head.as_bytes()).await;
                let block = [b' '; 64 * 1024];
                for _ in 0..(1 << 30) / block.len() {
                    if socket.write_all(&block).await.is_err() {
                        break;
                    }
                    self.sent.fetch_add(block.len(), Ordering::SeqCst);
                }
            }
        }
    }
}

/// Keeps tokio's paused clock from advancing by itself when all tasks wait, for a socket for example: a running blocking
/// task prevents that.
pub(crate) struct Frozen {
    _until: mpsc::Sender<()>,
}

impl Frozen {
    pub(crate) fn new() -> Self {
        let (until, dropped) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || dropped.recv());
        Self { _until: until }
    }
}
