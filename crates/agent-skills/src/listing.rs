//! Lists the files of a skill's folder and checks their names, kinds and sizes before any file is opened.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::diagnostics::Diagnostic;
use crate::error::FolderError;
use crate::limits::{MAX_FILES, MAX_TOTAL_BYTES};
use crate::path::{PathError, SkillPath};

/// Names that belong to version control, an operating system or an interpreter's cache.
const IGNORED_NAMES: [&str; 9] = [
    ".git",
    ".hg",
    ".svn",
    ".DS_Store",
    "__MACOSX",
    "__pycache__",
    "Thumbs.db",
    "desktop.ini",
    ".directory",
];

/// All entries below `root` in the order of their paths, without the ignored ones, which become diagnostics.
pub(crate) fn entries(root: &Path, diagnostics: &mut Vec<Diagnostic>) -> Result<Vec<DirEntry>, FolderError> {
    let mut walk = WalkDir::new(root).min_depth(1).into_iter();
    let mut entries = Vec::new();
    // Sorting inside the walk would read a folder with a million files before the limit applies.
    while let Some(entry) = walk.next() {
        let entry = entry?;
        if is_ignored(entry.file_name()) {
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
            diagnostics.push(Diagnostic::LeftOut {
                path: path.display().to_string(),
            });
        } else {
            entries.push(entry);
        }
        // Twice the limit of files, since folders and ignored files count here too.
        if entries.len() + diagnostics.len() > 2 * MAX_FILES {
            return Err(FolderError::TooManyFiles {
                path: root.to_path_buf(),
            });
        }
    }
    entries.sort_by(|a, b| a.path().cmp(b.path()));
    diagnostics.sort_by_key(Diagnostic::to_string);
    Ok(entries)
}

pub(crate) fn is_ignored(name: &OsStr) -> bool {
    IGNORED_NAMES.iter().any(|ignored| name == *ignored) || name.as_encoded_bytes().starts_with(b"._")
}

/// A file to read.
pub(crate) struct PlannedFile {
    pub(crate) path: SkillPath,
    pub(crate) path_on_disk: PathBuf,
    /// Read without following links.
    pub(crate) metadata: Metadata,
}

/// Checks the name and metadata of an entry. Adds its size to `total_bytes`. Returns `None` for a folder.
pub(crate) fn plan(
    root: &Path,
    entry: DirEntry,
    total_bytes: &mut u64,
) -> Result<Option<PlannedFile>, FolderError> {
    let path_on_disk = entry.path().to_path_buf();
    let kind = entry.file_type();
    if kind.is_dir() {
        return Ok(None);
    }
    if kind.is_symlink() {
        return Err(FolderError::Link { path: path_on_disk });
    }
    if !kind.is_file() {
        return Err(FolderError::Special {
            path: path_on_disk,
            kind: special_kind(kind),
        });
    }
    let relative = path_on_disk.strip_prefix(root).unwrap_or(&path_on_disk);
    let bad_path = |source| FolderError::BadPath {
        path: relative.to_path_buf(),
        source,
    };
    let text = relative.to_str().ok_or(PathError::NotUtf8).map_err(bad_path)?;
    let path = SkillPath::parse(text).map_err(bad_path)?;
    let metadata = entry.metadata()?;
    *total_bytes = total_bytes.saturating_add(metadata.len());
    if *total_bytes > MAX_TOTAL_BYTES {
        return Err(FolderError::TooManyBytes {
            path: path_on_disk,
            bytes: metadata.len(),
        });
    }
    Ok(Some(PlannedFile {
        path,
        path_on_disk,
        metadata,
    }))
}

fn special_kind(kind: std::fs::FileType) -> &'static str {
    if kind.is_fifo() {
        "pipe"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}
