//! Removes skills.

use std::path::PathBuf;

use agent_skills::Digest;
use serde::Serialize;

use crate::error::{Conflict, Error};
use crate::folder_name::FolderName;
use crate::marker::Marker;
use crate::own_names::new_id;
use crate::plan::Options;
use crate::recover::{Recovered, recover_locked, retire};
use crate::skills_folder::SkillsFolder;
use crate::stage::{self, Content};
use crate::tree::{Content as FileContent, Target};

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    pub version: String,
    pub digest: Digest,
    /// Files of persons that stayed, relative to the skill's folder. If there are none, the folder is gone.
    pub kept: Vec<String>,
    /// Files that are in the backup now, relative to the skills folder.
    pub backed_up: Vec<String>,
    /// Why the old folder is not yet gone, if it is not. The next change takes it away.
    pub left_over: Option<String>,
    pub recovered: Recovered,
}

/// Removes the files of an installed skill. Files that a person edited or added stay; with [`Options::force`] they are moved into
/// the backup, and the folder goes.
///
/// # Errors
/// [`Error::NotInstalled`] for a folder without a valid marker file, which is not touched; [`Error::Conflict`] if there is a link
/// or pipe in it; [`Error::Unsafe`], [`Error::Busy`], [`Error::Io`]. The skill is then as it was.
pub fn remove(folder: &SkillsFolder, name: &FolderName, options: &Options) -> Result<Removed, Error> {
    let lock = folder.lock(options.wait)?;
    let skills = &folder.folder;
    let (target, marker) = installed(folder, name)?;
    if let (Some((path, problem)), false) = (target.tree.special.first_key_value(), options.force) {
        return Err(Error::Conflict {
            name: name.to_string(),
            conflict: Conflict::UnsafeFile {
                path: path.display().to_string(),
                problem: *problem,
            },
        });
    }
    let kept = if options.force {
        Vec::new()
    } else {
        persons_files(&target, &marker)?
    };
    let id = new_id();
    let displaced = if kept.is_empty() {
        stage::displace(skills, &id, name)
    } else {
        let content = Content {
            files: Vec::new(),
            kept_files: &kept,
            kept_folders: &[],
            marker: None,
        };
        stage::build(skills, &id, Some(&target), &content).and_then(|()| stage::exchange(skills, &id, name))
    };
    if let Err(error) = displaced {
        let _ = recover_locked(skills);
        return Err(error);
    }
    let mut removed = Removed {
        version: marker.version,
        digest: marker.digest,
        kept: kept.iter().map(|path| path.display().to_string()).collect(),
        backed_up: Vec::new(),
        left_over: None,
        recovered: lock.recovered.clone(),
    };
    let retired = retire(skills, name.as_str(), &id);
    match retired.and_then(|backed_up| skills.sync().map(|()| backed_up)) {
        Ok(backed_up) => removed.backed_up = backed_up,
        Err(error) => removed.left_over = Some(error.to_string()),
    }
    Ok(removed)
}

/// The files that are not as the marker says.
fn persons_files(target: &Target, marker: &Marker) -> Result<Vec<PathBuf>, Error> {
    let files = marker.by_path();
    let mut kept = Vec::new();
    for path in target.tree.files.keys() {
        let expected = path.to_str().and_then(|path| files.get(path));
        let is_of_release = match expected {
            Some(file) => {
                let expected = FileContent {
                    digest: Some(file.digest),
                    executable: file.executable,
                };
                target.content(path, &[file.size])? == Some(expected)
            }
            None => false,
        };
        if !is_of_release {
            kept.push(path.clone());
        }
    }
    Ok(kept)
}

pub(crate) fn installed(folder: &SkillsFolder, name: &FolderName) -> Result<(Target, Marker), Error> {
    let not_installed = || Error::NotInstalled {
        name: name.to_string(),
    };
    let mut target = Target::read(&folder.folder, name)?.ok_or_else(not_installed)?;
    let marker = target.marker.take().ok_or_else(not_installed)?;
    Ok((target, marker))
}
