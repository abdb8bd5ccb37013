//! Creating and opening the file.

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

/// Lookups are answered from memory, so this cache serves writes and the audit log only. redb's default is 1 GiB.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Opens the database at a path. Tests replace it to inject faults.
type OpenDatabase = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send>;

pub(super) struct File {
    pub(super) path: PathBuf,
    open_database: OpenDatabase,
}

impl File {
    pub(super) fn new(path: &Path, open_database: OpenDatabase) -> Self {
        Self {
            path: path.to_owned(),
            open_database,
        }
    }

    /// Opens the file, migrates it to the schema of this version, and passes it to `read`. redb can panic over a file that
    /// was altered: that is the error [`OpenErrorKind::Damaged`].
    pub(super) fn open(
        &self,
        read: impl FnOnce(&Database) -> Result<(), redb::Error>,
    ) -> Result<Database, OpenError> {
        let failed = |error| OpenError::from_redb(&self.path, error);
        let open = || {
            let database = (self.open_database)(&self.path);
            let database = database.map_err(|error| failed(error.into()))?;
            let schema = tables::migrate(&database).map_err(failed)?;
            if schema > tables::SCHEMA {
                let source =
                    format!("a newer version of coverbase-auth wrote it (schema {schema})");
                return Err(OpenError::new(&self.path, OpenErrorKind::Newer, source));
            }
            read(&database).map_err(failed)?;
            Ok(database)
        };
        catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| {
            let source = "redb panicked while it read the file";
            Err(OpenError::new(&self.path, OpenErrorKind::Damaged, source))
        })
    }
}

pub(super) fn open_or_create(path: &Path) -> Result<Database, DatabaseError> {
    if !path.try_exists()? {
        create(path)?;
    }
    // `create` opens an existing database, and makes one of an empty file.
    builder().create(path)
}

/// Creates the database as a draft and links it to `path` when it is complete: redb cannot open a file whose creation was
/// interrupted.
fn create(path: &Path) -> Result<(), DatabaseError> {
    let mut draft = OsString::from(path);
    draft.push(format!(".{}.new", std::process::id()));
    let draft = PathBuf::from(draft);
    if draft.try_exists()? {
        fs::remove_file(&draft)?;
    }
    drop(builder().create(&draft)?);
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        // Another process has created the file in the meantime.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        linked => linked?,
    }
    #[cfg(unix)]
    sync_folder_of(path)?;
    Ok(())
}

/// Makes the name of a new file durable.
#[cfg(unix)]
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    fs::File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}
