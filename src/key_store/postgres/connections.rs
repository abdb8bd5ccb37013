//! The connections that statements are sent on, and how long an answer may take.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, tokio_postgres::Row,
};
#[cfg(feature = "audit")]
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::{Client, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    config::PostgresConfig,
    failure::Failure,
    pulse::{Line, Pulse},
    schema,
};

/// How long an answer takes at the least before its connection is doubted, unless it may not even take as long.
const PATIENCE: Duration = Duration::from_millis(100);

/// The values of a statement's parameters.
pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(super) struct Connections {
    pool: Pool,
    /// How many readers there may be at a time who take long.
    #[cfg(feature = "audit")]
    long_readers: Semaphore,
    pulse: Pulse,
    schema: String,
    timeout: Duration,
}

impl Connections {
    /// None is made yet.
    pub(super) fn new(
        config: &PostgresConfig,
        connector: MakeRustlsConnect,
    ) -> Result<Self, Failure> {
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let session = session(&config.schema, config.timeout);
        let line = Line {
            server: config.server.clone(),
            connector: connector.clone(),
            session: session.clone(),
        };
        let manager = Manager::from_config(config.server.config().clone(), connector, recycling);
        let pool = Pool::builder(manager)
            .max_size(config.connections)
            .post_create(begin_with(session))
            .build()
            .map_err(Failure::new)?;
        Ok(Self {
            pulse: Pulse::new(line, pool.clone()),
            pool,
            #[cfg(feature = "audit")]
            long_readers: Semaphore::new((config.connections / 4).max(1)),
            schema: config.schema.clone(),
            timeout: config.timeout,
        })
    }

    /// Makes the tables, however long the caller lets that take.
    pub(super) async fn migrate(&self) -> Result<(), Failure> {
        let mut client = self.pool.get().await?;
        Ok(schema::migrate(&mut client, &self.schema).await?)
    }

    /// The rows of a statement that changes nothing. It is sent a second time where the connection turns out to be gone, and
    /// anew over a connection that has broken a silence.
    pub(super) async fn read(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let mut patience = self.patience();
        let mut at_hand = None;
        self.in_time(async {
            loop {
                let began_at = Instant::now();
                at_hand = tokio::select! {
                    biased;
                    answer = self.rows(at_hand, statement, parameters) => return answer,
                    connection = self.pulse.silence_broken() => {
                        patience *= 2;
                        connection
                    }
                    never = self.pulse.listen(patience) => match never {},
                };
                // They lead to the same server, and may be as dead without knowing it.
                self.retire_idle(began_at);
            }
        })
        .await
    }

    /// The rows of a statement that changes nothing and may take long. Readers of this kind have a quarter of the connections:
    /// whoever searches an organization's log keeps no other organization's key waiting.
    #[cfg(feature = "audit")]
    pub(super) async fn read_at_length(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        self.in_time(async {
            let _turn = self.long_readers.acquire().await.map_err(Failure::new)?;
            self.rows(None, statement, parameters).await
        })
        .await
    }

    /// The rows of a statement that changes something. It is never sent twice.
    pub(super) async fn write(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        self.in_time(self.lent_rows(statement, parameters)).await
    }

    /// Completes when a silence of the database ends that a reader has found out: what was sent before has been lost.
    pub(super) async fn silence_broken(&self) {
        self.pulse.silence_broken().await;
    }

    /// A new connection has taken so long.
    pub(super) fn connected_in(&self, time: Duration) {
        self.pulse.connected_in(time);
    }

    /// Lets go of the connections that have been made before, as far as nobody uses them just now.
    pub(super) fn retire_idle(&self, made_before: Instant) {
        self.pulse.retire_idle(made_before);
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// Over the connection at hand, where there is one; else, and if that is gone, over one of the pool, and once more over
    /// another.
    async fn rows(
        &self,
        at_hand: Option<Arc<Client>>,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        if let Some(client) = at_hand
            && let Ok(rows) = client.query(statement, parameters).await
        {
            self.pulse.answered(Instant::now());
            return Ok(rows);
        }
        let began_at = Instant::now();
        match self.lent_rows(statement, parameters).await {
            Err(failure) if failure.is_passing() => {
                if !failure.is_answer() {
                    self.retire_idle(began_at);
                }
                self.lent_rows(statement, parameters).await
            }
            answer => answer,
        }
    }

    /// Over a connection of the pool.
    async fn lent_rows(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let mut loan = Loan::new(self.pool.get().await?, self);
        let answer = loan.rows(statement, parameters).await;
        loan.is_answered = true;
        if answer.as_ref().map_or_else(Failure::is_answer, |_| true) {
            self.pulse.answered(loan.made_at);
        }
        answer
    }

    fn patience(&self) -> Duration {
        PATIENCE.min(self.timeout / 4)
    }

    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let answer = timeout(self.timeout, answer).await;
        answer.unwrap_or_else(|_elapsed| Err(Failure::no_answer()))
    }
}

/// A connection while a statement is under way on it.
struct Loan<'a> {
    client: Option<Object>,
    connections: &'a Connections,
    made_at: Instant,
    since: Instant,
    is_answered: bool,
}

impl<'a> Loan<'a> {
    fn new(client: Object, connections: &'a Connections) -> Self {
        Self {
            made_at: Object::metrics(&client).created,
            client: Some(client),
            connections,
            since: Instant::now(),
            is_answered: false,
        }
    }

    async fn rows(&self, statement: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Failure> {
        let client = self.client.as_ref().ok_or_else(Failure::no_answer)?;
        let statement = client.prepare_cached(statement).await?;
        Ok(client.query(&statement, parameters).await?)
    }
}

/// Whoever has waited for so long and then leaves has found a connection that may be dead: nobody else is to wait behind that
/// statement, nor to find out the same of the others, unless those are being answered. A caller who hangs up earlier costs no
/// connection.
impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let connections = self.connections;
        if self.is_answered || self.since.elapsed() <= connections.patience() {
            return;
        }
        drop(self.client.take().map(Object::take));
        if !connections.pulse.has_answered_since(self.since) {
            connections.retire_idle(self.since);
        }
    }
}

/// What the database or the role may have set otherwise. The server gives a statement up a little earlier than we do, so that
/// the connection outlives it.
fn session(schema: &str, timeout: Duration) -> String {
    format!(
        "SET search_path = {schema}; \
         SET default_transaction_isolation = 'read committed'; \
         SET statement_timeout = {}",
        (timeout - timeout / 8).as_millis().max(1)
    )
}

fn begin_with(session: String) -> Hook {
    Hook::async_fn(move |client, _| {
        let session = session.clone();
        Box::pin(async move {
            let set = client.batch_execute(&session).await;
            set.map_err(HookError::Backend)
        })
    })
}
