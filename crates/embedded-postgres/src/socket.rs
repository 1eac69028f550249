//! The folder of the server's socket: private, and short enough for a socket address.

use std::fs::{self, DirBuilder};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use super::error::EmbeddedError;
use super::os_account::OsAccount;

/// The port names the socket file; nothing listens on TCP.
pub(super) const SOCKET_FILE: &str = ".s.PGSQL.5432";
/// The longest path in a socket address, without its final NUL: `sun_path` of unix(7) and of macOS's unix(4).
const LONGEST_PATH_BYTES: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
const ATTEMPTS: u32 = 16;

/// The socket folder that is in use: `run` in the data folder, or where that link points.
pub(super) fn current(base: &Path) -> PathBuf {
    let run = base.join("run");
    fs::read_link(&run).unwrap_or(run)
}

/// Makes sure of a private socket folder and returns it.
///
/// A fallback is remembered as a link, for the processes that share the database need not share their environment.
pub(super) fn prepare(
    base: &Path,
    account: &OsAccount,
    runtime_dir: Option<&Path>,
) -> Result<PathBuf, EmbeddedError> {
    let run = base.join("run");
    if fits(&run) {
        make_private(&run, account).map_err(EmbeddedError::io("prepare the socket folder", &run))?;
        return Ok(run);
    }
    if let Ok(remembered) = fs::read_link(&run) {
        if make_private(&remembered, account).is_ok() {
            return Ok(remembered);
        }
        fs::remove_file(&run).map_err(EmbeddedError::io("remove", &run))?;
    }
    let chosen = fallback(base, account, runtime_dir)?;
    symlink(&chosen, &run).map_err(EmbeddedError::io("create the link", &run))?;
    Ok(chosen)
}

fn fits(folder: &Path) -> bool {
    folder.as_os_str().len() + 1 + SOCKET_FILE.len() <= LONGEST_PATH_BYTES
}

fn fallback(base: &Path, account: &OsAccount, runtime_dir: Option<&Path>) -> Result<PathBuf, EmbeddedError> {
    let mut hasher = DefaultHasher::new();
    base.as_os_str().as_bytes().hash(&mut hasher);
    let name = format!("skillkeep-{}-{:016x}", account.uid(), hasher.finish());
    // Root's runtime folder cannot be reached by the account that PostgreSQL runs as.
    if let (Some(runtime), OsAccount::Own) = (runtime_dir, account) {
        let chosen = runtime.join(&name);
        let private = check_private(runtime, account).is_ok();
        if private && fits(&chosen) && make_private(&chosen, account).is_ok() {
            return Ok(chosen);
        }
    }
    // Somebody else can take a name in /tmp first, which then is passed over, never used.
    let mut last = PathBuf::new();
    for attempt in 0..ATTEMPTS {
        last = Path::new("/tmp").join(format!("{name}-{attempt}"));
        if make_private(&last, account).is_ok() {
            return Ok(last);
        }
    }
    let taken = io::Error::other("the name is taken by somebody else");
    Err(EmbeddedError::io("prepare the socket folder", &last)(taken))
}

/// Creates the folder, or accepts an existing one that nobody else can have prepared.
fn make_private(folder: &Path, account: &OsAccount) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => account.own(folder).map_err(io::Error::other)?,
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
            "it is not a folder that belongs to PostgreSQL's account alone (mode 0700)",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn long_base() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let base = parent.path().join("d".repeat(120));
        fs::create_dir(&base).unwrap();
        (parent, base)
    }

    #[test]
    fn a_short_data_folder_holds_its_socket() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(
            prepare(base.path(), &OsAccount::Own, None).unwrap(),
            base.path().join("run")
        );
        assert_eq!(current(base.path()), base.path().join("run"));
    }

    #[test]
    fn the_longest_path_just_fits() {
        let longest = "/".to_owned() + &"d".repeat(LONGEST_PATH_BYTES - SOCKET_FILE.len() - 2);
        assert!(fits(Path::new(&longest)));
        assert!(!fits(Path::new(&(longest + "d"))));
    }

    #[test]
    fn a_long_data_folder_uses_the_runtime_folder_and_remembers_it() {
        let (_parent, base) = long_base();
        let runtime = tempfile::tempdir().unwrap();
        fs::set_permissions(runtime.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let chosen = prepare(&base, &OsAccount::Own, Some(runtime.path())).unwrap();
        assert!(chosen.starts_with(runtime.path()), "{chosen:?}");
        assert_eq!(prepare(&base, &OsAccount::Own, None).unwrap(), chosen);
        assert_eq!(current(&base), chosen);
    }

    #[test]
    fn a_runtime_folder_open_to_others_is_not_used() {
        let (_parent, base) = long_base();
        let runtime = tempfile::tempdir().unwrap();
        fs::set_permissions(runtime.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let chosen = prepare(&base, &OsAccount::Own, Some(runtime.path())).unwrap();
        assert!(chosen.starts_with("/tmp/"), "{chosen:?}");
        fs::remove_dir(chosen).unwrap();
    }

    #[test]
    fn a_squatted_name_is_passed_over() {
        let (_parent, base) = long_base();
        let first = fallback(&base, &OsAccount::Own, None).unwrap();
        fs::set_permissions(&first, fs::Permissions::from_mode(0o777)).unwrap();
        let second = fallback(&base, &OsAccount::Own, None).unwrap();
        assert_ne!(first, second);
        fs::remove_dir(&first).unwrap();
        symlink("/etc", &first).unwrap();
        assert_eq!(fallback(&base, &OsAccount::Own, None).unwrap(), second);
        fs::remove_file(first).unwrap();
        fs::remove_dir(second).unwrap();
    }
}
