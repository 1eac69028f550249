//! The four lock files that coordinate the processes of one data folder.
//!
//! All are `flock(2)` locks: the kernel releases them when their holder ends, even if it is killed. A lock belongs to the open file
//! description, so a child process that inherits the file holds the lock too.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::error::EmbeddedError;
use super::own_files::open_own;

/// The interval between two checks of something that other processes change within milliseconds.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy)]
pub(super) enum Lock {
    /// Held by a client while it joins, starts or leaves the server.
    Start,
    /// Held shared by each client while it uses the server; the supervisor waits for the exclusive lock.
    Clients,
    /// Held by the supervisor until its end. Contains the published [`ServerState`](super::server::ServerState).
    Supervisor,
    /// Inherited by PostgreSQL as its standard input: held while any process of the server lives, including orphaned backends.
    Server,
}

impl Lock {
    const fn file_name(self) -> &'static str {
        match self {
            Self::Start => "start.lock",
            Self::Clients => "clients.lock",
            Self::Supervisor => "supervisor.lock",
            Self::Server => "server.lock",
        }
    }

    /// Opens the file again, so that a lock on it is independent of the locks of this process's other files.
    pub(super) fn open(self, base: &Path) -> Result<File, EmbeddedError> {
        open_own(base, self.file_name(), false)
    }

    /// Opens the file and locks it exclusively. Fails with [`EmbeddedError::Busy`] after `limit`.
    pub(super) fn take(self, base: &Path, limit: Duration) -> Result<File, EmbeddedError> {
        let file = self.open(base)?;
        if lock_within(&file, limit).map_err(EmbeddedError::io("lock", &base.join(self.file_name())))? {
            Ok(file)
        } else {
            Err(EmbeddedError::Busy {
                path: base.to_path_buf(),
                seconds: limit.as_secs(),
            })
        }
    }

    /// Whether any process holds the lock now.
    pub(super) fn is_held(self, base: &Path) -> Result<bool, EmbeddedError> {
        let file = self.open(base)?;
        match file.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => {
                Err(EmbeddedError::io("lock", &base.join(self.file_name()))(error))
            }
        }
    }
}

/// Locks exclusively. `false`: other processes still held the lock after `limit`.
pub(super) fn lock_within(file: &File, limit: Duration) -> io::Result<bool> {
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if started.elapsed() >= limit => return Ok(false),
            Err(TryLockError::WouldBlock) => thread::sleep(POLL_INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_is_held_until_its_file_is_closed() {
        let base = tempfile::tempdir().unwrap();
        let held = Lock::Start.take(base.path(), Duration::ZERO).unwrap();
        assert!(Lock::Start.is_held(base.path()).unwrap());
        let refused = Lock::Start
            .take(base.path(), Duration::from_millis(20))
            .unwrap_err();
        assert!(matches!(refused, EmbeddedError::Busy { .. }), "{refused}");
        drop(held);
        assert!(!Lock::Start.is_held(base.path()).unwrap());
    }

    #[test]
    fn child_that_inherits_the_file_holds_the_lock() {
        let base = tempfile::tempdir().unwrap();
        let file = Lock::Server.take(base.path(), Duration::ZERO).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .stdin(file)
            .spawn()
            .unwrap();
        assert!(Lock::Server.is_held(base.path()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!Lock::Server.is_held(base.path()).unwrap());
    }
}
