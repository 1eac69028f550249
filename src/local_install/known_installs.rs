//! What this user installed on this machine. A copy that is gone is reported to the registry at the next check, however it was
//! removed: by this program, by hand, or with its project.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use folder_handle::FolderHandle;
use serde::{Deserialize, Serialize};
use skill_installer::{FolderName, InstalledState, SkillsFolder, inspect};

use super::blocking::blocking;
use super::machine::{LocalFolder, Machine};

/// The file's name in the configuration folder, and that of its lock.
const FILE: &str = "known-installs.json";
const LOCK: &str = "known-installs.lock";
/// The most installs that are kept; the oldest go first.
const MAX_INSTALLS: usize = 2_000;
/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// An install as the registry knows it, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownInstall {
    pub(super) registry: String,
    pub(super) install_id: String,
    pub(super) skill: String,
    pub(super) version: String,
    pub(super) digest: String,
    /// The project or home folder.
    base: PathBuf,
    /// The skills folder below it.
    relative: PathBuf,
    /// The name of the skill's folder.
    name: String,
}

impl KnownInstall {
    /// An install in this folder. The other fields are those of its marker.
    pub(super) fn new(place: &LocalFolder, name: &str, marker: &skill_installer::Marker) -> Option<Self> {
        Some(Self {
            registry: marker.registry.clone(),
            install_id: marker.receipt.clone()?,
            skill: marker.skill.clone(),
            version: marker.version.clone(),
            digest: marker.digest.to_string(),
            base: place.base.clone(),
            relative: place.relative.clone(),
            name: name.to_owned(),
        })
    }

    fn is_in_place_of(&self, other: &Self) -> bool {
        (&self.base, &self.relative, &self.name) == (&other.base, &other.relative, &other.name)
    }

    /// Whether the folder certainly does not hold the install any more. What cannot be read may still be there, and so may what
    /// is on a disk that is not connected.
    fn is_gone(&self) -> bool {
        if !self.base.exists() {
            return self.base.parent().is_some_and(Path::is_dir);
        }
        let Ok(name) = self.name.parse::<FolderName>() else {
            return true;
        };
        let found = SkillsFolder::open_existing(&self.base, &self.relative)
            .and_then(|folder| folder.map(|folder| inspect(&folder, &name)).transpose());
        match found {
            Ok(Some(InstalledState::Installed(installed))) => {
                installed.marker.receipt.as_ref() != Some(&self.install_id)
            }
            Ok(
                None
                | Some(InstalledState::Absent | InstalledState::Link { .. } | InstalledState::NotOurs { .. }),
            ) => true,
            Err(_) => false,
        }
    }
}

/// Keeps an install, in place of what was in its folder before. Blocks.
pub(super) fn remember(machine: &Machine, install: KnownInstall) {
    change(machine, |installs| {
        installs.retain(|known| !install.is_in_place_of(known));
        installs.push(install);
        let surplus = installs.len().saturating_sub(MAX_INSTALLS);
        installs.drain(..surplus);
    });
}

/// The installs from a registry that are gone.
pub(super) async fn removed(machine: &Machine, registry: &str) -> Vec<KnownInstall> {
    let (machine, registry) = (machine.clone(), registry.to_owned());
    let removed = blocking(move || {
        let folder = machine.config_folder()?;
        let mut installs = read(&folder).unwrap_or_else(|error| {
            tracing::warn!(%error, "the list of installs cannot be read");
            Vec::new()
        });
        installs.retain(|known| known.registry == registry && known.is_gone());
        Ok(installs)
    });
    removed.await.unwrap_or_default()
}

/// Drops installs whose removal the registry knows.
pub(super) async fn forget(machine: &Machine, reported: Vec<KnownInstall>) {
    if reported.is_empty() {
        return;
    }
    let machine = machine.clone();
    let forgotten = blocking(move || {
        change(&machine, |installs| {
            installs.retain(|known| !reported.contains(known))
        });
        Ok(())
    });
    // The next check reports it again, which changes nothing.
    let _ = forgotten.await;
}

/// A failure is logged: it must not fail an install.
fn change(machine: &Machine, change: impl FnOnce(&mut Vec<KnownInstall>)) {
    let changed = || -> io::Result<()> {
        let folder = machine.config_folder().map_err(io::Error::other)?;
        std::fs::create_dir_all(&folder)?;
        let handle = FolderHandle::open_where_trusted(&folder)?;
        let lock = handle.open_own(Path::new(LOCK), 0o600, false)?;
        // Held until the file is closed.
        File::lock(&lock)?;
        let mut installs = read(&folder).unwrap_or_default();
        let before = installs.clone();
        change(&mut installs);
        if installs == before {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(&installs)?;
        handle.replace_file(FILE.as_ref(), text.as_bytes(), 0o600)
    };
    if let Err(error) = changed() {
        tracing::warn!(%error, "the list of installs cannot be written; removals may not be reported to the registry");
    }
}

fn read(folder: &Path) -> io::Result<Vec<KnownInstall>> {
    let file = FolderHandle::open_where_trusted(folder).and_then(|folder| folder.open_file(Path::new(FILE)));
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}
