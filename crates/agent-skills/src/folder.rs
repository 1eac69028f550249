//! Reading a skill's folder into memory, however hostile the folder is.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::Digest;

use super::SKILL_MD;
use super::diagnostics::Diagnostic;
use super::error::FolderError;
use super::listing::{Planned, entries, plan};
use super::manifest::{ManifestEntry, manifest_digest};
use super::path::{SkillPath, check_collisions};

/// The most files of a skill (SEP-2640).
pub const MAX_FILES: usize = 512;
/// The most bytes of all files of a skill together (SEP-2640).
pub const MAX_TOTAL_BYTES: u64 = 16 * 1024 * 1024;

/// One file of a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillFile {
    /// Where it is in the skill.
    pub path: SkillPath,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Whether its owner may run it.
    pub is_executable: bool,
}

impl SkillFile {
    /// The digest of the file's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// A skill as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillFolder {
    /// The folder's own name.
    pub folder_name: String,
    /// The name of the folder around it.
    pub parent_name: Option<String>,
    /// The files by the bytes of their paths, `SKILL.md` among them.
    pub files: Vec<SkillFile>,
    /// What was left out or stored under another name.
    pub notes: Vec<Diagnostic>,
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

    /// The digest of a version with these files.
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

/// Reads the folder of one skill, with everything in it.
///
/// Sizes are checked before any file is opened, so a file of 100 MB costs nothing; links and special files are never
/// opened. What other programs leave behind (`.git`, `.DS_Store`, …) is left out, with a note.
///
/// # Errors
/// [`FolderError`] names the file and what to do about it.
pub fn read_folder(path: &Path) -> Result<SkillFolder, FolderError> {
    let io_error = |source| FolderError::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    // The person named this folder, so it may be a link; what is inside may not.
    let root = path.canonicalize().map_err(io_error)?;
    let mut notes = Vec::new();
    let mut planned = Vec::new();
    let mut total_bytes = 0;
    for entry in entries(&root, &mut notes)? {
        if let Some(file) = plan(&root, entry, &mut total_bytes)? {
            planned.push(file);
        }
    }
    name_skill_md(&root, &mut planned, &mut notes)?;
    planned.sort_by(|a, b| a.path.cmp(&b.path));
    check_collisions(planned.iter().map(|file| &file.path))?;
    let files = planned.into_iter().map(read_file).collect::<Result<_, _>>()?;
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(SkillFolder {
        folder_name: name(&root).unwrap_or_default(),
        parent_name: root.parent().and_then(name),
        files,
        notes,
    })
}

/// Checks the number of files, and finds `SKILL.md`, which is renamed where only its case differs.
fn name_skill_md(
    root: &Path,
    planned: &mut [Planned],
    notes: &mut Vec<Diagnostic>,
) -> Result<(), FolderError> {
    if planned.len() > MAX_FILES {
        return Err(FolderError::TooManyFiles {
            path: root.to_path_buf(),
        });
    }
    if planned.iter().any(|file| file.path.as_str() == SKILL_MD) {
        return Ok(());
    }
    let other_case = planned
        .iter_mut()
        .find(|file| file.path.as_str().eq_ignore_ascii_case(SKILL_MD));
    let file = other_case.ok_or_else(|| FolderError::NoSkillMd {
        path: root.to_path_buf(),
    })?;
    notes.push(Diagnostic::SkillMdCase {
        found: file.path.to_string(),
    });
    file.path = SkillPath::skill_md();
    Ok(())
}

fn read_file(planned: Planned) -> Result<SkillFile, FolderError> {
    let Planned { path, on_disk, seen } = planned;
    let bytes = match open(&on_disk, &seen).and_then(|file| read_at_most(file, seen.len())) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(FolderError::Changed { path: on_disk }),
        Err(source) => {
            return Err(FolderError::Unreadable {
                path: on_disk,
                source,
            });
        }
    };
    Ok(SkillFile {
        path,
        bytes,
        is_executable: seen.mode() & 0o100 != 0,
    })
}

/// Opens a file, which has to be the very one that was seen: between the two somebody may have put a link or a pipe
/// in its place. `None` where it is another.
fn open(path: &Path, seen: &Metadata) -> io::Result<Option<File>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    let opened = file.metadata()?;
    let is_same = opened.is_file() && opened.dev() == seen.dev() && opened.ino() == seen.ino();
    Ok(is_same.then_some(file))
}

/// The file's bytes. `None` where there are not as many as were seen, so that a growing file cannot pass the limit.
fn read_at_most(file: Option<File>, size_bytes: u64) -> io::Result<Option<Vec<u8>>> {
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

    use super::super::path::PathError;
    use super::*;

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
    fn a_folder_is_read_to_the_byte_and_in_order() {
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
        let may_run: Vec<bool> = folder.files.iter().map(|file| file.is_executable).collect();
        assert_eq!(may_run, [false, false, false, true]);
        assert_eq!(folder.skill_md(), b"text");
        assert_eq!(
            folder.folder_name,
            root.path().file_name().unwrap().to_str().unwrap()
        );
        assert!(folder.parent_name.is_some() && folder.notes.is_empty());
    }

    #[test]
    fn what_other_programs_leave_behind_is_left_out_and_said() {
        let root = skill(&[
            (".git/config", b""),
            ("a/.DS_Store", b""),
            (".gitignore", b"x"),
            ("._a", b""),
        ]);
        let folder = read_folder(root.path()).unwrap();
        assert_eq!(paths(&folder), [".gitignore", "SKILL.md"]);
        let left_out: Vec<String> = folder.notes.iter().map(Diagnostic::to_string).collect();
        assert_eq!(left_out.len(), 3, "{left_out:?}");
        assert!(left_out.iter().any(|note| note.contains("a/.DS_Store")));
    }

    #[test]
    fn links_are_refused_wherever_they_lead() {
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
    fn a_pipe_is_refused_without_waiting_for_a_writer() {
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
    fn a_file_that_is_too_large_is_not_read() {
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
    fn the_limits_are_for_the_whole_skill() {
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
    fn a_folder_of_nothing_but_folders_is_refused() {
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
    fn names_that_not_every_machine_holds_are_refused() {
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
    fn names_that_are_one_on_another_machine_are_refused() {
        let root = skill(&[("Docs/a", b"1"), ("docs/b", b"2")]);
        let found = read_folder(root.path());
        assert!(matches!(&found, Err(FolderError::Collision(_))), "{found:?}");
    }

    #[test]
    fn a_skill_md_in_other_letters_is_stored_under_its_name() {
        let root = skill(&[]);
        fs::rename(root.path().join("SKILL.md"), root.path().join("Skill.md")).unwrap();
        let folder = read_folder(root.path()).unwrap();
        assert_eq!(
            (paths(&folder), folder.notes[0].code()),
            (vec!["SKILL.md"], "skill_md_case")
        );
        fs::remove_file(root.path().join("Skill.md")).unwrap();
        assert!(matches!(
            read_folder(root.path()),
            Err(FolderError::NoSkillMd { .. })
        ));
    }

    #[test]
    fn a_file_that_changed_since_it_was_seen_is_not_taken() {
        let root = skill(&[("a", b"12"), ("b", b"12")]);
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        let seen = fs::metadata(&a).unwrap();
        let plan = |on_disk: &Path| Planned {
            path: SkillPath::parse("a").unwrap(),
            on_disk: on_disk.to_path_buf(),
            seen: seen.clone(),
        };
        assert_eq!(read_file(plan(&a)).unwrap().bytes, b"12");
        assert!(
            matches!(read_file(plan(&b)), Err(FolderError::Changed { .. })),
            "another file"
        );
        fs::write(&a, "123").unwrap();
        assert!(
            matches!(read_file(plan(&a)), Err(FolderError::Changed { .. })),
            "a file that grew"
        );
        fs::remove_file(&a).unwrap();
        symlink(&b, &a).unwrap();
        assert!(
            matches!(read_file(plan(&a)), Err(FolderError::Unreadable { .. })),
            "a link"
        );
    }
}
