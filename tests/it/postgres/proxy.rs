//! A network link that fails.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Data is forwarded.
    Up,
    /// Connections stay open and new ones are accepted, but no data is forwarded: a cable is cut.
    Silent,
    /// Connections are closed, and new ones as soon as they are accepted: the server is down.
    Closed,
}

/// A proxy of a server, on its own port.
pub(super) struct Proxy {
    pub(super) port: u16,
    link: Arc<watch::Sender<Link>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(super) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let link = Arc::new(watch::Sender::new(Link::Up));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, Arc::clone(&link)));
        Self {
            port,
            link,
            _tasks: tasks,
        }
    }

    pub(super) fn set(&self, link: Link) {
        self.link.send_replace(link);
    }
}

async fn accept(listener: TcpListener, server: u16, link: Arc<watch::Sender<Link>>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let link = link.subscribe();
        connections.spawn(carry(client, server, link));
    }
}

/// A connection that was open during a silence stays silent afterwards.
async fn carry(client: TcpStream, server: u16, mut link: watch::Receiver<Link>) {
    let now = *link.borrow_and_update();
    match now {
        Link::Up => {}
        Link::Closed => return,
        Link::Silent => return stay_silent(client).await,
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (there, back) = (link.clone(), link.clone());
    tokio::select! {
        () = copy(&mut from_client, &mut to_server, there) => return,
        () = copy(&mut from_server, &mut to_client, back) => return,
        _ = link.changed() => {}
    }
    let now = *link.borrow();
    if now == Link::Silent {
        let client = from_client.reunite(to_client).unwrap();
        stay_silent(client).await;
        drop((from_server, to_server));
    }
}

/// Does not forward data that arrives after the link has changed, even if the change is noticed later elsewhere.
async fn copy(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, link: watch::Receiver<Link>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if link.has_changed().unwrap_or(true) {
            return std::future::pending().await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn stay_silent(_client: TcpStream) {
    tokio::time::sleep(Duration::from_secs(3600)).await;
}
