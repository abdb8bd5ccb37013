//! What lies between a service and its database, and goes wrong.

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
pub(super) enum Weather {
    /// What comes in goes out.
    Fair,
    /// Connections stay open, and nothing comes through them any more, nor through new ones: a cable is cut.
    Silent,
    /// Connections are closed, and new ones as soon as they are made: the server is gone.
    Refusing,
}

/// A proxy on a port of its own.
pub(super) struct Proxy {
    pub(super) port: u16,
    weather: Arc<watch::Sender<Weather>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(super) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let weather = Arc::new(watch::Sender::new(Weather::Fair));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, Arc::clone(&weather)));
        Self {
            port,
            weather,
            _tasks: tasks,
        }
    }

    pub(super) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn accept(listener: TcpListener, server: u16, weather: Arc<watch::Sender<Weather>>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let weather = weather.subscribe();
        connections.spawn(carry(client, server, weather));
    }
}

/// A connection that a silent time has caught stays silent when the weather is fair again.
async fn carry(client: TcpStream, server: u16, mut weather: watch::Receiver<Weather>) {
    let now = *weather.borrow_and_update();
    match now {
        Weather::Fair => {}
        Weather::Refusing => return,
        Weather::Silent => return stay_silent(client).await,
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (there, back) = (weather.clone(), weather.clone());
    tokio::select! {
        () = copy(&mut from_client, &mut to_server, there) => return,
        () = copy(&mut from_server, &mut to_client, back) => return,
        _ = weather.changed() => {}
    }
    let now = *weather.borrow();
    if now == Weather::Silent {
        let client = from_client.reunite(to_client).unwrap();
        stay_silent(client).await;
        drop((from_server, to_server));
    }
}

/// What comes in after the weather has changed does not go out, however late the change is noticed elsewhere.
async fn copy(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if weather.has_changed().unwrap_or(true) {
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
