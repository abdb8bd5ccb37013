//! The tables of the file, and their migrations.
//!
//! The id of a row is the length of the organization's id, that id, and the id within the organization. So no id can reach
//! a row of another organization, whatever bytes it contains (`C20`).

use redb::{
    Database, Error, ReadableDatabase, ReadableTable, TableDefinition, TableHandle,
    WriteTransaction,
};
use serde::{Deserialize, Serialize};

use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    key_store::{KeyRecord, MemoryStore, Usage, UsageLog},
    principal::{OrgId, Scopes},
};

pub(crate) type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// `schema` → the number of migrations that were applied, 4 bytes.
const META: Table = Table::new("coverbase_auth");
/// Organization and key → the digest, 32 bytes, and the rest of the record as JSON.
const KEYS: Table = Table::new("keys");
/// Organization and key → the time of the last use, 8 bytes. It changes far more often than the record.
const LAST_USED: Table = Table::new("last_used");
/// Organization → its allowlist.
const ORGANIZATIONS: Table = Table::new("organizations");
/// Organization and audit record → its type, a line break, and the text to search.
pub(crate) const AUDIT_INDEX: Table = Table::new("audit_index");
/// Organization and audit record → the entry.
pub(crate) const AUDIT_ENTRIES: Table = Table::new("audit_entries");

type Migration = fn(&WriteTransaction) -> Result<(), Error>;

/// Each migration takes a file from the schema of its position to the next. A released migration never changes.
const MIGRATIONS: [Migration; 2] = [
    |transaction| {
        transaction.open_table(KEYS)?;
        transaction.open_table(LAST_USED)?;
        transaction.open_table(ORGANIZATIONS)?;
        Ok(())
    },
    |transaction| {
        transaction.open_table(AUDIT_INDEX)?;
        transaction.open_table(AUDIT_ENTRIES)?;
        Ok(())
    },
];

/// The schema of this version.
pub(super) const SCHEMA: u32 = MIGRATIONS.len() as u32;

/// Migrates the file to [`SCHEMA`] in one transaction, and returns the schema that it had. A newer file stays as it is.
pub(super) fn migrate(database: &Database) -> Result<u32, Error> {
    let transaction = database.begin_write()?;
    let schema = schema(&transaction)?;
    if schema > SCHEMA {
        return Ok(schema);
    }
    for migration in MIGRATIONS.iter().skip(schema as usize) {
        migration(&transaction)?;
    }
    transaction
        .open_table(META)?
        .insert(&b"schema"[..], &SCHEMA.to_be_bytes()[..])?;
    transaction.commit()?;
    Ok(schema)
}

fn schema(transaction: &WriteTransaction) -> Result<u32, Error> {
    let meta = transaction.open_table(META)?;
    let Some(schema) = meta.get(&b"schema"[..])? else {
        return Ok(0);
    };
    let schema = schema.value().try_into().map_err(|_| damaged(META))?;
    Ok(u32::from_be_bytes(schema))
}

/// The tables of one transaction.
pub(super) struct Tables<'a>(pub(super) &'a WriteTransaction);

impl Tables<'_> {
    pub(super) fn put_key(&self, record: &KeyRecord) -> Result<(), Error> {
        let id = id_of(record.org_id(), record.key_id());
        let mut row = record.digest().as_bytes().to_vec();
        serde_json::to_writer(&mut row, &KeyRow::from(record)).map_err(unwritable)?;
        self.0.open_table(KEYS)?.insert(&id[..], &row[..])?;
        match record.last_used_at() {
            Some(last_used_at) => self.put_last_used(&id, last_used_at),
            None => Ok(()),
        }
    }

    pub(super) fn put_allowlist(
        &self,
        org_id: &OrgId,
        allowlist: &IpAllowlist,
    ) -> Result<(), Error> {
        let networks = serde_json::to_vec(&allowlist.to_strings()).map_err(unwritable)?;
        let mut organizations = self.0.open_table(ORGANIZATIONS)?;
        organizations.insert(org_id.as_str().as_bytes(), &networks[..])?;
        Ok(())
    }

    pub(super) fn put_use(&self, usage: &Usage) -> Result<(), Error> {
        self.put_last_used(&id_of(&usage.org_id, &usage.key_id), usage.last_used_at)
    }

    /// Keeps the newest of the stored time and this one.
    fn put_last_used(&self, id: &[u8], last_used_at: u64) -> Result<(), Error> {
        let mut table = self.0.open_table(LAST_USED)?;
        let known = table.get(id)?.map(|known| seconds(known.value()));
        if known.transpose()?.is_none_or(|known| known < last_used_at) {
            table.insert(id, &last_used_at.to_be_bytes()[..])?;
        }
        Ok(())
    }
}

/// Reads the whole file into memory.
pub(super) fn read(
    database: &Database,
    memory: &MemoryStore,
    usage: &UsageLog,
) -> Result<(), Error> {
    let transaction = database.begin_read()?;
    for row in transaction.open_table(ORGANIZATIONS)?.iter()? {
        let (org_id, networks) = row?;
        let row = organization_of(org_id.value(), networks.value());
        let (org_id, allowlist) = row.ok_or_else(|| damaged(ORGANIZATIONS))?;
        memory.lock().set_allowlist(&org_id, allowlist);
    }
    let last_used = transaction.open_table(LAST_USED)?;
    // The rows of an organization are adjacent, and their records share one `OrgId`.
    let mut org_id = OrgId::from("");
    for row in transaction.open_table(KEYS)?.iter()? {
        let (id, row) = row?;
        let (of_org, key_id) = ids_of(id.value()).ok_or_else(|| damaged(KEYS))?;
        if org_id.as_str() != of_org {
            org_id = of_org.into();
        }
        let record = record_of(KeyRecord::new(key_id, org_id.clone()), row.value());
        let mut record = record.ok_or_else(|| damaged(KEYS))?;
        if let Some(last_used_at) = last_used.get(id.value())? {
            record = record.with_last_used_at(seconds(last_used_at.value())?);
        }
        let mut keys = memory.lock();
        let allowlist = keys.allowlist(&org_id);
        keys.put(
            record
                .with_allowlist(allowlist)
                .with_usage_log(usage.clone()),
        );
    }
    Ok(())
}

fn organization_of(org_id: &[u8], networks: &[u8]) -> Option<(OrgId, IpAllowlist)> {
    let org_id = str::from_utf8(org_id).ok()?;
    let networks: Vec<String> = serde_json::from_slice(networks).ok()?;
    Some((org_id.into(), IpAllowlist::parse(networks).ok()?))
}

fn id_of(org_id: &OrgId, key_id: &KeyId) -> Vec<u8> {
    id_in(org_id, key_id.as_str().as_bytes())
}

/// Returns the id of a row of the organization.
pub(crate) fn id_in(org_id: &OrgId, id: &[u8]) -> Vec<u8> {
    let org_id = org_id.as_str().as_bytes();
    let len = (org_id.len() as u32).to_be_bytes();
    [&len, org_id, id].concat()
}

fn ids_of(id: &[u8]) -> Option<(&str, &str)> {
    let (len, ids) = id.split_first_chunk()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (org_id, key_id) = ids.split_at_checked(len)?;
    Some((str::from_utf8(org_id).ok()?, str::from_utf8(key_id).ok()?))
}

fn seconds(bytes: &[u8]) -> Result<u64, Error> {
    let bytes = bytes.try_into().map_err(|_| damaged(LAST_USED))?;
    Ok(u64::from_be_bytes(bytes))
}

/// A record in the file, after its digest.
#[derive(Serialize, Deserialize)]
struct KeyRow {
    name: String,
    scopes: Vec<String>,
    created_at: u64,
    created_by: Option<String>,
    expires_at: Option<u64>,
    revoked_at: Option<u64>,
}

impl From<&KeyRecord> for KeyRow {
    fn from(record: &KeyRecord) -> Self {
        Self {
            name: record.name().to_owned(),
            scopes: record.scopes().iter().map(ToString::to_string).collect(),
            created_at: record.created_at(),
            created_by: record.created_by().map(ToOwned::to_owned),
            expires_at: record.expires_at(),
            revoked_at: record.revoked_at(),
        }
    }
}

/// Completes `record` from its row.
fn record_of(record: KeyRecord, row: &[u8]) -> Option<KeyRecord> {
    let (digest, row) = row.split_first_chunk()?;
    let row: KeyRow = serde_json::from_slice(row).ok()?;
    let scopes: Result<Scopes, _> = row.scopes.iter().map(|scope| scope.parse()).collect();
    let scopes = scopes.ok()?;
    Some(record.change(|key| {
        key.digest = KeyDigest::from_bytes(*digest);
        key.name = row.name.into();
        key.scopes = scopes;
        key.created_at = row.created_at;
        key.created_by = row.created_by.map(Into::into);
        key.expires_at = row.expires_at;
        key.revoked_at = row.revoked_at;
    }))
}

pub(crate) fn damaged(table: Table) -> Error {
    Error::Corrupted(format!("a row of `{}` cannot be read", table.name()))
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::Io(error.into())
}
