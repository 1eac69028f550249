//! Reads archives of skills that may be hostile, and writes archives that never change.
//!
//! A zip is read in the order of its bytes, and every byte must belong to an entry of the central directory. So programs
//! that read from the front and programs that read the central directory see the same files. The `zip` crate reads the
//! central directory only and keeps one of two entries of the same name, which would hide what must be refused.

mod checks;
mod error;
mod extract;
mod format;
mod names;
mod skill;
mod tar_extensions;
mod tar_reader;
mod tree;
mod zip_directory;
mod zip_reader;
mod zip_records;
mod zip_writer;

pub use error::{ArchiveError, EntryProblem};
pub use extract::{ExtractReport, SkippedLink, extract_archive};
pub(crate) use names::ignored_prefix;
pub use skill::{read_archive_files, read_skill_archive};
pub use zip_writer::{ZipError, write_zip};

use crate::limits::{MAX_ARCHIVE_BYTES, MAX_FILES, MAX_TOTAL_BYTES};

/// Limits on an archive and on what it unpacks to.
///
/// Memory does not depend on the sizes that an archive declares. It is bounded by [`Self::max_name_bytes`] and
/// [`Self::max_entries`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Maximum size of the archive in bytes.
    pub max_archive_bytes: u64,
    /// Maximum number of entries. Folders count, also those that only occur in the path of a file.
    pub max_entries: usize,
    /// Maximum size of all files together in bytes, unpacked.
    pub max_unpacked_bytes: u64,
    /// Maximum size of all names together in bytes.
    pub max_name_bytes: u64,
    /// Maximum unpacked size as a multiple of the archive's size, once [`Self::ratio_free_bytes`] are exceeded.
    pub max_ratio: u64,
    /// Unpacked size in bytes up to which the ratio does not matter: small files of one repeated byte are harmless.
    pub ratio_free_bytes: u64,
}

impl ArchiveLimits {
    /// Limits of an archive with one skill: those of the format. Twice the number of files, because folders and files
    /// that are left out count too.
    pub const SKILL: Self = Self {
        max_archive_bytes: MAX_ARCHIVE_BYTES,
        max_entries: 2 * MAX_FILES,
        max_unpacked_bytes: MAX_TOTAL_BYTES,
        max_name_bytes: 1024 * 1024,
        max_ratio: 200,
        ratio_free_bytes: 4 * 1024 * 1024,
    };

    /// Limits of an archive with many skills, such as a repository: 100,000 entries, 1 GiB unpacked.
    pub const IMPORT: Self = Self {
        max_archive_bytes: 1024 * 1024 * 1024,
        max_entries: 100_000,
        max_unpacked_bytes: 1024 * 1024 * 1024,
        max_name_bytes: 16 * 1024 * 1024,
        max_ratio: 200,
        ratio_free_bytes: 64 * 1024 * 1024,
    };
}

impl Default for ArchiveLimits {
    /// [`Self::IMPORT`].
    fn default() -> Self {
        Self::IMPORT
    }
}
