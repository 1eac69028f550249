//! Reads a skill's folder into memory. The folder may be hostile: huge, full of links, or changing while it is read.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use folder_handle::{EntryInfo, FolderHandle};

use crate::diagnostics::Diagnostic;
use crate::digest::Digest;
use crate::error::FolderError;
use crate::exclusion::Exclusion;
use crate::limits::MAX_FILES;
use crate::listing::{Lister, Listing, PlannedFile};
use crate::manifest::{ManifestEntry, manifest_digest};
use crate::path::{SKILL_MD, SkillPath, check_collisions};
use crate::secret_files::secret_by_content;
use crate::source::{ReadOptions, SkillSource};

/// A file of a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillFile {
    /// Path relative to the skill's folder.
    pub path: SkillPath,
    pub bytes: Vec<u8>,
    /// Whether the owner's executable bit is set.
    pub is_executable: bool,
}

impl SkillFile {
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// The folder of a skill, read into memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillFolder {
    pub folder_name: String,
    /// Name of the folder that contains the skill's folder.
    pub parent_name: Option<String>,
    /// Sorted by the bytes of their paths; includes `SKILL.md`.
    pub files: Vec<SkillFile>,
    /// Files that were left out or renamed.
    pub diagnostics: Vec<Diagnostic>,
}

impl SkillFolder {
    /// The bytes of `SKILL.md`.
    #[must_use]
    pub fn skill_md(&self) -> &[u8] {
        self.files
            .iter()
            .find(|file| file.path.as_str() == SKILL_MD)
            .map_or(&[], |file| &file.bytes)
    }

    /// The sizes of all files together.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let sizes = self.files.iter().map(|file| u64::try_from(file.bytes.len()));
        sizes
            .map(|size| size.unwrap_or(u64::MAX))
            .fold(0, u64::saturating_add)
    }

    /// The digest of all files, see [`manifest_digest`].
    #[must_use]
    pub fn manifest_digest(&self) -> Digest {
        manifest_digest(self.files.iter().map(|file| ManifestEntry {
            path: &file.path,
            digest: file.digest(),
            size_bytes: file.bytes.len() as u64,
            is_executable: file.is_executable,
        }))
    }
}

/// Reads the folder of one skill with all its files.
///
/// Checks sizes before it opens a file, and never opens links or special files. Leaves out, and reports in
/// [`SkillFolder::diagnostics`]: what other programs create (`.git`, `.DS_Store`, …), secrets, installed dependencies,
/// caches, build output, what a `.gitignore` or `.skillignore` names, and other skills inside. `path` itself may be a link.
///
/// # Errors
/// Returns a [`FolderError`] that names the file: it cannot be read, is not a regular file, has an invalid path, or
/// exceeds [`MAX_FILES`] or [`MAX_TOTAL_BYTES`](crate::limits::MAX_TOTAL_BYTES); or there is no `SKILL.md`.
pub fn read_folder(path: &Path) -> Result<SkillFolder, FolderError> {
    let source = SkillSource::of_one_skill(path, &ReadOptions::default())?;
    read_skill(&source, source.root())
}

impl SkillSource {
    /// Reads a skill with all its files, see [`read_folder`]. `folder` is the path of a
    /// [`FoundSkill`](crate::FoundSkill).
    ///
    /// # Errors
    /// Those of [`read_folder`], and [`FolderError::LinkOutside`].
    pub fn read(&self, folder: &Path) -> Result<SkillFolder, FolderError> {
        read_skill(self, folder)
    }
}

/// Reads the skill in `path`, a folder of the source without links in its path.
fn read_skill(source: &SkillSource, path: &Path) -> Result<SkillFolder, FolderError> {
    let Listing {
        files: mut planned,
        mut diagnostics,
    } = Lister::list(source, path)?;
    if planned.len() > MAX_FILES {
        return Err(FolderError::TooManyFiles {
            path: path.to_path_buf(),
        });
    }
    diagnostics.extend(rename_skill_md(path, &mut planned)?);
    planned.sort_by(|a, b| a.path.cmp(&b.path));
    check_collisions(planned.iter().map(|file| &file.path))?;
    let mut files = Vec::with_capacity(planned.len());
    for planned in planned {
        let is_included = planned.is_included;
        let file = read_file(&source.root, planned)?;
        match secret_by_content(file.path.as_str(), &file.bytes).filter(|_| !is_included) {
            None => files.push(file),
            Some(kind) => diagnostics.push(Diagnostic::Excluded {
                path: file.path.to_string(),
                reason: Exclusion::Secret(kind),
                files: None,
            }),
        }
    }
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(SkillFolder {
        folder_name: name(path).unwrap_or_default(),
        parent_name: path.parent().and_then(name),
        files,
        diagnostics,
    })
}

/// Corrects the case of `SKILL.md` (`skill.md`, `Skill.md`, …).
fn rename_skill_md(root: &Path, planned: &mut [PlannedFile]) -> Result<Option<Diagnostic>, FolderError> {
    if planned.iter().any(|file| file.path.as_str() == SKILL_MD) {
        return Ok(None);
    }
    let other_case = planned
        .iter_mut()
        .find(|file| file.path.as_str().eq_ignore_ascii_case(SKILL_MD));
    let file = other_case.ok_or_else(|| FolderError::NoSkillMd {
        path: root.to_path_buf(),
    })?;
    let found = file.path.to_string();
    file.path = SkillPath::skill_md();
    Ok(Some(Diagnostic::SkillMdCase { found }))
}

fn read_file(root: &FolderHandle, planned: PlannedFile) -> Result<SkillFile, FolderError> {
    let PlannedFile {
        path,
        path_on_disk,
        info,
        is_included: _,
    } = planned;
    if is_foreign_hard_link(root, &info) {
        return Err(FolderError::HardLink { path: path_on_disk });
    }
    let bytes = match open(root, &path_on_disk, &info).and_then(|file| read_exactly(file, info.size_bytes)) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(FolderError::Changed { path: path_on_disk }),
        Err(source) => {
            return Err(FolderError::Unreadable {
                path: path_on_disk,
                source,
            });
        }
    };
    Ok(SkillFile {
        path,
        bytes,
        is_executable: info.mode & 0o100 != 0,
    })
}

/// Whether a file may be one that the source's owner cannot read: it has another owner, another name, and is not for everyone.
fn is_foreign_hard_link(root: &FolderHandle, info: &EntryInfo) -> bool {
    let is_readable_by_all = info.mode & 0o004 != 0;
    info.names > 1 && !is_readable_by_all && root.own_info().map_or(true, |folder| folder.owner != info.owner)
}

/// Opens a file. Returns `None` if it is not the file that `listed` describes: it may have been replaced since it was listed.
fn open(root: &FolderHandle, path: &Path, listed: &EntryInfo) -> io::Result<Option<File>> {
    let file = root.open_file(path)?;
    let opened = file.metadata()?;
    let is_same = opened.dev() == listed.device && opened.ino() == listed.inode;
    Ok(is_same.then_some(file))
}

/// Returns `None` if the file does not have `size_bytes` bytes. Never reads more than one byte beyond, so that a
/// growing file cannot exceed the limits.
fn read_exactly(file: Option<File>, size_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = file else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(size_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 == size_bytes).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::limits::MAX_TOTAL_BYTES;
    use crate::path::PathError;

    fn skill(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(SKILL_MD), "text").unwrap();
        for (file, bytes) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        root
    }

    fn paths(folder: &SkillFolder) -> Vec<&str> {
        folder.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn files_are_read_unchanged_and_in_order() {
        let root = skill(&[
            ("scripts/run.sh", b"#!/bin/sh\n"),
            ("assets/a.bin", b"\0\xFF"),
            ("assets-2", b""),
        ]);
        fs::set_permissions(root.path().join("scripts/run.sh"), Permissions::from_mode(0o755)).unwrap();
        let folder = read_folder(root.path()).unwrap();
        assert_eq!(
            paths(&folder),
            ["SKILL.md", "assets-2", "assets/a.bin", "scripts/run.sh"]
        );
        assert_eq!(folder.files[2].bytes, b"\0\xFF");
        let executable: Vec<bool> = folder.files.iter().map(|file| file.is_executable).collect();
        assert_eq!(executable, [false, false, false, true]);
        assert_eq!(folder.skill_md(), b"text");
        assert_eq!(
            folder.folder_name,
            root.path().file_name().unwrap().to_str().unwrap()
        );
        assert!(folder.parent_name.is_some() && folder.diagnostics.is_empty());
    }

    #[test]
    fn files_of_other_programs_are_left_out_and_reported() {
        let root = skill(&[
            (".git/config", b""),
            ("a/.DS_Store", b""),
            (".gitignore", b"x"),
            ("._a", b""),
        ]);
        let folder = read_folder(root.path()).unwrap();
        assert_eq!(paths(&folder), [".gitignore", "SKILL.md"]);
        let left_out: Vec<String> = folder.diagnostics.iter().map(Diagnostic::to_string).collect();
        assert_eq!(left_out.len(), 3, "{left_out:?}");
        assert!(left_out.iter().any(|message| message.contains("a/.DS_Store")));
    }

    #[test]
    fn links_are_rejected_whatever_their_target() {
        for target in ["/etc/passwd", "SKILL.md", "nowhere", "."] {
            let root = skill(&[]);
            symlink(target, root.path().join("link")).unwrap();
            let found = read_folder(root.path());
            assert!(
                matches!(&found, Err(FolderError::Link { path }) if path.ends_with("link")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn pipe_is_rejected_without_waiting_for_a_writer() {
        let root = skill(&[]);
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(&root.path().join("pipe"), mode).unwrap();
        let found = read_folder(root.path());
        assert!(
            matches!(found, Err(FolderError::Special { kind: "pipe", .. })),
            "{found:?}"
        );
    }

    #[test]
    fn too_large_file_is_not_read() {
        let root = skill(&[]);
        let sparse = File::create(root.path().join("large")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let found = read_folder(root.path());
        assert!(
            matches!(found, Err(FolderError::TooManyBytes { bytes, .. }) if bytes == 1 << 40),
            "{found:?}"
        );
    }

    #[test]
    fn limits_apply_to_the_whole_skill() {
        let root = skill(&[]);
        for n in 0..MAX_FILES - 1 {
            fs::write(root.path().join(format!("{n}")), "").unwrap();
        }
        assert_eq!(read_folder(root.path()).unwrap().files.len(), MAX_FILES);
        fs::write(root.path().join("one-more"), "").unwrap();
        assert!(matches!(
            read_folder(root.path()),
            Err(FolderError::TooManyFiles { .. })
        ));
        let half = MAX_TOTAL_BYTES / 2;
        let root = skill(&[]);
        for name in ["a", "b"] {
            File::create(root.path().join(name))
                .unwrap()
                .set_len(half)
                .unwrap();
        }
        assert!(matches!(
            read_folder(root.path()),
            Err(FolderError::TooManyBytes { .. })
        ));
        fs::write(root.path().join("SKILL.md"), "").unwrap();
        assert_eq!(read_folder(root.path()).unwrap().files.len(), 3);
    }

    #[test]
    fn too_many_empty_folders_are_rejected() {
        let root = skill(&[]);
        for n in 0..=2 * MAX_FILES {
            fs::create_dir(root.path().join(format!("{n}"))).unwrap();
        }
        assert!(matches!(
            read_folder(root.path()),
            Err(FolderError::TooManyFiles { .. })
        ));
    }

    #[test]
    fn names_invalid_on_some_system_are_rejected() {
        for (name, rule) in [
            ("a:b", PathError::Colon),
            ("nul.txt", PathError::Reserved),
            ("a\u{202E}b", PathError::Hidden),
        ] {
            let root = skill(&[(name, b"")]);
            let found = read_folder(root.path());
            assert!(
                matches!(&found, Err(FolderError::BadPath { source, .. }) if *source == rule),
                "{found:?}"
            );
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_collide_on_another_system_are_rejected() {
        let root = skill(&[("Docs/a", b"1"), ("docs/b", b"2")]);
        let found = read_folder(root.path());
        assert!(matches!(&found, Err(FolderError::Collision(_))), "{found:?}");
    }

    #[test]
    fn skill_md_in_other_case_is_renamed() {
        let root = skill(&[]);
        fs::rename(root.path().join("SKILL.md"), root.path().join("Skill.md")).unwrap();
        let folder = read_folder(root.path()).unwrap();
        assert_eq!(
            (paths(&folder), folder.diagnostics[0].code()),
            (vec!["SKILL.md"], "skill_md_case")
        );
        fs::remove_file(root.path().join("Skill.md")).unwrap();
        assert!(matches!(
            read_folder(root.path()),
            Err(FolderError::NoSkillMd { .. })
        ));
    }

    #[test]
    fn file_changed_after_listing_is_rejected() {
        let root = skill(&[("a", b"12"), ("b", b"12")]);
        let handle = FolderHandle::open(root.path()).unwrap();
        let (a, b) = (handle.path().join("a"), handle.path().join("b"));
        let listed = handle.info(&a).unwrap();
        let read_file = |path_on_disk: &Path| {
            let planned = PlannedFile {
                path: SkillPath::parse("a").unwrap(),
                path_on_disk: path_on_disk.to_path_buf(),
                info: listed,
                is_included: false,
            };
            super::read_file(&handle, planned)
        };
        assert_eq!(read_file(&a).unwrap().bytes, b"12");
        assert!(
            matches!(read_file(&b), Err(FolderError::Changed { .. })),
            "another file"
        );
        fs::write(&a, "123").unwrap();
        assert!(
            matches!(read_file(&a), Err(FolderError::Changed { .. })),
            "a file that grew"
        );
        fs::remove_file(&a).unwrap();
        symlink(&b, &a).unwrap();
        assert!(
            matches!(read_file(&a), Err(FolderError::Unreadable { .. })),
            "a link"
        );
    }
}
