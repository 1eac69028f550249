//! The folder of the server's socket: private to PostgreSQL's account, with a path short enough for a socket address.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use super::error::EmbeddedError;
use super::os_account::OsAccount;

/// Named after the port, although the server does not listen on TCP.
pub(super) const SOCKET_FILE: &str = ".s.PGSQL.5432";
/// The longest path in a socket address without the final NUL: `sun_path` in unix(7), and in unix(4) of macOS.
const MAX_PATH_BYTES: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// How many names below `/tmp` are tried.
const MAX_ATTEMPTS: u32 = 16;

/// The socket folder in use: `run` in the data folder, or the target if `run` is a symbolic link.
pub(super) fn current(base: &Path) -> PathBuf {
    let run = base.join("run");
    fs::read_link(&run).unwrap_or(run)
}

/// What the socket folder depends on.
pub(super) struct SocketFolder<'a> {
    pub(super) app_name: &'a str,
    pub(super) base: &'a Path,
    pub(super) account: &'a OsAccount,
    pub(super) runtime_dir: Option<&'a Path>,
}

impl SocketFolder<'_> {
    /// Creates the socket folder unless it exists, and returns it.
    ///
    /// A fallback is stored as a symbolic link, because the processes that share the database may have different environments.
    pub(super) fn prepare(&self) -> Result<PathBuf, EmbeddedError> {
        let run = self.base.join("run");
        if fits(&run) {
            make_private(&run, self.account).map_err(EmbeddedError::io("prepare the socket folder", &run))?;
            return Ok(run);
        }
        if let Ok(stored) = fs::read_link(&run) {
            if make_private(&stored, self.account).is_ok() {
                return Ok(stored);
            }
            fs::remove_file(&run).map_err(EmbeddedError::io("remove", &run))?;
        }
        let chosen = self.fallback()?;
        symlink(&chosen, &run).map_err(EmbeddedError::io("create the link", &run))?;
        Ok(chosen)
    }

    fn fallback(&self) -> Result<PathBuf, EmbeddedError> {
        let mut hasher = DefaultHasher::new();
        self.base.as_os_str().as_bytes().hash(&mut hasher);
        let name = format!(
            "{}-{}-{:016x}",
            self.app_name,
            self.account.uid(),
            hasher.finish()
        );
        // Root's runtime folder cannot be reached by the account that PostgreSQL runs as.
        if let (Some(runtime), OsAccount::Own) = (self.runtime_dir, self.account) {
            let chosen = runtime.join(&name);
            let private = check_private(runtime, self.account).is_ok();
            if private && fits(&chosen) && make_private(&chosen, self.account).is_ok() {
                return Ok(chosen);
            }
        }
        // Another account may have created a name in /tmp first. Such a name is skipped, never used.
        let mut last = PathBuf::new();
        for attempt in 0..MAX_ATTEMPTS {
            last = Path::new("/tmp").join(format!("{name}-{attempt}"));
            if make_private(&last, self.account).is_ok() {
                return Ok(last);
            }
        }
        let taken = io::Error::other("another account has created a folder of this name");
        Err(EmbeddedError::io("prepare the socket folder", &last)(taken))
    }
}

fn fits(folder: &Path) -> bool {
    folder.as_os_str().len() + 1 + SOCKET_FILE.len() <= MAX_PATH_BYTES
}

/// Creates the folder, or accepts an existing one that no other account can have created.
fn make_private(folder: &Path, account: &OsAccount) -> io::Result<()> {
    match account.create_folder(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    check_private(folder, account)
}

fn check_private(folder: &Path, account: &OsAccount) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == account.uid() && found.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(io::Error::other(
            "it must be a folder that belongs to PostgreSQL's account, with mode 0700",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn prepare(base: &Path, runtime_dir: Option<&Path>) -> PathBuf {
        folder(base, runtime_dir).prepare().unwrap()
    }

    fn folder<'a>(base: &'a Path, runtime_dir: Option<&'a Path>) -> SocketFolder<'a> {
        SocketFolder {
            app_name: "skillkeep",
            base,
            account: &OsAccount::Own,
            runtime_dir,
        }
    }

    fn long_base() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let base = parent.path().join("d".repeat(120));
        fs::create_dir(&base).unwrap();
        (parent, base)
    }

    #[test]
    fn short_data_folder_contains_the_socket() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(prepare(base.path(), None), base.path().join("run"));
        assert_eq!(current(base.path()), base.path().join("run"));
    }

    #[test]
    fn longest_path_fits_and_one_byte_more_does_not() {
        let longest = "/".to_owned() + &"d".repeat(MAX_PATH_BYTES - SOCKET_FILE.len() - 2);
        assert!(fits(Path::new(&longest)));
        assert!(!fits(Path::new(&(longest + "d"))));
    }

    #[test]
    fn long_data_folder_uses_the_runtime_folder_and_stores_it() {
        let (_parent, base) = long_base();
        let runtime = tempfile::tempdir().unwrap();
        fs::set_permissions(runtime.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let chosen = prepare(&base, Some(runtime.path()));
        assert!(chosen.starts_with(runtime.path()), "{chosen:?}");
        assert_eq!(prepare(&base, None), chosen);
        assert_eq!(current(&base), chosen);
    }

    #[test]
    fn runtime_folder_open_to_others_is_not_used() {
        let (_parent, base) = long_base();
        let runtime = tempfile::tempdir().unwrap();
        fs::set_permissions(runtime.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let chosen = prepare(&base, Some(runtime.path()));
        assert!(chosen.starts_with("/tmp/"), "{chosen:?}");
        fs::remove_dir(chosen).unwrap();
    }

    #[test]
    fn name_created_by_another_account_is_skipped() {
        let (_parent, base) = long_base();
        let first = folder(&base, None).fallback().unwrap();
        fs::set_permissions(&first, fs::Permissions::from_mode(0o777)).unwrap();
        let second = folder(&base, None).fallback().unwrap();
        assert_ne!(first, second);
        fs::remove_dir(&first).unwrap();
        symlink("/etc", &first).unwrap();
        assert_eq!(folder(&base, None).fallback().unwrap(), second);
        fs::remove_file(first).unwrap();
        fs::remove_dir(second).unwrap();
    }
}
