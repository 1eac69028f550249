//! Builds the new folder of a skill beside the old one, and puts it in its place.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::disk::Folder;
use crate::error::Error;
use crate::flush::flush;
use crate::folder_name::FolderName;
use crate::marker::{MARKER_FILE, Marker};
use crate::own_names::{OLD, STAGE, SWAP};
use crate::release::VerifiedFile;
use crate::tree::Target;

/// What the new folder of a skill shall contain.
pub(crate) struct Content<'a> {
    pub(crate) files: Vec<(&'a str, &'a VerifiedFile)>,
    /// Files and empty folders of the old folder that stay.
    pub(crate) kept_files: &'a [PathBuf],
    pub(crate) kept_folders: &'a [PathBuf],
    pub(crate) marker: Option<&'a Marker>,
}

/// Rights of files and folders before the umask takes some away.
const FILE: u32 = 0o644;
const EXECUTABLE: u32 = 0o755;
const FOLDER: u32 = 0o755;
/// While it is built, nobody else looks into the folder.
const STAGED: u32 = 0o700;

/// Files that are open at once, each with its bytes written but not waited for. macOS allows a process 256.
const MAX_UNFLUSHED: usize = 64;

struct Stage {
    root: Folder,
    folders: BTreeMap<PathBuf, Folder>,
}

/// Builds the folder `.skillkeep-stage-<id>`, and waits until it is on the disk.
pub(crate) fn build(
    skills: &Folder,
    id: &str,
    old: Option<&Target>,
    content: &Content<'_>,
) -> Result<(), Error> {
    let name = OsString::from(format!("{STAGE}{id}"));
    let root = skills.create_folder(&name, FOLDER)?;
    let mode = root.own_info()?.mode;
    root.set_mode(STAGED)?;
    let mut stage = Stage {
        root,
        folders: BTreeMap::new(),
    };
    let mut unflushed = Vec::new();
    for (path, file) in &content.files {
        if unflushed.len() == MAX_UNFLUSHED {
            flush(&unflushed, &[])?;
            unflushed.clear();
        }
        let path = Path::new(path);
        let mode = if file.executable { EXECUTABLE } else { FILE };
        let (folder, name) = (stage.parent(path)?, path.file_name().unwrap_or_default());
        unflushed.push(folder.write_new(name, Cow::Borrowed(&file.bytes), mode)?);
    }
    for path in content.kept_folders {
        stage.folder(path)?;
    }
    if let Some(old) = old {
        for path in content.kept_files {
            keep(&mut stage, old, path)?;
        }
    }
    if let Some(marker) = content.marker {
        let (name, bytes) = (OsStr::new(MARKER_FILE), Cow::Owned(marker.to_bytes()));
        unflushed.push(stage.root.write_new(name, bytes, FILE)?);
    }
    stage.root.set_mode(mode)?;
    // The name of the stage says what it is until it is exchanged, so the order in which its parts reach the disk does not matter.
    let mut folders: Vec<&Folder> = stage.folders.values().collect();
    folders.push(&stage.root);
    flush(&unflushed, &folders)
}

/// Gives a file of the old folder a second name in the new one, so that also what is written to it meanwhile is kept. Copies
/// it where the file system or its rights forbid that.
fn keep(stage: &mut Stage, old: &Target, path: &Path) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default();
    let parent = path.parent().unwrap_or(Path::new(""));
    let from = old.folder.subfolder(parent)?;
    let to = stage.parent(path)?;
    let seen = old.tree.files.get(path);
    let mode = seen.map_or(FILE, |seen| seen.mode);
    // Set-id, sticky, or writable by all.
    let has_safe_mode = mode & 0o7002 == 0;
    if !has_safe_mode || from.link_to(name, to).is_err() {
        return from.copy_to(name, to, mode);
    }
    let linked = to.info(name)?;
    let is_same = |info: folder_handle::EntryInfo| {
        info.kind.is_file() && seen.is_some_and(|seen| (seen.device, seen.inode) == (info.device, info.inode))
    };
    if linked.is_some_and(is_same) {
        return Ok(());
    }
    // Another file has the name now, such as after an editor saved it. If it is none, the copy fails.
    to.remove_file(name)?;
    from.copy_to(name, to, mode)
}

impl Stage {
    fn parent(&mut self, path: &Path) -> Result<&Folder, Error> {
        self.folder(path.parent().unwrap_or(Path::new("")))
    }

    fn folder(&mut self, path: &Path) -> Result<&Folder, Error> {
        let mut at = PathBuf::new();
        for name in path.iter() {
            let next = at.join(name);
            if !self.folders.contains_key(&next) {
                let created = self.at(&at).create_folder(name, FOLDER)?;
                self.folders.insert(next.clone(), created);
            }
            at = next;
        }
        Ok(self.at(&at))
    }

    fn at(&self, path: &Path) -> &Folder {
        self.folders.get(path).unwrap_or(&self.root)
    }
}

/// Puts the built folder where none is.
pub(crate) fn place(skills: &Folder, id: &str, name: &FolderName) -> Result<(), Error> {
    let stage = OsString::from(format!("{STAGE}{id}"));
    if !skills.rename_new(&stage, skills, name.as_os_str())? {
        return Err(changed(name));
    }
    skills.sync()
}

/// Exchanges the built folder with the skill's folder, which then has the name `.skillkeep-old-<name>.<id>`.
pub(crate) fn exchange(skills: &Folder, id: &str, name: &FolderName) -> Result<(), Error> {
    let stage = OsString::from(format!("{STAGE}{id}"));
    let old = OsString::from(format!("{OLD}{name}.{id}"));
    if !skills.rename_new(&stage, skills, &old)? {
        return Err(changed(name));
    }
    if !skills.exchange(&old, name.as_os_str())? {
        // In three steps. The name of the folder in between says how to finish or undo them.
        let swap = OsString::from(format!("{SWAP}{name}.{id}"));
        let is_done = skills.rename_new(name.as_os_str(), skills, &swap)?
            && skills.rename_new(&old, skills, name.as_os_str())?
            && skills.rename_new(&swap, skills, &old)?;
        if !is_done {
            return Err(changed(name));
        }
    }
    skills.sync()
}

/// Renames the skill's folder to `.skillkeep-old-<name>.<id>`.
pub(crate) fn displace(skills: &Folder, id: &str, name: &FolderName) -> Result<(), Error> {
    let old = OsString::from(format!("{OLD}{name}.{id}"));
    if !skills.rename_new(name.as_os_str(), skills, &old)? {
        return Err(changed(name));
    }
    skills.sync()
}

pub(crate) fn changed(name: &FolderName) -> Error {
    Error::Changed {
        name: name.to_string(),
    }
}
