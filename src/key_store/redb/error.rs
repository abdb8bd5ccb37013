//! Why a file cannot be opened, and what to do about it.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

/// Why [`RedbStore::open`](super::RedbStore::open) failed. Its text names the file, the reason and the fix.
///
/// ```
/// use coverbase_auth::{RedbStore, key_store::OpenErrorKind};
///
/// let error = RedbStore::open("no/such/folder/keys.redb").unwrap_err();
/// assert_eq!(error.kind(), OpenErrorKind::Unusable);
/// assert_eq!(error.path(), std::path::Path::new("no/such/folder/keys.redb"));
/// assert!(error.to_string().starts_with("cannot open the store no/such/folder/keys.redb: "));
/// ```
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    kind: OpenErrorKind,
    source: Box<dyn Error + Send + Sync>,
}

/// What is wrong with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// It is open already, in another process or in this one.
    InUse,
    /// It holds something else.
    NotADatabase,
    /// A newer version of this crate has written it.
    Newer,
    /// It has been altered since it was written.
    Damaged,
    /// It can't be read and written, or not be made.
    Unusable,
}

impl OpenError {
    pub(super) fn of_redb(path: &Path, error: redb::Error) -> Self {
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

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> OpenErrorKind {
        self.kind
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open the store {}: ", self.path.display())?;
        match self.kind {
            OpenErrorKind::InUse => f.write_str(
                "it is open already; stop the other process, or close the other store, or use PostgreSQL, which serves several",
            ),
            OpenErrorKind::NotADatabase => f.write_str(
                "it is not a redb database; name another file, or move this one out of the way",
            ),
            OpenErrorKind::Newer => write!(
                f,
                "{}; upgrade coverbase-auth, or put back a copy from before",
                self.source
            ),
            OpenErrorKind::Damaged => {
                write!(f, "it is damaged ({}); put back a copy", self.source)
            }
            OpenErrorKind::Unusable => write!(
                f,
                "{}; the folder must exist, and this user may read and write there",
                self.source
            ),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
