//! Errors: why nothing was written, and what to do.

use std::io;
use std::path::PathBuf;

use agent_skills::limits::{MAX_FILES, MAX_TOTAL_BYTES};
use agent_skills::{Collision, PathError};
use serde::Serialize;

/// Why an operation was refused or failed. Paths are relative to the skills folder, unless a field says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(
        "{skill} is not installed, because the registry's answer is not consistent: {problem}. Report it to the registry's operator"
    )]
    BadRelease { skill: String, problem: ReleaseProblem },
    #[error("{name:?} cannot be the name of a skill's folder: {reason}")]
    BadName { name: String, reason: String },
    /// The folder that the user allowed. The path is as it was given.
    #[error("{} cannot be opened: {source}", path.display())]
    NoBase { path: PathBuf, source: io::Error },
    #[error(
        "{:?} is no path below the allowed folder: use a relative path without \"..\"",
        path
    )]
    BadFolderPath { path: PathBuf },
    #[error("{} is {problem}: {}", path.display(), problem.advice())]
    Unsafe { path: PathBuf, problem: FileProblem },
    #[error("{text:?} is no time in RFC 3339, such as 2026-11-26T12:00:00Z")]
    BadTime { text: String },
    /// Another process holds the lock. The path is absolute.
    #[error("another skillkeep is working in {}: try again when it has ended", path.display())]
    Busy { path: PathBuf },
    #[error("{name} is not installed here by skillkeep: it has no valid .skillkeep.json")]
    NotInstalled { name: String },
    #[error("{name} was not changed: {conflict}")]
    Conflict { name: String, conflict: Conflict },
    #[error("{name} changed after the plan was made: make a new plan, and look at it")]
    Changed { name: String },
    #[error("{name} was not linked: {reason}")]
    BadLink { name: String, reason: String },
    #[error("{name}: more than {limit} files and folders: move what does not belong to the skill elsewhere")]
    TooManyEntries { name: String, limit: usize },
    /// A file of the user's project. `line` counts from 1.
    #[error("{file}, line {line}: {reason}")]
    BadFile {
        file: String,
        line: usize,
        reason: String,
    },
    #[error("{} cannot be {action}: {source}", path.display())]
    Io {
        /// What was tried, such as `written`.
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// What a file or folder is that is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum FileProblem {
    #[error("a link")]
    Link,
    #[error("not a folder")]
    NotAFolder,
    #[error("a pipe, socket or device")]
    Special,
    #[error("the property of another account")]
    OtherOwner,
    #[error("a folder that other accounts can write to")]
    WritableByOthers,
    #[error("larger than a skill may be")]
    TooLarge,
}

/// Why a folder is in the way of a skill. With [`Options::force`](crate::Options), it goes into the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Conflict {
    #[error(
        "its folder exists and was not installed by skillkeep. Choose another folder name, remove it by hand, or use force, which moves it into .skillkeep-backup"
    )]
    Occupied,
    #[error(
        "its folder holds {skill} of {registry}. Choose another folder name, remove that skill, or use force, which moves it into .skillkeep-backup"
    )]
    OccupiedByOther { registry: String, skill: String },
    #[error(
        "{path} in its folder is {problem}. Remove it by hand, or use force, which moves it into .skillkeep-backup"
    )]
    UnsafeFile { path: String, problem: FileProblem },
    #[error(
        "{path} in its folder is not part of the skill, and a file of the new version needs its name. Move it, or use force, which moves it into .skillkeep-backup"
    )]
    Blocked { path: String },
}

/// What is wrong with a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseProblem {
    #[error("the skill's name is not a slug")]
    Slug,
    #[error("the version is not a version")]
    Version,
    #[error("the registry's name is empty, too long or has control characters")]
    Registry,
    #[error("the path {path:?} is refused: {reason}")]
    Path { path: String, reason: PathError },
    #[error("{0}")]
    Collision(Collision),
    #[error("it brings {0:?}, a name that skillkeep uses itself")]
    OwnName(String),
    #[error("it has more than {MAX_FILES} files")]
    TooManyFiles,
    #[error("it has more than {MAX_TOTAL_BYTES} bytes")]
    TooLarge,
    #[error("{path} has {actual} bytes, but {stated} are stated")]
    Size { path: String, stated: u64, actual: u64 },
    #[error("the bytes of {path} do not have the stated digest")]
    FileDigest { path: String },
    #[error("its files do not have the stated digest of the version")]
    Digest,
    #[error("it has no SKILL.md")]
    NoSkillMd,
    #[error("the registry's id of the install is no short word")]
    Receipt,
    #[error("its signature is not base64, or too long")]
    Signature,
}

impl FileProblem {
    fn advice(self) -> &'static str {
        match self {
            Self::Link => {
                "links are not followed here; replace it with the folder itself, or name another folder"
            }
            Self::NotAFolder | Self::Special => "move it away, or name another folder",
            Self::OtherOwner => "use a folder that belongs to this account",
            Self::WritableByOthers => "remove the right of others to write to it (chmod go-w)",
            Self::TooLarge => "move it away",
        }
    }
}

impl Conflict {
    /// A word for programs, which does not change.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Occupied => "occupied",
            Self::OccupiedByOther { .. } => "occupied_by_other",
            Self::UnsafeFile { .. } => "unsafe_file",
            Self::Blocked { .. } => "blocked",
        }
    }
}

impl Error {
    /// A word for programs, which does not change.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadRelease { .. } => "bad_release",
            Self::BadName { .. } => "bad_name",
            Self::NoBase { .. } => "no_base",
            Self::BadFolderPath { .. } => "bad_folder_path",
            Self::Unsafe { .. } => "unsafe_path",
            Self::BadTime { .. } => "bad_time",
            Self::Busy { .. } => "busy",
            Self::NotInstalled { .. } => "not_installed",
            Self::Conflict { conflict, .. } => conflict.code(),
            Self::Changed { .. } => "changed",
            Self::BadLink { .. } => "bad_link",
            Self::TooManyEntries { .. } => "too_many_entries",
            Self::BadFile { .. } => "bad_file",
            Self::Io { .. } => "io",
        }
    }
}
