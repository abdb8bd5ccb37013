//! Requests over loopback to servers with the layer and without it: throughput, and the server's processor time per request.
//! `cargo bench --all-features --bench end_to_end`

#[path = "support/mod.rs"]
mod support;

use std::{
    convert::Infallible,
    error::Error,
    future::{Future, Ready, ready},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use bytes::Bytes;
use coverbase_auth::{CoverbaseAuthLayer, Requirement, Scope};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use support::{
    race::{Limit, is_test, median, print_budget, print_heading, print_row, thread_nanoseconds},
    requests::key,
    services::layer,
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle},
    task::JoinSet,
};
use tonic::{
    metadata::AsciiMetadataValue,
    transport::{Channel, Endpoint, server::TcpIncoming},
};
use tonic_health::{
    pb::{HealthCheckRequest, health_client::HealthClient},
    server::health_reporter,
};
use tower::{Layer, Service, service_fn};

/// Requests that are under way at the same time.
const CONCURRENT: usize = 8;

fn main() {
    stay_on(0);
    let mut pairs = [
        Pair::new(
            "hyper",
            0.97,
            http1(service_fn(hello)),
            http1(auth().layer(service_fn(hello))),
        ),
        Pair::new(
            "axum, around the Router",
            0.96,
            http1(on_axum()),
            http1(auth().layer(on_axum())),
        ),
        Pair::new(
            "axum, Router::layer",
            0.96,
            http1(on_axum()),
            http1(on_axum().layer(auth())),
        ),
        Pair::new("tonic", 0.97, grpc(None), grpc(Some(auth()))),
    ];
    // Many short rounds: a disturbance of the machine affects few of them, and both servers of a pair.
    let (rounds, turns) = if is_test() { (1, 1) } else { (300, 60) };
    for _ in 0..rounds {
        for pair in &mut pairs {
            pair.run(turns);
        }
    }
    print_heading(
        "End to end: a server with the layer, to the same server without it",
        &[
            "throughput",
            "server CPU per request",
            "requests/s without it",
        ],
    );
    pairs.iter().for_each(Pair::print);
}

/// A server without the layer and the same server with it.
struct Pair {
    name: &'static str,
    limit: f64,
    loads: [Load; 2],
    rounds: Vec<[Cost; 2]>,
}

struct Cost {
    requests_per_second: f64,
    server_nanoseconds: f64,
}

impl Pair {
    fn new(name: &'static str, limit: f64, bare: Load, with_layer: Load) -> Self {
        Self {
            name,
            limit,
            loads: [bare, with_layer],
            rounds: Vec::new(),
        }
    }

    fn run(&mut self, turns: usize) {
        let [bare, with_layer] = &mut self.loads;
        // Neither server is always the first one.
        let costs = if self.rounds.len().is_multiple_of(2) {
            let bare = bare.run(turns);
            [bare, with_layer.run(turns)]
        } else {
            let with_layer = with_layer.run(turns);
            [bare.run(turns), with_layer]
        };
        self.rounds.push(costs);
    }

    fn print(&self) {
        let throughput = self.ratio(|cost| cost.requests_per_second);
        let processor = self.ratio(|cost| cost.server_nanoseconds);
        let bare = self.rounds.iter().map(|[bare, _]| bare.requests_per_second);
        let bare = median(bare.collect());
        print_row(self.name, &[throughput, processor, bare]);
        let name = format!("throughput with the layer, to without it: {}", self.name);
        print_budget(&name, throughput, Limit::AtLeast(self.limit));
    }

    /// Returns the median, over the rounds, of the figure with the layer to the figure without it.
    fn ratio(&self, figure: fn(&Cost) -> f64) -> f64 {
        let rounds = self.rounds.iter();
        let ratios = rounds.map(|[bare, with_layer]| figure(with_layer) / figure(bare));
        median(ratios.collect())
    }
}

/// A server and its client.
struct Load {
    server: Server,
    /// Sends so many requests one after the other, at each of the concurrent places.
    send: Box<dyn FnMut(usize)>,
}

impl Load {
    fn run(&mut self, turns: usize) -> Cost {
        let (spent, started) = (self.server.nanoseconds(), Instant::now());
        (self.send)(turns);
        let seconds = started.elapsed().as_secs_f64();
        let requests = (turns * CONCURRENT) as f64;
        Cost {
            requests_per_second: requests / seconds,
            server_nanoseconds: (self.server.nanoseconds() - spent) / requests,
        }
    }
}

fn auth() -> CoverbaseAuthLayer {
    layer(1000).with_requirement(Requirement::scope(Scope::AUDIT_READ))
}

/// A server on a thread of its own, until the process ends.
struct Server {
    address: SocketAddr,
    runtime: Handle,
}

impl Server {
    fn start<F: Future>(serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            stay_on(1);
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                let runtime = Handle::current();
                sender.send(Self { address, runtime }).expect("a receiver");
                serve(listener).await;
            });
        });
        receiver.recv().expect("a server")
    }

    /// Returns the processor time that the server's thread has used.
    fn nanoseconds(&self) -> f64 {
        let (sender, receiver) = mpsc::channel();
        self.runtime
            .spawn(async move { sender.send(thread_nanoseconds()) });
        receiver.recv().expect("a running server")
    }
}

/// Keeps this thread on one processor: the client has one and the servers the other. Where that is not possible, the
/// system decides.
fn stay_on(processor: usize) {
    let mut processors = CpuSet::new();
    let chosen = processors.set(processor);
    let _ = chosen.and_then(|()| sched_setaffinity(Pid::from_raw(0), &processors));
}

fn hello(_: Request<Incoming>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::new(Full::from("hello"))))
}

fn on_axum() -> Router {
    Router::new().route("/", get(async || "hello"))
}

fn http1<S, B>(service: S) -> Load
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let server = Server::start(async move |listener: TcpListener| {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let mut connections = [(); CONCURRENT].map(|()| connect(server.address));
    let request = format!(
        "GET / HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: curl/8.5.0\r\naccept: */*\r\n\
         authorization: Bearer {}\r\n\r\n",
        key(0).expose_secret()
    );
    let send = Box::new(move |turns| {
        for _ in 0..turns {
            for connection in &mut connections {
                connection.write_all(request.as_bytes()).expect("a server");
            }
            connections.iter_mut().for_each(read_response);
        }
    });
    Load { server, send }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a server");
    stream.set_nodelay(true).expect("a socket");
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout).expect("a socket");
    stream
}

/// Reads one response. Every body is `hello`.
fn read_response(connection: &mut TcpStream) {
    let (mut buffer, mut len) = ([0; 4096], 0);
    while !buffer[..len].ends_with(b"hello") {
        let read = connection.read(&mut buffer[len..]);
        match read.expect("a response in time") {
            0 => panic!("{}", String::from_utf8_lossy(&buffer[..len])),
            read => len += read,
        }
    }
    assert!(buffer.starts_with(b"HTTP/1.1 200"));
}

/// Unary calls of the health service, over one HTTP/2 connection.
fn grpc(auth: Option<CoverbaseAuthLayer>) -> Load {
    let server = Server::start(async move |listener: TcpListener| {
        let (_, health) = health_reporter();
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let mut server = tonic::transport::Server::builder();
        match auth {
            Some(auth) => {
                server
                    .layer(auth)
                    .add_service(health)
                    .serve_with_incoming(incoming)
                    .await
            }
            None => {
                server
                    .add_service(health)
                    .serve_with_incoming(incoming)
                    .await
            }
        }
    });
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("a URL");
    let channel = runtime.block_on(endpoint.connect()).expect("a server");
    let send = Box::new(move |turns| {
        runtime.block_on(async {
            let calls = [(); CONCURRENT].map(|()| check_health(channel.clone(), turns));
            calls.into_iter().collect::<JoinSet<()>>().join_all().await;
        });
    });
    Load { server, send }
}

async fn check_health(channel: Channel, turns: usize) {
    let bearer = format!("Bearer {}", key(0).expose_secret());
    let bearer: AsciiMetadataValue = bearer.parse().expect("a metadata value");
    let mut client = HealthClient::new(channel);
    for _ in 0..turns {
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        request
            .metadata_mut()
            .insert("authorization", bearer.clone());
        client.check(request).await.expect("a response");
    }
}
