//! Relative symbolic links from one skills folder to a skill in another.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use crate::disk::Folder;
use crate::error::Error;
use crate::folder_name::FolderName;
use crate::own_names::{TEMPORARY, new_id};
use crate::plan::Options;
use crate::skills_folder::SkillsFolder;
use crate::tree::read_marker;

/// What [`link`] or [`unlink`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkChange {
    Created,
    /// Another link to an installed skill was there.
    Replaced,
    Unchanged,
    Removed,
}

/// Creates a relative symbolic link `name` to an installed skill, such as `../../.agents/skills/pdf` in `.claude/skills`.
///
/// The target must be below the base of the skills folder, without a link on the way, and have a valid marker file.
///
/// # Errors
/// [`Error::BadLink`] if the target is none, or if the name belongs to anything but a link to an installed skill.
pub fn link(
    folder: &SkillsFolder,
    name: &FolderName,
    target: &Path,
    options: &Options,
) -> Result<LinkChange, Error> {
    let bad = |reason: String| Error::BadLink {
        name: name.to_string(),
        reason,
    };
    if !is_installed(folder, target) {
        return Err(bad(format!(
            "{} is not the folder of a skill that skillkeep installed below {}",
            target.display(),
            folder.base.path().display()
        )));
    }
    let _lock = folder.lock(options.wait)?;
    let skills = &folder.folder;
    let is_there = match skills.info(name.as_os_str())? {
        None => false,
        Some(info) if info.kind.is_link() => {
            let existing = skills.read_link(name.as_os_str())?;
            if existing == target {
                return Ok(LinkChange::Unchanged);
            }
            if !is_installed(folder, &existing) {
                return Err(bad(format!(
                    "the link of this name leads to {}, which skillkeep did not install; remove it by hand",
                    existing.display()
                )));
            }
            true
        }
        Some(_) => {
            return Err(bad(
                "there is a file or folder of this name; remove it by hand".to_owned()
            ));
        }
    };
    let temporary = OsString::from(format!("{TEMPORARY}{}", new_id()));
    create(skills, &temporary, target, name, is_there).inspect_err(|_| {
        let _ = skills.remove_file(&temporary);
    })?;
    Ok(if is_there {
        LinkChange::Replaced
    } else {
        LinkChange::Created
    })
}

fn create(
    skills: &Folder,
    temporary: &OsStr,
    target: &Path,
    name: &FolderName,
    is_there: bool,
) -> Result<(), Error> {
    skills.create_link(temporary, target)?;
    if is_there {
        skills.replace(temporary, skills, name.as_os_str())?;
    } else if !skills.rename_new(temporary, skills, name.as_os_str())? {
        return Err(Error::Changed {
            name: name.to_string(),
        });
    }
    skills.sync()
}

/// Removes a link that [`link`] created. One that leads below the base to where nothing is (any more) is removed as well.
///
/// # Errors
/// [`Error::NotInstalled`] if there is nothing; [`Error::BadLink`] for anything but such a link.
pub fn unlink(folder: &SkillsFolder, name: &FolderName, options: &Options) -> Result<LinkChange, Error> {
    let _lock = folder.lock(options.wait)?;
    let skills = &folder.folder;
    let Some(info) = skills.info(name.as_os_str())? else {
        return Err(Error::NotInstalled {
            name: name.to_string(),
        });
    };
    let is_own = info.kind.is_link() && {
        let target = skills.read_link(name.as_os_str())?;
        is_installed(folder, &target) || leads_nowhere(folder, &target)
    };
    if !is_own {
        return Err(Error::BadLink {
            name: name.to_string(),
            reason: "it is no link to a skill that skillkeep installed; remove it by hand".to_owned(),
        });
    }
    skills.remove_file(name.as_os_str())?;
    skills.sync()?;
    Ok(LinkChange::Removed)
}

/// Where a link of the skills folder leads, relative to the base; `None` if it leads out, by its text.
fn below_base(folder: &SkillsFolder, target: &Path) -> Option<PathBuf> {
    let mut at = folder.relative.clone();
    for component in target.components() {
        match component {
            Component::Normal(name) => at.push(name),
            Component::ParentDir if at.pop() => {}
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(at)
}

fn is_installed(folder: &SkillsFolder, target: &Path) -> bool {
    let opened = below_base(folder, target).and_then(|path| folder.base.subfolder(&path).ok());
    opened.is_some_and(|opened| read_marker(&Folder::new(opened, target.to_path_buf())).is_some())
}

fn leads_nowhere(folder: &SkillsFolder, target: &Path) -> bool {
    below_base(folder, target).is_some_and(|path| {
        folder
            .base
            .info(&path)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    })
}
