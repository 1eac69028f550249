//! Takes away the folder that a skill was replaced with, and what crashed runs left, without losing a file of a person.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use agent_skills::limits::MAX_TOTAL_BYTES;
use agent_skills::{Digest, SKILL_MD};
use folder_handle::EntryKind;
use serde::Serialize;

use crate::disk::Folder;
use crate::error::Error;
use crate::folder_name::FolderName;
use crate::marker::{MARKER_FILE, Marker};
use crate::own_names::{BACKUP, OLD, STAGE, SWAP, TEMPORARY, parse};
use crate::tree::{MAX_DEPTH, MAX_ENTRIES, read_marker};

/// Maximum number of entries of a skills folder that are looked at.
pub(crate) const MAX_SKILLS: usize = 10_000;
/// Attempts to find a free name in a backup.
const MAX_SAME_NAMES: u32 = 1000;

/// What was done about the leftovers of crashed runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// How many folders and files of crashed runs were taken away or put back.
    pub leftovers: usize,
    /// Files that only a crashed run's folder had, relative to the skills folder: they are in the backup now.
    pub backed_up: Vec<String>,
}

/// Finishes or undoes what crashed runs began. The lock is held, so that none of them is running.
pub(crate) fn recover_locked(skills: &Folder) -> Result<Recovered, Error> {
    let mut recovered = Recovered::default();
    let mut names: Vec<(String, EntryKind)> = skills
        .entries(MAX_SKILLS)?
        .into_iter()
        .filter_map(|(name, kind)| Some((name.into_string().ok()?, kind)))
        .collect();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    // First, because the other folders are compared with the folders of the skills.
    for (name, kind) in &names {
        if let (Some((skill, id)), EntryKind::Folder) = (of_skill(name, SWAP), kind) {
            let from = OsStr::new(name);
            if !skills.rename_new(from, skills, OsStr::new(skill))? {
                let old = format!("{OLD}{skill}.{id}");
                // The new folder is in place, or a person put another one there. One of that name was not exchanged.
                if !skills.rename_new(from, skills, OsStr::new(&old))? {
                    recovered.backed_up.extend(retire(skills, skill, id)?);
                    skills.rename_new(from, skills, OsStr::new(&old))?;
                }
                recovered.backed_up.extend(retire(skills, skill, id)?);
            }
            recovered.leftovers += 1;
        }
    }
    for (name, kind) in &names {
        let name_os = OsStr::new(name);
        if name.starts_with(STAGE) && kind.is_folder() {
            delete_copies(skills, name_os)?;
        } else if let Some((skill, id)) = of_skill(name, OLD) {
            recovered.backed_up.extend(retire(skills, skill, id)?);
        } else if name.starts_with(TEMPORARY) && (kind.is_file() || kind.is_link()) {
            skills.remove_file(name_os)?;
        } else {
            continue;
        }
        recovered.leftovers += 1;
    }
    if recovered.leftovers > 0 {
        skills.sync()?;
    }
    Ok(recovered)
}

/// The skill's folder name and the id in a name. A name that this crate did not write, such as one that leads out, is left
/// alone.
fn of_skill<'a>(name: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    parse(name, prefix).filter(|(skill, _)| skill.parse::<FolderName>().is_ok())
}

/// Removes a folder in which every file is a copy, or has a second name elsewhere.
pub(crate) fn delete_copies(parent: &Folder, name: &OsStr) -> Result<(), Error> {
    delete_level(parent, name, 0)
}

fn delete_level(parent: &Folder, name: &OsStr, depth: usize) -> Result<(), Error> {
    let folder = parent.subfolder(Path::new(name))?;
    if depth > MAX_DEPTH {
        return Err(too_many(name));
    }
    for (entry, kind) in folder.entries(MAX_ENTRIES)? {
        if kind.is_folder() {
            delete_level(&folder, &entry, depth + 1)?;
        } else {
            folder.remove_file(&entry)?;
        }
    }
    parent.remove_folder(name)
}

fn too_many(name: &OsStr) -> Error {
    Error::TooManyEntries {
        name: name.to_string_lossy().into_owned(),
        limit: MAX_ENTRIES,
    }
}

/// A folder that is taken away: the one before an update or a removal.
struct Retired<'a> {
    skills: &'a Folder,
    skill: &'a str,
    id: &'a str,
    /// The marker in it, if its files may be removed because the release has them.
    marker: Option<Marker>,
    /// The folder of the skill now.
    live: Option<Folder>,
    backup: Option<Folder>,
    /// Paths in the backup, relative to the skills folder.
    backed_up: Vec<String>,
}

/// Takes away the folder `.skillkeep-old-<skill>.<id>`. A file goes if it is as the release of its marker says, or is in the
/// folder of the skill as well; any other entry is moved into the backup. Can be repeated after a crash at any point.
///
/// Returns the paths of the moved entries, relative to the skills folder.
pub(crate) fn retire(skills: &Folder, skill: &str, id: &str) -> Result<Vec<String>, Error> {
    let name = OsString::from(format!("{OLD}{skill}.{id}"));
    let Some(info) = skills.info(&name)? else {
        return Ok(Vec::new());
    };
    let mut retired = Retired {
        skills,
        skill,
        id,
        marker: None,
        live: None,
        backup: None,
        backed_up: Vec::new(),
    };
    if !info.kind.is_folder() {
        // Something else was put into the skill's place at the moment of the exchange.
        retired.move_to_backup(skills, &name, Path::new(skill))?;
        return Ok(retired.backed_up);
    }
    let folder = skills.subfolder(Path::new(&name))?;
    let marker = read_marker(&folder);
    if marker.as_ref().is_some_and(|marker| marker.install_id == id) {
        // The new folder, which the run did not exchange. The name says so until the last file is gone.
        let stage = OsString::from(format!("{STAGE}{id}"));
        if skills.rename_new(&name, skills, &stage)? {
            delete_copies(skills, &stage)?;
        }
        return Ok(Vec::new());
    }
    let live_info = skills.info(OsStr::new(skill))?;
    if live_info.is_some_and(|info| info.kind.is_folder()) {
        retired.live = Some(skills.subfolder(Path::new(skill))?);
    }
    let live_marker = retired.live.as_ref().and_then(read_marker);
    let is_other_skill = |marker: &Marker| {
        live_marker
            .as_ref()
            .is_some_and(|live| !live.is_same_skill(marker))
    };
    retired.marker = marker.filter(|marker| !is_other_skill(marker));
    retired.take(&folder, Path::new(""), 0)?;
    if retired.marker.is_some() {
        // The last, because it says what of the rest may be removed.
        folder.remove_file(OsStr::new(MARKER_FILE))?;
    }
    if let Some(backup) = &retired.backup {
        backup.sync()?;
    }
    skills.remove_folder(&name)?;
    Ok(retired.backed_up)
}

impl Retired<'_> {
    fn take(&mut self, folder: &Folder, path: &Path, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(too_many(OsStr::new(self.skill)));
        }
        let mut entries = folder.entries(usize::MAX)?;
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, kind) in entries {
            let path = path.join(&name);
            if kind.is_folder() {
                self.take(&folder.subfolder(Path::new(&name))?, &path, depth + 1)?;
                folder.remove_folder(&name)?;
            } else if path == Path::new(MARKER_FILE) && self.marker.is_some() {
                // Removed by the caller.
            } else if kind.is_file()
                && (self.is_of_release(folder, &name, &path)? || self.is_live(folder, &name, &path)?)
            {
                folder.remove_file(&name)?;
            } else {
                self.move_to_backup(folder, &name, &path)?;
            }
        }
        Ok(())
    }

    fn is_of_release(&self, folder: &Folder, name: &OsStr, path: &Path) -> Result<bool, Error> {
        let files = self.marker.as_ref().map(|marker| &marker.files);
        let Some(expected) = files
            .into_iter()
            .flatten()
            .find(|file| Path::new(&file.path) == path)
        else {
            return Ok(false);
        };
        if folder
            .info(name)?
            .is_none_or(|info| info.size_bytes != expected.size)
        {
            return Ok(false);
        }
        let bytes = folder.read(Path::new(name), MAX_TOTAL_BYTES)?;
        Ok(bytes.is_some_and(|bytes| Digest::of(&bytes) == expected.digest))
    }

    /// Whether the skill's folder has the same file, or one with the same bytes, at this path.
    fn is_live(&self, folder: &Folder, name: &OsStr, path: &Path) -> Result<bool, Error> {
        let Some(live) = &self.live else {
            return Ok(false);
        };
        // Anything else than a file at this path, such as a link, is not the same.
        let Ok(live) = live.open_file(path) else {
            return Ok(false);
        };
        let own = folder.open_file(Path::new(name))?;
        have_same_bytes(own, live).map_err(|source| Error::Io {
            action: "compared",
            path: folder.shown(name),
            source,
        })
    }

    /// Moves an entry to its path in the backup of this run. `SKILL.md` gets another name, so that no assistant that looks
    /// into hidden folders loads it.
    fn move_to_backup(&mut self, folder: &Folder, name: &OsStr, path: &Path) -> Result<(), Error> {
        let own = format!("{}-{}", self.skill, self.id);
        if self.backup.is_none() {
            let all = self.skills.ensure_folder(OsStr::new(BACKUP), 0o700)?;
            self.backup = Some(all.ensure_folder(OsStr::new(&own), 0o700)?);
            all.sync()?;
            self.skills.sync()?;
        }
        let Some(backup) = &self.backup else {
            return Ok(());
        };
        let mut reached: Option<Folder> = None;
        for parent in path.parent().into_iter().flat_map(Path::iter) {
            let from = reached.as_ref().unwrap_or(backup);
            reached = Some(from.ensure_folder(parent, 0o700)?);
        }
        let target = reached.as_ref().unwrap_or(backup);
        let stem = backup_name(path.file_name().unwrap_or(name));
        for number in 0..MAX_SAME_NAMES {
            let mut free = stem.clone();
            if number > 0 {
                free.push(format!(".{number}"));
            }
            if folder.rename_new(name, target, &free)? {
                target.sync()?;
                let parent = path.parent().unwrap_or(Path::new(""));
                let shown: PathBuf = [Path::new(BACKUP), Path::new(&own), parent, Path::new(&free)]
                    .iter()
                    .collect();
                self.backed_up.push(shown.display().to_string());
                return Ok(());
            }
        }
        Err(too_many(OsStr::new(BACKUP)))
    }
}

fn backup_name(name: &OsStr) -> OsString {
    let mut name = name.to_owned();
    if name.eq_ignore_ascii_case(SKILL_MD) {
        name.push(".bak");
    }
    name
}

fn have_same_bytes(a: File, b: File) -> io::Result<bool> {
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (BufReader::new(a), BufReader::new(b));
    loop {
        let (left, right) = (a.fill_buf()?, b.fill_buf()?);
        let len = left.len().min(right.len());
        if left.get(..len) != right.get(..len) {
            return Ok(false);
        }
        if len == 0 {
            return Ok(left.len() == right.len());
        }
        a.consume(len);
        b.consume(len);
    }
}
