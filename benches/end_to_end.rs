//! Requests over loopback, on hyper and on axum, with the layer and without it: ratios of throughput and of the server's
//! processor time. It stops by itself: `cargo bench --bench end_to_end >benches/results/end_to_end.tsv`.

#[path = "support/race.rs"]
mod race;
#[path = "support/mod.rs"]
mod support;

use std::{
    convert::Infallible,
    error::Error,
    future::{Ready, ready},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use bytes::Bytes;
use coverbase_auth::{CoverbaseAuthLayer, KeyDigest, KeyStore, Lookup, MemoryStore, StoreError};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use race::{is_test, median, print, thread_nanoseconds};
use support::{key, layer, store};
use tower::{Layer, Service, service_fn};

const CONNECTIONS: usize = 8;

fn main() {
    stay_on(0);
    let on_hyper = || service_fn(answer);
    let on_axum = || {
        Router::new().route("/", get(async || "hello")).route(
            "/processor-time",
            get(async || thread_nanoseconds().to_string()),
        )
    };
    let mut loads = [
        ("hyper", listen(on_hyper()), 0),
        (
            "hyper, with the layer",
            listen(layer(1000).layer(on_hyper())),
            0,
        ),
        ("axum", listen(on_axum()), 0),
        (
            "axum, with the layer",
            listen(layer(1000).layer(on_axum())),
            0,
        ),
        (
            "axum, with a store that fails",
            listen(CoverbaseAuthLayer::new(Failing::new()).layer(on_axum())),
            1,
        ),
    ]
    .map(|(name, address, number)| (name, Load::connect(address, number), Vec::new()));

    // Many short rounds: what disturbs the machine falls on a few of them, and on all of the servers alike.
    let (rounds, turns) = if is_test() { (1, 1) } else { (200, 60) };
    for _ in 0..rounds {
        for (_, load, costs) in &mut loads {
            costs.push(load.run(turns));
        }
    }
    let of = |measure: fn(&Cost) -> f64| {
        let median_of = |costs: &[Cost]| median(costs.iter().map(measure).collect());
        loads
            .each_ref()
            .map(|(name, _, costs)| ((*name).to_owned(), median_of(costs)))
    };
    print(
        "end to end: requests a second",
        &of(|cost| cost.requests_a_second),
    );
    print(
        "end to end: nanoseconds of the server's processor a request",
        &of(|cost| cost.server_nanoseconds),
    );
}

/// The inner service on hyper. It tells how much processor time its thread has had.
fn answer(request: Request<Incoming>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::new(Full::from(match request.uri().path() {
        "/processor-time" => thread_nanoseconds().to_string().into(),
        _ => Bytes::from_static(b"hello"),
    }))))
}

/// A store that knows one key, and cannot answer for others.
#[derive(Debug)]
struct Failing {
    known: MemoryStore,
    error: StoreError,
}

impl Failing {
    fn new() -> Self {
        let (known, error) = (store(1), StoreError::new("down"));
        Self { known, error }
    }
}

impl KeyStore for Failing {
    fn lookup(&self, digest: &KeyDigest) -> Lookup {
        if *digest == key(0).digest() {
            self.known.lookup(digest)
        } else {
            Lookup::ready(Err(self.error.clone()))
        }
    }
}

/// Serves HTTP/1.1 on a thread of its own until the process ends.
fn listen<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        stay_on(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    address
}

/// The client has a processor and the servers another one: a server that is put beside the client halves its own
/// throughput. Where that is not to be had, the system decides.
fn stay_on(processor: usize) {
    let mut processors = CpuSet::new();
    let chosen = processors.set(processor);
    let _ = chosen.and_then(|()| sched_setaffinity(Pid::from_raw(0), &processors));
}

struct Cost {
    requests_a_second: f64,
    server_nanoseconds: f64,
}

/// Some connections, on each of which one request is under way.
struct Load {
    connections: Vec<TcpStream>,
    request: String,
}

impl Load {
    fn connect(address: SocketAddr, number: u64) -> Self {
        let connect = |_| {
            let stream = TcpStream::connect(address).expect("a listener");
            stream.set_nodelay(true).expect("a socket");
            stream
                .set_read_timeout(Some(Duration::from_secs(10)))
                .expect("a socket");
            stream
        };
        Self {
            connections: (0..CONNECTIONS).map(connect).collect(),
            request: request("/", number),
        }
    }

    fn run(&mut self, turns: usize) -> Cost {
        let (started, spent) = (Instant::now(), self.processor_time());
        for _ in 0..turns {
            for connection in &mut self.connections {
                connection
                    .write_all(self.request.as_bytes())
                    .expect("a listener");
            }
            for connection in &mut self.connections {
                body_of_answer(connection);
            }
        }
        let requests = (turns * CONNECTIONS) as f64;
        let seconds = started.elapsed().as_secs_f64();
        Cost {
            requests_a_second: requests / seconds,
            server_nanoseconds: (self.processor_time() - spent) / requests,
        }
    }

    fn processor_time(&mut self) -> f64 {
        let connection = &mut self.connections[0];
        connection
            .write_all(request("/processor-time", 0).as_bytes())
            .expect("a listener");
        body_of_answer(connection).parse().expect("nanoseconds")
    }
}

fn request(path: &str, number: u64) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: curl/8.5.0\r\naccept: */*\r\n\
         authorization: Bearer {}\r\n\r\n",
        key(number).expose_secret()
    )
}

fn body_of_answer(connection: &mut TcpStream) -> String {
    let (mut answer, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let read = connection.read(&mut buffer).expect("an answer in time");
        answer.push_str(str::from_utf8(&buffer[..read]).expect("text"));
        let Some((head, body)) = answer.split_once("\r\n\r\n") else {
            continue;
        };
        let len = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len()
            == len
                .and_then(|len| len.parse::<usize>().ok())
                .expect("a length")
        {
            return body.to_owned();
        }
    }
}
