//! The tables, and how they come to be.

use deadpool_postgres::{ClientWrapper, Transaction};
use tokio_postgres::{Error, GenericClient};

/// What has been done to the tables, in order. A migration only ever adds, so that instances of the version before it go on
/// while others are deployed.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/1_keys.sql"),
    include_str!("migrations/2_audit_records.sql"),
];

/// Everybody who migrates anything here waits for this lock. Its number is the crate's name, more or less.
const LOCK: i64 = 0x00C0_7E4B_A5EA_0714;

/// Whether a name can be a schema's, and the channel's of the same name, without being quoted.
pub(super) fn is_schema_name(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    starts_well && name.len() <= 63 && !name.starts_with("pg_") && name.bytes().all(is_word)
}

/// Makes the tables, or brings them up to date. Of several instances at once one does it, and the others wait.
///
/// Where there is nothing to do no lock is taken and no right is needed to create anything.
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
    lay_ground(&transaction, schema).await?;
    let version = version(&*transaction).await?;
    for (position, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        transaction.batch_execute(migration).await?;
        let record = format!("INSERT INTO migrations (version) VALUES ({})", position + 1);
        transaction.batch_execute(&record).await?;
    }
    transaction.commit().await
}

/// Asks before it creates: `IF NOT EXISTS` wants the right to create even where there is something.
async fn lay_ground(transaction: &Transaction<'_>, schema: &str) -> Result<(), Error> {
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

/// How many migrations have been applied.
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
    fn a_schema_name_needs_no_quotes() {
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
