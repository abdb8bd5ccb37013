//! The error of opening the file.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

/// The error of [`RedbStore::open`](super::RedbStore::open). Its text names the file, the cause and the fix.
///
/// ```
/// use coverbase_auth::{RedbStore, key_store::OpenErrorKind};
///
/// let error = RedbStore::open("no/such/folder/keys.redb").unwrap_err();
/// assert_eq!(error.kind(), OpenErrorKind::Unusable);
/// assert!(error.to_string().starts_with("cannot open the store no/such/folder/keys.redb: "));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("cannot open the store {}: {source}; {kind}", .path.display())]
pub struct OpenError {
    path: PathBuf,
    kind: OpenErrorKind,
    source: Box<dyn Error + Send + Sync>,
}

/// The cause of an [`OpenError`]. Its text is the fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// The file is already open, in this process or in another one.
    #[error(
        "stop the other process, or close the other store, or use PostgreSQL for several instances"
    )]
    InUse,
    /// The file is not a redb database.
    #[error("the file is not a redb database: name another file, or move this one away")]
    NotADatabase,
    /// The file was written by a newer version of this crate.
    #[error("upgrade coverbase-auth, or restore a backup from before the upgrade")]
    Newer,
    /// The file was altered since it was written.
    #[error("the file is damaged: restore a backup")]
    Damaged,
    /// The file cannot be created, read or written.
    #[error("the folder must exist, and this user must be able to read and write there")]
    Unusable,
}

impl OpenError {
    pub(super) fn from_redb(path: &Path, error: redb::Error) -> Self {
        let kind = match &error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                OpenErrorKind::InUse
            }
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                OpenErrorKind::NotADatabase
            }
            redb::Error::Corrupted(_) => OpenErrorKind::Damaged,
            _ => OpenErrorKind::Unusable,
        };
        Self::new(path, kind, error)
    }

    pub(super) fn new(
        path: &Path,
        kind: OpenErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            source: source.into(),
        }
    }

    /// Returns the cause.
    #[must_use]
    pub const fn kind(&self) -> OpenErrorKind {
        self.kind
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
