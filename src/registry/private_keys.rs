//! Where a process finds the private keys: files of the operator, or one key in its environment.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use folder_handle::FolderHandle;
use nix::unistd::Uid;
use skill_signature::SigningKey;

/// Why a private key cannot be used. Names no path: callers of tools read it too, and the log has the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    #[error("no private keys are configured")]
    NotConfigured,
    #[error("the folder of the private keys cannot be opened, or other accounts can change it")]
    Folder,
    #[error("the tenant has no file in the folder of the private keys")]
    NoFile,
    #[error("the file of the private key cannot be read")]
    Unreadable,
    #[error("the file of the private key belongs to another account")]
    OtherOwner,
    #[error("other accounts can read or change the file of the private key; its mode must be 0600 or 0400")]
    OpenMode,
    #[error("the file of the private key has no Ed25519 keys in PEM")]
    NoKey,
    #[error("there are private keys, but not this one")]
    OtherKey,
}

enum Source {
    Folder(PathBuf),
    Keys(Arc<Vec<SigningKey>>),
}

/// The private keys that this process may use. `Debug` hides them. Cheap to clone.
#[derive(Clone, Default)]
pub struct SigningKeys(Option<Arc<Source>>);

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKeys(hidden)")
    }
}

impl SigningKeys {
    /// No keys: versions of tenants that sign cannot be published.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// The files `<tenant slug>.key` of a folder. A file is read for each version that is signed, so a rotation needs no
    /// restart.
    ///
    /// # Errors
    /// [`KeyProblem::Folder`].
    pub fn in_folder(path: &Path) -> Result<Self, KeyProblem> {
        open_folder(path)?;
        Ok(Self(Some(Arc::new(Source::Folder(path.to_path_buf())))))
    }

    /// The keys in a text, for a registry with one tenant.
    ///
    /// # Errors
    /// [`KeyProblem::NoKey`].
    pub fn from_text(text: &str) -> Result<Self, KeyProblem> {
        let keys = SigningKey::all_from_pem(text).map_err(|_| KeyProblem::NoKey)?;
        Ok(Self(Some(Arc::new(Source::Keys(Arc::new(keys))))))
    }

    /// The name of a tenant's file in the folder.
    #[must_use]
    pub fn file_name(tenant: &str) -> String {
        format!("{tenant}.key")
    }

    /// The private keys of a tenant. Blocks.
    pub(super) fn load(&self, tenant: &str) -> Result<Arc<Vec<SigningKey>>, KeyProblem> {
        match self.0.as_deref() {
            None => Err(KeyProblem::NotConfigured),
            Some(Source::Keys(keys)) => Ok(Arc::clone(keys)),
            Some(Source::Folder(path)) => {
                let name = Self::file_name(tenant);
                let keys = open_folder(path).and_then(|folder| read_keys(&folder, Path::new(&name)));
                if let Err(problem) = &keys {
                    tracing::error!(file = %path.join(&name).display(), %problem, "cannot read a signing key");
                }
                keys.map(Arc::new)
            }
        }
    }
}

fn open_folder(path: &Path) -> Result<FolderHandle, KeyProblem> {
    let folder = FolderHandle::open_where_trusted(path).map_err(|error| {
        tracing::error!(folder = %path.display(), %error, "cannot open the folder of signing keys");
        KeyProblem::Folder
    })?;
    let info = folder.own_info().map_err(|_| KeyProblem::Folder)?;
    // Root also uses the folder of the account that serves.
    let is_root = Uid::effective().is_root();
    if (is_root || is_trusted(info.owner)) && info.mode & 0o022 == 0 {
        Ok(folder)
    } else {
        Err(KeyProblem::Folder)
    }
}

fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == Uid::effective().as_raw()
}

/// Reads a file with private keys that no other account can read.
///
/// # Errors
/// [`KeyProblem`].
pub fn read_keys(folder: &FolderHandle, name: &Path) -> Result<Vec<SigningKey>, KeyProblem> {
    let file = folder.open_file(name).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            KeyProblem::NoFile
        } else {
            KeyProblem::Unreadable
        }
    })?;
    let text = read_checked(folder, file)?;
    SigningKey::all_from_pem(&text).map_err(|_| KeyProblem::NoKey)
}

/// As root, the owner of the folder is trusted too: a file for the account that serves.
fn read_checked(folder: &FolderHandle, file: File) -> Result<String, KeyProblem> {
    let found = file.metadata().map_err(|_| KeyProblem::Unreadable)?;
    let folder_owner = folder.own_info().map_err(|_| KeyProblem::Folder)?.owner;
    let is_folders = Uid::effective().is_root() && found.uid() == folder_owner;
    if !is_folders && !is_trusted(found.uid()) {
        return Err(KeyProblem::OtherOwner);
    }
    if found.mode() & 0o077 != 0 || found.nlink() != 1 {
        return Err(KeyProblem::OpenMode);
    }
    let limit = u64::try_from(SigningKey::MAX_PEM_BYTES).unwrap_or(u64::MAX);
    let mut text = String::new();
    file.take(limit + 1)
        .read_to_string(&mut text)
        .map_err(|_| KeyProblem::NoKey)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(folder: &Path) -> Result<usize, KeyProblem> {
        let keys = SigningKeys::in_folder(folder)?.load("acme")?;
        Ok(keys.len())
    }

    #[test]
    fn private_file_with_keys_is_read_at_each_use() {
        let folder = folder();
        let keys = SigningKeys::in_folder(folder.path()).unwrap();
        assert_eq!(keys.load("acme").unwrap_err(), KeyProblem::NoFile);
        let pem = SigningKey::generate().unwrap();
        write(&folder.path().join("acme.key"), &pem, 0o600);
        assert_eq!(keys.load("acme").unwrap().len(), 1);
        let more = format!("{pem}{}", SigningKey::generate().unwrap());
        write(&folder.path().join("acme.key"), &more, 0o400);
        assert_eq!(keys.load("acme").unwrap().len(), 2);
        assert_eq!(keys.load("globex").unwrap_err(), KeyProblem::NoFile);
    }

    #[test]
    fn file_that_others_can_read_or_replace_is_refused() {
        let pem = SigningKey::generate().unwrap();
        let folder = folder();
        let file = folder.path().join("acme.key");
        for (mode, problem) in [
            (0o640, KeyProblem::OpenMode),
            (0o604, KeyProblem::OpenMode),
            (0o620, KeyProblem::OpenMode),
        ] {
            write(&file, &pem, mode);
            assert_eq!(load(folder.path()), Err(problem), "{mode:o}");
        }
        write(&file, &pem, 0o600);
        fs::hard_link(&file, folder.path().join("second")).unwrap();
        assert_eq!(load(folder.path()), Err(KeyProblem::OpenMode));
        fs::remove_file(&file).unwrap();
        symlink(folder.path().join("second"), &file).unwrap();
        assert_eq!(load(folder.path()), Err(KeyProblem::Unreadable));
        fs::remove_file(&file).unwrap();
        write(&file, "no key", 0o600);
        assert_eq!(load(folder.path()), Err(KeyProblem::NoKey));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(load(folder.path()), Err(KeyProblem::Folder));
        assert_eq!(load(&folder.path().join("missing")), Err(KeyProblem::Folder));
    }

    #[test]
    fn keys_of_the_environment_are_hidden() {
        let pem = SigningKey::generate().unwrap();
        let keys = SigningKeys::from_text(&pem.replace('\n', " ")).unwrap();
        assert_eq!(keys.load("any").unwrap().len(), 1);
        assert_eq!(format!("{keys:?}"), "SigningKeys(hidden)");
        assert_eq!(SigningKeys::from_text("skey").unwrap_err(), KeyProblem::NoKey);
        assert_eq!(
            SigningKeys::none().load("acme").unwrap_err(),
            KeyProblem::NotConfigured
        );
    }
}
