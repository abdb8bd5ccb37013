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
#[error("cannot open the store {}: {source}; {}", .path.display(), .kind.fix())]
pub struct OpenError {
    path: PathBuf,
    kind: OpenErrorKind,
    source: Box<dyn Error + Send + Sync>,
}

/// The cause of an [`OpenError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// The file is already open, in this process or in another one.
    InUse,
    /// The file is not a redb database.
    NotADatabase,
    /// The file was written by a newer version of this crate.
    Newer,
    /// The file was altered since it was written.
    Damaged,
    /// The file cannot be created, read or written.
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

impl OpenErrorKind {
    const fn fix(self) -> &'static str {
        match self {
            Self::InUse => {
                "stop the other process, or close the other store, or use PostgreSQL for several instances"
            }
            Self::NotADatabase => {
                "the file is not a redb database: name another file, or move this one away"
            }
            Self::Newer => "upgrade coverbase-auth, or restore a backup from before the upgrade",
            Self::Damaged => "the file is damaged: restore a backup",
            Self::Unusable => {
                "the folder must exist, and this user must be able to read and write there"
            }
        }
    }
}
