//! Lists the files of a skill's folder and checks their names, kinds and sizes before any file is opened.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use folder_handle::{EntryInfo, EntryKind, FolderHandle};

use crate::diagnostics::Diagnostic;
use crate::error::FolderError;
use crate::exclusion::{Exclusion, Names, combined, excluded_file, excluded_folder};
use crate::ignore_files::{FolderPatterns, IgnoreRules};
use crate::limits::{MAX_FILES, MAX_TOTAL_BYTES};
use crate::nested::{contains_skill_md, is_material};
use crate::path::{PathError, SKILL_MD, SkillPath};
use crate::source::SkillSource;

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

/// Maximum number of entries that are looked at, also of those that are left out.
const MAX_VISITED: usize = 100_000;
/// Maximum number of files that are counted in a folder that is left out.
const MAX_COUNTED: usize = 10_000;
/// Maximum number of left-out paths that are named. Further ones are counted.
pub(crate) const MAX_NAMED: usize = 200;

pub(crate) fn is_ignored(name: &OsStr) -> bool {
    IGNORED_NAMES.iter().any(|ignored| name == *ignored) || name.as_encoded_bytes().starts_with(b"._")
}

/// A file to read.
pub(crate) struct PlannedFile {
    pub(crate) path: SkillPath,
    pub(crate) path_on_disk: PathBuf,
    /// Read without following links.
    pub(crate) info: EntryInfo,
    /// Named by an include pattern.
    pub(crate) is_included: bool,
}

/// The files of a skill, in the order of their paths.
pub(crate) struct Listing {
    pub(crate) files: Vec<PlannedFile>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// A child of a folder.
struct Child {
    name: std::ffi::OsString,
    /// Relative to the skill's folder.
    relative: PathBuf,
    on_disk: PathBuf,
    /// The kind of what a followed link leads to.
    kind: EntryKind,
}

/// A folder to list.
struct Folder {
    relative: PathBuf,
    on_disk: PathBuf,
    rules: IgnoreRules,
    /// Why all files in it are left out that no include pattern matches.
    exclusion: Option<Exclusion>,
}

pub(crate) struct Lister<'a> {
    source: &'a SkillSource,
    root: &'a Path,
    files: Vec<PlannedFile>,
    folders: usize,
    total_bytes: u64,
    visited: usize,
    diagnostics: Vec<Diagnostic>,
    left_out: Vec<Diagnostic>,
    /// Folders of other skills, relative to the skill's folder.
    nested: Vec<String>,
}

impl<'a> Lister<'a> {
    /// Lists the files of the skill in `root`, a folder without links in its path.
    pub(crate) fn list(source: &'a SkillSource, root: &'a Path) -> Result<Listing, FolderError> {
        let mut lister = Self {
            source,
            root,
            files: Vec::new(),
            folders: 0,
            total_bytes: 0,
            visited: 0,
            diagnostics: Vec::new(),
            left_out: Vec::new(),
            nested: Vec::new(),
        };
        let mut open = vec![Folder {
            relative: PathBuf::new(),
            on_disk: root.to_path_buf(),
            rules: source.rules_around(root)?,
            exclusion: None,
        }];
        while let Some(folder) = open.pop() {
            lister.list_folder(folder, &mut open)?;
        }
        Ok(lister.finish())
    }

    fn finish(mut self) -> Listing {
        self.files.sort_by(|a, b| a.path_on_disk.cmp(&b.path_on_disk));
        self.diagnostics.sort_by_key(Diagnostic::to_string);
        self.left_out.sort_by_key(Diagnostic::to_string);
        let unnamed = self.left_out.len().saturating_sub(MAX_NAMED);
        self.left_out.truncate(MAX_NAMED);
        self.diagnostics.append(&mut self.left_out);
        if unnamed > 0 {
            self.diagnostics.push(Diagnostic::MoreLeftOut { paths: unnamed });
        }
        if !self.nested.is_empty() {
            self.nested.sort();
            self.diagnostics
                .push(Diagnostic::NestedSkills { folders: self.nested });
        }
        Listing {
            files: self.files,
            diagnostics: self.diagnostics,
        }
    }

    fn list_folder(&mut self, folder: Folder, open: &mut Vec<Folder>) -> Result<(), FolderError> {
        let children = self.children(&folder)?;
        let names: Names = children
            .iter()
            .map(|child| child.name.to_string_lossy().into_owned())
            .collect();
        let patterns = FolderPatterns::read(&self.source.root, &folder.on_disk)?.map(Arc::new);
        let rules = folder.rules.with(patterns);
        let mut left_out_files = 0;
        for child in children {
            let is_folder = child.kind.is_folder();
            if is_ignored(&child.name) {
                self.diagnostics.push(Diagnostic::LeftOut {
                    path: child.relative.display().to_string(),
                });
                self.check_counts()?;
                continue;
            }
            let exclusion = match folder.exclusion {
                Some(exclusion) => Some(exclusion),
                None => self.exclusion(&child, &names, &rules),
            };
            let is_included = self.is_included(&child, is_folder);
            let exclusion = exclusion.filter(|_| !is_included);
            match exclusion {
                None if is_folder => self.open_folder(child, &rules, open)?,
                None => self.plan(child, is_included)?,
                Some(exclusion) if is_folder && !self.source.include.is_empty() => open.push(Folder {
                    relative: child.relative,
                    on_disk: child.on_disk,
                    rules: rules.clone(),
                    exclusion: Some(exclusion),
                }),
                Some(exclusion) if folder.exclusion.is_none() => self.leave_out(&child, exclusion),
                Some(_) => left_out_files += 1,
            }
        }
        if let Some(reason) = folder.exclusion.filter(|_| left_out_files > 0) {
            self.left_out.push(Diagnostic::Excluded {
                path: format!("{}/", folder.relative.display()),
                reason,
                files: Some(left_out_files),
            });
        }
        Ok(())
    }

    /// The children of a folder, sorted by name. Links into the source are followed.
    fn children(&mut self, folder: &Folder) -> Result<Vec<Child>, FolderError> {
        let unreadable = |source| FolderError::Unreadable {
            path: folder.on_disk.clone(),
            source,
        };
        let mut children = Vec::new();
        // One more than allowed, to tell too many from the last one.
        let limit = MAX_VISITED - self.visited + 1;
        let entries = self
            .source
            .root
            .entries(&folder.on_disk, limit)
            .map_err(unreadable)?;
        for (name, kind) in entries {
            self.visited += 1;
            if self.visited > MAX_VISITED {
                return Err(self.too_many_files());
            }
            let (on_disk, kind) = self.source.followed(folder.on_disk.join(&name), kind)?;
            children.push(Child {
                relative: folder.relative.join(&name),
                name,
                on_disk,
                kind,
            });
        }
        children.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(children)
    }

    fn exclusion(&self, child: &Child, siblings: &Names, rules: &IgnoreRules) -> Option<Exclusion> {
        let is_folder = child.kind.is_folder();
        let path = child.relative.to_string_lossy();
        let built_in = if is_folder {
            excluded_folder(
                &child.name.to_string_lossy(),
                &names_in(&self.source.root, &child.on_disk),
                siblings,
            )
        } else {
            let target = child.on_disk.to_string_lossy();
            excluded_file(&path).or_else(|| excluded_file(&target).filter(|_| !target.ends_with(&*path)))
        };
        if child.relative.as_os_str().eq_ignore_ascii_case(SKILL_MD) {
            return None;
        }
        combined(built_in, rules.verdict(&child.on_disk, is_folder))
    }

    fn is_included(&self, child: &Child, is_folder: bool) -> bool {
        if self.source.include.is_empty() {
            return false;
        }
        let in_source = child
            .on_disk
            .strip_prefix(self.source.root())
            .unwrap_or(&child.relative);
        self.source
            .include
            .matches(&[child.relative.clone(), in_source.to_path_buf()], is_folder)
    }

    fn open_folder(
        &mut self,
        child: Child,
        rules: &IgnoreRules,
        open: &mut Vec<Folder>,
    ) -> Result<(), FolderError> {
        if !is_material(&child.relative) && contains_skill_md(&self.source.root, &child.on_disk) {
            self.nested.push(child.relative.display().to_string());
            return self.check_counts();
        }
        self.folders += 1;
        self.check_counts()?;
        open.push(Folder {
            relative: child.relative,
            on_disk: child.on_disk,
            rules: rules.clone(),
            exclusion: None,
        });
        Ok(())
    }

    fn leave_out(&mut self, child: &Child, reason: Exclusion) {
        let is_folder = child.kind.is_folder();
        let slash = if is_folder { "/" } else { "" };
        self.left_out.push(Diagnostic::Excluded {
            path: format!("{}{slash}", child.relative.display()),
            reason,
            files: is_folder.then(|| count_files(&self.source.root, &child.on_disk)),
        });
    }

    /// Checks the name and metadata of a file, and adds its size.
    fn plan(&mut self, child: Child, is_included: bool) -> Result<(), FolderError> {
        let Child {
            relative,
            on_disk,
            kind,
            ..
        } = child;
        if kind.is_link() {
            return Err(FolderError::Link { path: on_disk });
        }
        if !kind.is_file() {
            return Err(FolderError::Special {
                path: on_disk,
                kind: special_kind(kind),
            });
        }
        let bad_path = |source| FolderError::BadPath {
            path: relative.clone(),
            source,
        };
        let text = relative.to_str().ok_or(PathError::NotUtf8).map_err(bad_path)?;
        let path = SkillPath::parse(text).map_err(bad_path)?;
        let info = self
            .source
            .root
            .info(&on_disk)
            .map_err(|source| FolderError::Unreadable {
                path: on_disk.clone(),
                source,
            })?;
        self.total_bytes = self.total_bytes.saturating_add(info.size_bytes);
        if self.total_bytes > MAX_TOTAL_BYTES {
            return Err(FolderError::TooManyBytes {
                path: on_disk,
                bytes: info.size_bytes,
            });
        }
        self.files.push(PlannedFile {
            path,
            path_on_disk: on_disk,
            info,
            is_included,
        });
        self.check_counts()
    }

    /// Twice the limit of files, since folders and files of other programs count too.
    fn check_counts(&self) -> Result<(), FolderError> {
        if self.files.len() + self.folders + self.diagnostics.len() + self.nested.len() > 2 * MAX_FILES {
            return Err(self.too_many_files());
        }
        Ok(())
    }

    fn too_many_files(&self) -> FolderError {
        FolderError::TooManyFiles {
            path: self.root.to_path_buf(),
        }
    }
}

/// The names in a folder; empty if it cannot be read, which is reported when it is listed.
pub(crate) fn names_in(root: &FolderHandle, folder: &Path) -> Names {
    let entries = root.entries(folder, MAX_FILES).unwrap_or_default();
    entries
        .into_iter()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .collect()
}

/// The number of files below a folder, at most [`MAX_COUNTED`].
fn count_files(root: &FolderHandle, folder: &Path) -> usize {
    let mut files = 0;
    visit_below(root, folder, 2 * MAX_COUNTED, |_, kind| {
        files += usize::from(!kind.is_folder())
    });
    files.min(MAX_COUNTED)
}

/// Passes names and kinds of at most `limit` entries below a folder to `see`, and returns their number. Skips what cannot be read.
pub(crate) fn visit_below(
    root: &FolderHandle,
    folder: &Path,
    limit: usize,
    mut see: impl FnMut(&OsStr, EntryKind),
) -> usize {
    let mut visited = 0;
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for (name, kind) in root.entries(&folder, limit - visited).unwrap_or_default() {
            visited += 1;
            see(&name, kind);
            if kind.is_folder() {
                open.push(folder.join(&name));
            }
        }
    }
    visited
}

const fn special_kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Pipe => "pipe",
        EntryKind::Socket => "socket",
        EntryKind::Device | EntryKind::File | EntryKind::Folder | EntryKind::Link => "device",
    }
}
