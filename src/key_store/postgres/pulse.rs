//! Whether the database answers anybody: how a statement that takes its time is told from one whose connection is dead.
//!
//! A connection over a cut cable says nothing, and goes on so when the cable is whole again: whoever waits for it waits in
//! vain, and keeps the place of one that would answer. So he who has waited for a while tries a new connection, one for all
//! who wait. If that is answered at once, the database is there, and only slow. If it is not, there is silence, and its end is
//! told to all; what they had asked is asked anew over the connection that has broken it. Were each to make one of his own, a
//! database that has just come back would have more to do than to answer.

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::server::Server;

/// How soon a new connection is answered, unless there is silence. Then the next is tried, which may get through where the one
/// before has been lost on its way.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long each of them is waited for: far longer than a connection to the other side of the world takes.
const LONGEST: Duration = Duration::from_secs(2);

/// How long the connection that has broken a silence is there for whoever hears of it late.
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Pulse {
    line: Line,
    state: Mutex<State>,
    /// Whoever holds it tries for all.
    trying: tokio::sync::Mutex<()>,
    /// What has broken the last silence.
    silence_broken: watch::Sender<Weak<Client>>,
}

/// How a connection is made.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) server: Server,
    pub(super) connector: MakeRustlsConnect,
    /// The statements that it begins with.
    pub(super) session: String,
}

struct State {
    last_answer: Instant,
    silent_since: Option<Instant>,
}

enum Answer {
    Connection(Client),
    Refusal,
}

impl Pulse {
    pub(super) fn new(line: Line) -> Self {
        Self {
            line,
            state: Mutex::new(State {
                last_answer: Instant::now(),
                silent_since: None,
            }),
            trying: tokio::sync::Mutex::default(),
            silence_broken: watch::Sender::default(),
        }
    }

    /// The database has answered somebody just now, on a connection that was made then. If that was before the silence, there
    /// was none but a pause, and the others will be answered too.
    pub(super) fn answered(&self, made_at: Instant) {
        let silent_since = self.end_silence();
        if silent_since.is_some_and(|silent_since| silent_since < made_at) {
            self.silence_broken.send_replace(Weak::new());
        }
    }

    /// Completes when a silence ends that somebody has found out; with the connection that has broken it, if it was made to find
    /// that out, and is there still.
    pub(super) async fn silence_broken(&self) -> Option<Arc<Client>> {
        let mut broken = self.silence_broken.subscribe();
        // It is never closed: its sender lives as long as this.
        let _ = broken.changed().await;
        broken.borrow().upgrade()
    }

    /// Finds out whether there is silence, and when it ends, whenever nobody has been answered for as long as `patience`.
    pub(super) async fn listen(&self, patience: Duration) -> Infallible {
        let mut pause = patience;
        loop {
            sleep(pause).await;
            pause *= 2;
            let doubted_at = Instant::now();
            if self.has_answered_since(doubted_at - patience) {
                continue;
            }
            let _for_all = self.trying.lock().await;
            if !self.has_answered_since(doubted_at) {
                let answer = self.until_it_answers().await;
                self.heard(answer);
            }
        }
    }

    pub(super) fn has_answered_since(&self, moment: Instant) -> bool {
        self.state().last_answer >= moment
    }

    async fn until_it_answers(&self) -> Answer {
        let mut attempts = JoinSet::new();
        loop {
            attempts.spawn(timeout(LONGEST, self.line.clone().answer()));
            let answer = async {
                while let Some(attempt) = attempts.join_next().await {
                    if let Ok(Ok(Some(answer))) = attempt {
                        return answer;
                    }
                }
                pending().await
            };
            match timeout(INTERVAL, answer).await {
                Ok(answer) => return answer,
                Err(_elapsed) => {
                    let mut state = self.state();
                    state.silent_since = Some(state.last_answer);
                }
            }
        }
    }

    fn heard(&self, answer: Answer) {
        if self.end_silence().is_none() {
            return;
        }
        let connection = match answer {
            Answer::Connection(client) => {
                let connection = Arc::new(client);
                let for_all = Arc::downgrade(&connection);
                tokio::spawn(async move {
                    sleep(LINGER).await;
                    drop(connection);
                });
                for_all
            }
            Answer::Refusal => Weak::new(),
        };
        self.silence_broken.send_replace(connection);
    }

    /// Since when there was silence until this answer.
    fn end_silence(&self) -> Option<Instant> {
        let mut state = self.state();
        state.last_answer = Instant::now();
        state.silent_since.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// `None`: nobody was there.
    async fn answer(self) -> Option<Answer> {
        let config = self.server.config();
        match config.connect(self.connector).await {
            Ok((client, wire)) => {
                tokio::spawn(wire);
                client.batch_execute(&self.session).await.ok()?;
                Some(Answer::Connection(client))
            }
            Err(error) => error.as_db_error().map(|_| Answer::Refusal),
        }
    }
}
