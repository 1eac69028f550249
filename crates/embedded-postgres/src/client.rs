//! One client's part: starts the supervisor if there is none, and replaces a supervisor that was killed.

use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::binaries::Search;
use super::cluster;
use super::error::EmbeddedError;
use super::locks::{Lock, POLL_INTERVAL};
use super::options::{EmbeddedOptions, StartOutcome};
use super::os_account::OsAccount;
use super::server::{self, ServerState};
use super::socket::SocketFolder;

/// How long a client waits for a server that another process starts: a first start under load, or crash recovery.
pub(super) const START_LIMIT: Duration = Duration::from_secs(180);
/// How many times a supervisor that was killed during its start is started.
const MAX_LAUNCHES: u32 = 3;
const RESTART_DELAY: Duration = Duration::from_millis(500);
const MAX_RESTART_DELAY: Duration = Duration::from_secs(30);

/// Shared by the caller's handle and the monitor thread.
#[derive(Debug)]
pub(super) struct EmbeddedClient {
    options: EmbeddedOptions,
    pub(super) base: PathBuf,
    /// Locked shared while this client uses the database.
    pub(super) clients: File,
    /// Set before `clients` is unlocked, so that the monitor does not start the server again.
    pub(super) is_leaving: AtomicBool,
    /// The supervisor that this process spawned, kept so that it can be reaped.
    supervisor: Mutex<Option<Child>>,
}

impl EmbeddedClient {
    /// `clients` is already locked shared.
    pub(super) const fn new(options: EmbeddedOptions, base: PathBuf, clients: File) -> Self {
        Self {
            options,
            base,
            clients,
            is_leaving: AtomicBool::new(false),
            supervisor: Mutex::new(None),
        }
    }

    /// Starts the server unless it is running. The caller holds `start.lock`.
    pub(super) fn ensure_running(&self) -> Result<StartOutcome, EmbeddedError> {
        let started = Instant::now();
        let mut launches = 0;
        while started.elapsed() < START_LIMIT {
            if !Lock::Supervisor.is_held(&self.base)? {
                launches += 1;
                match self.launch_supervisor()? {
                    Some(outcome) => return Ok(outcome),
                    None if launches < MAX_LAUNCHES => {}
                    None => {
                        return Err(EmbeddedError::SupervisorLost {
                            log: cluster::log_path(&self.base),
                        });
                    }
                }
            } else {
                match server::published(&self.base)? {
                    ServerState::Ready(_) => return Ok(StartOutcome::Joined),
                    ServerState::Failed(reason) => return Err(EmbeddedError::Supervisor(reason)),
                    ServerState::Unknown => {}
                }
            }
            thread::sleep(POLL_INTERVAL);
        }
        Err(EmbeddedError::Busy {
            path: self.base.clone(),
            seconds: START_LIMIT.as_secs(),
        })
    }

    /// Starts a supervisor and waits for its report. `None`: it was killed before it reported.
    fn launch_supervisor(&self) -> Result<Option<StartOutcome>, EmbeddedError> {
        let (base, options) = (&self.base, &self.options);
        let data = cluster::data_path(base);
        let account = OsAccount::for_cluster(&data)?;
        let binaries = Search {
            pg_bin: options.pg_bin.as_deref(),
            search_path: options.search_path.as_deref(),
            required_major: cluster::major(base)?,
            data: &data,
            account: &account,
        }
        .find()?;
        cluster::check_reachable(base, &binaries.bin, &account)?;
        SocketFolder {
            app_name: &options.app_name,
            base,
            account: &account,
            runtime_dir: options.runtime_dir.as_deref(),
        }
        .prepare()?;
        self.reap_supervisor();
        let mut child = Command::new(&options.program)
            .args(&options.supervisor_args)
            .arg("--data-dir")
            .arg(base)
            .arg("--pg-bin")
            .arg(&binaries.bin)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(EmbeddedError::io("run", &options.program))?;
        let mut report = String::new();
        if let Some(stdout) = child.stdout.take() {
            // A failed read leaves the report empty, which counts as no report below.
            let _ = BufReader::new(stdout).read_line(&mut report);
        }
        let outcome = parse_report(report.trim_end());
        *self.supervisor.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        if !matches!(outcome, Ok(Some(_))) {
            self.reap_supervisor();
        }
        outcome
    }

    /// Waits for the end of the supervisor that this process spawned, if any. The caller knows that it has ended or is about to.
    pub(super) fn reap_supervisor(&self) {
        let supervisor = self
            .supervisor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut child) = supervisor {
            let _ = child.wait();
        }
    }

    /// Stops being a client and returns whether other clients use the database. The caller holds `start.lock`.
    pub(super) fn leave_to_others(&self) -> Result<bool, EmbeddedError> {
        let failed = |error| EmbeddedError::io("lock", &self.base)(error);
        self.clients.unlock().map_err(failed)?;
        match self.clients.try_lock_shared() {
            // Either there are other clients, or the supervisor has not taken the exclusive lock yet. An exclusive lock here
            // fails in the first case only.
            Ok(()) => match self.clients.try_lock() {
                Ok(()) => {
                    self.clients.unlock().map_err(failed)?;
                    Ok(false)
                }
                Err(TryLockError::WouldBlock) => Ok(is_shared_by_others(&self.clients)),
                Err(TryLockError::Error(error)) => Err(failed(error)),
            },
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Replaces a supervisor that was killed. Sleeps in the kernel until that happens.
    pub(super) fn monitor(&self) {
        let mut delay = RESTART_DELAY;
        loop {
            let waited = Lock::Supervisor.open(&self.base).map(|file| file.lock_shared());
            if self.is_leaving.load(Ordering::SeqCst) {
                return;
            }
            match waited
                .map_err(|error| error.to_string())
                .and_then(|_| self.restart())
            {
                Ok(Some(outcome)) => {
                    tracing::warn!(
                        ?outcome,
                        "the PostgreSQL supervisor was killed; PostgreSQL was started again"
                    );
                    delay = RESTART_DELAY;
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(
                        error,
                        "the PostgreSQL supervisor was killed and cannot be started again"
                    );
                    thread::sleep(delay);
                    delay = (delay * 2).min(MAX_RESTART_DELAY);
                }
            }
        }
    }

    /// `None`: this process is leaving the database.
    fn restart(&self) -> Result<Option<StartOutcome>, String> {
        let _start = Lock::Start
            .take(&self.base, START_LIMIT)
            .map_err(|error| error.to_string())?;
        if self.is_leaving.load(Ordering::SeqCst) {
            return Ok(None);
        }
        self.ensure_running().map(Some).map_err(|error| error.to_string())
    }
}

/// Parses the line that [`supervise`](crate::supervise) writes to its standard output.
fn parse_report(report: &str) -> Result<Option<StartOutcome>, EmbeddedError> {
    match report.split_once(' ').unwrap_or((report, "")) {
        ("created", _) => Ok(Some(StartOutcome::Created)),
        ("started", _) => Ok(Some(StartOutcome::Started)),
        ("failed", reason) => Err(EmbeddedError::Supervisor(reason.to_owned())),
        _ => Ok(None),
    }
}

/// After an exclusive lock failed: whether other clients hold the lock shared, rather than the supervisor exclusively.
fn is_shared_by_others(clients: &File) -> bool {
    let shared = clients.try_lock_shared().is_ok();
    let _ = clients.unlock();
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_lock_of_another_client_is_told_from_exclusive_lock() {
        let base = tempfile::tempdir().unwrap();
        let (leaving, other) = (
            Lock::Clients.open(base.path()).unwrap(),
            Lock::Clients.open(base.path()).unwrap(),
        );
        other.lock_shared().unwrap();
        assert!(is_shared_by_others(&leaving));
        other.unlock().unwrap();
        other.lock().unwrap();
        assert!(!is_shared_by_others(&leaving));
    }
}
