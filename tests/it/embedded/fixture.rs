//! A data folder for one test, client processes that use it, and inspection of both.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_skillkeep");

/// A data folder for one test.
pub(super) struct Fixture {
    pub(super) parent: tempfile::TempDir,
    pub(super) base: PathBuf,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::with_folder_name("d")
    }

    pub(super) fn with_folder_name(name: &str) -> Self {
        let parent = tempfile::tempdir_in(crate::harness::data_root()).unwrap();
        // If root starts PostgreSQL, it runs as another account, which must be able to traverse this folder.
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let base = fs::canonicalize(parent.path()).unwrap().join(name);
        Self { parent, base }
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("postgres-hold").arg("--data-dir").arg(&self.base);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(super) fn start_client(&self) -> ClientProcess {
        ClientProcess::ready(self.command().spawn().unwrap())
    }

    /// Runs a client that must fail to start, and returns its error text.
    pub(super) fn start_error(&self, adjust: impl FnOnce(&mut Command)) -> String {
        let mut command = self.command();
        adjust(command.stdin(Stdio::null()));
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        assert_eq!(status.code(), Some(5), "{}", String::from_utf8_lossy(&stdout));
        String::from_utf8(stderr).unwrap()
    }

    /// The process id of the server, if it is ready.
    pub(super) fn server_pid(&self) -> Option<i32> {
        fs::read_to_string(self.base.join("supervisor.lock"))
            .ok()?
            .parse()
            .ok()
    }

    /// Waits until a server with another process id than `old` is ready.
    pub(super) fn wait_for_new_server(&self, old: i32) -> i32 {
        let found = poll_until(Duration::from_secs(20), || {
            self.server_pid().filter(|pid| *pid != old)
        });
        found.expect("the server was not started again")
    }

    pub(super) fn has_unfinished_cluster(&self) -> bool {
        let entries = fs::read_dir(&self.base).into_iter().flatten().flatten();
        entries
            .into_iter()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("data.new"))
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // The folder cannot be removed while a supervisor without clients is still stopping the server.
        let gone = || {
            fs::File::open(self.base.join("supervisor.lock")).map_or(Some(()), |lock| lock.try_lock().ok())
        };
        poll_until(Duration::from_secs(10), gone);
    }
}

/// A process that uses the database until its stdin ends.
pub(super) struct ClientProcess {
    pub(super) child: Child,
    pub(super) out: BufReader<ChildStdout>,
    pub(super) outcome: String,
    pub(super) socket_dir: PathBuf,
}

impl ClientProcess {
    pub(super) fn ready(mut child: Child) -> Self {
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let mut fields = line.trim_end().splitn(3, ' ');
        if fields.next() != Some("ready") {
            let mut message = String::new();
            child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
            panic!("not ready: {line}{message}");
        }
        let outcome = fields.next().unwrap().to_owned();
        let socket_dir = PathBuf::from(fields.next().unwrap());
        Self {
            child,
            out,
            outcome,
            socket_dir,
        }
    }

    /// Ends the process regularly and returns the reported outcome: `Stopped` or `LeftRunning`.
    pub(super) fn stop(mut self) -> String {
        drop(self.child.stdin.take());
        let mut message = String::new();
        self.out.read_to_string(&mut message).unwrap();
        assert!(self.child.wait().unwrap().success());
        message.trim_end().to_owned()
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(super) fn can_connect(&self) -> bool {
        UnixStream::connect(self.socket_dir.join(".s.PGSQL.5432")).is_ok()
    }

    /// Runs statements as the superuser and returns the last value.
    pub(super) fn query(&self, sql: &str) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut config = tokio_postgres::Config::new();
            config
                .host_path(&self.socket_dir)
                .user("skillkeep_superuser")
                .dbname("postgres");
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            let mut last = String::new();
            for message in client.simple_query(sql).await.unwrap() {
                if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                    last = row.get(0).unwrap_or_default().to_owned();
                }
            }
            last
        })
    }
}

impl Drop for ClientProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn poll_until<T>(limit: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = check() {
            return Some(found);
        }
        if started.elapsed() > limit {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn kill_process(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// The parent's process id and the owner's uid, or `None` if the process has ended.
pub(super) fn parent_and_owner(pid: i32) -> Option<(i32, u32)> {
    if Path::new("/proc/self/status").exists() {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.split_whitespace().next())
        };
        return (field("State:")? != "Z")
            .then_some((field("PPid:")?.parse().ok()?, field("Uid:")?.parse().ok()?));
    }
    let pid = pid.to_string();
    let output = Command::new("ps")
        .args(["-o", "stat=,ppid=,uid=", "-p", &pid])
        .output()
        .unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    let mut fields = line.split_whitespace();
    (!fields.next()?.starts_with('Z')).then_some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

pub(super) fn is_alive(pid: i32) -> bool {
    parent_and_owner(pid).is_some()
}

pub(super) fn supervisor_of(server: i32) -> i32 {
    parent_and_owner(server).unwrap().0
}

pub(super) fn assert_ends_within(limit: Duration, pid: i32) {
    assert!(
        poll_until(limit, || (!is_alive(pid)).then_some(())).is_some(),
        "process {pid} is still alive"
    );
}
