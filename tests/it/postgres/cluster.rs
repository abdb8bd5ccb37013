//! Temporary PostgreSQL servers.

use std::{
    ffi::OsString,
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio_postgres::{Client, NoTls};

/// Starts and stops a server on command. When its input ends, because the test has ended in any way, it stops the server and
/// removes the server's folder.
const SUPERVISOR: &str = r#"
start() { "$POSTGRES" "$@" </dev/null >>"$FOLDER/log" 2>&1 & server=$!; }
stop() { kill -QUIT "$server"; wait "$server"; }
start "$@"
while read -r command; do
    case $command in
        start) start "$@" ;;
        stop) stop ;;
    esac
done
stop
rm -rf "$FOLDER"
"#;

/// No role needs a password, except for `guarded` over TCP.
const ACCESS: &str = "\
local all all trust
host all guarded 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
";

/// Returns the server that tests share.
pub(super) fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}

/// A server on a port of the loopback interface and on a socket in its folder.
pub(super) struct Cluster {
    pub(super) port: u16,
    pub(super) folder: PathBuf,
    /// The file of the authority that has signed the certificate of the server.
    pub(super) authority: PathBuf,
    supervisor: Child,
}

impl Cluster {
    pub(super) fn start() -> Self {
        let bin = binaries().unwrap_or_else(|| {
            panic!("PostgreSQL is not installed: run tests/run, which installs it")
        });
        let folder = tempfile::Builder::new().prefix("coverbase-pg-").tempdir();
        let folder = folder.unwrap().keep();
        let owner = owner(&folder);
        chown(&folder, Some(owner.0), Some(owner.1)).unwrap();

        let data = folder.join("data");
        let init = command(bin.join("initdb"), owner)
            .args(["--no-sync", "--no-instructions", "-A", "trust"])
            .args(["-U", "postgres", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(init.status.success(), "{init:?}");
        fs::write(data.join("pg_hba.conf"), ACCESS).unwrap();
        let authority = folder.join("authority.pem");
        certify(&data, &authority, owner);

        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let supervisor = command("sh", owner)
            .args(["-c", SUPERVISOR, "supervisor", "-D"])
            .arg(&data)
            .arg("-k")
            .arg(&folder)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args([
                "-c",
                "max_connections=300",
                "-c",
                "fsync=off",
                "-c",
                "ssl=on",
            ])
            .env("POSTGRES", bin.join("postgres"))
            .env("FOLDER", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C ends the tests first, and then the server.
            .process_group(0)
            .spawn()
            .unwrap();
        let cluster = Self {
            port,
            folder,
            authority,
            supervisor,
        };
        cluster.wait_until(true);
        cluster
    }

    /// Creates an empty database.
    pub(super) async fn database(&self) -> Database<'_> {
        self.new_database(Turn::Shared(TURNS.read().await)).await
    }

    /// Creates an empty database for a test that measures time: no other test with a database runs meanwhile.
    pub(super) async fn database_alone(&self) -> Database<'_> {
        self.new_database(Turn::Alone(TURNS.write().await)).await
    }

    async fn new_database(&self, turn: Turn) -> Database<'_> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        let postgres = connect(&Self::url(self.port, "postgres")).await;
        postgres.batch_execute(&create).await.unwrap();
        Database {
            cluster: self,
            name,
            _turn: turn,
        }
    }

    fn url(port: u16, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// Stops the server at once, without telling its clients.
    pub(super) fn stop(&self) {
        self.tell("stop");
        self.wait_until(false);
    }

    pub(super) fn start_again(&self) {
        self.tell("start");
        self.wait_until(true);
    }

    fn tell(&self, command: &str) {
        let mut stdin = self.supervisor.stdin.as_ref().unwrap();
        writeln!(stdin, "{command}").unwrap();
    }

    fn wait_until(&self, is_up: bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.is_up() != is_up {
            assert!(Instant::now() < deadline, "{}", self.log());
            sleep(Duration::from_millis(10));
        }
    }

    /// The eighth line of `postmaster.pid` is the status, which may be out of date after a crash.
    fn is_up(&self) -> bool {
        let status = fs::read_to_string(self.folder.join("data/postmaster.pid"));
        let is_ready = status.is_ok_and(|status| status.lines().nth(7) == Some("ready   "));
        is_ready && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

static TURNS: RwLock<()> = RwLock::const_new(());

#[expect(dead_code, reason = "the guards are held")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

pub(super) struct Database<'c> {
    cluster: &'c Cluster,
    pub(super) name: String,
    _turn: Turn,
}

impl Database<'_> {
    pub(super) fn url(&self) -> String {
        self.url_by(self.cluster.port)
    }

    /// The URL with the port of a proxy.
    pub(super) fn url_by(&self, port: u16) -> String {
        Cluster::url(port, &self.name)
    }

    /// Connects without this crate.
    pub(super) async fn client(&self) -> Client {
        connect(&self.url()).await
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Returns the folder of `initdb`: the first in `PATH`, or the newest of Debian's.
fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    versions.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name);
        version.and_then(|version| version.to_str()?.parse::<u32>().ok())
    });
    folders.extend(versions.into_iter().rev());
    let mut folders = folders.into_iter();
    folders.find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// Returns the user and group of the server. PostgreSQL does not run as root.
fn owner(folder: &Path) -> (u32, u32) {
    let me = fs::metadata(folder).unwrap();
    if me.uid() != 0 {
        return (me.uid(), me.gid());
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let account = accounts
        .lines()
        .find_map(|account| account.strip_prefix("postgres:"))
        .expect("as root, the tests need the user postgres, which Debian's package creates");
    let mut fields = account.split(':').skip(1);
    let mut id = || fields.next().unwrap().parse().unwrap();
    (id(), id())
}

fn command(program: impl Into<OsString>, (uid, gid): (u32, u32)) -> Command {
    let mut command = Command::new(program.into());
    command.current_dir("/").env("LC_ALL", "C");
    if fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        command.uid(uid).gid(gid);
    }
    command
}

/// Writes a certificate for `localhost`, signed by a new authority.
fn certify(data: &Path, authority: &Path, (uid, gid): (u32, u32)) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(authority, issuer.pem()).unwrap();

    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    for (name, pem) in [
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        let file = data.join(name);
        fs::write(&file, pem).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&file, Some(uid), Some(gid)).unwrap();
    }
}
