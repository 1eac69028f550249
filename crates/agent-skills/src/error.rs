//! Why a skill is not taken.

use std::io;
use std::path::{Path, PathBuf};

use super::document::MAX_SKILL_MD_BYTES;
use super::folder::{MAX_FILES, MAX_TOTAL_BYTES};
use super::front_matter::MAX_FRONT_MATTER_BYTES;
use super::path::{Collision, PathError};
use super::yaml::{MAX_NESTING, MAX_VALUES};

/// Why a `SKILL.md` is not taken at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// No bytes, or white space alone.
    #[error("SKILL.md is empty: write a front matter with name and description, and instructions below it")]
    Empty,
    /// More than [`MAX_SKILL_MD_BYTES`].
    #[error(
        "SKILL.md has {bytes} bytes of at most {MAX_SKILL_MD_BYTES}: move the details into files beside it"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Bytes that are no text.
    #[error("SKILL.md is not UTF-8 from byte {offset} on: save it as UTF-8")]
    NotUtf8 {
        /// Where the first such byte is, counted from 0.
        offset: usize,
    },
    /// A NUL byte, as in binary files and UTF-16.
    #[error("SKILL.md has a NUL byte at byte {offset}: save it as UTF-8 text")]
    Nul {
        /// Where it is, counted from 0.
        offset: usize,
    },
    /// More than [`MAX_FRONT_MATTER_BYTES`].
    #[error("the front matter has more than {MAX_FRONT_MATTER_BYTES} bytes: move what is long into the body")]
    FrontMatterTooLarge,
    /// Nested deeper than [`MAX_NESTING`].
    #[error("the front matter nests lists and mappings more than {MAX_NESTING} deep: make it flatter")]
    TooDeep,
    /// More values than [`MAX_VALUES`].
    #[error("the front matter has more than {MAX_VALUES} values: move the data into a file beside SKILL.md")]
    TooManyValues,
    /// Neither a description nor words to take one from.
    #[error(
        "SKILL.md has no description, and no text to take one from: say in one sentence what the skill does and when to use it"
    )]
    MissingDescription,
}

/// Why a folder is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The system does not let us read it.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no `SKILL.md`.
    #[error("{} has no SKILL.md", path.display())]
    NoSkillMd {
        /// The folder.
        path: PathBuf,
    },
    /// A symbolic link, which could lead anywhere.
    #[error("{} is a link: put the file itself in its place", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A pipe, socket or device. It was not opened.
    #[error("{} is a {kind}, not a file: remove it", path.display())]
    Special {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// More than [`MAX_FILES`].
    #[error("{} has more than {MAX_FILES} files and folders: leave out what the skill does not need", path.display())]
    TooManyFiles {
        /// The folder.
        path: PathBuf,
    },
    /// More than [`MAX_TOTAL_BYTES`].
    #[error("the skill has more than {MAX_TOTAL_BYTES} bytes at {} ({bytes} bytes by itself): leave out what it does not need", path.display())]
    TooManyBytes {
        /// The file with which the limit is passed.
        path: PathBuf,
        /// That file's size.
        bytes: u64,
    },
    /// A file name that not every machine can hold.
    #[error("{path:?} cannot be a file of a skill: {source}")]
    BadPath {
        /// The path inside the skill.
        path: PathBuf,
        /// The rule that it breaks.
        source: PathError,
    },
    /// Two names that are one elsewhere.
    #[error(transparent)]
    Collision(#[from] Collision),
    /// The file was replaced or grew while it was read.
    #[error("{} changed while it was read: try again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// What the walk says when it fails.
pub(super) fn unreadable(error: walkdir::Error) -> FolderError {
    let path = error.path().unwrap_or(Path::new("the folder")).to_path_buf();
    FolderError::Unreadable {
        path,
        source: error.into(),
    }
}

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not a `sha256:` digest.
    #[error("a digest is \"sha256:\" and 64 lowercase hexadecimal digits")]
    Digest,
    /// The text is not a slug.
    #[error("a slug has 1 to 64 lowercase letters, digits and single hyphens, with no hyphen at either end")]
    Slug,
}
