//! `skillkeep.toml` and `skillkeep.lock` of a scope.

use std::io::Read as _;
use std::path::Path;

use folder_handle::FolderHandle;
use skill_installer::{LOCK_FILE, LockFile, LockedSkill, MANIFEST_FILE, Manifest};

use super::installer_failed;
use super::scope::Scope;
use crate::cli::files::file_error;
use crate::error::CliError;

/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// The manifest and lock file of a scope, as they were read.
pub(super) struct State {
    pub(super) manifest: Manifest,
    pub(super) lock: LockFile,
    manifest_text: String,
    lock_text: String,
}

impl State {
    pub(super) fn read(scope: &Scope) -> Result<Self, CliError> {
        let manifest_text = read(&scope.state_folder, MANIFEST_FILE)?;
        let lock_text = read(&scope.state_folder, LOCK_FILE)?.unwrap_or_default();
        Ok(Self {
            manifest: Manifest::parse(manifest_text.as_deref().unwrap_or_default())
                .map_err(installer_failed)?,
            lock: LockFile::parse(&lock_text).map_err(installer_failed)?,
            manifest_text: manifest_text.unwrap_or_default(),
            lock_text,
        })
    }

    /// Writes what changed: each file at once, so that it is never half written.
    pub(super) fn write(&self, scope: &Scope) -> Result<(), CliError> {
        let manifest = self.manifest.to_text();
        if manifest != self.manifest_text {
            write(&scope.state_folder, MANIFEST_FILE, &manifest)?;
        }
        let lock = self.lock.to_text();
        if lock != self.lock_text && !(self.lock_text.is_empty() && self.lock.skills().is_empty()) {
            write(&scope.state_folder, LOCK_FILE, &lock)?;
        }
        Ok(())
    }

    /// Records an installed version in the lock file.
    pub(super) fn set_locked(&mut self, skill: LockedSkill) {
        self.lock.set(skill);
    }
}

/// A file of a scope; `None` if there is none. Links are not followed.
pub(super) fn read(folder: &Path, name: &str) -> Result<Option<String>, CliError> {
    let path = folder.join(name);
    let failed = |error: &std::io::Error| file_error("cannot read", &path, error);
    let handle = match FolderHandle::open(folder) {
        Ok(handle) => handle,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let file = match handle.open_file(Path::new(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| failed(&error))?;
    if u64::try_from(text.len()).is_ok_and(|len| len > MAX_BYTES) {
        return Err(failed(&std::io::Error::other("it has more than 4 MiB")));
    }
    Ok(Some(text))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), CliError> {
    let path = folder.join(name);
    let replaced = std::fs::create_dir_all(folder).and_then(|()| {
        let folder = FolderHandle::open(folder)?;
        folder.replace_file(name.as_ref(), text.as_bytes(), 0o644)
    });
    replaced.map_err(|error| file_error("cannot write", &path, &error))
}
