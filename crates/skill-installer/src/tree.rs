//! What is in the folder of a skill now.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use agent_skills::Digest;
use agent_skills::limits::MAX_TOTAL_BYTES;
use folder_handle::{EntryInfo, EntryKind};

use crate::disk::Folder;
use crate::error::{Error, FileProblem};
use crate::folder_name::FolderName;
use crate::marker::{MARKER_FILE, MAX_MARKER_BYTES, Marker};
use crate::trust::check_folder;

/// Maximum number of files and folders in the folder of one skill, with those of a person.
pub(crate) const MAX_ENTRIES: usize = 20_000;
/// Maximum depth of folders.
pub(crate) const MAX_DEPTH: usize = 64;

/// The content of a folder. The marker file is not part of it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<PathBuf, EntryInfo>,
    pub(crate) folders: BTreeSet<PathBuf>,
    /// Links, pipes, sockets and devices.
    pub(crate) special: BTreeMap<PathBuf, FileProblem>,
}

/// The folder of a skill.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) folder: Folder,
    /// `None` if there is no valid marker file.
    pub(crate) marker: Option<Marker>,
    pub(crate) tree: Tree,
}

/// How a file relates to the release that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) digest: Option<Digest>,
    pub(crate) executable: bool,
}

impl Tree {
    pub(crate) fn read(folder: &Folder, name: &str) -> Result<Self, Error> {
        let mut tree = Self::default();
        let mut count = 0;
        tree.add(folder, Path::new(""), name, &mut count)?;
        tree.files.remove(Path::new(MARKER_FILE));
        Ok(tree)
    }

    fn add(&mut self, folder: &Folder, path: &Path, name: &str, count: &mut usize) -> Result<(), Error> {
        let too_many = || Error::TooManyEntries {
            name: name.to_owned(),
            limit: MAX_ENTRIES,
        };
        let entries = folder.entries(MAX_ENTRIES + 1)?;
        *count += entries.len();
        if *count > MAX_ENTRIES || path.components().count() > MAX_DEPTH {
            return Err(too_many());
        }
        for (entry, kind) in entries {
            let path = path.join(&entry);
            match kind {
                EntryKind::File => {
                    // One that was removed just now is not there.
                    if let Some(info) = folder.info(&entry)?.filter(|info| info.kind.is_file()) {
                        self.files.insert(path, info);
                    }
                }
                EntryKind::Folder => {
                    self.add(&folder.subfolder(Path::new(&entry))?, &path, name, count)?;
                    self.folders.insert(path);
                }
                EntryKind::Link => {
                    self.special.insert(path, FileProblem::Link);
                }
                EntryKind::Pipe | EntryKind::Socket | EntryKind::Device => {
                    self.special.insert(path, FileProblem::Special);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.special.is_empty() && self.folders.is_empty()
    }
}

impl Target {
    /// Reads the folder of a skill; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Unsafe`] if it is a link, no folder, or not this account's alone.
    pub(crate) fn read(skills: &Folder, name: &FolderName) -> Result<Option<Self>, Error> {
        let Some(info) = skills.info(name.as_os_str())? else {
            return Ok(None);
        };
        check_folder(&info).map_err(|problem| Error::Unsafe {
            path: skills.shown(name.as_os_str()),
            problem,
        })?;
        let folder = skills.subfolder(Path::new(name.as_os_str()))?;
        let marker = read_marker(&folder);
        let mut tree = Tree::read(&folder, name.as_str())?;
        if marker.is_none()
            && let Some(info) = folder.info(OsStr::new(MARKER_FILE))?
            && info.kind.is_file()
        {
            tree.files.insert(MARKER_FILE.into(), info);
        }
        Ok(Some(Self { folder, marker, tree }))
    }

    /// The content of a file; no digest if its size is not `size`, so that it need not be read.
    pub(crate) fn content(&self, path: &Path, sizes: &[u64]) -> Result<Option<Content>, Error> {
        let Some(info) = self.tree.files.get(path) else {
            return Ok(None);
        };
        let digest = if sizes.contains(&info.size_bytes) && info.size_bytes <= MAX_TOTAL_BYTES {
            let bytes = self.folder.read(path, MAX_TOTAL_BYTES)?;
            bytes.map(|bytes| Digest::of(&bytes))
        } else {
            None
        };
        Ok(Some(Content {
            digest,
            executable: info.mode & 0o100 != 0,
        }))
    }
}

/// The marker of a folder, if it has a valid one.
pub(crate) fn read_marker(folder: &Folder) -> Option<Marker> {
    let bytes = folder.read(Path::new(MARKER_FILE), MAX_MARKER_BYTES).ok()??;
    Marker::parse(&bytes).ok()
}
