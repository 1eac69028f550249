//! Extracts an archive of many skills into a folder.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::ArchiveLimits;
use super::checks::{Checks, Content, EntryKind, Sink};
use super::error::ArchiveError;
use super::format::read_archive;
use crate::path::SkillPath;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const EXECUTABLE_MODE: u32 = 0o700;

/// A link in an archive that was not extracted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedLink {
    /// Path in the archive.
    pub path: SkillPath,
    /// `symbolic link` or `hard link`.
    pub kind: &'static str,
}

/// What was extracted, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtractReport {
    /// Number of files written.
    pub files: usize,
    /// Size of these files together.
    pub bytes: u64,
    /// Links, which are never created, in the order of the archive.
    pub skipped_links: Vec<SkippedLink>,
    /// Files and folders of other programs (`.git`, `__MACOSX`, …), sorted.
    pub left_out: Vec<String>,
}

/// Extracts an archive (zip, tar or tar.gz, recognised by its content) into the empty folder `target`.
///
/// Nothing outside of `target` is touched: names are checked before anything is created, no link is created or followed, and every
/// file and folder is created, never opened. Files are readable by their owner only; of a file's mode, only the owner's executable
/// bit is kept. Memory is bounded by the number and the names of the entries (see [`ArchiveLimits`]), not by their sizes.
///
/// `target` must belong to the caller alone. After an error it contains what was extracted before it: remove it.
///
/// # Errors
/// As [`read_skill_archive`](super::read_skill_archive), but links are skipped; and if `target` is not an empty folder or
/// cannot be written.
pub fn extract_archive<R: Read + Seek>(
    mut archive: R,
    target: &Path,
    limits: &ArchiveLimits,
) -> Result<ExtractReport, ArchiveError> {
    check_target(target)?;
    let archive_bytes = archive
        .seek(SeekFrom::End(0))
        .and_then(|bytes| archive.rewind().map(|()| bytes))
        .map_err(ArchiveError::Unreadable)?;
    let mut checks = Checks::new(limits, archive_bytes)?;
    let mut folder = Folder {
        target,
        last_parent: PathBuf::from(target),
        left_out: BTreeSet::new(),
        report: ExtractReport::default(),
    };
    read_archive(archive, archive_bytes, &mut checks, &mut folder)?;
    folder.report.left_out = folder.left_out.into_iter().collect();
    Ok(folder.report)
}

fn check_target(target: &Path) -> Result<(), ArchiveError> {
    let failed = |source| ArchiveError::Target {
        path: target.to_path_buf(),
        source,
    };
    // Not through a link: it may be changed between this check and the first file.
    if !target.symlink_metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    if target.read_dir().map_err(failed)?.next().is_some() {
        return Err(ArchiveError::TargetNotEmpty {
            path: target.to_path_buf(),
        });
    }
    Ok(())
}

struct Folder<'a> {
    target: &'a Path,
    /// The folder that was created or checked last: most files are in the folder of the file before.
    last_parent: PathBuf,
    left_out: BTreeSet<String>,
    report: ExtractReport,
}

impl Folder<'_> {
    /// Creates the folders down to `folder`, a path below the target.
    fn create_folders(&mut self, folder: &str) -> Result<(), ArchiveError> {
        let full = self.target.join(folder);
        if self.last_parent == full {
            return Ok(());
        }
        let mut path = self.target.to_path_buf();
        for segment in folder.split('/').filter(|segment| !segment.is_empty()) {
            path.push(segment);
            match DirBuilder::new().mode(FOLDER_MODE).create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_real_folder(&path) => {}
                Err(source) => return Err(ArchiveError::Target { path, source }),
            }
        }
        self.last_parent = full;
        Ok(())
    }

    fn write(
        &mut self,
        path: &Path,
        is_executable: bool,
        content: &mut Content<'_>,
    ) -> Result<(), ArchiveError> {
        let failed = |source| ArchiveError::Target {
            path: path.to_path_buf(),
            source,
        };
        let mut file = create(path, is_executable).map_err(failed)?;
        let mut buffer = [0; 32 * 1024];
        loop {
            let chunk = content.read(&mut buffer)?;
            if chunk.is_empty() {
                break;
            }
            file.write_all(chunk).map_err(failed)?;
            self.report.bytes += chunk.len() as u64;
        }
        self.report.files += 1;
        Ok(())
    }
}

fn is_real_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

fn create(path: &Path, is_executable: bool) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if is_executable { EXECUTABLE_MODE } else { FILE_MODE })
        .custom_flags(flags.bits())
        .open(path)
}

impl Sink for Folder<'_> {
    fn folder(&mut self, path: &SkillPath) -> Result<(), ArchiveError> {
        self.create_folders(path.as_str())
    }

    fn file(
        &mut self,
        path: SkillPath,
        is_executable: bool,
        content: &mut Content<'_>,
    ) -> Result<(), ArchiveError> {
        let folder = path.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
        self.create_folders(folder)?;
        self.write(&self.target.join(path.as_str()), is_executable, content)
    }

    fn link(&mut self, path: &SkillPath, kind: EntryKind) -> Result<(), ArchiveError> {
        self.report.skipped_links.push(SkippedLink {
            path: path.clone(),
            kind: kind.link_name(),
        });
        Ok(())
    }

    fn left_out(&mut self, path: &str) {
        if !self.left_out.contains(path) {
            self.left_out.insert(path.to_owned());
        }
    }
}
