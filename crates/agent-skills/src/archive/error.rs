//! Why an archive is refused.

use std::io;
use std::path::PathBuf;

use crate::error::FolderError;
use crate::path::{Collision, PathError};
use crate::text::quoted;

/// Maximum number of folders in a message.
const MAX_FOLDERS_SHOWN: usize = 5;

/// Why an archive is refused. Names of entries are untrusted, so messages quote, escape and cut them.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("the archive cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("this is {found}, not a zip, tar or tar.gz archive: pack the files as one of these")]
    Format {
        /// What the content looks like, with an article.
        found: &'static str,
    },
    #[error("the archive has {bytes} bytes (limit: {limit}): remove files that are not needed")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("the archive is truncated: {missing}; create or transfer it again")]
    Truncated {
        /// What is missing.
        missing: &'static str,
    },
    /// The archive breaks the rules of its format, or programs read it in different ways.
    #[error("the archive is damaged or ambiguous: {reason}; create it again with a common program")]
    Malformed { reason: &'static str },
    #[error("entry {} of the archive: {problem}", quoted(.entry))]
    Entry { entry: String, problem: EntryProblem },
    #[error("the archive has more than {limit} entries, at {}: remove files that are not needed", quoted(.entry))]
    TooManyEntries { entry: String, limit: usize },
    #[error(
        "the names in the archive have more than {limit} bytes in total, at {}: shorten them",
        quoted(.entry)
    )]
    TooManyNameBytes { entry: String, limit: u64 },
    #[error(
        "the archive unpacks to more than {limit} bytes, at {}: remove files that are not needed",
        quoted(.entry)
    )]
    TooManyBytes { entry: String, limit: u64 },
    /// A decompression bomb, see [`ArchiveLimits::max_ratio`](super::ArchiveLimits::max_ratio).
    #[error(
        "the archive unpacks to more than {ratio} times its own size, at {}: remove the file, or pack it uncompressed",
        quoted(.entry)
    )]
    Ratio { entry: String, ratio: u64 },
    #[error("the archive cannot be unpacked on every system: {0}")]
    Collision(#[from] Collision),
    #[error("the archive contains no files")]
    Empty,
    #[error(
        "the archive has no SKILL.md at its root or in its one top folder: pack the folder that contains SKILL.md"
    )]
    NoSkillMd,
    #[error(
        "the archive has SKILL.md in {} folders ({}): publish one skill at a time, or import the archive",
        .folders.len(),
        folder_list(.folders)
    )]
    SeveralSkills {
        /// The folders with a `SKILL.md`, sorted.
        folders: Vec<String>,
    },
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The target of an extraction is not an empty folder, or cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Target { path: PathBuf, source: io::Error },
    #[error("{} is not empty: extract into an empty folder", path.display())]
    TargetNotEmpty { path: PathBuf },
}

/// What is wrong with an entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    #[error("{0}; rename it")]
    Path(#[from] PathError),
    /// Percent-encoded, also more than once.
    #[error("the name contains an encoded \"..\", separator or NUL, which some programs decode; rename it")]
    EncodedPath,
    /// Characters that Unicode normalisation or old Windows code pages turn into dots and slashes.
    #[error("the name contains characters that some programs turn into \"..\" or a separator; rename it")]
    LookalikePath,
    #[error("it is a {kind}: replace it with the file itself")]
    Link {
        /// `symbolic link` or `hard link`.
        kind: &'static str,
    },
    #[error("it is a {kind}, not a file: remove it")]
    Special {
        /// `device`, `pipe` or `socket`.
        kind: &'static str,
    },
    #[error("it is encrypted: pack it without a password")]
    Encrypted,
    #[error("its compression method {method} is not supported: use deflate or no compression")]
    Method {
        /// Number of the method (APPNOTE.TXT, 4.4.5).
        method: u16,
    },
    #[error("its type {kind:?} is not supported: pack plain files and folders only")]
    TarType {
        /// The header's type flag.
        kind: char,
    },
    #[error("it is a sparse file, which is not supported: pack it without --sparse")]
    Sparse,
    #[error("its pax header sets {}, which is not supported: create the archive again", quoted(.key))]
    PaxKey { key: String },
    #[error("its extension header is too large: shorten the name, or pack without extended attributes")]
    ExtensionTooLarge,
    #[error("its checksum does not match its content: create or transfer the archive again")]
    Checksum,
    #[error("its content does not have the size that the archive declares: create the archive again")]
    Size,
    #[error("its compressed data is damaged: create or transfer the archive again")]
    Compression,
    #[error("the archive ends within it: create or transfer the archive again")]
    Truncated,
    #[error(
        "its local header and the central directory disagree about its {field}: create the archive again"
    )]
    HeadersDiffer { field: &'static str },
    #[error("it overlaps another entry: create the archive again")]
    Overlap,
    #[error("there is data before it that belongs to no entry: create the archive again")]
    DataBefore,
    #[error("there is data after it that belongs to no entry: create the archive again")]
    DataAfter,
    #[error("it is a folder, but has content: create the archive again")]
    FolderWithContent,
    #[error("its header is damaged: create or transfer the archive again")]
    Header,
}

impl ArchiveError {
    pub(super) fn entry(entry: impl AsRef<[u8]>, problem: impl Into<EntryProblem>) -> Self {
        Self::Entry {
            entry: String::from_utf8_lossy(entry.as_ref()).into_owned(),
            problem: problem.into(),
        }
    }

    /// A failed read of the archive outside of an entry's content.
    pub(super) fn read(error: io::Error, missing: &'static str) -> Self {
        match Fault::of(&error) {
            Fault::Truncated => Self::Truncated { missing },
            Fault::Damaged => Self::Malformed {
                reason: "its compressed data is invalid, or does not match its checksum",
            },
            Fault::Unreadable => Self::Unreadable(error),
        }
    }

    /// A failed read of an entry's content.
    pub(super) fn read_entry(error: io::Error, entry: &str) -> Self {
        match Fault::of(&error) {
            Fault::Truncated => Self::entry(entry, EntryProblem::Truncated),
            Fault::Damaged => Self::entry(entry, EntryProblem::Compression),
            Fault::Unreadable => Self::Unreadable(error),
        }
    }
}

/// Whose fault a failed read is. flate2 reports damaged input as `InvalidInput` or `InvalidData`.
enum Fault {
    Truncated,
    Damaged,
    Unreadable,
}

impl Fault {
    fn of(error: &io::Error) -> Self {
        let kind = error.kind();
        if kind == io::ErrorKind::UnexpectedEof {
            Self::Truncated
        } else if matches!(kind, io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) {
            Self::Damaged
        } else {
            Self::Unreadable
        }
    }
}

fn folder_list(folders: &[String]) -> String {
    let mut shown: Vec<String> = folders
        .iter()
        .take(MAX_FOLDERS_SHOWN)
        .map(|folder| quoted(folder))
        .collect();
    if folders.len() > shown.len() {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}
