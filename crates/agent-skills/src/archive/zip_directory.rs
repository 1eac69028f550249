//! The central directory of a zip archive, and where it is.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::checks::{Checks, EntryKind};
use super::error::{ArchiveError, EntryProblem};
use super::names::EntryName;
use super::zip_records::{CentralHeader, END_RECORD, EntryHeader, Fields, ZIP64_END_RECORD, ZIP64_LOCATOR};

/// Size of an end record without its comment.
const END_RECORD_BYTES: usize = 22;
const MAX_COMMENT_BYTES: usize = 65_535;
const LOCATOR_BYTES: u64 = 20;
const ZIP64_END_BYTES: u64 = 56;

/// An entry as the central directory describes it, with a checked name.
pub(super) struct DirectoryEntry {
    pub(super) header: EntryHeader,
    pub(super) name: EntryName,
    pub(super) kind: EntryKind,
    pub(super) is_executable: bool,
    /// Offset of the local header in the archive.
    pub(super) offset: u64,
}

/// Where the central directory is.
struct Position {
    entries: u64,
    bytes: u64,
    offset: u64,
}

/// Reads the central directory, and checks names, kinds and methods. Returns the entries in the order of their offsets, and the
/// offset of the directory, where the last entry must end.
pub(super) fn read_directory<R: Read + Seek>(
    input: &mut R,
    archive_bytes: u64,
    checks: &mut Checks,
) -> Result<(Vec<DirectoryEntry>, u64), ArchiveError> {
    let position = find_directory(input, archive_bytes)?;
    if position.entries > checks.limits().max_entries as u64 {
        return Err(ArchiveError::TooManyEntries {
            entry: "the central directory".to_owned(),
            limit: checks.limits().max_entries,
        });
    }
    seek(input, position.offset)?;
    let mut records = BufReader::new(input.take(position.bytes));
    let mut entries = Vec::new();
    for _ in 0..position.entries {
        entries.push(check(CentralHeader::read(&mut records)?, checks)?);
    }
    let mut rest = [0];
    let is_at_end = records.read(&mut rest).map_err(ArchiveError::Unreadable)? == 0;
    if !is_at_end {
        return Err(ArchiveError::Malformed {
            reason: "the central directory has more entries than the archive says",
        });
    }
    entries.sort_by_key(|entry| entry.offset);
    Ok((entries, position.offset))
}

fn seek(input: &mut impl Seek, offset: u64) -> Result<(), ArchiveError> {
    input
        .seek(SeekFrom::Start(offset))
        .map(drop)
        .map_err(ArchiveError::Unreadable)
}

fn check(central: CentralHeader, checks: &mut Checks) -> Result<DirectoryEntry, ArchiveError> {
    let CentralHeader {
        header,
        made_by,
        external_attributes,
        offset,
    } = central;
    let mode = external_attributes >> 16;
    let is_folder = header.name.ends_with(b"/");
    let kind = match mode & 0o170_000 {
        0o120_000 => EntryKind::SymbolicLink,
        0o010_000 => return Err(special(&header, "pipe")),
        0o140_000 => return Err(special(&header, "socket")),
        0o020_000 | 0o060_000 => return Err(special(&header, "device")),
        0o040_000 if !is_folder => return Err(ArchiveError::entry(&header.name, EntryProblem::Header)),
        _ if is_folder => EntryKind::Folder,
        _ => EntryKind::File,
    };
    let name = checks.name(&header.name, kind)?;
    header.check_method()?;
    if kind == EntryKind::Folder && header.unpacked_bytes > 0 {
        return Err(ArchiveError::entry(&header.name, EntryProblem::FolderWithContent));
    }
    // Unix and macOS; others leave the mode undefined (APPNOTE.TXT 4.4.2).
    let is_unix = matches!(made_by >> 8, 3 | 19);
    Ok(DirectoryEntry {
        header,
        name,
        kind,
        is_executable: is_unix && mode & 0o100 != 0,
        offset,
    })
}

fn special(header: &EntryHeader, kind: &'static str) -> ArchiveError {
    ArchiveError::entry(&header.name, EntryProblem::Special { kind })
}

fn find_directory(input: &mut (impl Read + Seek), archive_bytes: u64) -> Result<Position, ArchiveError> {
    let tail_bytes = archive_bytes.min((END_RECORD_BYTES + MAX_COMMENT_BYTES) as u64);
    let tail_offset = archive_bytes - tail_bytes;
    seek(input, tail_offset)?;
    let mut tail = Vec::new();
    input
        .by_ref()
        .take(tail_bytes)
        .read_to_end(&mut tail)
        .map_err(ArchiveError::Unreadable)?;
    let at = tail
        .windows(END_RECORD.len())
        .rposition(|window| window == END_RECORD)
        .ok_or(ArchiveError::Truncated {
            missing: "its end is missing, or followed by other data",
        })?;
    let (position, comment_bytes) =
        tail.get(at..)
            .and_then(decode_end_record)
            .ok_or(ArchiveError::Truncated {
                missing: "its end record is incomplete, or it is one part of several",
            })?;
    if (at + END_RECORD_BYTES + comment_bytes) != tail.len() {
        return Err(ArchiveError::Malformed {
            reason: "there is data after its end, or its comment contains another end",
        });
    }
    let end_offset = tail_offset + at as u64;
    let (position, directory_end) = match find_zip64(input, end_offset)? {
        Some((wide, offset)) => (widen(&position, wide)?, offset),
        None => (position, end_offset),
    };
    if position.offset.checked_add(position.bytes) != Some(directory_end) {
        return Err(ArchiveError::Malformed {
            reason: "there is data before its first entry or around its central directory",
        });
    }
    Ok(position)
}

/// Returns the position and the length of the comment. `None` for one part of several.
fn decode_end_record(bytes: &[u8]) -> Option<(Position, usize)> {
    let mut fields = Fields(bytes);
    fields.bytes::<4>()?;
    let disks = (fields.u16()?, fields.u16()?);
    let (entries_here, entries) = (fields.u16()?, fields.u16()?);
    let position = Position {
        entries: entries.into(),
        bytes: fields.u32()?.into(),
        offset: fields.u32()?.into(),
    };
    let comment_bytes = fields.u16()?.into();
    (disks == (0, 0) && entries_here == entries).then_some((position, comment_bytes))
}

/// Returns the position in the zip64 end record and the record's offset, or `None` if there is no locator before the end record.
fn find_zip64(
    input: &mut (impl Read + Seek),
    end_offset: u64,
) -> Result<Option<(Position, u64)>, ArchiveError> {
    let malformed = ArchiveError::Malformed {
        reason: "its 64-bit end record is invalid",
    };
    let Some(locator_offset) = end_offset.checked_sub(LOCATOR_BYTES) else {
        return Ok(None);
    };
    seek(input, locator_offset)?;
    let mut locator = [0; 20];
    input.read_exact(&mut locator).map_err(ArchiveError::Unreadable)?;
    let mut fields = Fields(&locator);
    if fields.bytes() != Some(ZIP64_LOCATOR) {
        return Ok(None);
    }
    let decoded = fields.u32().zip(fields.u64()).zip(fields.u32());
    let Some(((0, offset), 1)) = decoded else {
        return Err(malformed);
    };
    // A record with extensions would be longer; no common program writes one.
    if offset.checked_add(ZIP64_END_BYTES) != Some(locator_offset) {
        return Err(malformed);
    }
    seek(input, offset)?;
    let mut record = [0; 56];
    input.read_exact(&mut record).map_err(ArchiveError::Unreadable)?;
    decode_zip64(&record)
        .map(|position| Some((position, offset)))
        .ok_or(malformed)
}

fn decode_zip64(record: &[u8; 56]) -> Option<Position> {
    let mut fields = Fields(record);
    if fields.bytes()? != ZIP64_END_RECORD || fields.u64()? != ZIP64_END_BYTES - 12 {
        return None;
    }
    let _versions = fields.u32()?;
    let disks = (fields.u32()?, fields.u32()?);
    let (entries_here, entries) = (fields.u64()?, fields.u64()?);
    let position = Position {
        entries,
        bytes: fields.u64()?,
        offset: fields.u64()?,
    };
    (disks == (0, 0) && entries_here == entries).then_some(position)
}

/// The 64-bit position, which must equal the other one where that one is not marked as too small.
fn widen(narrow: &Position, wide: Position) -> Result<Position, ArchiveError> {
    let agrees = |narrow: u64, wide: u64, marker: u64| narrow == marker || narrow == wide;
    if agrees(narrow.entries, wide.entries, u16::MAX.into())
        && agrees(narrow.bytes, wide.bytes, u32::MAX.into())
        && agrees(narrow.offset, wide.offset, u32::MAX.into())
    {
        return Ok(wide);
    }
    Err(ArchiveError::Malformed {
        reason: "its two end records disagree",
    })
}
