//! Tests of the file: restarts, errors and a failing disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use redb::{Builder, Database, StorageBackend, backends::FileBackend};
use tempfile::TempDir;

use super::*;
use crate::{
    credential::{ApiKey, Environment},
    principal::Scope,
};

const NOW: u64 = 1_700_000_000;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.redb");
    (folder, path)
}

fn digest() -> KeyDigest {
    ApiKey::generate(Environment::Live).digest()
}

fn record(key_id: &str) -> KeyRecord {
    KeyRecord::new(key_id, "org_acme").with_created_at(NOW)
}

async fn is_live(store: &RedbStore, digest: &KeyDigest) -> bool {
    let record = store.lookup(digest).await.unwrap();
    record.is_some_and(|record| record.is_live_at(NOW))
}

#[tokio::test]
async fn answered_changes_outlive_a_restart() {
    let (_folder, path) = folder();
    let (old, new, revoked) = (digest(), digest(), digest());
    let org_id = OrgId::from("org_acme");
    let office = IpAllowlist::parse(["203.0.113.0/24", "2001:db8::/32"]).unwrap();
    let scopes = [Scope::AUDIT_READ, Scope::from_static("reports:export")];
    let rich = record("ak_new")
        .with_name("a \"name\"\n")
        .with_scopes(scopes.clone())
        .with_created_by("user_2x9")
        .with_expires_at(NOW + 60);

    let store = RedbStore::open(&path).unwrap();
    store.create(old, record("ak_old")).await.unwrap();
    store.create(revoked, record("ak_gone")).await.unwrap();
    let rotated = store.rotate(&"ak_old".into(), new, rich, NOW).await;
    assert!(rotated.unwrap());
    let revocation = store.revoke(&org_id, &"ak_gone".into(), NOW).await;
    assert!(revocation.unwrap().unwrap().is_first);
    store.set_allowlist(&org_id, office.clone()).await.unwrap();
    let used = store.lookup(&new).await.unwrap().unwrap();
    used.stamp_last_used(NOW + 7);
    store.close().await.unwrap();

    let store = RedbStore::open(&path).unwrap();
    assert!(!is_live(&store, &old).await);
    assert!(!is_live(&store, &revoked).await);
    let record = store.lookup(&new).await.unwrap().unwrap();
    assert_eq!(record.name(), "a \"name\"\n");
    assert_eq!(*record.scopes(), scopes.into());
    assert_eq!(record.created_by(), Some("user_2x9"));
    assert_eq!(record.created_at(), NOW);
    assert_eq!(record.expires_at(), Some(NOW + 60));
    assert_eq!(record.last_used_at(), Some(NOW + 7));
    assert_eq!(*record.allowlist(), office);
    assert_eq!(store.allowlist(&org_id).await.unwrap(), office);
    let keys = store.list(&org_id).await.unwrap();
    assert_eq!(keys.len(), 3);
    let gone = store.find(&org_id, &"ak_gone".into()).await.unwrap();
    assert_eq!(gone.unwrap().revoked_at(), Some(NOW));
}

#[tokio::test]
async fn dropped_store_writes_last_uses() {
    let (_folder, path) = folder();
    let digest = digest();
    let store = RedbStore::open(&path).unwrap();
    store.create(digest, record("ak_a")).await.unwrap();
    let record = store.lookup(&digest).await.unwrap().unwrap();
    record.stamp_last_used(NOW);
    drop(store);
    let store = loop {
        match RedbStore::open(&path) {
            Ok(store) => break store,
            Err(error) => assert_eq!(error.kind(), OpenErrorKind::InUse),
        }
    };
    let record = store.lookup(&digest).await.unwrap().unwrap();
    assert_eq!(record.last_used_at(), Some(NOW));
}

#[tokio::test]
async fn closed_store_finds_keys_and_rejects_changes() {
    let (_folder, path) = folder();
    let digest = digest();
    let store = RedbStore::open(&path).unwrap();
    store.create(digest, record("ak_a")).await.unwrap();
    store.close().await.unwrap();
    assert!(is_live(&store, &digest).await);
    let revoked = store.revoke(&"org_acme".into(), &"ak_a".into(), NOW).await;
    assert!(revoked.is_err());
    assert!(is_live(&store, &digest).await);
    store.close().await.unwrap();
}

#[track_caller]
fn assert_open_fails(path: &Path, kind: OpenErrorKind, fix: &str) {
    let error = RedbStore::open(path).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    assert!(text.contains(fix), "{text}");
}

#[test]
fn open_error_names_file_cause_and_fix() {
    let (folder, path) = folder();
    let open = RedbStore::open(&path).unwrap();
    assert_open_fails(&path, OpenErrorKind::InUse, "stop the other process");
    drop(open);

    for text in ["hello", &"hello ".repeat(10_000)] {
        let other = folder.path().join("notes.txt");
        fs::write(&other, text).unwrap();
        assert_open_fails(&other, OpenErrorKind::NotADatabase, "name another file");
        assert_eq!(fs::read_to_string(&other).unwrap(), text, "left alone");
    }
    let nowhere = folder.path().join("no/such/folder/keys.redb");
    assert_open_fails(&nowhere, OpenErrorKind::Unusable, "must exist");
    assert_open_fails(folder.path(), OpenErrorKind::Unusable, "directory");
}

#[test]
fn file_of_a_newer_version_is_rejected() {
    let (_folder, path) = folder();
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&[u8], &[u8]>::new("coverbase_auth");
    let mut table = transaction.open_table(meta).unwrap();
    table.insert(&b"schema"[..], &[0, 0, 0, 99][..]).unwrap();
    drop(table);
    transaction.commit().unwrap();
    drop(database);
    assert_open_fails(&path, OpenErrorKind::Newer, "schema 99");
    assert_open_fails(&path, OpenErrorKind::Newer, "upgrade coverbase-auth");
}

#[test]
fn altered_file_is_damaged() {
    let (_folder, path) = folder();
    drop(Database::create(&path).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    let len = bytes.len();
    bytes[64..len].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    assert_open_fails(&path, OpenErrorKind::Damaged, "restore a backup");
}

// A process that was killed while it created the file has left a draft.
#[test]
fn draft_of_a_killed_process_is_replaced() {
    let (folder, path) = folder();
    let draft = format!("{}.{}.new", path.display(), std::process::id());
    fs::write(&draft, "half").unwrap();
    drop(RedbStore::open(&path).unwrap());
    let names = fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["keys.redb"]);

    let empty = folder.path().join("empty.redb");
    fs::write(&empty, "").unwrap();
    drop(RedbStore::open(&empty).unwrap());
}

// T19, T21: the disk fails at each write of a rotation in turn.
#[tokio::test]
async fn rotation_on_a_failing_disk_is_done_or_not_begun() {
    for panics in [false, true] {
        let (mut failed, mut writes) = (0, 0);
        while failed == writes {
            let (_folder, path) = folder();
            let faults = Faults::new(panics);
            let store = on_faulty_disk(&path, &faults);
            let (old, new) = (digest(), digest());
            store.create(old, record("ak_old")).await.unwrap();

            faults.begin_after(writes);
            let (key_id, replacement) = ("ak_old".into(), record("ak_new"));
            let rotated = store.rotate(&key_id, new, replacement, NOW).await;
            writes += 1;
            if let Err(error) = rotated {
                failed += 1;
                let text = error.to_string();
                assert!(text.starts_with("the key store cannot answer"), "{text}");
                assert!(is_live(&store, &old).await, "memory is unchanged");
                assert!(!is_live(&store, &new).await, "memory is unchanged");
            }

            // The store recovers with the disk.
            faults.end();
            let office = IpAllowlist::parse(["203.0.113.0/24"]).unwrap();
            let set = store.set_allowlist(&"org_acme".into(), office).await;
            set.unwrap();
            let live = (is_live(&store, &old).await, is_live(&store, &new).await);
            assert_ne!(live.0, live.1, "old xor new");
            store.close().await.unwrap();
            let store = RedbStore::open(&path).unwrap();
            let read = (is_live(&store, &old).await, is_live(&store, &new).await);
            assert_eq!(read, live, "the file and memory agree");
        }
        assert!(failed > 3, "{failed} faults");
    }
}

// C38
#[tokio::test]
async fn last_use_is_written_after_a_disk_failure() {
    let (_folder, path) = folder();
    let faults = Faults::new(false);
    let store = on_faulty_disk(&path, &faults);
    let digest = digest();
    store.create(digest, record("ak_a")).await.unwrap();
    let record = store.lookup(&digest).await.unwrap().unwrap();
    record.stamp_last_used(NOW + 7);
    faults.begin_after(0);
    store.flush().await.unwrap_err();
    store.flush().await.unwrap();
    store.close().await.unwrap();
    let store = RedbStore::open(&path).unwrap();
    let record = store.lookup(&digest).await.unwrap().unwrap();
    assert_eq!(record.last_used_at(), Some(NOW + 7));
}

fn on_faulty_disk(path: &Path, faults: &Faults) -> RedbStore {
    let faults = faults.clone();
    let open = move |path: &Path| {
        faults.end();
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = Arc::new(FileBackend::new(options.open(path)?)?);
        let faults = faults.clone();
        Builder::new().create_with_backend(Disk { file, faults })
    };
    RedbStore::of(File::new(path, Box::new(open))).unwrap()
}

#[derive(Debug, Clone)]
struct Faults {
    panics: bool,
    /// The writes that succeed before the disk fails.
    left: Arc<AtomicUsize>,
}

impl Faults {
    fn new(panics: bool) -> Self {
        let left = Arc::new(usize::MAX.into());
        Self { panics, left }
    }

    fn begin_after(&self, writes: usize) {
        self.left.store(writes, Ordering::SeqCst);
    }

    fn end(&self) {
        self.begin_after(usize::MAX);
    }

    fn write(&self) -> io::Result<()> {
        let left = self.left.load(Ordering::SeqCst);
        self.left.store(left.saturating_sub(1), Ordering::SeqCst);
        assert!(left > 0 || !self.panics, "the disk panics");
        match left {
            0 => Err(io::Error::other("the disk fails")),
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Disk {
    file: Arc<FileBackend>,
    faults: Faults,
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.write()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.write()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.write()?;
        self.file.write(offset, data)
    }
}
