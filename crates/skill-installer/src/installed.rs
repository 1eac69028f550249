//! What is installed, and whether it is still as it was installed. Reads only, and waits for no lock.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Error;
use crate::folder_name::FolderName;
use crate::marker::Marker;
use crate::recover::MAX_SKILLS;
use crate::skills_folder::SkillsFolder;
use crate::tree::{Content, Target};

/// Maximum number of threads that verify skills. Most of the time is spent in system calls for many small files.
const MAX_THREADS: usize = 4;

/// How the folder of a skill differs from the release that it was installed from. Paths are relative to it, and sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Files with other bytes, or another executable bit.
    pub modified: Vec<String>,
    pub missing: Vec<String>,
    /// Files and links that the release does not have.
    pub extra: Vec<String>,
}

/// An installed skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    pub name: FolderName,
    pub marker: Marker,
    pub drift: Drift,
}

/// What has the name of a skill's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum InstalledState {
    Absent,
    /// A symbolic link with this text. It was not followed.
    Link {
        target: PathBuf,
    },
    /// Something that was not installed by this program, with the reason.
    NotOurs {
        reason: String,
    },
    Installed(Box<Installed>),
}

impl Drift {
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.modified.is_empty() && self.missing.is_empty() && self.extra.is_empty()
    }
}

/// Looks at the folder of a skill. Every file of the release is read and its digest compared.
///
/// # Errors
/// [`Error::Io`], [`Error::TooManyEntries`].
pub fn inspect(folder: &SkillsFolder, name: &FolderName) -> Result<InstalledState, Error> {
    let skills = &folder.folder;
    let info = skills.info(name.as_os_str())?;
    if info.is_some_and(|info| info.kind.is_link()) {
        let target = skills.read_link(name.as_os_str())?;
        return Ok(InstalledState::Link { target });
    }
    let target = match Target::read(skills, name) {
        Ok(Some(target)) => target,
        Ok(None) => return Ok(InstalledState::Absent),
        Err(error @ Error::Unsafe { .. }) => {
            return Ok(InstalledState::NotOurs {
                reason: error.to_string(),
            });
        }
        Err(error) => return Err(error),
    };
    let Some(marker) = target.marker.clone() else {
        return Ok(InstalledState::NotOurs {
            reason: "it has no valid .skillkeep.json".to_owned(),
        });
    };
    let drift = drift(&target, &marker)?;
    Ok(InstalledState::Installed(Box::new(Installed {
        name: name.clone(),
        marker,
        drift,
    })))
}

/// Compares an installed skill with the release that it was installed from, without a network.
///
/// # Errors
/// [`Error::NotInstalled`]; as [`inspect`].
pub fn verify(folder: &SkillsFolder, name: &FolderName) -> Result<Drift, Error> {
    match inspect(folder, name)? {
        InstalledState::Installed(installed) => Ok(installed.drift),
        InstalledState::Absent | InstalledState::Link { .. } | InstalledState::NotOurs { .. } => {
            Err(Error::NotInstalled {
                name: name.to_string(),
            })
        }
    }
}

/// The installed skills, sorted by name, each verified as by [`inspect`]. Passes over everything else. Looks at the first
/// 10,000 entries of the skills folder.
///
/// # Errors
/// As [`inspect`].
pub fn list(folder: &SkillsFolder) -> Result<Vec<Installed>, Error> {
    let mut names = Vec::new();
    for (name, kind) in folder.folder.entries(MAX_SKILLS)? {
        let name = name.to_str().and_then(|name| name.parse::<FolderName>().ok());
        if let (Some(name), true) = (name, kind.is_folder()) {
            names.push(name);
        }
    }
    names.sort();
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(MAX_THREADS));
    let share = names.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let shares: Vec<_> = names
            .chunks(share)
            .map(|names| scope.spawn(move || installed_of(folder, names)))
            .collect();
        let mut skills = Vec::new();
        for share in shares {
            match share.join() {
                Ok(found) => skills.extend(found?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(skills)
    })
}

fn installed_of(folder: &SkillsFolder, names: &[FolderName]) -> Result<Vec<Installed>, Error> {
    let mut skills = Vec::new();
    for name in names {
        match inspect(folder, name)? {
            InstalledState::Installed(installed) => skills.push(*installed),
            InstalledState::Absent | InstalledState::Link { .. } | InstalledState::NotOurs { .. } => {}
        }
    }
    Ok(skills)
}

fn drift(target: &Target, marker: &Marker) -> Result<Drift, Error> {
    let mut drift = Drift::default();
    for file in &marker.files {
        let path = Path::new(&file.path);
        if target.tree.special.contains_key(path) || target.tree.folders.contains(path) {
            drift.modified.push(file.path.clone());
            continue;
        }
        let expected = Content {
            digest: Some(file.digest),
            executable: file.executable,
        };
        match target.content(path, &[file.size])? {
            None => drift.missing.push(file.path.clone()),
            Some(found) if found != expected => drift.modified.push(file.path.clone()),
            Some(_) => {}
        }
    }
    let known = marker.by_path();
    let is_extra = |path: &&PathBuf| path.to_str().is_none_or(|path| !known.contains_key(path));
    let found = target.tree.files.keys().chain(target.tree.special.keys());
    drift.extra = found
        .filter(is_extra)
        .map(|path| path.display().to_string())
        .collect();
    drift.extra.sort();
    Ok(drift)
}
