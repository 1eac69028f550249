//! The data folder: its owner and contents, and the atomic creation of the cluster in it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use folder_handle::{FolderHandle, Untrusted, check_trusted_path};
use nix::unistd::Uid;

use super::error::{EmbeddedError, summarize_output};
use super::os_account::OsAccount;
use super::own_files::read_start;

/// The name of a cluster folder while initdb writes it.
const UNFINISHED_PREFIX: &str = "data.new-";
pub(super) const LOG_FILE: &str = "postgres.log";
const OLD_LOG_FILE: &str = "postgres.log.1";
/// A number and a line break.
const MAX_VERSION_BYTES: u64 = 64;
/// A larger log is moved to `postgres.log.1`, which replaces the one before.
const LOG_LIMIT_BYTES: u64 = 10 * 1024 * 1024;

/// PostgreSQL's data directory, inside the data folder.
pub(super) fn data_path(base: &Path) -> PathBuf {
    base.join("data")
}

pub(super) fn log_path(base: &Path) -> PathBuf {
    base.join(LOG_FILE)
}

/// Creates the data folder if it is missing, rejects one of another account, and returns its canonical path.
pub(super) fn prepare_base(path: &Path) -> Result<PathBuf, EmbeddedError> {
    // postmaster.pid is read by lines, so a line break in the path would shift them.
    if !path.is_absolute() || path.as_os_str().as_bytes().iter().any(u8::is_ascii_control) {
        return Err(EmbeddedError::InvalidPath {
            path: path.to_path_buf(),
        });
    }
    let is_root = Uid::effective().is_root();
    // PostgreSQL's account must be able to traverse root's folder, but not to list it.
    let mode = if is_root { 0o711 } else { 0o700 };
    // Before anything is created, and again afterwards: another account may create a missing folder first.
    check_path(path)?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(EmbeddedError::io("create", parent))?;
    }
    let created = match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(EmbeddedError::io("create", path)(error)),
    };
    check_path(path)?;
    let base = fs::canonicalize(path).map_err(EmbeddedError::io("open", path))?;
    // A folder that is already in use keeps its mode.
    let is_empty = fs::read_dir(&base)
        .map_err(EmbeddedError::io("read", &base))?
        .next()
        .is_none();
    if created || is_empty {
        fs::set_permissions(&base, fs::Permissions::from_mode(mode))
            .map_err(EmbeddedError::io("set the mode of", &base))?;
    }
    Ok(base)
}

/// Rejects a data folder that another account owns, can write to, or can replace, because it owns or can write to a folder or link in
/// its path. For root, the data folder itself may belong to the account that owns the cluster.
fn check_path(path: &Path) -> Result<(), EmbeddedError> {
    let is_root = Uid::effective().is_root();
    let cluster_owner = || fs::symlink_metadata(data_path(path)).ok().map(|data| data.uid());
    let base = fs::canonicalize(path).ok();
    let is_base = |found: &Path| found == path || base.as_deref() == Some(found);
    let Err(problem) = check_trusted_path(path, None) else {
        // Sticky, so trusted as a folder around others, but not as the data folder.
        let is_open = fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o002 != 0);
        return if is_open {
            Err(EmbeddedError::WorldWritable {
                path: base.unwrap_or_else(|| path.to_path_buf()),
            })
        } else {
            Ok(())
        };
    };
    Err(match problem {
        Untrusted::OtherOwner { path: found, owner } if is_base(&found) => {
            if is_root && cluster_owner() == Some(owner) && !found.is_symlink() {
                return Ok(());
            }
            EmbeddedError::OtherOwner { path: found, owner }
        }
        Untrusted::Writable { path: found, mode } if is_base(&found) && mode & 0o002 != 0 => {
            EmbeddedError::WorldWritable { path: found }
        }
        Untrusted::OtherOwner { path: found, owner } => EmbeddedError::Replaceable {
            path: path.to_path_buf(),
            reason: format!("{} belongs to the account with uid {owner}", found.display()),
        },
        Untrusted::Writable { path: found, mode } => EmbeddedError::Replaceable {
            path: path.to_path_buf(),
            reason: format!("other accounts can write to {} (mode {mode:o})", found.display()),
        },
        Untrusted::Unreadable { path: found, source } => EmbeddedError::io("examine", &found)(source),
    })
}

/// The major version of the cluster, or `None` if there is no cluster yet.
pub(super) fn major(base: &Path) -> Result<Option<u32>, EmbeddedError> {
    let data = data_path(base);
    match fs::symlink_metadata(&data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(EmbeddedError::io("examine", &data)(error)),
        Ok(found) => {
            let own = Uid::effective();
            if !own.is_root() && found.uid() != own.as_raw() {
                return Err(EmbeddedError::OtherOwner {
                    path: data,
                    owner: found.uid(),
                });
            }
        }
    }
    let file = data.join("PG_VERSION");
    match read_start(base, &file, MAX_VERSION_BYTES) {
        Ok(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| EmbeddedError::NotACluster { data }),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(EmbeddedError::io("read", &file)(error))
        }
        Err(_) => Err(EmbeddedError::NotACluster { data }),
    }
}

/// Checks that PostgreSQL's account can work in the data folder, by running a program there.
pub(super) fn check_reachable(base: &Path, bin: &Path, account: &OsAccount) -> Result<(), EmbeddedError> {
    let OsAccount::Service { name, .. } = account else {
        return Ok(());
    };
    match account
        .command(&bin.join("postgres"))
        .arg("--version")
        .current_dir(base)
        .output()
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(EmbeddedError::Unreachable {
            path: base.to_path_buf(),
            account: name.clone(),
        }),
        Err(error) => Err(EmbeddedError::io("run PostgreSQL in", base)(error)),
    }
}

/// A cluster and the programs and account that run it.
pub(super) struct Cluster {
    /// The data folder.
    pub(super) base: PathBuf,
    /// The folder of PostgreSQL's programs.
    pub(super) bin: PathBuf,
    pub(super) account: OsAccount,
}

impl Cluster {
    /// Runs initdb in a temporary folder and renames it, so that an interrupted run leaves no partial cluster.
    ///
    /// `server_lock` becomes initdb's input: if initdb outlives its supervisor, the next supervisor waits for it.
    pub(super) fn create(&self, superuser: &str, server_lock: &File) -> Result<(), EmbeddedError> {
        remove_unfinished(&self.base)?;
        let unfinished = self
            .base
            .join(format!("{UNFINISHED_PREFIX}{}", std::process::id()));
        let result = self.create_in(&unfinished, superuser, server_lock);
        if result.is_err() {
            // The reader needs initdb's error, not that of the removal.
            let _ = fs::remove_dir_all(&unfinished);
        }
        result
    }

    fn create_in(&self, unfinished: &Path, superuser: &str, server_lock: &File) -> Result<(), EmbeddedError> {
        let base = &self.base;
        self.account
            .create_folder(unfinished)
            .map_err(EmbeddedError::io("create", unfinished))?;
        let program = self.bin.join("initdb");
        let input = server_lock
            .try_clone()
            .map_err(EmbeddedError::io("duplicate", base))?;
        let output = self
            .account
            .command(&program)
            .args(["-U", superuser, "--auth-local=peer", "--auth-host=reject"])
            .args(["-E", "UTF8"])
            .args(locale_arguments())
            .args(["--data-checksums", "-D"])
            .arg(unfinished)
            .stdin(Stdio::from(input))
            .output()
            .map_err(EmbeddedError::io("run", &program))?;
        let data = data_path(base);
        if !output.status.success() {
            let text = format!(
                "{}\n{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            return Err(EmbeddedError::Create {
                data,
                reason: summarize_output(&text),
            });
        }
        fs::rename(unfinished, &data).map_err(EmbeddedError::io("create", &data))?;
        File::open(base)
            .and_then(|folder| folder.sync_all())
            .map_err(EmbeddedError::io("write", base))
    }
}

/// Older releases of macOS have no `C.UTF-8`; their `UTF-8` character type is equivalent.
const fn locale_arguments() -> &'static [&'static str] {
    if cfg!(target_os = "macos") {
        &["--locale=C", "--lc-ctype=UTF-8"]
    } else {
        &["--locale=C.UTF-8"]
    }
}

fn remove_unfinished(base: &Path) -> Result<(), EmbeddedError> {
    for entry in fs::read_dir(base)
        .map_err(EmbeddedError::io("read", base))?
        .flatten()
    {
        if entry
            .file_name()
            .as_bytes()
            .starts_with(UNFINISHED_PREFIX.as_bytes())
        {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(EmbeddedError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Truncates the log if it is too large. PostgreSQL opens it for appending, so it continues at the new end.
pub(super) fn rotate_log(base: &Path) -> io::Result<()> {
    let folder = FolderHandle::open(base)?;
    let mut log = match folder.info(Path::new(LOG_FILE)) {
        Ok(found) if found.size_bytes > LOG_LIMIT_BYTES => {
            folder.open_own(Path::new(LOG_FILE), 0o600, true)?
        }
        Ok(_) | Err(_) => return Ok(()),
    };
    folder.remove_file(OLD_LOG_FILE.as_ref())?;
    let mut old = folder.create_new(Path::new(OLD_LOG_FILE), 0o600)?;
    io::copy(&mut log, &mut old)?;
    log.set_len(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_data_folder_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let base = prepare_base(&parent.path().join("a/b")).unwrap();
        assert_eq!(fs::metadata(base).unwrap().permissions().mode() & 0o066, 0);
    }

    #[test]
    fn world_writable_data_folder_is_rejected() {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = prepare_base(base.path()).unwrap_err();
        assert!(matches!(error, EmbeddedError::WorldWritable { .. }), "{error}");
    }

    #[test]
    fn relative_path_or_line_break_in_path_is_rejected() {
        for path in ["data", "/tmp/a\nb"] {
            let error = prepare_base(Path::new(path)).unwrap_err();
            assert!(matches!(error, EmbeddedError::InvalidPath { .. }), "{error}");
        }
    }

    #[test]
    fn major_of_cluster_is_read_and_other_folder_is_rejected() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(major(base.path()).unwrap(), None);
        let data = data_path(base.path());
        fs::create_dir(&data).unwrap();
        assert!(matches!(
            major(base.path()),
            Err(EmbeddedError::NotACluster { .. })
        ));
        fs::write(data.join("PG_VERSION"), "17\n").unwrap();
        assert_eq!(major(base.path()).unwrap(), Some(17));
    }

    #[test]
    fn large_log_is_truncated_and_its_copy_kept() {
        let base = tempfile::tempdir().unwrap();
        let log = File::create(log_path(base.path())).unwrap();
        log.set_len(LOG_LIMIT_BYTES + 1).unwrap();
        rotate_log(base.path()).unwrap();
        assert_eq!(fs::metadata(log_path(base.path())).unwrap().len(), 0);
        assert_eq!(
            fs::metadata(base.path().join("postgres.log.1")).unwrap().len(),
            LOG_LIMIT_BYTES + 1
        );
    }
}
