//! Whether the database answers anybody: how a statement that takes its time is told from one whose connection is dead.
//!
//! A connection over a cut cable says nothing, and goes on so when the cable is whole again: whoever waits for it waits in
//! vain, and keeps the place of one that would answer. So he who has waited for a while tries a new connection, one for all
//! who wait. If that is answered soon, the database is there: slow, or reached by another way than before, so that connections
//! which nobody uses may be dead. If it is not, there is silence, and its end is told to all; what they had asked is asked anew
//! over the connection that has broken it. Were each to make one of his own, a database that has just come back would have more
//! to do than to answer.

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use deadpool_postgres::Pool;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::server::Server;

/// From one new connection that is tried to the next, at the least: it may get through where the one before has been lost.
const INTERVAL: Duration = Duration::from_millis(50);

/// How many are tried at a time.
const ATTEMPTS: u32 = 4;

/// How soon a new connection is answered at the latest, unless there is silence: this, or four times as long as it usually takes.
const SILENCE: Duration = Duration::from_millis(250);

/// How long the connection that has broken a silence is there for whoever hears of it late.
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Pulse {
    line: Line,
    pool: Pool,
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
    /// Of those, the last on a connection that was there already.
    last_old_answer: Instant,
    silent_since: Option<Instant>,
    /// How long a new connection takes.
    connecting: Duration,
}

enum Answer {
    Connection(Client),
    Refusal,
}

impl Pulse {
    pub(super) fn new(line: Line, pool: Pool) -> Self {
        let now = Instant::now();
        Self {
            line,
            pool,
            state: Mutex::new(State {
                last_answer: now,
                last_old_answer: now,
                silent_since: None,
                connecting: Duration::ZERO,
            }),
            trying: tokio::sync::Mutex::default(),
            silence_broken: watch::Sender::default(),
        }
    }

    /// A new connection has taken so long.
    pub(super) fn connected_in(&self, time: Duration) {
        let mut state = self.state();
        state.connecting = time.max(state.connecting / 2);
    }

    /// The database has answered somebody just now, on a connection that was made then. If that was before the silence, there
    /// was none but a pause, and the others will be answered too.
    pub(super) fn answered(&self, made_at: Instant) {
        let silent_since = {
            let mut state = self.state();
            state.last_old_answer = Instant::now();
            state.end_silence()
        };
        if silent_since.is_some_and(|silent_since| silent_since < made_at) {
            self.silence_broken.send_replace(Weak::new());
        }
    }

    /// Whether connections that were there are alive.
    pub(super) fn has_answered_since(&self, moment: Instant) -> bool {
        self.state().last_old_answer >= moment
    }

    /// Lets go of the connections that have been made before, as far as nobody uses them just now.
    pub(super) fn retire_idle(&self, made_before: Instant) {
        self.pool
            .retain(|_, metrics| metrics.created >= made_before);
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
            let began_at = Instant::now();
            sleep(pause).await;
            pause *= 2;
            let doubted_at = Instant::now();
            if self.state().last_answer >= began_at.max(doubted_at - patience) {
                continue;
            }
            let _for_all = self.trying.lock().await;
            if self.state().last_answer < doubted_at
                && let Some(answer) = self.until_it_answers(doubted_at).await
            {
                self.heard(answer, doubted_at);
            }
        }
    }

    /// `None`: somebody who had asked before has been answered meanwhile.
    async fn until_it_answers(&self, doubted_at: Instant) -> Option<Answer> {
        let connecting = self.state().connecting;
        let interval = INTERVAL.max(connecting / 2);
        let silence = SILENCE.max(connecting * 4);
        let mut attempts = JoinSet::new();
        while self.state().last_answer < doubted_at {
            let attempt = timeout(interval * ATTEMPTS, self.line.clone().answer());
            attempts.spawn(async move {
                let began_at = Instant::now();
                Some((attempt.await.ok()??, began_at.elapsed()))
            });
            let answer = async {
                while let Some(attempt) = attempts.join_next().await {
                    if let Ok(Some(answer)) = attempt {
                        return answer;
                    }
                }
                pending().await
            };
            if let Ok((answer, time)) = timeout(interval, answer).await {
                self.connected_in(time);
                return Some(answer);
            }
            if doubted_at.elapsed() >= silence {
                let mut state = self.state();
                state.silent_since = state.silent_since.or(Some(state.last_answer));
            }
        }
        None
    }

    fn heard(&self, answer: Answer, doubted_at: Instant) {
        if self.state().end_silence().is_none() {
            return self.retire_idle(doubted_at);
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Since when there was silence until now.
    fn end_silence(&mut self) -> Option<Instant> {
        self.last_answer = Instant::now();
        self.silent_since.take()
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
