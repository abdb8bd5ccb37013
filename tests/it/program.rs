//! Runs the example service as a child process.

use std::{
    env,
    fs::{self, File},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// The path of the program, which cargo builds if it is stale.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let features = if cfg!(feature = "full") {
        "full"
    } else {
        "audit,axum,jwt,postgres,redb,test-util"
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "build",
            "--example",
            "coverbase_api",
            "--message-format",
            "json",
        ])
        .args(["--features", features])
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .output()
        .unwrap();
    let messages = String::from_utf8(built.stdout).unwrap();
    let log = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{log}");
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables = messages.filter(|message| message["target"]["name"] == "coverbase_api");
    let executable = executables.find_map(|message| Some(message["executable"].as_str()?.into()));
    executable.expect("cargo names the executable")
});

/// Returns the program with exactly these flags and variables. The store is `memory` unless they name one.
pub(crate) fn program(flags: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(&*PROGRAM);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("COVERBASE_") {
            command.env_remove(name);
        }
    }
    command
        .env("COVERBASE_STORE", "memory")
        .args(flags)
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

/// Returns the path of a file for this test only.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let unique = format!(
        "{}-{}-{name}",
        std::process::id(),
        FILES.fetch_add(1, Ordering::Relaxed)
    );
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique)
}

/// The running program.
pub(crate) struct Server {
    child: Child,
    stdout: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_with(&[&["--listen", "127.0.0.1:0"], flags].concat(), &[])
    }

    pub(crate) fn start_with(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(program(flags, variables))
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let stdout = scratch("stdout");
        let mut child = command
            .stdout(File::create(&stdout).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let first_line = loop {
            let printed = fs::read_to_string(&stdout).unwrap();
            if let Some((line, _)) = printed.split_once('\n') {
                break line.to_owned();
            }
            assert!(
                child.try_wait().unwrap().is_none(),
                "the program has ended: {printed}"
            );
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the program prints nothing"
            );
            thread::sleep(Duration::from_millis(5));
        };
        let address = first_line
            .strip_prefix("listening on http://")
            .expect(&first_line);
        let address = address.parse().unwrap();
        Self {
            child,
            stdout,
            address,
        }
    }

    /// Sends a `GET` request with this token and returns the status and the body.
    pub(crate) fn get(&self, path: &str, token: &str, header_lines: &str) -> (u16, Value) {
        get(self.address, path, token, header_lines)
    }

    pub(crate) fn authtest(&self, token: &str) -> u16 {
        self.get("/v1/utils/authtest", token, "").0
    }

    /// Returns the output so far. It is complete once the program answers requests.
    pub(crate) fn printed(&self) -> String {
        assert_eq!(self.authtest("ak_live_unknown"), 401);
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// Ends the program with `SIGKILL`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn token(&self) -> String {
        let printed = self.printed();
        let token = printed
            .split("    TOKEN=")
            .nth(1)
            .expect("a token is printed");
        token.lines().next().unwrap().to_owned()
    }

    pub(crate) fn stop(&mut self, signal: &str) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, begun.elapsed());
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the program does not stop"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.stdout);
    }
}

pub(crate) fn get(
    address: SocketAddr,
    path: &str,
    token: &str,
    header_lines: &str,
) -> (u16, Value) {
    let header_lines = format!("authorization: Bearer {token}\r\n{header_lines}");
    ask(address, "GET", path, &header_lines, "").unwrap()
}

/// Returns the status and the body, or `None` if the answer is incomplete.
pub(crate) fn post(
    address: SocketAddr,
    path: &str,
    token: &str,
    body: &str,
) -> Option<(u16, Value)> {
    let header_lines = format!("authorization: Bearer {token}\r\n");
    ask(address, "POST", path, &header_lines, body)
}

fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    header_lines: &str,
    body: &str,
) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let len = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len}\r\n{header_lines}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some((status, serde_json::from_str(body).ok()?))
}
