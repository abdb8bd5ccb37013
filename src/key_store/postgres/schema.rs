//! The tables and their migrations.

use deadpool_postgres::{ClientWrapper, Transaction};
use tokio_postgres::{Error, GenericClient};

/// In order. A migration only adds, so that instances of the previous version keep working during a deployment.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/1_keys.sql"),
    include_str!("migrations/2_audit_records.sql"),
];

/// The advisory lock under which instances migrate, one at a time. The number is derived from the crate's name.
const LOCK: i64 = 0x00C0_7E4B_A5EA_0714;

/// Returns whether a name needs no quotes, neither as a schema nor as a channel.
pub(super) fn is_schema_name(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    starts_well && name.len() <= 63 && !name.starts_with("pg_") && name.bytes().all(is_word)
}

/// Creates or updates the tables. One instance at a time does it, and the others wait.
///
/// If the tables are up to date, no lock is taken and no right to create anything is needed.
pub(super) async fn migrate(client: &mut ClientWrapper, schema: &str) -> Result<(), Error> {
    if MIGRATIONS.len() <= version(&**client).await? {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(&format!(
            "SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({LOCK})"
        ))
        .await?;
    create_schema(&transaction, schema).await?;
    let version = version(&*transaction).await?;
    for (position, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        transaction.batch_execute(migration).await?;
        let record = format!("INSERT INTO migrations (version) VALUES ({})", position + 1);
        transaction.batch_execute(&record).await?;
    }
    transaction.commit().await
}

/// Queries before it creates: `IF NOT EXISTS` needs the right to create even if the schema exists.
async fn create_schema(transaction: &Transaction<'_>, schema: &str) -> Result<(), Error> {
    let exists = "SELECT to_regnamespace($1) IS NOT NULL";
    if !transaction
        .query_one(exists, &[&schema])
        .await?
        .try_get(0)?
    {
        let create = format!("CREATE SCHEMA {schema}");
        transaction.batch_execute(&create).await?;
    }
    let table = "CREATE TABLE IF NOT EXISTS migrations (
        version INTEGER PRIMARY KEY,
        applied_at BIGINT NOT NULL DEFAULT extract(epoch FROM now())
    )";
    transaction.batch_execute(table).await
}

/// Returns the number of migrations that have been applied.
async fn version(client: &impl GenericClient) -> Result<usize, Error> {
    let exists = "SELECT to_regclass('migrations') IS NOT NULL";
    if !client.query_one(exists, &[]).await?.try_get(0)? {
        return Ok(0);
    }
    let applied = "SELECT count(*) FROM migrations";
    let applied: i64 = client.query_one(applied, &[]).await?.try_get(0)?;
    Ok(usize::try_from(applied).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::is_schema_name;

    #[test]
    fn schema_name_that_needs_quotes_is_rejected() {
        for good in ["coverbase_auth", "_a1", &"a".repeat(63)] {
            assert!(is_schema_name(good), "{good}");
        }
        for bad in [
            "",
            "1a",
            "Auth",
            "a-b",
            "a.b",
            "a\"",
            "a b",
            "pg_auth",
            "a\u{e9}",
            &"a".repeat(64),
        ] {
            assert!(!is_schema_name(bad), "{bad}");
        }
    }
}
