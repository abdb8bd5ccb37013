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

/// The servers, with the least throughput that the layer may leave.
const SERVERS: [(&str, f64); 4] = [
    ("hyper", 0.97),
    ("axum, around the Router", 0.96),
    ("axum, Router::layer", 0.96),
    ("tonic", 0.97),
];

/// What one request costs: without the layer, and with it.
type Round = [Cost; 2];

struct Cost {
    requests_per_second: f64,
    server_nanoseconds: f64,
}

fn main() {
    stay_on(0);
    // Where the memory of a server lies changes its throughput by some percent, so each server is started several times.
    // The rounds are short, so that a disturbance of the machine affects few of them.
    let (starts, rounds, turns) = if is_test() { (1, 1, 1) } else { (20, 20, 50) };
    let mut measured: [Vec<Round>; 4] = Default::default();
    for start in 0..starts {
        let mut servers = start_servers(start % 2 == 0);
        for round in 0..rounds {
            for (loads, measured) in servers.iter_mut().zip(&mut measured) {
                measured.push(run(loads, turns, round % 2 == 0));
            }
        }
    }
    print_heading(
        "End to end: a server with the layer, to the same server without it",
        &[
            "throughput",
            "server CPU per request",
            "requests/s without it",
            "server CPU without it, ns",
        ],
    );
    for ((name, least), rounds) in SERVERS.into_iter().zip(&measured) {
        print(name, least, rounds);
    }
}

/// Starts the servers of [`SERVERS`], each without the layer and with it. `bare_first` is their order, so that neither is
/// always the first one.
fn start_servers(bare_first: bool) -> [[Load; 2]; 4] {
    let hyper = || service_fn(hello);
    let axum = || Router::new().route("/", get(async || "hello"));
    let both = |bare: &dyn Fn() -> Load, with_layer: &dyn Fn() -> Load| {
        in_order(bare_first, bare, with_layer)
    };
    [
        both(&|| http1(hyper()), &|| http1(auth().layer(hyper()))),
        both(&|| http1(axum()), &|| http1(auth().layer(axum()))),
        both(&|| http1(axum()), &|| http1(axum().layer(auth()))),
        both(&|| grpc(None), &|| grpc(Some(auth()))),
    ]
}

fn run(loads: &mut [Load; 2], turns: usize, bare_first: bool) -> Round {
    let [bare, with_layer] = loads;
    in_order(bare_first, || bare.run(turns), || with_layer.run(turns))
}

fn in_order<T>(
    bare_first: bool,
    bare: impl FnOnce() -> T,
    with_layer: impl FnOnce() -> T,
) -> [T; 2] {
    if bare_first {
        let bare = bare();
        [bare, with_layer()]
    } else {
        let with_layer = with_layer();
        [bare(), with_layer]
    }
}

fn print(name: &str, least: f64, rounds: &[Round]) {
    let bare =
        |figure: fn(&Cost) -> f64| median(rounds.iter().map(|[bare, _]| figure(bare)).collect());
    let ratio = |figure: fn(&Cost) -> f64| {
        let ratios = rounds
            .iter()
            .map(|[bare, with_layer]| figure(with_layer) / figure(bare));
        median(ratios.collect())
    };
    let throughput = ratio(|cost| cost.requests_per_second);
    let processor = ratio(|cost| cost.server_nanoseconds);
    let bare = [
        bare(|cost| cost.requests_per_second),
        bare(|cost| cost.server_nanoseconds),
    ];
    print_row(name, &[throughput, processor, bare[0], bare[1]]);
    let name = format!("throughput with the layer, to without it: {name}");
    print_budget(&name, throughput, Limit::AtLeast(least));
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
