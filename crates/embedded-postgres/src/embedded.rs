use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::client::{EmbeddedClient, START_LIMIT};
use super::error::EmbeddedError;
use super::locks::{Lock, POLL_INTERVAL, lock_within};
use super::options::{EmbeddedOptions, StartOutcome, StopOutcome, superuser};
use super::{cluster, socket};

/// How long [`Embedded::stop`] waits for the server's end, and [`Embedded::start`] for a server that is stopping.
const STOP_LIMIT: Duration = Duration::from_secs(45);

/// This process's use of the embedded database.
///
/// Dropping it leaves the database as [`Self::stop`] does, but does not wait for the server's end.
#[derive(Debug)]
pub struct Embedded {
    client: Arc<EmbeddedClient>,
    superuser: String,
    socket_dir: PathBuf,
    outcome: StartOutcome,
}

impl Embedded {
    /// Joins the running server, or starts it, or creates the cluster first. Returns when the server accepts connections.
    ///
    /// Blocks: usually for less than 5 seconds, for at most 180 seconds while another process starts the server.
    ///
    /// # Errors
    /// See [`EmbeddedError`]: no usable PostgreSQL, an unusable data folder, or a failed start.
    ///
    /// # Examples
    ///
    /// ```
    /// use embedded_postgres::{Embedded, EmbeddedOptions, RelatedOption};
    ///
    /// let options = EmbeddedOptions {
    ///     app_name: "notes".to_owned(),
    ///     data_dir: "relative/path".into(),
    ///     pg_bin: None,
    ///     program: std::env::current_exe()?,
    ///     supervisor_args: vec!["supervise".into()],
    ///     search_path: None,
    ///     runtime_dir: None,
    /// };
    /// let error = Embedded::start(&options).unwrap_err();
    /// assert_eq!(error.related_option(), Some(RelatedOption::DataDir));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn start(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let base = cluster::prepare_base(&options.data_dir)?;
        let _start = Lock::Start.take(&base, START_LIMIT)?;
        let clients = Lock::Clients.open(&base)?;
        // A supervisor that is stopping the server holds this lock until the server has ended.
        lock_shared(&clients, &base)?;
        let client = Arc::new(EmbeddedClient::new(options.clone(), base, clients));
        let outcome = client.ensure_running()?;
        let socket_dir = socket::current(&client.base);
        let monitored = Arc::clone(&client);
        thread::Builder::new()
            .name("postgres-monitor".to_owned())
            .spawn(move || monitored.monitor())
            .map_err(EmbeddedError::io("start a thread for", &client.base))?;
        Ok(Self {
            client,
            superuser: superuser(&options.app_name),
            socket_dir,
            outcome,
        })
    }

    /// The folder of the server's socket: the host to connect to. The port is 5432.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The superuser's name. The superuser needs no password and bypasses row level security.
    #[must_use]
    pub fn superuser(&self) -> &str {
        &self.superuser
    }

    /// How the server came to run.
    #[must_use]
    pub const fn outcome(&self) -> StartOutcome {
        self.outcome
    }

    /// Leaves the database. If this is the last client, waits until the server has stopped, at most 45 seconds.
    ///
    /// # Errors
    /// [`EmbeddedError::Busy`] if another process takes more than 45 seconds to start or stop the server, or
    /// [`EmbeddedError::Io`] for a lock file. The database is left in any case: the supervisor stops it after the last client.
    pub fn stop(self) -> Result<StopOutcome, EmbeddedError> {
        let base = &self.client.base;
        self.client.is_leaving.store(true, Ordering::SeqCst);
        // Without this lock another process could join between the check for other clients and the server's end.
        let _start = Lock::Start.take(base, STOP_LIMIT)?;
        if self.client.leave_to_others()? {
            return Ok(StopOutcome::LeftRunning);
        }
        let supervisor = Lock::Supervisor.open(base)?;
        if !lock_within(&supervisor, STOP_LIMIT).map_err(EmbeddedError::io("lock", base))? {
            return Err(EmbeddedError::Busy {
                path: base.clone(),
                seconds: STOP_LIMIT.as_secs(),
            });
        }
        drop(supervisor);
        self.client.reap_supervisor();
        Ok(StopOutcome::Stopped)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.client.is_leaving.store(true, Ordering::SeqCst);
        // An error does no harm: the end of the process releases the lock as well.
        let _ = self.client.clients.unlock();
    }
}

fn lock_shared(clients: &File, base: &Path) -> Result<(), EmbeddedError> {
    let started = Instant::now();
    loop {
        match clients.try_lock_shared() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(EmbeddedError::io("lock", base)(error)),
            Err(TryLockError::WouldBlock) if started.elapsed() < STOP_LIMIT => thread::sleep(POLL_INTERVAL),
            Err(TryLockError::WouldBlock) => {
                return Err(EmbeddedError::Busy {
                    path: base.to_path_buf(),
                    seconds: STOP_LIMIT.as_secs(),
                });
            }
        }
    }
}
