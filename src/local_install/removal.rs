//! Takes an installed skill off this machine.

use skill_installer::{Error, FolderName, InstalledState, Removed, SkillsFolder, inspect, remove, unlink};

use super::error::LocalInstallError;
use super::install::{InstallOptions, installer_options};
use super::installed_here::InstalledHere;
use super::machine::Machine;

/// What was removed from one skills folder.
#[derive(Debug, Clone)]
pub struct RemovedCopy {
    /// The skill's folder, relative to the project or with `~/`.
    pub folder: String,
    /// Its `backed_up` is relative to the project or with `~/`, too.
    pub removed: Removed,
}

/// Removes one copy of a skill. Edited and added files stay unless `force` is set; then they are in a backup. Blocks.
///
/// # Errors
/// If the folder cannot be changed.
pub fn remove_copy(
    machine: &Machine,
    here: &InstalledHere,
    force: bool,
) -> Result<RemovedCopy, LocalInstallError> {
    let place = &here.place;
    let name = &here.installed.name;
    let shown = machine.shown(&place.path().join(name.as_str()));
    let opened = SkillsFolder::open(&place.base, &place.relative)?;
    let options = installer_options(&InstallOptions {
        force,
        ..InstallOptions::default()
    });
    let mut removed = remove(&opened, name, &options)?;
    removed.backed_up = place.shown_files(machine, removed.backed_up);
    Ok(RemovedCopy {
        folder: shown,
        removed,
    })
}

/// Removes the links of this name that lead to skills of this program, or nowhere: those of all assistants. Returns the folders.
/// Blocks.
///
/// # Errors
/// If a folder cannot be read or changed.
pub fn remove_links(machine: &Machine, name: &FolderName) -> Result<Vec<String>, LocalInstallError> {
    let mut removed = Vec::new();
    for place in machine.all_folders()? {
        let Some(opened) = SkillsFolder::open_existing(&place.base, &place.relative)? else {
            continue;
        };
        let InstalledState::Link { .. } = inspect(&opened, name)? else {
            continue;
        };
        match unlink(&opened, name, &installer_options(&InstallOptions::default())) {
            Ok(_) => removed.push(machine.shown(&place.path().join(name.as_str()))),
            // A link that somebody else made.
            Err(Error::BadLink { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(removed)
}
