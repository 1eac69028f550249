//! Exactly the limits are accepted, one more is not.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use agent_skills::limits::{MAX_FILES, MAX_TOTAL_BYTES};
use agent_skills::{ArchiveError, ArchiveLimits, extract_archive, read_skill_archive};

use crate::SKILL_MD;
use crate::tar_builder::Tar;
use crate::zip_builder::{Entry, Zip};

#[test]
fn skill_of_exactly_the_limits_is_accepted() {
    let files = (1..MAX_FILES).map(|n| Entry::stored(n.to_string(), b""));
    let skill = read_skill_archive(&Zip::skill(files).build(), None).unwrap();
    assert_eq!(skill.files.len(), MAX_FILES);
    let size = |bytes: u64| {
        let large = vec![b'x'; usize::try_from(bytes).unwrap() - SKILL_MD.len() - (8 << 20)];
        Zip::skill([Entry::stored("large", &large), Entry::zeros("zeros", 8)]).build()
    };
    assert!(read_skill_archive(&size(MAX_TOTAL_BYTES), None).is_ok());
    let found = read_skill_archive(&size(MAX_TOTAL_BYTES + 1), None);
    assert!(
        matches!(found, Err(ArchiveError::TooManyBytes { .. })),
        "{found:?}"
    );
}

#[test]
fn import_counts_entries_names_and_bytes() {
    let tar = Tar::new()
        .file("a/b/1", b"12345")
        .file("a/b/2", b"12345")
        .finish_gz();
    let extract = |limits: ArchiveLimits| {
        let target = tempfile::tempdir().unwrap();
        extract_archive(Cursor::new(&tar), target.path(), &limits)
    };
    let limits = |max_entries, max_name_bytes, max_unpacked_bytes| ArchiveLimits {
        max_entries,
        max_name_bytes,
        max_unpacked_bytes,
        ..ArchiveLimits::IMPORT
    };
    assert_eq!(extract(limits(4, 10, 10)).unwrap().files, 2);
    assert!(matches!(
        extract(limits(3, 10, 10)),
        Err(ArchiveError::TooManyEntries { .. })
    ));
    assert!(matches!(
        extract(limits(4, 9, 10)),
        Err(ArchiveError::TooManyNameBytes { .. })
    ));
    assert!(matches!(
        extract(limits(4, 10, 9)),
        Err(ArchiveError::TooManyBytes { .. })
    ));
}

#[test]
fn ratio_counts_only_above_the_free_size() {
    let bytes = Zip::skill([Entry::zeros("zeros", 2)]).build();
    let extract = |max_ratio, ratio_free_bytes| {
        let target = tempfile::tempdir().unwrap();
        let limits = ArchiveLimits {
            max_ratio,
            ratio_free_bytes,
            ..ArchiveLimits::IMPORT
        };
        extract_archive(Cursor::new(&bytes), target.path(), &limits)
    };
    assert!(extract(100, 3 << 20).is_ok());
    assert!(extract(2000, 0).is_ok());
    let found = extract(100, 1 << 20);
    assert!(
        matches!(found, Err(ArchiveError::Ratio { ratio: 100, .. })),
        "{found:?}"
    );
}

/// Fails after some bytes, like a disk or a connection.
struct Broken(Cursor<Vec<u8>>);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.position() > 700 {
            return Err(io::Error::other("the disk failed"));
        }
        let len = buffer.len().min(100);
        self.0.read(&mut buffer[..len])
    }
}

impl Seek for Broken {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.0.seek(position)
    }
}

#[test]
fn failed_read_is_not_reported_as_damage() {
    let tar = Tar::skill().file("a", &[7; 5000]).finish();
    let target = tempfile::tempdir().unwrap();
    let found = extract_archive(Broken(Cursor::new(tar)), target.path(), &ArchiveLimits::default());
    assert!(matches!(found, Err(ArchiveError::Unreadable(_))), "{found:?}");
}
