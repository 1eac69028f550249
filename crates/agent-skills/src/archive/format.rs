//! Recognises the format of an archive by its content.

use std::io::{Read, Seek};

use super::checks::{Checks, Sink};
use super::error::ArchiveError;
use super::tar_reader::{BLOCK_BYTES, is_tar_header, read_tar, read_tar_gz};
use super::zip_reader::read_zip;

/// First bytes of other formats.
const OTHER_FORMATS: [(&[u8], &str); 9] = [
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xFD7zXZ\0", "an xz file"),
    (b"\x28\xB5\x2F\xFD", "a zstd file"),
    (b"\x04\x22\x4D\x18", "an lz4 file"),
    (b"PK\x07\x08", "one part of a zip archive"),
    (b"MZ", "a Windows program"),
    (b"---", "a text file"),
];

/// Reads the archive's entries into `sink`.
pub(super) fn read_archive<R: Read + Seek>(
    mut input: R,
    archive_bytes: u64,
    checks: &mut Checks,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    let mut start = Vec::new();
    input
        .by_ref()
        .take(BLOCK_BYTES as u64)
        .read_to_end(&mut start)
        .and_then(|_| input.rewind())
        .map_err(ArchiveError::Unreadable)?;
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        return read_zip(input, archive_bytes, checks, sink);
    }
    if start.starts_with(b"\x1F\x8B") {
        return read_tar_gz(input, checks, sink);
    }
    if start.first_chunk().is_some_and(is_tar_header) {
        return read_tar(input, checks, sink);
    }
    let found = match OTHER_FORMATS.iter().find(|(magic, _)| start.starts_with(magic)) {
        Some((_, name)) => name,
        None if start.is_empty() => "an empty file",
        None => "a file of another format",
    };
    Err(ArchiveError::Format { found })
}
