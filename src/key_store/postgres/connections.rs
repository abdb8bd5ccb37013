//! The connections that statements are sent on, and how long an answer may take.

use std::{future::Future, time::Duration};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, tokio_postgres::Row,
};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::ToSql;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{config::PostgresConfig, failure::Failure, schema};

/// How long an answer takes at the least before its connection is doubted.
const PATIENCE: Duration = Duration::from_millis(100);

/// The values of a statement's parameters.
pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

#[derive(Debug)]
pub(super) struct Connections {
    pool: Pool,
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
        let manager = Manager::from_config(config.server.config().clone(), connector, recycling);
        let pool = Pool::builder(manager)
            .max_size(config.connections)
            .post_create(set_session(&config.schema, config.timeout))
            .build();
        Ok(Self {
            pool: pool.map_err(Failure::new)?,
            schema: config.schema.clone(),
            timeout: config.timeout,
        })
    }

    /// Makes the tables, however long the caller lets that take.
    pub(super) async fn migrate(&self) -> Result<(), Failure> {
        let mut client = self.pool.get().await?;
        Ok(schema::migrate(&mut client, &self.schema).await?)
    }

    /// The rows of a statement that changes nothing. It is sent a second time where the connection turns out to be gone.
    pub(super) async fn read(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let deadline = Instant::now() + self.timeout;
        match self.rows(statement, parameters, deadline).await {
            Err(failure) if failure.is_passing() && Instant::now() < deadline => {
                self.rows(statement, parameters, deadline).await
            }
            answer => answer,
        }
    }

    /// The rows of a statement that changes something. It is never sent twice.
    pub(super) async fn write(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let deadline = Instant::now() + self.timeout;
        self.rows(statement, parameters, deadline).await
    }

    /// Lets go of the connections that nobody uses just now.
    pub(super) fn retire_idle(&self) {
        self.pool.retain(|_, _| false);
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }

    async fn rows(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
        deadline: Instant,
    ) -> Result<Vec<Row>, Failure> {
        let client = within(deadline, self.pool.get()).await??;
        let mut loan = Loan::new(client, &self.pool);
        let answer = within(deadline, loan.rows(statement, parameters)).await?;
        loan.is_answered = true;
        answer
    }
}

/// A connection while a statement is under way on it.
struct Loan<'a> {
    client: Option<Object>,
    pool: &'a Pool,
    since: Instant,
    is_answered: bool,
}

impl<'a> Loan<'a> {
    fn new(client: Object, pool: &'a Pool) -> Self {
        Self {
            client: Some(client),
            pool,
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
/// statement, nor to find out the same of the others. A caller who hangs up earlier costs no connection.
impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if !self.is_answered && self.since.elapsed() > PATIENCE {
            drop(self.client.take().map(Object::take));
            self.pool.retain(|_, _| false);
        }
    }
}

async fn within<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Failure> {
    let answer = timeout_at(deadline, future).await;
    answer.map_err(|_elapsed| Failure::no_answer())
}

/// What the database or the role may have set otherwise. The server gives a statement up a little earlier than we do, so that
/// the connection outlives it.
fn set_session(schema: &str, timeout: Duration) -> Hook {
    let session = format!(
        "SET search_path = {schema}; \
         SET default_transaction_isolation = 'read committed'; \
         SET statement_timeout = {}",
        (timeout - timeout / 8).as_millis().max(1)
    );
    Hook::async_fn(move |client, _| {
        let session = session.clone();
        Box::pin(async move {
            let set = client.batch_execute(&session).await;
            set.map_err(HookError::Backend)
        })
    })
}
