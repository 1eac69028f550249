//! One running PostgreSQL server: spawned by the watcher, ready when it says and shows so, stopped by signals.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cluster::{data_path, log_path};
use super::error::{EmbeddedError, telling_line};
use super::locks::{Lock, POLL};
use super::os_account::OsAccount;
use super::socket;

/// Crash recovery replays at most about a gigabyte of write-ahead log.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// Stops PostgreSQL when its watcher is gone: the end of the watcher closes the pipe, a line of it means that the
/// server has ended. A shell, because it must outlive whatever ends all processes named skillkeep.
const GUARDIAN: &str = r#"trap "" HUP INT TERM; read -r _ || kill -INT "$1""#;

/// A server and the guardian that stops it should this process be killed.
pub(super) struct Server {
    postgres: Child,
    guardian: Child,
}

impl Server {
    /// Spawns the server. `lock`, already taken, becomes its input, so that the lock lives as long as any process of it.
    pub(super) fn spawn(
        base: &Path,
        bin: &Path,
        account: &OsAccount,
        socket_dir: &Path,
        lock: File,
    ) -> Result<Self, EmbeddedError> {
        let log = open_log(base)?;
        let log_again = log
            .try_clone()
            .map_err(EmbeddedError::io("open", &log_path(base)))?;
        let program = bin.join("postgres");
        let mut postgres = account
            .command(&program)
            .arg("-D")
            .arg(data_path(base))
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "unix_socket_permissions=0700",
                "-c",
                "port=5432",
            ])
            .args([
                "-c",
                "max_connections=100",
                "-c",
                "fsync=on",
                "-c",
                "log_destination=stderr",
            ])
            .args(["-c", "logging_collector=off", "-c"])
            .arg(socket_setting(socket_dir))
            .stdin(Stdio::from(lock))
            .stdout(Stdio::from(log_again))
            .stderr(Stdio::from(log))
            .spawn()
            .map_err(EmbeddedError::io("run", &program))?;
        let guardian = account
            .command(Path::new("/bin/sh"))
            .args(["-c", GUARDIAN, "sh"])
            .arg(postgres.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guardian {
            Ok(guardian) => Ok(Self { postgres, guardian }),
            Err(error) => {
                signal(postgres.id(), Signal::SIGQUIT);
                let _ = postgres.wait();
                Err(EmbeddedError::io("run", Path::new("/bin/sh"))(error))
            }
        }
    }

    /// Waits until the server of this very process id says that it is ready and its socket accepts.
    pub(super) fn wait_ready(&mut self, base: &Path, log_start: u64) -> Result<u32, EmbeddedError> {
        let begun = Instant::now();
        loop {
            if is_ready(base, self.postgres.id()) {
                return Ok(self.postgres.id());
            }
            let ended = self
                .postgres
                .try_wait()
                .map_err(EmbeddedError::io("wait for", base))?;
            if ended.is_some() || begun.elapsed() > READY_LIMIT {
                let reason = telling_line(&log_since(base, log_start));
                return Err(EmbeddedError::Start {
                    reason,
                    log: log_path(base),
                });
            }
            thread::sleep(POLL);
        }
    }

    /// Asks the server to end: SIGINT is its fast shutdown, SIGQUIT its immediate one.
    pub(super) fn signal(&self, wanted: Signal) {
        signal(self.postgres.id(), wanted);
    }

    /// Waits for the server's end, reaps it and dismisses the guardian.
    pub(super) fn reap(mut self) -> String {
        let ended = self.postgres.wait();
        if let Some(mut pipe) = self.guardian.stdin.take() {
            let _ = pipe.write_all(b"ended\n");
        }
        let _ = self.guardian.wait();
        ended.map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

fn socket_setting(socket_dir: &Path) -> OsString {
    // The setting is a list; quotes keep a comma in a path from splitting it.
    let mut setting = OsString::from("unix_socket_directories=\"");
    let mut rest = socket_dir.as_os_str().to_owned();
    if let Some(text) = socket_dir.to_str() {
        rest = OsString::from(text.replace('"', "\"\""));
    }
    setting.push(rest);
    setting.push("\"");
    setting
}

/// Opens the log to append to it.
pub(super) fn open_log(base: &Path) -> Result<File, EmbeddedError> {
    let path = log_path(base);
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path);
    log.map_err(EmbeddedError::io("open", &path))
}

fn log_since(base: &Path, start: u64) -> String {
    let read = || -> io::Result<String> {
        let mut log = File::open(log_path(base))?;
        log.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        log.take(64 * 1024).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// The process id in postmaster.pid, and whether the file says that the server is ready.
pub(super) fn pid_file(base: &Path) -> Option<(u32, bool)> {
    let text = fs::read_to_string(data_path(base).join("postmaster.pid")).ok()?;
    let mut lines = text.lines().map(str::trim);
    let pid = lines.next()?.parse().ok()?;
    // The eighth line is PM_STATUS in PostgreSQL's pidfile.h.
    Some((pid, lines.nth(6) == Some("ready")))
}

fn is_ready(base: &Path, pid: u32) -> bool {
    pid_file(base) == Some((pid, true))
        && UnixStream::connect(socket::current(base).join(socket::SOCKET_FILE)).is_ok()
}

/// What the watcher says about its server, in its lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerState {
    /// It is starting, stopping, or not known.
    Unknown,
    /// It is ready, in the process of this id.
    Ready(u32),
    /// It could not be started again, and the watcher goes on trying.
    Failed(String),
}

/// Writes the state into the watcher's lock file.
pub(super) fn publish(watcher_lock: &mut File, state: &ServerState) -> io::Result<()> {
    watcher_lock.set_len(0)?;
    watcher_lock.seek(SeekFrom::Start(0))?;
    match state {
        ServerState::Unknown => Ok(()),
        ServerState::Ready(pid) => watcher_lock.write_all(pid.to_string().as_bytes()),
        ServerState::Failed(reason) => watcher_lock.write_all(reason.as_bytes()),
    }
}

/// The state that the watcher published; a server counts as ready only when its socket accepts.
pub(super) fn published(base: &Path) -> Result<ServerState, EmbeddedError> {
    let mut text = String::new();
    if Lock::Supervisor.open(base)?.read_to_string(&mut text).is_err() || text.is_empty() {
        return Ok(ServerState::Unknown);
    }
    Ok(match text.parse() {
        Ok(pid) if is_ready(base, pid) => ServerState::Ready(pid),
        Ok(_) => ServerState::Unknown,
        Err(_) => ServerState::Failed(text),
    })
}

/// Sends a signal; a process that has just ended is no failure.
pub(super) fn signal(pid: u32, wanted: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), wanted);
    }
}

/// What the process named by postmaster.pid is. The id may have gone to another process since, or be a zombie's,
/// on both of which PostgreSQL's own test, `kill(pid, 0)`, succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PidFile {
    /// A live server of this cluster.
    Server,
    /// Anything else: the file is stale.
    Nothing,
}

/// Finds out what the process `pid` is.
pub(super) fn named(base: &Path, pid: u32) -> PidFile {
    let live = if Path::new("/proc/self/stat").exists() {
        match fs::read_link(format!("/proc/{pid}/cwd")) {
            // A server's working directory is its cluster.
            Ok(folder) => folder == data_path(base),
            // Root without the right to trace, as in most containers, is not told.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                stat.contains("(postgres)") && !stat.contains("(postgres) Z")
            }
            // There is no such process, or it is a zombie.
            Err(_) => false,
        }
    } else {
        let listed = Command::new("ps")
            .args(["-o", "stat=", "-o", "comm=", "-p", &pid.to_string()])
            .output();
        listed.is_ok_and(|output| is_live_postgres(&String::from_utf8_lossy(&output.stdout)))
    };
    if live { PidFile::Server } else { PidFile::Nothing }
}

fn is_live_postgres(ps: &str) -> bool {
    let Some((state, command)) = ps.trim().split_once(char::is_whitespace) else {
        return false;
    };
    !state.starts_with('Z') && command.trim().rsplit('/').next() == Some("postgres")
}

/// Removes the files that would keep PostgreSQL from starting though its server is gone; the caller holds `server.lock`.
///
/// # Errors
/// When a server that this program did not start is working on the cluster.
pub(super) fn clear_stale_files(base: &Path) -> Result<(), EmbeddedError> {
    let mut stale = Vec::new();
    if let Some((pid, _)) = pid_file(base) {
        if named(base, pid) == PidFile::Server {
            let reason = format!(
                "process {pid}, which skillkeep did not start, is already working on this database: end it first"
            );
            return Err(EmbeddedError::Start {
                reason,
                log: log_path(base),
            });
        }
        stale.push(data_path(base).join("postmaster.pid"));
    }
    // The socket has a lock file of the same kind, and its folder is used by this cluster alone.
    let socket_dir = socket::current(base);
    stale.push(socket_dir.join(format!("{}.lock", socket::SOCKET_FILE)));
    stale.push(socket_dir.join(socket::SOCKET_FILE));
    for path in stale {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(EmbeddedError::io("remove", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base_with_pid_file(text: &str) -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(data_path(base.path())).unwrap();
        fs::write(data_path(base.path()).join("postmaster.pid"), text).unwrap();
        base
    }

    #[test]
    fn the_pid_file_tells_process_and_state() {
        let ready = base_with_pid_file("4711\n/d/data\n1700000000\n5432\n/d/run\n\n  1 2\nready   \n");
        assert_eq!(pid_file(ready.path()), Some((4711, true)));
        let starting = base_with_pid_file("4711\n/d/data\n1700000000\n5432\n/d/run\n\n  1 2\nstarting\n");
        assert_eq!(pid_file(starting.path()), Some((4711, false)));
        assert_eq!(pid_file(base_with_pid_file("").path()), None);
    }

    #[test]
    fn a_published_server_counts_only_when_it_answers() {
        let base = base_with_pid_file("4711\n/d/data\n1700000000\n5432\n/d/run\n\n  1 2\nready   \n");
        let mut lock = Lock::Supervisor.open(base.path()).unwrap();
        assert_eq!(published(base.path()).unwrap(), ServerState::Unknown);
        publish(&mut lock, &ServerState::Failed("the disk is full".to_owned())).unwrap();
        assert_eq!(
            published(base.path()).unwrap(),
            ServerState::Failed("the disk is full".to_owned())
        );
        publish(&mut lock, &ServerState::Ready(4711)).unwrap();
        assert_eq!(published(base.path()).unwrap(), ServerState::Unknown);
        fs::create_dir(base.path().join("run")).unwrap();
        let _listener =
            std::os::unix::net::UnixListener::bind(base.path().join("run").join(socket::SOCKET_FILE))
                .unwrap();
        assert_eq!(published(base.path()).unwrap(), ServerState::Ready(4711));
    }

    #[test]
    fn a_stale_pid_file_that_names_a_live_stranger_is_removed() {
        let base = base_with_pid_file(&format!("{}\n", std::process::id()));
        clear_stale_files(base.path()).unwrap();
        assert_eq!(pid_file(base.path()), None);
    }

    #[test]
    fn a_zombie_is_no_server() {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(data_path(base.path())).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "exit"])
            .current_dir(fs::canonicalize(data_path(base.path())).unwrap())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(200));
        assert_eq!(named(base.path(), child.id()), PidFile::Nothing);
        child.wait().unwrap();
    }

    #[test]
    fn the_process_list_of_other_systems_is_read() {
        assert!(is_live_postgres(
            "Ss   /opt/homebrew/opt/postgresql@17/bin/postgres\n"
        ));
        assert!(!is_live_postgres("Z    (postgres)\n"));
        assert!(!is_live_postgres("Ss   /sbin/launchd\n"));
        assert!(!is_live_postgres(""));
    }

    #[test]
    fn a_comma_or_a_quote_in_the_socket_folder_survives() {
        assert_eq!(
            socket_setting(Path::new("/d,a\"b")),
            "unix_socket_directories=\"/d,a\"\"b\""
        );
    }
}
