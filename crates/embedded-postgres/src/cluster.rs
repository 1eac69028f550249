//! The data folder: who it belongs to, what is in it, and how a cluster comes into being in one step.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::unistd::Uid;

use super::SUPERUSER;
use super::error::{EmbeddedError, telling_line};
use super::os_account::OsAccount;

const UNFINISHED: &str = "data.new-";
/// The log is cut when it is larger than this; what was cut stays beside it until the next cut.
const LOG_LIMIT_BYTES: u64 = 10 * 1024 * 1024;

/// The cluster's own folder inside the data folder.
pub(super) fn data_path(base: &Path) -> PathBuf {
    base.join("data")
}

/// The server's log inside the data folder.
pub(super) fn log_path(base: &Path) -> PathBuf {
    base.join("postgres.log")
}

/// Creates the data folder where it is missing, refuses one that is not ours, and returns its real path.
pub(super) fn prepare_base(wanted: &Path) -> Result<PathBuf, EmbeddedError> {
    // postmaster.pid is read by lines, so a line break in the path would shift them.
    if !wanted.is_absolute() || wanted.as_os_str().as_bytes().iter().any(u8::is_ascii_control) {
        return Err(EmbeddedError::Path {
            path: wanted.to_path_buf(),
        });
    }
    let is_root = Uid::effective().is_root();
    // PostgreSQL's account must get through the folder of root, and need not see what is in it.
    let mode = if is_root { 0o711 } else { 0o700 };
    if let Some(parent) = wanted.parent() {
        fs::create_dir_all(parent).map_err(EmbeddedError::io("create", parent))?;
    }
    let created = match DirBuilder::new().mode(0o700).create(wanted) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(EmbeddedError::io("create", wanted)(error)),
    };
    let base = fs::canonicalize(wanted).map_err(EmbeddedError::io("open", wanted))?;
    let folder = fs::metadata(&base).map_err(EmbeddedError::io("examine", &base))?;
    let own = Uid::effective().as_raw();
    let cluster_owner = fs::metadata(data_path(&base)).ok().map(|data| data.uid());
    if folder.uid() != own && !(is_root && cluster_owner == Some(folder.uid())) {
        return Err(EmbeddedError::NotOurs {
            path: base,
            owner: folder.uid(),
        });
    }
    if folder.permissions().mode() & 0o002 != 0 {
        return Err(EmbeddedError::OpenToAll { path: base });
    }
    // A folder with other things in it keeps the mode that somebody chose for it.
    let empty = fs::read_dir(&base)
        .map_err(EmbeddedError::io("read", &base))?
        .next()
        .is_none();
    if created || empty {
        fs::set_permissions(&base, fs::Permissions::from_mode(mode))
            .map_err(EmbeddedError::io("set the mode of", &base))?;
    }
    Ok(base)
}

/// The major version of the cluster, or `None` where there is no cluster yet.
pub(super) fn major(base: &Path) -> Result<Option<u32>, EmbeddedError> {
    let data = data_path(base);
    match fs::metadata(&data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(EmbeddedError::io("examine", &data)(error)),
        Ok(found) => {
            let own = Uid::effective();
            if !own.is_root() && found.uid() != own.as_raw() {
                return Err(EmbeddedError::NotOurs {
                    path: data,
                    owner: found.uid(),
                });
            }
        }
    }
    let file = data.join("PG_VERSION");
    match fs::read_to_string(&file) {
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

/// Proves that PostgreSQL's account can work in the data folder, by letting it run a program there.
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

/// Runs initdb aside and moves its result into place, so that an interrupted one leaves no half cluster.
///
/// `server_lock` goes to initdb as its input: one that outlives its watcher keeps the next watcher waiting.
pub(super) fn create(
    base: &Path,
    bin: &Path,
    account: &OsAccount,
    server_lock: &File,
) -> Result<(), EmbeddedError> {
    remove_unfinished(base)?;
    let unfinished = base.join(format!("{UNFINISHED}{}", std::process::id()));
    let result = create_aside(&unfinished, base, bin, account, server_lock);
    if result.is_err() {
        // The failure of initdb is what the reader needs to hear, not that of the tidying.
        let _ = fs::remove_dir_all(&unfinished);
    }
    result
}

fn create_aside(
    unfinished: &Path,
    base: &Path,
    bin: &Path,
    account: &OsAccount,
    server_lock: &File,
) -> Result<(), EmbeddedError> {
    DirBuilder::new()
        .mode(0o700)
        .create(unfinished)
        .map_err(EmbeddedError::io("create", unfinished))?;
    account.own(unfinished)?;
    let program = bin.join("initdb");
    let input = server_lock
        .try_clone()
        .map_err(EmbeddedError::io("duplicate", base))?;
    let output = account
        .command(&program)
        .args([
            "-U",
            SUPERUSER,
            "--auth-local=trust",
            "--auth-host=reject",
            "-E",
            "UTF8",
        ])
        .args(locale_arguments())
        .args(["--data-checksums", "-D"])
        .arg(unfinished)
        .stdin(Stdio::from(input))
        .output()
        .map_err(EmbeddedError::io("run", &program))?;
    let data = data_path(base);
    if !output.status.success() {
        let said = format!(
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        return Err(EmbeddedError::Create {
            data,
            reason: telling_line(&said),
        });
    }
    fs::rename(unfinished, &data).map_err(EmbeddedError::io("put in place", &data))?;
    File::open(base)
        .and_then(|folder| folder.sync_all())
        .map_err(EmbeddedError::io("write", base))
}

/// macOS has no `C.UTF-8` in its older releases; its `UTF-8` character type is the same thing.
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
        if entry.file_name().as_bytes().starts_with(UNFINISHED.as_bytes()) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(EmbeddedError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Cuts a log that has grown too large. PostgreSQL appends, so it goes on writing at the new end.
pub(super) fn keep_log_small(base: &Path) -> io::Result<()> {
    let log = log_path(base);
    let Ok(found) = fs::metadata(&log) else {
        return Ok(());
    };
    if found.len() > LOG_LIMIT_BYTES {
        fs::copy(&log, base.join("postgres.log.1"))?;
        File::options().write(true).open(&log)?.set_len(0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_data_folder_is_closed_to_others() {
        let parent = tempfile::tempdir().unwrap();
        let base = prepare_base(&parent.path().join("a/b")).unwrap();
        assert_eq!(fs::metadata(base).unwrap().permissions().mode() & 0o066, 0);
    }

    #[test]
    fn a_folder_that_everybody_may_write_to_is_refused() {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = prepare_base(base.path()).unwrap_err();
        assert!(matches!(error, EmbeddedError::OpenToAll { .. }), "{error}");
    }

    #[test]
    fn a_relative_path_or_one_with_a_line_break_is_refused() {
        for path in ["data", "/tmp/a\nb"] {
            let error = prepare_base(Path::new(path)).unwrap_err();
            assert!(matches!(error, EmbeddedError::Path { .. }), "{error}");
        }
    }

    #[test]
    fn the_version_of_a_cluster_is_read_and_anything_else_refused() {
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
    fn a_large_log_is_cut_once_and_kept_beside() {
        let base = tempfile::tempdir().unwrap();
        let log = File::create(log_path(base.path())).unwrap();
        log.set_len(LOG_LIMIT_BYTES + 1).unwrap();
        keep_log_small(base.path()).unwrap();
        assert_eq!(fs::metadata(log_path(base.path())).unwrap().len(), 0);
        assert_eq!(
            fs::metadata(base.path().join("postgres.log.1")).unwrap().len(),
            LOG_LIMIT_BYTES + 1
        );
    }
}
