//! Reads and checks the skill to publish.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use agent_skills::limits::MAX_ARCHIVE_BYTES;
use agent_skills::{
    Diagnostic, FolderError, ReadOptions, Severity, SkillDocument, SkillFolder, SkillSource, exclude_files,
    read_document, read_skill_archive,
};

use crate::error::{CliError, CliErrorKind};

/// A skill that can be published, with the deviations that were found.
pub(super) struct CheckedSkill {
    pub(super) folder: SkillFolder,
    pub(super) document: SkillDocument,
    pub(super) notes: Vec<Note>,
}

/// A deviation from the format, as compilers print them: `SKILL.md:2: error[name_invalid]: …`.
pub(super) struct Note {
    line: Option<usize>,
    code: &'static str,
    message: String,
    pub(super) breaks_a_rule: bool,
}

impl Note {
    fn new(diagnostic: &Diagnostic, skill_md: &[u8]) -> Self {
        Self {
            line: diagnostic.line(skill_md),
            code: diagnostic.code(),
            message: diagnostic.to_string(),
            breaks_a_rule: diagnostic.severity() == Severity::Error,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "SKILL.md:{line}: ")?;
        }
        let severity = if self.breaks_a_rule { "error" } else { "warning" };
        write!(f, "{severity}[{}]: {}", self.code, self.message)
    }
}

impl CheckedSkill {
    /// Reads the folder or archive at `path`; `-` is an archive on stdin.
    pub(super) fn read(path: &Path, include: Vec<String>) -> Result<Self, CliError> {
        let options = ReadOptions { include };
        let folder = if path == Path::new("-") {
            read_archive(io::stdin().lock(), None, &options)
        } else if path.is_dir() {
            SkillSource::open(path, &options)
                .and_then(|source| source.read(source.root()))
                .map_err(|error| invalid(&error.to_string()))
        } else {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            File::open(path)
                .map_err(|error| unreadable(&path.display().to_string(), &error))
                .and_then(|file| read_archive(file, name.as_deref(), &options))
        }?;
        let document = read_document(folder.skill_md(), &folder.folder_name).map_err(|error| {
            let line = error.line(folder.skill_md());
            invalid(&format!("SKILL.md:{line}: {error}"))
        })?;
        let diagnostics = document.diagnostics.iter().chain(&folder.diagnostics);
        let notes = diagnostics
            .map(|diagnostic| Note::new(diagnostic, folder.skill_md()))
            .collect();
        Ok(Self {
            folder,
            document,
            notes,
        })
    }
}

fn read_archive(
    input: impl Read,
    name: Option<&str>,
    options: &ReadOptions,
) -> Result<SkillFolder, CliError> {
    let mut bytes = Vec::new();
    // One byte more than allowed, so that the reader names the limit.
    input
        .take(MAX_ARCHIVE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(name.unwrap_or("stdin"), &error))?;
    let mut folder = read_skill_archive(&bytes, name).map_err(|error| invalid(&error.to_string()))?;
    exclude_files(&mut folder, options).map_err(|error: FolderError| invalid(&error.to_string()))?;
    Ok(folder)
}

fn invalid(message: &str) -> CliError {
    CliError::new(CliErrorKind::Findings, message)
}

fn unreadable(name: &str, error: &io::Error) -> CliError {
    let kind = if error.kind() == io::ErrorKind::NotFound {
        CliErrorKind::NotFound
    } else {
        CliErrorKind::Refused
    };
    CliError::new(kind, format!("{name} cannot be read: {error}"))
}
