//! What a skill's folder holds, decided before a single file is opened.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::diagnostics::Diagnostic;
use super::error::{FolderError, unreadable};
use super::folder::{MAX_FILES, MAX_TOTAL_BYTES};
use super::path::{PathError, SkillPath};

/// Everything below `root` but what is left out, in the order of the paths.
pub(super) fn entries(root: &Path, notes: &mut Vec<Diagnostic>) -> Result<Vec<DirEntry>, FolderError> {
    let mut walk = WalkDir::new(root).min_depth(1).into_iter();
    let mut entries = Vec::new();
    // Unsorted, so that a folder with a million files is refused after the first few hundred.
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(unreadable)?;
        if is_left_out(entry.file_name()) {
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
            notes.push(Diagnostic::LeftOut {
                path: path.display().to_string(),
            });
        } else {
            entries.push(entry);
        }
        // Folders have a limit of their own, as long: a tree of empty ones holds no file at all.
        if entries.len() + notes.len() > 2 * MAX_FILES {
            return Err(FolderError::TooManyFiles {
                path: root.to_path_buf(),
            });
        }
    }
    entries.sort_by(|a, b| a.path().cmp(b.path()));
    notes.sort_by_key(Diagnostic::to_string);
    Ok(entries)
}

/// Whether a name belongs to version control, an operating system or an interpreter's cache.
fn is_left_out(name: &OsStr) -> bool {
    const NAMES: [&str; 9] = [
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
    NAMES.iter().any(|other| name == *other) || name.as_encoded_bytes().starts_with(b"._")
}

/// A file that is to be read.
pub(super) struct Planned {
    pub(super) path: SkillPath,
    pub(super) on_disk: PathBuf,
    /// Its metadata, without following links.
    pub(super) seen: Metadata,
}

/// Decides about one entry by its name and metadata alone. `None` is a folder.
pub(super) fn plan(
    root: &Path,
    entry: DirEntry,
    total_bytes: &mut u64,
) -> Result<Option<Planned>, FolderError> {
    let on_disk = entry.path().to_path_buf();
    let kind = entry.file_type();
    if kind.is_dir() {
        return Ok(None);
    }
    if kind.is_symlink() {
        return Err(FolderError::Link { path: on_disk });
    }
    if !kind.is_file() {
        return Err(FolderError::Special {
            path: on_disk,
            kind: special_kind(kind),
        });
    }
    let inside = on_disk.strip_prefix(root).unwrap_or(&on_disk);
    let bad_path = |source| FolderError::BadPath {
        path: inside.to_path_buf(),
        source,
    };
    let text = inside.to_str().ok_or(PathError::NotUtf8).map_err(bad_path)?;
    let path = SkillPath::parse(text).map_err(bad_path)?;
    let seen = entry.metadata().map_err(unreadable)?;
    *total_bytes = total_bytes.saturating_add(seen.len());
    if *total_bytes > MAX_TOTAL_BYTES {
        return Err(FolderError::TooManyBytes {
            path: on_disk,
            bytes: seen.len(),
        });
    }
    Ok(Some(Planned { path, on_disk, seen }))
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
