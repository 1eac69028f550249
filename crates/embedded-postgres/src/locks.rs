//! The four lock files by which processes that share a database agree.
//!
//! All are `flock(2)` locks: the kernel lets go of them when their holder ends, however it ends. They bind to the
//! open file, so a child that inherits it holds the lock as well.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::error::EmbeddedError;

/// Between two looks at something that others change within milliseconds.
pub(super) const POLL: Duration = Duration::from_millis(5);

/// What a lock file stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lock {
    /// Held by whoever is joining, starting or leaving the database.
    Start,
    /// Held shared by each user for life; the watcher waits to hold it alone.
    Clients,
    /// Held by the watcher for life. Its content is the process id of a server that is ready, else it is empty.
    Supervisor,
    /// Inherited by PostgreSQL as its standard input: held while any process of the server lives, orphans included.
    Server,
}

impl Lock {
    const fn file_name(self) -> &'static str {
        match self {
            Self::Start => "start.lock",
            Self::Clients => "users.lock",
            Self::Supervisor => "watcher.lock",
            Self::Server => "server.lock",
        }
    }

    /// Opens the file anew, so that the lock taken through it is independent of every other.
    pub(super) fn open(self, base: &Path) -> Result<File, EmbeddedError> {
        let path = base.join(self.file_name());
        OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(EmbeddedError::io("open", &path))
    }

    /// Opens the file and locks it exclusively within `limit`, else says `Busy`.
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

    /// Whether somebody holds the lock at this moment.
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

/// Locks exclusively; `false` when others held it during the whole of `limit`.
pub(super) fn lock_within(file: &File, limit: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= limit => return Ok(false),
            Err(TryLockError::WouldBlock) => thread::sleep(POLL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_its_file_is_closed() {
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
    fn a_child_that_inherits_the_file_holds_the_lock() {
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
