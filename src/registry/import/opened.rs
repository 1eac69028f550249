//! Opens the source of an import: a folder, an archive, or the export of another skillkeep.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_skills::{
    ArchiveError, ArchiveLimits, ExtractReport, FolderError, ReadOptions, SkillSource, SkippedLink,
    extract_archive,
};
use folder_handle::FolderHandle;
use tempfile::TempDir;

use super::Job;
use super::exported::ExportedTenant;
use super::source_name::{self, SourceNameError};

/// Endings of archives, which are no part of a skill's name.
const ARCHIVE_ENDINGS: [&str; 4] = [".tar.gz", ".tgz", ".tar", ".zip"];

/// Why a source cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is neither a folder nor an archive", path.display())]
    OtherKind { path: PathBuf },
    #[error("the archive {} was refused: {source}", path.display())]
    Archive { path: PathBuf, source: ArchiveError },
    #[error("{} cannot be used for the files of the archive: {source}", path.display())]
    Temporary { path: PathBuf, source: io::Error },
    #[error("the export in {} cannot be read: {reason}", path.display())]
    Export { path: PathBuf, reason: String },
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Name(#[from] SourceNameError),
}

/// An opened source.
#[derive(Debug)]
pub struct Opened {
    name: String,
    pub(super) content: Content,
    /// The files of an archive. Removed with this value.
    extracted: Option<TempDir>,
    /// Links of an archive, which were not extracted.
    pub(super) skipped_links: Vec<SkippedLink>,
    /// Files of other programs in an archive.
    pub(super) left_out: Vec<String>,
}

#[derive(Debug)]
pub(super) enum Content {
    Folder(Arc<SkillSource>),
    Export(Arc<ExportedTenant>),
}

impl Opened {
    /// Opens the job's source. An archive is extracted into a private temporary folder.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(job: &Job) -> Result<Self, OpenError> {
        let unreadable = |source| OpenError::Unreadable {
            path: job.path.clone(),
            source,
        };
        let path = job.path.canonicalize().map_err(unreadable)?;
        let kind = path.metadata().map_err(unreadable)?;
        let name = match &job.source {
            Some(name) => source_name::given(name)?,
            None => source_name::derived(&path)?,
        };
        let options = ReadOptions {
            include: job.include.clone(),
        };
        if kind.is_dir() {
            return Ok(Self {
                name,
                content: content(&path, &options)?,
                extracted: None,
                skipped_links: Vec::new(),
                left_out: Vec::new(),
            });
        }
        if !kind.is_file() {
            return Err(OpenError::OtherKind {
                path: job.path.clone(),
            });
        }
        let (extracted, root, report) = extract(&path)?;
        Ok(Self {
            name,
            content: content(&root, &options)?,
            extracted: Some(extracted),
            skipped_links: report.skipped_links,
            left_out: report.left_out,
        })
    }

    /// The name of the source: the one in the job, else the address of the Git repository around it without user and
    /// password, else its path.
    #[must_use]
    pub fn source_name(&self) -> &str {
        &self.name
    }

    /// Whether the source's own folder is temporary, so that the name of the folder around it means nothing.
    pub(super) const fn is_extracted(&self) -> bool {
        self.extracted.is_some()
    }
}

fn content(root: &Path, options: &ReadOptions) -> Result<Content, OpenError> {
    if ExportedTenant::is_at(root) {
        let export = ExportedTenant::open(root).map_err(|reason| OpenError::Export {
            path: root.to_path_buf(),
            reason,
        })?;
        return Ok(Content::Export(Arc::new(export)));
    }
    Ok(Content::Folder(Arc::new(SkillSource::open(root, options)?)))
}

/// Extracts an archive below a new private folder. The second value is the folder with the skills.
fn extract(path: &Path) -> Result<(TempDir, PathBuf, ExtractReport), OpenError> {
    let temporary = |source| OpenError::Temporary {
        path: std::env::temp_dir(),
        source,
    };
    let archive = open_archive(path).map_err(|source| OpenError::Unreadable {
        path: path.to_path_buf(),
        source,
    })?;
    let folder = tempfile::Builder::new()
        .prefix("skillkeep-import-")
        .tempdir()
        .map_err(temporary)?;
    // A skill at the archive's root is named after the archive if it names itself nothing.
    let target = folder.path().join(stem(path));
    std::fs::create_dir(&target).map_err(temporary)?;
    let report =
        extract_archive(archive, &target, &ArchiveLimits::IMPORT).map_err(|source| OpenError::Archive {
            path: path.to_path_buf(),
            source,
        })?;
    let root = only_folder(&target).map_err(temporary)?.unwrap_or(target);
    Ok((folder, root, report))
}

/// Opens the archive itself, although its name may be replaced at the same time with a link or a pipe.
fn open_archive(path: &Path) -> io::Result<File> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    FolderHandle::open(folder)?.open_file(Path::new(name))
}

/// The archive's name without its ending.
fn stem(path: &Path) -> String {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let stem = ARCHIVE_ENDINGS
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(&name);
    if matches!(stem, "" | "." | "..") {
        "archive".to_owned()
    } else {
        stem.to_owned()
    }
}

/// The folder that holds everything in the archive: repositories are packed so, and its name often holds a commit, which would
/// make each archive another source.
fn only_folder(target: &Path) -> io::Result<Option<PathBuf>> {
    let mut entries = target.read_dir()?;
    match (entries.next().transpose()?, entries.next()) {
        (Some(only), None) if only.file_type()?.is_dir() => Ok(Some(only.path())),
        (Some(_) | None, _) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_gives_its_name_without_the_ending() {
        for (path, name) in [
            ("/a/tide-tables.zip", "tide-tables"),
            ("/a/b.tar.gz", "b"),
            ("/a/b.tgz", "b"),
            ("/a/b", "b"),
            ("/a/.zip", "archive"),
        ] {
            assert_eq!(stem(Path::new(path)), name);
        }
    }
}
