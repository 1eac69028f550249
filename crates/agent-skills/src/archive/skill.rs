//! Reads an archive of one skill into memory.

use std::collections::BTreeSet;
use std::io::Cursor;

use super::ArchiveLimits;
use super::checks::{Checks, Content, EntryKind, Sink};
use super::error::{ArchiveError, EntryProblem};
use super::format::read_archive;
use crate::diagnostics::Diagnostic;
use crate::folder::{SkillFile, SkillFolder};
use crate::path::{SKILL_MD, SkillPath};

/// Endings of an archive's file name that are not part of the skill's name.
const EXTENSIONS: [&str; 5] = [".tar.gz", ".tgz", ".tar", ".zip", ".skill"];

/// Reads an archive (zip, tar or tar.gz, recognised by its content) that contains one skill.
///
/// `SKILL.md` must be at the archive's root or in its one top folder. The skill's folder name is that of the top folder; for a
/// skill at the root, it is `hint_name`, the archive's file name, without its extension. Files of other programs (`__MACOSX`,
/// `.DS_Store`, …) are left out and reported in [`SkillFolder::diagnostics`]. Of a file's mode, only the owner's executable bit is
/// kept. Archives inside the archive stay files.
///
/// The limits are [`ArchiveLimits::SKILL`] and those of the format ([`crate::limits`]). They bound the memory:
/// declared sizes are never trusted.
///
/// # Errors
/// Returns an [`ArchiveError`] that names the entry: its path leads out of the archive or is invalid on some system, two names
/// collide, it is a link or special file, it is encrypted or compressed in an unknown way, sizes or checksums are wrong; or the
/// archive is truncated, ambiguous or too large; or it is not one skill.
pub fn read_skill_archive(bytes: &[u8], hint_name: Option<&str>) -> Result<SkillFolder, ArchiveError> {
    let archive_bytes = bytes.len() as u64;
    let mut checks = Checks::new(&ArchiveLimits::SKILL, archive_bytes)?;
    let mut files = Memory::default();
    read_archive(Cursor::new(bytes), archive_bytes, &mut checks, &mut files)?;
    files.into_skill(hint_name)
}

/// Reads the files of an archive as they are, without looking for a skill in it: for an archive that a registry sent, whose
/// digest the caller checks.
///
/// # Errors
/// As [`read_skill_archive`], except that the archive need not contain a skill.
pub fn read_archive_files(bytes: &[u8]) -> Result<Vec<SkillFile>, ArchiveError> {
    let archive_bytes = bytes.len() as u64;
    let mut checks = Checks::new(&ArchiveLimits::SKILL, archive_bytes)?;
    let mut files = Memory::default();
    read_archive(Cursor::new(bytes), archive_bytes, &mut checks, &mut files)?;
    Ok(files.files)
}

#[derive(Default)]
struct Memory {
    files: Vec<SkillFile>,
    left_out: BTreeSet<String>,
}

impl Sink for Memory {
    fn folder(&mut self, _path: &SkillPath) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn file(
        &mut self,
        path: SkillPath,
        is_executable: bool,
        content: &mut Content<'_>,
    ) -> Result<(), ArchiveError> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            let chunk = content.read(&mut buffer)?;
            if chunk.is_empty() {
                break;
            }
            bytes.extend_from_slice(chunk);
        }
        // Up to half of a vector that grew is unused.
        bytes.shrink_to_fit();
        self.files.push(SkillFile {
            path,
            bytes,
            is_executable,
        });
        Ok(())
    }

    fn link(&mut self, path: &SkillPath, kind: EntryKind) -> Result<(), ArchiveError> {
        let kind = kind.link_name();
        Err(ArchiveError::entry(path.as_str(), EntryProblem::Link { kind }))
    }

    fn left_out(&mut self, path: &str) {
        if !self.left_out.contains(path) {
            self.left_out.insert(path.to_owned());
        }
    }
}

impl Memory {
    fn into_skill(self, hint_name: Option<&str>) -> Result<SkillFolder, ArchiveError> {
        let Self { mut files, left_out } = self;
        let root = skill_root(&files)?;
        let folder_name = match &root {
            Some(folder) => folder.clone(),
            None => hint_name.map_or("", stem).to_owned(),
        };
        if let Some(folder) = root {
            for file in &mut files {
                file.path = inside(&file.path, &folder)?;
            }
        }
        let mut skill = SkillFolder::from_files(&folder_name, files)?;
        let left_out = left_out.into_iter().map(|path| Diagnostic::LeftOut { path });
        skill.diagnostics.splice(0..0, left_out);
        Ok(skill)
    }
}

/// The top folder with the skill, or `None` for a skill at the archive's root.
fn skill_root(files: &[SkillFile]) -> Result<Option<String>, ArchiveError> {
    if files.is_empty() {
        return Err(ArchiveError::Empty);
    }
    let is_skill_md = |name: &str| name.eq_ignore_ascii_case(SKILL_MD);
    if files.iter().any(|file| is_skill_md(file.path.as_str())) {
        return Ok(None);
    }
    let tops: BTreeSet<&str> = files
        .iter()
        .map(|file| file.path.as_str().split('/').next().unwrap_or_default())
        .collect();
    let folders: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| file.path.as_str().rsplit_once('/'))
        .filter(|(_, name)| is_skill_md(name))
        .map(|(folder, _)| folder)
        .collect();
    if let (Some(top), 1) = (tops.first(), tops.len())
        && folders.contains(top)
    {
        return Ok(Some((*top).to_owned()));
    }
    if folders.len() > 1 {
        return Err(ArchiveError::SeveralSkills {
            folders: folders.into_iter().map(str::to_owned).collect(),
        });
    }
    Err(ArchiveError::NoSkillMd)
}

fn inside(path: &SkillPath, folder: &str) -> Result<SkillPath, ArchiveError> {
    let text = path.as_str();
    let rest = text
        .strip_prefix(folder)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(text);
    SkillPath::parse(rest).map_err(|rule| ArchiveError::entry(text, rule))
}

/// A file name without folders and without an archive's extension.
fn stem(name: &str) -> &str {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let lowercase = name.to_ascii_lowercase();
    EXTENSIONS
        .iter()
        .find_map(|extension| lowercase.strip_suffix(extension))
        .and_then(|stem| name.get(..stem.len()))
        .unwrap_or(name)
}
