//! A PostgreSQL cluster of skillkeep's own, run with the programs of an installed PostgreSQL.
//!
//! All skillkeep processes of one account share one server on a private Unix socket. It starts with the first of
//! them and ends with the last, also when they are killed:
//!
//! - `start.lock` lets one process at a time join, start or leave.
//! - `users.lock` is held shared by every user. The **watcher**, this program run again as the parent of PostgreSQL,
//!   waits to hold it alone: then nobody uses the database, and it stops the server.
//! - `watcher.lock` is held by the watcher. Every user waits for it in a thread: should the watcher be killed, its
//!   guardian (a shell) stops the server, and the first user to notice starts both anew.
//! - `server.lock` is PostgreSQL's standard input, hence held for as long as any of its processes lives. It is the
//!   only proof that nothing works on the files any more; process ids are reused, and zombies answer to signals.
//!
//! Architecture invariant: nothing here downloads anything, and nothing here reads an environment variable.

mod binaries;
mod client;
mod cluster;
mod error;
mod locks;
mod os_account;
mod server;
mod socket;
mod supervisor;

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Uid;

pub use error::EmbeddedError;
pub use supervisor::{SuperviseOptions, supervise};

use client::{EmbeddedClient, START_LIMIT};
use locks::{Lock, POLL, lock_within};

/// The user that initdb makes. A superuser: for creating roles and the database, never for serving.
const SUPERUSER: &str = "skillkeep_superuser";

const STOP_LIMIT: Duration = Duration::from_secs(45);

/// Where the embedded database lives and what runs it.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The data folder, an absolute path; created when missing.
    pub data_dir: PathBuf,
    /// The folder of `initdb` and `postgres` (`SKILLKEEP_PG_BIN`), instead of searching for them.
    pub pg_bin: Option<PathBuf>,
    /// The skillkeep binary, which is run again as the watcher with the subcommand `postgres-watch`.
    pub program: PathBuf,
    /// `PATH`, which is searched for PostgreSQL too.
    pub search_path: Option<OsString>,
    /// `XDG_RUNTIME_DIR`, where the socket goes when the data folder's path is too long for one.
    pub runtime_dir: Option<PathBuf>,
}

/// How the database came to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// There was no cluster: it was created, and the server started.
    Created,
    /// The cluster was there, and the server started.
    Started,
    /// The server was running already.
    Joined,
}

/// How leaving the database ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// This was the last user, and the server has ended.
    Stopped,
    /// Other processes use it.
    LeftRunning,
}

/// The use of the embedded database. Dropping it leaves as `stop` does, but does not wait for the server's end.
#[derive(Debug)]
pub struct Embedded {
    user: Arc<EmbeddedClient>,
    socket_dir: PathBuf,
    outcome: Start,
}

impl Embedded {
    /// Joins the running database, or starts it, or creates it first. Blocks for up to some seconds.
    ///
    /// # Errors
    /// One sentence or two for the person who started skillkeep, see [`EmbeddedError`].
    pub fn start(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let base = cluster::prepare_base(&options.data_dir)?;
        let _start = Lock::Start.take(&base, START_LIMIT)?;
        let users = Lock::Clients.open(&base)?;
        // A watcher that is stopping the server holds it until it is done.
        wait_shared(&users, &base)?;
        let user = Arc::new(EmbeddedClient::new(options.clone(), base, users));
        let outcome = user.ensure_running()?;
        let socket_dir = socket::current(&user.base);
        let monitored = Arc::clone(&user);
        thread::Builder::new()
            .name("postgres-monitor".to_owned())
            .spawn(move || monitored.monitor())
            .map_err(EmbeddedError::io("start a thread for", &user.base))?;
        Ok(Self {
            user,
            socket_dir,
            outcome,
        })
    }

    /// The folder of the socket, for `Config::host_path`. The port that names the socket's file is 5432.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The superuser, who bypasses row level security: only for creating roles and the database.
    #[must_use]
    pub const fn superuser(&self) -> &'static str {
        SUPERUSER
    }

    /// How the database came to run.
    #[must_use]
    pub const fn outcome(&self) -> Start {
        self.outcome
    }

    /// Leaves the database; the last user's leaving stops it, and this waits for that.
    ///
    /// # Errors
    /// When another process is starting or stopping for too long, or a lock file cannot be opened. The database is
    /// left in any case, and its watcher stops it after the last user.
    pub fn stop(self) -> Result<Stop, EmbeddedError> {
        let base = &self.user.base;
        self.user.leaving.store(true, Ordering::SeqCst);
        // Nobody can join between the question whether this is the last user and the server's end.
        let _start = Lock::Start.take(base, STOP_LIMIT)?;
        let failed = |error| EmbeddedError::io("lock", base)(error);
        self.user.users.unlock().map_err(failed)?;
        match self.user.users.try_lock_shared() {
            // Either others are there, or the watcher has not woken up yet: it tells by trying to be alone.
            Ok(()) => match self.user.users.try_lock() {
                Ok(()) => self.user.users.unlock().map_err(failed)?,
                Err(TryLockError::WouldBlock) if others_use(&self.user.users) => {
                    return Ok(Stop::LeftRunning);
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            },
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let watcher = Lock::Supervisor.open(base)?;
        if !lock_within(&watcher, STOP_LIMIT).map_err(failed)? {
            return Err(EmbeddedError::Busy {
                path: base.clone(),
                seconds: STOP_LIMIT.as_secs(),
            });
        }
        drop(watcher);
        self.user.reap();
        Ok(Stop::Stopped)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.user.leaving.store(true, Ordering::SeqCst);
        // The watcher waits for this lock; the process's end would free it as well.
        let _ = self.user.users.unlock();
    }
}

/// After an attempt to be alone failed: whether other users hold the lock, rather than the watcher alone.
fn others_use(users: &File) -> bool {
    let shared = users.try_lock_shared().is_ok();
    let _ = users.unlock();
    shared
}

fn wait_shared(users: &File, base: &Path) -> Result<(), EmbeddedError> {
    let begun = Instant::now();
    loop {
        match users.try_lock_shared() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(EmbeddedError::io("lock", base)(error)),
            Err(TryLockError::WouldBlock) if begun.elapsed() < STOP_LIMIT => thread::sleep(POLL),
            Err(TryLockError::WouldBlock) => {
                return Err(EmbeddedError::Busy {
                    path: base.to_path_buf(),
                    seconds: STOP_LIMIT.as_secs(),
                });
            }
        }
    }
}

/// The data folder where none is configured, or `None` without a home.
///
/// `/var/lib/skillkeep` for root, whose own home PostgreSQL's account cannot reach; else macOS's Application Support,
/// or `skillkeep` in `XDG_DATA_HOME` (XDG Base Directory Specification 0.8), which is `~/.local/share` when it is
/// unset or relative.
#[must_use]
pub fn default_data_dir(home: Option<&Path>, xdg_data_home: Option<&Path>) -> Option<PathBuf> {
    data_dir_for(
        Uid::effective().is_root(),
        cfg!(target_os = "macos"),
        home,
        xdg_data_home,
    )
}

fn data_dir_for(root: bool, macos: bool, home: Option<&Path>, xdg: Option<&Path>) -> Option<PathBuf> {
    if root {
        return Some(PathBuf::from("/var/lib/skillkeep"));
    }
    let home = home.filter(|home| home.is_absolute());
    if macos {
        return home.map(|home| home.join("Library/Application Support/skillkeep"));
    }
    match xdg.filter(|folder| folder.is_absolute()) {
        Some(folder) => Some(folder.join("skillkeep")),
        None => home.map(|home| home.join(".local/share/skillkeep")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_data_folder_follows_the_system() {
        let (home, xdg) = (Some(Path::new("/home/ada")), Some(Path::new("/data")));
        let folder =
            |root, macos, home, xdg| data_dir_for(root, macos, home, xdg).map(|f| f.display().to_string());
        assert_eq!(
            folder(true, false, home, xdg).as_deref(),
            Some("/var/lib/skillkeep")
        );
        assert_eq!(
            folder(false, false, home, xdg).as_deref(),
            Some("/data/skillkeep")
        );
        assert_eq!(
            folder(false, false, home, None).as_deref(),
            Some("/home/ada/.local/share/skillkeep")
        );
        assert_eq!(
            folder(false, false, home, Some(Path::new("data"))).as_deref(),
            Some("/home/ada/.local/share/skillkeep")
        );
        assert_eq!(
            folder(false, true, home, xdg).as_deref(),
            Some("/home/ada/Library/Application Support/skillkeep")
        );
        assert_eq!(folder(false, false, None, None), None);
    }

    #[test]
    fn leaving_alone_is_told_apart_from_leaving_others_behind() {
        let base = tempfile::tempdir().unwrap();
        let (leaver, other) = (
            Lock::Clients.open(base.path()).unwrap(),
            Lock::Clients.open(base.path()).unwrap(),
        );
        other.lock_shared().unwrap();
        assert!(others_use(&leaver));
        other.unlock().unwrap();
        other.lock().unwrap();
        assert!(!others_use(&leaver));
    }
}
