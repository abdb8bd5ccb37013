//! Making and opening the file.

use std::{
    ffi::OsString,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{Builder, Database, DatabaseError};

use super::{
    error::{OpenError, OpenErrorKind},
    tables,
};

/// Keys are read from memory, so this serves writes and the audit log alone; redb's default is a gibibyte.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Opens what lies at a path: redb, except in tests of its faults.
type OpenDatabase = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send>;

pub(super) struct File {
    path: PathBuf,
    open_database: OpenDatabase,
}

impl File {
    pub(super) fn new(path: &Path) -> Self {
        Self::with(path, Box::new(open_or_make))
    }

    pub(super) fn with(path: &Path, open_database: OpenDatabase) -> Self {
        Self {
            path: path.to_owned(),
            open_database,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file, brings it to this version's schema, and lets `read` read it. redb may panic over a file that something else has altered.
    pub(super) fn open(
        &self,
        read: impl FnOnce(&Database) -> Result<(), redb::Error>,
    ) -> Result<Database, OpenError> {
        let open = || {
            let database = (self.open_database)(&self.path)?;
            if let Err(newer) = tables::migrate(&database)? {
                return Ok(Err(newer));
            }
            read(&database)?;
            Ok(Ok(database))
        };
        let failed = |kind, reason: String| OpenError::new(&self.path, kind, reason);
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(Ok(database))) => Ok(database),
            Ok(Ok(Err(newer))) => Err(failed(
                OpenErrorKind::Newer,
                format!("a newer version of coverbase-auth has written it (schema {newer})"),
            )),
            Ok(Err(error)) => Err(OpenError::of_redb(&self.path, error)),
            Err(_) => Err(failed(
                OpenErrorKind::Damaged,
                "redb panicked over it".to_owned(),
            )),
        }
    }
}

fn open_or_make(path: &Path) -> Result<Database, DatabaseError> {
    if !path.try_exists()? {
        make(path)?;
    }
    // An empty file becomes a database, too.
    builder().create(path)
}

/// A half-made database cannot be opened, so it is made under another name: whoever is killed in the middle has made none.
fn make(path: &Path) -> Result<(), DatabaseError> {
    let draft = draft_of(path);
    if draft.try_exists()? {
        fs::remove_file(&draft)?;
    }
    drop(builder().create(&draft)?);
    let linked = match fs::hard_link(&draft, path) {
        // Another process was faster, and its file stays.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    fs::remove_file(&draft)?;
    linked?;
    sync_folder_of(path)?;
    Ok(())
}

/// Beside the file, and this process's own.
fn draft_of(path: &Path) -> PathBuf {
    let mut draft = OsString::from(path);
    draft.push(format!(".{}.new", std::process::id()));
    draft.into()
}

/// The name of a new file is on the disk when its folder is.
#[cfg(unix)]
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    fs::File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder_of(_: &Path) -> io::Result<()> {
    Ok(())
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}
