//! One running PostgreSQL server: spawned by the supervisor, stopped by signals.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use folder_handle::FolderHandle;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::authentication;
use super::cluster::{Cluster, LOG_FILE, data_path, log_path};
use super::error::{EmbeddedError, summarize_output};
use super::locks::{Lock, POLL_INTERVAL};
use super::own_files::{open_own, read_start};
use super::socket;

/// postmaster.pid has eight lines, one of which is a path.
const MAX_PID_FILE_BYTES: u64 = 16 * 1024;
/// Enough for crash recovery, which replays at most about 1 GiB of write-ahead log.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// Stops PostgreSQL if the supervisor is killed. The supervisor's end closes the pipe; a line from the supervisor means that the
/// server has ended. A shell, so that it survives a kill of all processes with the program's name.
const GUARDIAN_SCRIPT: &str = r#"trap "" HUP INT TERM; read -r _ || kill -INT "$1""#;

/// Settings that postgresql.conf cannot override.
const SETTINGS: [&str; 7] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "port=5432",
    "max_connections=100",
    "fsync=on",
    "log_destination=stderr",
    "logging_collector=off",
];

/// A server, and the guardian that stops it if this process is killed.
pub(super) struct Server {
    postgres: Child,
    guardian: Child,
}

impl Server {
    /// Spawns the server. `lock`, which is already held, becomes its input, so that it is held while any of its processes lives.
    pub(super) fn spawn(cluster: &Cluster, socket_dir: &Path, lock: File) -> Result<Self, EmbeddedError> {
        let base = &cluster.base;
        let stderr = open_log(base)?;
        let stdout = stderr
            .try_clone()
            .map_err(EmbeddedError::io("open", &log_path(base)))?;
        let program = cluster.bin.join("postgres");
        let settings = SETTINGS.iter().flat_map(|setting| ["-c", setting]);
        let mut postgres = cluster
            .account
            .command(&program)
            .arg("-D")
            .arg(data_path(base))
            .args(settings)
            .arg("-c")
            .arg(socket_setting(socket_dir))
            .args(
                authentication::settings(base)
                    .into_iter()
                    .flat_map(|(name, file)| {
                        let mut setting = OsString::from(format!("{name}="));
                        setting.push(file);
                        ["-c".into(), setting]
                    }),
            )
            .stdin(Stdio::from(lock))
            .stdout(Stdio::from(stdout))
            .stderr(Stdio::from(stderr))
            .spawn()
            .map_err(EmbeddedError::io("run", &program))?;
        let guardian = cluster
            .account
            .command(Path::new("/bin/sh"))
            .args(["-c", GUARDIAN_SCRIPT, "sh"])
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

    /// Waits until postmaster.pid says that this server is ready and its socket accepts a connection.
    pub(super) fn wait_ready(&mut self, base: &Path, log_start: u64) -> Result<u32, EmbeddedError> {
        let started = Instant::now();
        loop {
            if is_ready(base, self.postgres.id()) {
                return Ok(self.postgres.id());
            }
            let ended = self
                .postgres
                .try_wait()
                .map_err(EmbeddedError::io("wait for", base))?;
            if ended.is_some() || started.elapsed() > READY_LIMIT {
                let reason = summarize_output(&log_since(base, log_start));
                return Err(EmbeddedError::Start {
                    reason,
                    log: log_path(base),
                });
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate shutdown.
    pub(super) fn signal(&self, wanted: Signal) {
        signal(self.postgres.id(), wanted);
    }

    /// Waits for the server's end, ends the guardian, and returns the server's exit status for the log.
    pub(super) fn reap(mut self) -> String {
        let ended = self.postgres.wait();
        if let Some(mut stdin) = self.guardian.stdin.take() {
            let _ = stdin.write_all(b"ended\n");
        }
        let _ = self.guardian.wait();
        ended.map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

fn socket_setting(socket_dir: &Path) -> OsString {
    // The setting is a comma-separated list, so a path with a comma must be quoted.
    let mut setting = OsString::from("unix_socket_directories=\"");
    match socket_dir.to_str() {
        Some(path) => setting.push(path.replace('"', "\"\"")),
        None => setting.push(socket_dir),
    }
    setting.push("\"");
    setting
}

pub(super) fn open_log(base: &Path) -> Result<File, EmbeddedError> {
    open_own(base, LOG_FILE, true)
}

fn log_since(base: &Path, start: u64) -> String {
    let read = || -> io::Result<String> {
        let mut log = FolderHandle::open(base)?.open_file(Path::new(LOG_FILE))?;
        log.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        log.take(64 * 1024).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// The process id in postmaster.pid, and whether the file says that the server is ready.
pub(super) fn pid_file(base: &Path) -> Option<(u32, bool)> {
    let text = read_start(base, Path::new("data/postmaster.pid"), MAX_PID_FILE_BYTES).ok()?;
    let mut lines = text.lines().map(str::trim);
    let pid = lines.next()?.parse().ok()?;
    // The eighth line is PM_STATUS in PostgreSQL's pidfile.h.
    Some((pid, lines.nth(6) == Some("ready")))
}

fn is_ready(base: &Path, pid: u32) -> bool {
    pid_file(base) == Some((pid, true))
        && UnixStream::connect(socket::current(base).join(socket::SOCKET_FILE)).is_ok()
}

/// What the supervisor publishes about its server in `supervisor.lock`: nothing, a process id, or an error text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerState {
    /// Starting or stopping, or the file could not be read.
    Unknown,
    /// Accepts connections. Holds the process id.
    Ready(u32),
    /// Could not be started again; the supervisor keeps trying.
    Failed(String),
}

pub(super) fn publish(supervisor_lock: &mut File, state: &ServerState) -> io::Result<()> {
    supervisor_lock.set_len(0)?;
    supervisor_lock.seek(SeekFrom::Start(0))?;
    match state {
        ServerState::Unknown => Ok(()),
        ServerState::Ready(pid) => supervisor_lock.write_all(pid.to_string().as_bytes()),
        ServerState::Failed(reason) => supervisor_lock.write_all(reason.as_bytes()),
    }
}

/// The state that the supervisor published. A server counts as ready only if its socket accepts a connection.
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

/// Sends a signal. It is not an error if the process has just ended.
pub(super) fn signal(pid: u32, wanted: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), wanted);
    }
}

/// Whether `pid`, the process id in postmaster.pid, is a live server of this cluster.
///
/// PostgreSQL's own check, `kill(pid, 0)`, also succeeds for a zombie and for another process that got the same id.
pub(super) fn is_live_server(base: &Path, pid: u32) -> bool {
    if Path::new("/proc/self/stat").exists() {
        match fs::read_link(format!("/proc/{pid}/cwd")) {
            // A server's working directory is its data directory.
            Ok(folder) => folder == data_path(base),
            // Root without the capability SYS_PTRACE, as in most containers, may not read the link.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                stat.contains("(postgres)") && !stat.contains("(postgres) Z")
            }
            // No such process, or a zombie.
            Err(_) => false,
        }
    } else {
        let listed = Command::new("ps")
            .args(["-o", "stat=", "-o", "comm=", "-p", &pid.to_string()])
            .output();
        listed.is_ok_and(|output| is_live_postgres(&String::from_utf8_lossy(&output.stdout)))
    }
}

/// Reads a line of `ps -o stat= -o comm=`, for systems without `/proc`.
fn is_live_postgres(ps: &str) -> bool {
    let Some((state, command)) = ps.trim().split_once(char::is_whitespace) else {
        return false;
    };
    !state.starts_with('Z') && command.trim().rsplit('/').next() == Some("postgres")
}

/// Removes the files of a dead server that would prevent a start. The caller holds `server.lock`.
///
/// # Errors
/// [`EmbeddedError::Start`] if a server that no supervisor started uses the cluster.
pub(super) fn clear_stale_files(base: &Path) -> Result<(), EmbeddedError> {
    let mut stale = Vec::new();
    if let Some((pid, _)) = pid_file(base) {
        if is_live_server(base, pid) {
            let reason = format!(
                "process {pid}, which the supervisor did not start, already uses this database: stop it first"
            );
            return Err(EmbeddedError::Start {
                reason,
                log: log_path(base),
            });
        }
        stale.push(data_path(base).join("postmaster.pid"));
    }
    // The socket has a lock file of the same kind. Only this cluster uses the socket folder.
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
    fn pid_file_yields_process_id_and_readiness() {
        let ready = base_with_pid_file("4711\n/d/data\n1700000000\n5432\n/d/run\n\n  1 2\nready   \n");
        assert_eq!(pid_file(ready.path()), Some((4711, true)));
        let starting = base_with_pid_file("4711\n/d/data\n1700000000\n5432\n/d/run\n\n  1 2\nstarting\n");
        assert_eq!(pid_file(starting.path()), Some((4711, false)));
        assert_eq!(pid_file(base_with_pid_file("").path()), None);
    }

    #[test]
    fn published_server_is_ready_only_if_its_socket_accepts() {
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
    fn pid_file_naming_an_unrelated_live_process_is_removed() {
        let base = base_with_pid_file(&format!("{}\n", std::process::id()));
        clear_stale_files(base.path()).unwrap();
        assert_eq!(pid_file(base.path()), None);
    }

    #[test]
    fn zombie_is_not_a_live_server() {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(data_path(base.path())).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "exit"])
            .current_dir(fs::canonicalize(data_path(base.path())).unwrap())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(200));
        assert!(!is_live_server(base.path(), child.id()));
        child.wait().unwrap();
    }

    #[test]
    fn ps_output_of_macos_is_parsed() {
        assert!(is_live_postgres(
            "Ss   /opt/homebrew/opt/postgresql@17/bin/postgres\n"
        ));
        assert!(!is_live_postgres("Z    (postgres)\n"));
        assert!(!is_live_postgres("Ss   /sbin/launchd\n"));
        assert!(!is_live_postgres(""));
    }

    #[test]
    fn comma_and_quote_in_the_socket_folder_are_escaped() {
        assert_eq!(
            socket_setting(Path::new("/d,a\"b")),
            "unix_socket_directories=\"/d,a\"\"b\""
        );
    }
}
