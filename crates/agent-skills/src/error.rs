//! Errors: reasons why a skill is rejected.

use std::io;
use std::path::PathBuf;

use crate::limits::{
    MAX_FILES, MAX_FRONT_MATTER_BYTES, MAX_SKILL_MD_BYTES, MAX_TOTAL_BYTES, MAX_YAML_NESTING, MAX_YAML_VALUES,
};
use crate::path::{Collision, PathError};

/// Why a `SKILL.md` is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// No bytes, or only white space.
    #[error("SKILL.md is empty: add front matter with a name and a description, and instructions below it")]
    Empty,
    /// More than [`MAX_SKILL_MD_BYTES`].
    #[error(
        "SKILL.md has {bytes} bytes (limit: {MAX_SKILL_MD_BYTES}): move details into other files of the skill"
    )]
    TooLarge { bytes: usize },
    #[error("SKILL.md is not UTF-8 (first invalid byte at offset {offset}): save it as UTF-8")]
    NotUtf8 {
        /// Offset of the first invalid byte, from 0.
        offset: usize,
    },
    /// A NUL byte, as in binary files and UTF-16.
    #[error("SKILL.md contains a NUL byte at offset {offset}: save it as UTF-8 text")]
    Nul {
        /// Offset of the NUL byte, from 0.
        offset: usize,
    },
    /// More than [`MAX_FRONT_MATTER_BYTES`].
    #[error("the front matter has more than {MAX_FRONT_MATTER_BYTES} bytes: move long texts into the body")]
    FrontMatterTooLarge,
    /// Nested deeper than [`MAX_YAML_NESTING`].
    #[error("the front matter nests lists and mappings more than {MAX_YAML_NESTING} levels deep: flatten it")]
    TooDeep,
    /// More values than [`MAX_YAML_VALUES`].
    #[error(
        "the front matter has more than {MAX_YAML_VALUES} values: move the data into another file of the skill"
    )]
    TooManyValues,
    /// No description, and no text in the body to derive one from.
    #[error(
        "SKILL.md has no description and no text to derive one from: describe in one sentence what the skill does and when to use it"
    )]
    MissingDescription,
}

/// Why a skill's folder is rejected.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} has no SKILL.md", path.display())]
    NoSkillMd {
        /// The skill's folder.
        path: PathBuf,
    },
    /// A symbolic link. It may lead outside of the skill.
    #[error("{} is a link: replace it with the file or folder itself", path.display())]
    Link { path: PathBuf },
    /// A symbolic link out of the source.
    #[error("{} is a link that leads out of the source: import what it leads to by its own path, or replace the link", path.display())]
    LinkOutside { path: PathBuf },
    #[error("the ignore file {} cannot be used: {reason}", path.display())]
    BadIgnoreFile { path: PathBuf, reason: String },
    #[error("invalid include pattern {pattern:?}: {reason}")]
    BadPattern { pattern: String, reason: String },
    /// A hard link: a second name of a file that the owner of the source does not own and may not be able to read.
    #[error("{} is a second name of a file of another account: replace it with a copy", path.display())]
    HardLink { path: PathBuf },
    /// A pipe, socket or device. It was not opened.
    #[error("{} is a {kind}, not a file: remove it", path.display())]
    Special {
        path: PathBuf,
        /// `pipe`, `socket` or `device`.
        kind: &'static str,
    },
    /// More than [`MAX_FILES`].
    #[error("{} has more than {MAX_FILES} files and folders: remove those that the skill does not need", path.display())]
    TooManyFiles {
        /// The skill's folder.
        path: PathBuf,
    },
    /// More than [`MAX_TOTAL_BYTES`].
    #[error(
        "the skill has more than {MAX_TOTAL_BYTES} bytes in total; {} with {bytes} bytes exceeds the limit: remove files that the skill does not need",
        path.display()
    )]
    TooManyBytes {
        /// The file that exceeds the limit.
        path: PathBuf,
        /// Size of that file.
        bytes: u64,
    },
    #[error("invalid path {path:?}: {source}; rename it")]
    BadPath {
        /// Path relative to the skill's folder.
        path: PathBuf,
        source: PathError,
    },
    #[error(transparent)]
    Collision(#[from] Collision),
    /// The file was replaced, or its size changed, while the folder was read.
    #[error("{} changed while it was read: try again", path.display())]
    Changed { path: PathBuf },
}

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("invalid digest: expected \"sha256:\" and 64 lowercase hexadecimal digits")]
    Digest,
    #[error(
        "invalid slug: expected 1 to 64 lowercase letters, digits and single hyphens, without a hyphen at either end"
    )]
    Slug,
}
