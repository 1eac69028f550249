//! One process's use of the database: it brings the server up where it is not, and replaces a watcher that was killed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::error::EmbeddedError;
use super::locks::{Lock, POLL};
use super::os_account::OsAccount;
use super::server::{self, ServerState};
use super::{EmbeddedOptions, Start, binaries, cluster, socket, supervisor};

/// A first start under load, crash recovery included, may take this long before another process gives up waiting.
pub(super) const START_LIMIT: Duration = Duration::from_secs(180);
/// How often a watcher that was killed while it started is replaced.
const LAUNCHES: u32 = 3;
const REVIVAL_DELAY: Duration = Duration::from_millis(500);
const LONGEST_REVIVAL_DELAY: Duration = Duration::from_secs(30);

/// What the caller's handle and the monitor's thread share.
#[derive(Debug)]
pub(super) struct EmbeddedClient {
    options: EmbeddedOptions,
    pub(super) base: PathBuf,
    /// Locked shared for as long as the database is used.
    pub(super) users: File,
    /// Set before `users` is unlocked, so that the monitor does not start the database anew.
    pub(super) leaving: AtomicBool,
    /// The watcher that this process spawned, kept so that it can be reaped.
    watcher: Mutex<Option<Child>>,
}

impl EmbeddedClient {
    /// `users` is locked shared already.
    pub(super) const fn new(options: EmbeddedOptions, base: PathBuf, users: File) -> Self {
        Self {
            options,
            base,
            users,
            leaving: AtomicBool::new(false),
            watcher: Mutex::new(None),
        }
    }

    /// Brings the database up where it is not; the caller holds `start.lock`.
    pub(super) fn ensure_running(&self) -> Result<Start, EmbeddedError> {
        let begun = Instant::now();
        let mut launches = 0;
        while begun.elapsed() < START_LIMIT {
            if !Lock::Supervisor.is_held(&self.base)? {
                launches += 1;
                match self.launch()? {
                    Some(outcome) => return Ok(outcome),
                    None if launches < LAUNCHES => {}
                    None => {
                        return Err(EmbeddedError::WatcherLost {
                            log: cluster::log_path(&self.base),
                        });
                    }
                }
            } else {
                match server::published(&self.base)? {
                    ServerState::Ready(_) => return Ok(Start::Joined),
                    ServerState::Failed(reason) => return Err(EmbeddedError::Supervisor(reason)),
                    ServerState::Unknown => {}
                }
            }
            thread::sleep(POLL);
        }
        Err(EmbeddedError::Busy {
            path: self.base.clone(),
            seconds: START_LIMIT.as_secs(),
        })
    }

    /// Starts a watcher and waits for its report; `None` when it was killed before it could give one.
    fn launch(&self) -> Result<Option<Start>, EmbeddedError> {
        let (base, options) = (&self.base, &self.options);
        let data = cluster::data_path(base);
        let account = OsAccount::for_cluster(&data)?;
        let wanted = cluster::major(base)?;
        let (chosen, path) = (options.pg_bin.as_deref(), options.search_path.as_deref());
        let binaries = binaries::find(chosen, path, wanted, &data, &account)?;
        cluster::check_reachable(base, &binaries.bin, &account)?;
        socket::prepare(base, &account, options.runtime_dir.as_deref())?;
        self.reap();
        let mut child = Command::new(&options.program)
            .args(supervisor::arguments(base, &binaries.bin))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(EmbeddedError::io("run", &options.program))?;
        let mut report = String::new();
        if let Some(pipe) = child.stdout.take() {
            // A report that cannot be read is none, and an empty one is handled below.
            let _ = BufReader::new(pipe).read_line(&mut report);
        }
        let report = report.trim_end();
        let outcome = match report.split_once(' ').unwrap_or((report, "")) {
            ("created", _) => Ok(Some(Start::Created)),
            ("started", _) => Ok(Some(Start::Started)),
            ("failed", reason) => Err(EmbeddedError::Supervisor(reason.to_owned())),
            _ => Ok(None),
        };
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        if !matches!(outcome, Ok(Some(_))) {
            self.reap();
        }
        outcome
    }

    /// Waits for the watcher of this process, if it is the parent of one, whose end is certain or near.
    pub(super) fn reap(&self) {
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut child) = watcher {
            let _ = child.wait();
        }
    }

    /// Replaces a watcher that was killed. Sleeps in the kernel until that happens.
    pub(super) fn monitor(&self) {
        let mut delay = REVIVAL_DELAY;
        loop {
            let waited = Lock::Supervisor.open(&self.base).map(|file| file.lock_shared());
            if self.leaving.load(Ordering::SeqCst) {
                return;
            }
            match waited
                .map_err(|error| error.to_string())
                .and_then(|_| self.revive())
            {
                Ok(Some(outcome)) => {
                    tracing::warn!(
                        ?outcome,
                        "the database's watcher was gone, so the database was started again"
                    );
                    delay = REVIVAL_DELAY;
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(
                        error,
                        "the database's watcher is gone and could not be started again"
                    );
                    thread::sleep(delay);
                    delay = (delay * 2).min(LONGEST_REVIVAL_DELAY);
                }
            }
        }
    }

    /// `None` when this process is leaving the database.
    fn revive(&self) -> Result<Option<Start>, String> {
        let _start = Lock::Start
            .take(&self.base, START_LIMIT)
            .map_err(|error| error.to_string())?;
        if self.leaving.load(Ordering::SeqCst) {
            return Ok(None);
        }
        self.ensure_running().map(Some).map_err(|error| error.to_string())
    }
}
