//! What lies in the file, and how it came to lie there.
//!
//! A row of an organization lies under the length of the organization's id, that id, and its own: no id reaches into
//! another organization's rows, whatever bytes it holds (`C20`).

use redb::{
    Database, Error, ReadableDatabase, ReadableTable, TableDefinition, TableHandle,
    WriteTransaction,
};
use serde::{Deserialize, Serialize};

use crate::{
    client_ip::IpAllowlist,
    credential::{KeyDigest, KeyId},
    key_store::KeyRecord,
    principal::{OrgId, Scopes, Usage},
};

pub(crate) type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// `schema` → the number of migrations that have been done, 4 bytes.
const META: Table = Table::new("coverbase_auth");
/// Organization, key → the digest, 32 bytes, and the rest of the record.
const KEYS: Table = Table::new("keys");
/// Organization, key → when it was last used, 8 bytes. A table of its own: it is written far more often than the record.
const LAST_USED: Table = Table::new("last_used");
/// Organization → its allowlist.
const ORGANIZATIONS: Table = Table::new("organizations");
/// Organization, record → its type, a line break, and the text that a search looks through.
pub(crate) const AUDIT_INDEX: Table = Table::new("audit_index");
/// Organization, record → the entry.
pub(crate) const AUDIT_ENTRIES: Table = Table::new("audit_entries");

type Migration = fn(&WriteTransaction) -> Result<(), Error>;

/// Each takes a file from the schema of its position to the next. One that has been released is never changed.
const MIGRATIONS: &[Migration] = &[
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

/// Brings the file to the schema of this version, in one transaction; `Err` of the file's own schema where that is newer.
pub(super) fn migrate(database: &Database) -> Result<Result<(), u32>, Error> {
    let transaction = database.begin_write()?;
    let schema = schema(&transaction)?;
    let done = usize::try_from(schema).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Ok(Err(schema));
    }
    for migration in MIGRATIONS.iter().skip(done) {
        migration(&transaction)?;
    }
    let schema = (MIGRATIONS.len() as u32).to_be_bytes();
    transaction
        .open_table(META)?
        .insert(&b"schema"[..], &schema[..])?;
    transaction.commit()?;
    Ok(Ok(()))
}

fn schema(transaction: &WriteTransaction) -> Result<u32, Error> {
    let meta = transaction.open_table(META)?;
    let schema = meta.get(&b"schema"[..])?;
    let Some(schema) = schema else {
        return Ok(0);
    };
    let schema: [u8; 4] = schema.value().try_into().map_err(|_| damaged(META))?;
    Ok(u32::from_be_bytes(schema))
}

/// The tables in one transaction.
pub(super) struct Tables<'a>(pub(super) &'a WriteTransaction);

impl Tables<'_> {
    pub(super) fn put_key(&self, record: &KeyRecord) -> Result<(), Error> {
        let id = id_of(record.org_id(), record.key_id());
        let row = KeyRow::of(record).to_bytes(record.digest())?;
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

    /// The newest stays.
    fn put_last_used(&self, id: &[u8], last_used_at: u64) -> Result<(), Error> {
        let mut table = self.0.open_table(LAST_USED)?;
        let known = table.get(id)?.map(|known| seconds(known.value()));
        if known.transpose()?.is_none_or(|known| known < last_used_at) {
            table.insert(id, &last_used_at.to_be_bytes()[..])?;
        }
        Ok(())
    }
}

/// Everything in the file, the allowlists first.
pub(super) fn read(
    database: &Database,
    mut put_allowlist: impl FnMut(OrgId, IpAllowlist),
    mut put_key: impl FnMut(KeyRecord),
) -> Result<(), Error> {
    let transaction = database.begin_read()?;
    for row in transaction.open_table(ORGANIZATIONS)?.iter()? {
        let (org_id, networks) = row?;
        let org_id = str::from_utf8(org_id.value()).map_err(|_| damaged(ORGANIZATIONS))?;
        let networks: Vec<String> =
            serde_json::from_slice(networks.value()).map_err(|_| damaged(ORGANIZATIONS))?;
        let allowlist = IpAllowlist::parse(networks).map_err(|_| damaged(ORGANIZATIONS))?;
        put_allowlist(org_id.into(), allowlist);
    }
    let last_used = transaction.open_table(LAST_USED)?;
    // The rows of an organization lie together, and share its id.
    let mut org_id = OrgId::from("");
    for row in transaction.open_table(KEYS)?.iter()? {
        let (id, row) = row?;
        let (of_org, key_id) = ids_of(id.value()).ok_or_else(|| damaged(KEYS))?;
        if org_id.as_str() != of_org {
            org_id = of_org.into();
        }
        let (digest, row) = KeyRow::from_bytes(row.value()).ok_or_else(|| damaged(KEYS))?;
        let mut record = row.into_record(key_id.into(), org_id.clone())?;
        if let Some(last_used_at) = last_used.get(id.value())? {
            record = record.with_last_used_at(seconds(last_used_at.value())?);
        }
        put_key(record.under(digest));
    }
    Ok(())
}

fn id_of(org_id: &OrgId, key_id: &KeyId) -> Vec<u8> {
    id_in(org_id, key_id.as_str().as_bytes())
}

/// Where a row of the organization lies.
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

/// A record as it lies in the file, behind its digest.
#[derive(Serialize, Deserialize)]
struct KeyRow {
    name: String,
    scopes: Vec<String>,
    created_at: u64,
    created_by: Option<String>,
    expires_at: Option<u64>,
    revoked_at: Option<u64>,
}

impl KeyRow {
    fn of(record: &KeyRecord) -> Self {
        Self {
            name: record.name().to_owned(),
            scopes: record.scopes().iter().map(ToString::to_string).collect(),
            created_at: record.created_at(),
            created_by: record.created_by().map(ToOwned::to_owned),
            expires_at: record.expires_at(),
            revoked_at: record.revoked_at(),
        }
    }

    fn to_bytes(&self, digest: &KeyDigest) -> Result<Vec<u8>, Error> {
        let mut bytes = digest.as_bytes().to_vec();
        serde_json::to_writer(&mut bytes, self).map_err(unwritable)?;
        Ok(bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Option<(KeyDigest, Self)> {
        let (digest, row) = bytes.split_first_chunk()?;
        let row = serde_json::from_slice(row).ok()?;
        Some((KeyDigest::from_bytes(*digest), row))
    }

    fn into_record(self, key_id: KeyId, org_id: OrgId) -> Result<KeyRecord, Error> {
        let scopes: Result<Scopes, _> = self.scopes.iter().map(|scope| scope.parse()).collect();
        let mut record = KeyRecord::new(key_id, org_id)
            .with_name(self.name)
            .with_scopes(scopes.map_err(|_| damaged(KEYS))?)
            .with_created_at(self.created_at);
        if let Some(user_id) = self.created_by {
            record = record.with_created_by(user_id);
        }
        if let Some(expires_at) = self.expires_at {
            record = record.with_expires_at(expires_at);
        }
        if let Some(revoked_at) = self.revoked_at {
            record = record.with_revoked_at(revoked_at);
        }
        Ok(record)
    }
}

pub(crate) fn damaged(table: Table) -> Error {
    Error::Corrupted(format!("a row of `{}` cannot be read", table.name()))
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::Io(error.into())
}
