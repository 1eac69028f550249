//! The operating-system account that PostgreSQL runs as. PostgreSQL refuses to run as root, so root switches to another account.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use folder_handle::FolderHandle;
use nix::unistd::{Uid, User};

use super::error::EmbeddedError;

/// Tried in this order when root creates a cluster. The first is for administrators who want an account that owns nothing else;
/// `_postgres` is the name on macOS.
const SERVICE_ACCOUNTS: [&str; 4] = ["skillkeep-postgres", "postgres", "_postgres", "nobody"];

/// Runs PostgreSQL's programs and owns the cluster.
#[derive(Debug, Clone)]
pub(super) enum OsAccount {
    /// The account of this process, which is not root.
    Own,
    /// The account that root switches to.
    Service {
        /// PostgreSQL refuses to run as an account without a name.
        name: String,
        uid: u32,
        gid: u32,
    },
}

impl OsAccount {
    /// The owner of the cluster in `data`, or the account to create it with.
    pub(super) fn for_cluster(data: &Path) -> Result<Self, EmbeddedError> {
        if !Uid::effective().is_root() {
            return Self::own(Uid::effective());
        }
        match fs::symlink_metadata(data) {
            Ok(existing) if existing.uid() != 0 => {
                let owner = User::from_uid(Uid::from_raw(existing.uid())).ok().flatten();
                owner.map(Self::service).ok_or_else(|| EmbeddedError::NoAccount {
                    owner: format!(
                        " ({} belongs to the unknown uid {})",
                        data.display(),
                        existing.uid()
                    ),
                })
            }
            Ok(_) => Err(EmbeddedError::OtherOwner {
                path: data.to_path_buf(),
                owner: 0,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => SERVICE_ACCOUNTS
                .into_iter()
                .find_map(|name| User::from_name(name).ok().flatten())
                .map(Self::service)
                .ok_or(EmbeddedError::NoAccount { owner: String::new() }),
            Err(error) => Err(EmbeddedError::io("examine", data)(error)),
        }
    }

    /// The account of this process, which needs a name.
    fn own(uid: Uid) -> Result<Self, EmbeddedError> {
        match User::from_uid(uid) {
            Ok(None) => Err(EmbeddedError::UnnamedAccount { uid: uid.as_raw() }),
            // If the list of accounts cannot be read, PostgreSQL reports it.
            Ok(Some(_)) | Err(_) => Ok(Self::Own),
        }
    }

    fn service(user: User) -> Self {
        Self::Service {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        }
    }

    pub(super) fn uid(&self) -> u32 {
        match self {
            Self::Own => Uid::effective().as_raw(),
            Self::Service { uid, .. } => *uid,
        }
    }

    /// Creates a folder with mode 0700 that belongs to this account. It changes the owner by the new folder's handle, because another
    /// account may replace the folder with a link meanwhile.
    pub(super) fn create_folder(&self, path: &Path) -> io::Result<()> {
        let (Some(around), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let created = FolderHandle::open(around)?.create_folder(name, 0o700)?;
        match self {
            Self::Own => Ok(()),
            Self::Service { uid, gid, .. } => created.give_to(*uid, *gid),
        }
    }

    /// A command that runs as this account, with a minimal environment, empty input and working directory `/`.
    ///
    /// When root sets the user id, the standard library drops the supplementary groups too.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null());
        if let Self::Service { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_without_a_name_is_refused_with_a_remedy() {
        let error = OsAccount::own(Uid::from_raw(987_654_321))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("uid 987654321") && error.contains("/etc/passwd"),
            "{error}"
        );
        assert!(OsAccount::own(Uid::from_raw(0)).is_ok());
    }
}
