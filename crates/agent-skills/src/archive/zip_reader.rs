//! Reads a zip archive from its first byte to its central directory, entry by entry.

use std::io::{BufRead, BufReader, Read, Seek};

use flate2::bufread::DeflateDecoder;

use super::checks::{Checks, Content, EntryKind, Sink};
use super::error::{ArchiveError, EntryProblem};
use super::names::EntryName;
use super::zip_directory::{DirectoryEntry, read_directory};
use super::zip_records::{DEFLATED, EntryHeader, HAS_DESCRIPTOR, LocalHeader, read_descriptor};

const BUFFER_BYTES: usize = 64 * 1024;

/// Reads all entries into `sink`.
///
/// Each entry must start where the entry before it ends, the first one at 0, and the last one must end at the central directory.
/// So no entry overlaps another, and none is hidden from programs that read one or the other list.
pub(super) fn read_zip<R: Read + Seek>(
    mut input: R,
    archive_bytes: u64,
    checks: &mut Checks,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    let (entries, directory_offset) = read_directory(&mut input, archive_bytes, checks)?;
    if entries.is_empty() {
        return Err(ArchiveError::Empty);
    }
    input.rewind().map_err(ArchiveError::Unreadable)?;
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let ends = entries
        .iter()
        .skip(1)
        .map(|entry| entry.offset)
        .chain([directory_offset]);
    let ends: Vec<u64> = ends.collect();
    let mut position = 0;
    for (entry, end) in entries.into_iter().zip(ends) {
        if entry.offset != position {
            return Err(ArchiveError::entry(&entry.header.name, EntryProblem::DataBefore));
        }
        read_entry(&mut input, entry, end, checks, sink)?;
        position = end;
    }
    Ok(())
}

fn read_entry(
    input: &mut impl BufRead,
    entry: DirectoryEntry,
    end: u64,
    checks: &mut Checks,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    let header = &entry.header;
    let local = LocalHeader::read(input)?;
    compare(header, &local.header)?;
    let content_end = entry
        .offset
        .checked_add(local.bytes)
        .and_then(|start| start.checked_add(header.compressed_bytes));
    let after = content_end.and_then(|content_end| end.checked_sub(content_end));
    let Some(after) = after else {
        return Err(ArchiveError::entry(&header.name, EntryProblem::Overlap));
    };
    let name = String::from_utf8_lossy(&header.name);
    checks.declared_size(&name, header.unpacked_bytes)?;
    read_content(input, &entry, &name, checks, sink)?;
    check_end(input, header, after)
}

/// The two headers must describe the same file.
fn compare(central: &EntryHeader, local: &EntryHeader) -> Result<(), ArchiveError> {
    let differ = |field| ArchiveError::entry(&central.name, EntryProblem::HeadersDiffer { field });
    if central.name != local.name {
        return Err(differ("name"));
    }
    local.check_method()?;
    if central.method != local.method {
        return Err(differ("compression method"));
    }
    if (central.flags ^ local.flags) & HAS_DESCRIPTOR != 0 {
        return Err(differ("data descriptor"));
    }
    // With a data descriptor, the local header leaves these fields empty.
    let is_left_out = |value: u64| central.has_descriptor() && matches!(value, 0 | 0xFFFF_FFFF);
    if central.crc != local.crc && !is_left_out(local.crc.into()) {
        return Err(differ("checksum"));
    }
    if central.unpacked_bytes != local.unpacked_bytes && !is_left_out(local.unpacked_bytes) {
        return Err(differ("size"));
    }
    if central.compressed_bytes != local.compressed_bytes && !is_left_out(local.compressed_bytes) {
        return Err(differ("compressed size"));
    }
    Ok(())
}

fn read_content(
    input: &mut impl BufRead,
    entry: &DirectoryEntry,
    name: &str,
    checks: &mut Checks,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    let header = &entry.header;
    let mut compressed = input.take(header.compressed_bytes);
    let mut inflated;
    let reader: &mut dyn Read = if header.method == DEFLATED {
        inflated = DeflateDecoder::new(&mut compressed);
        &mut inflated
    } else {
        &mut compressed
    };
    let mut content = Content::new(name, reader, checks, header.unpacked_bytes);
    match (&entry.name, entry.kind) {
        (EntryName::Root, _) => {}
        (EntryName::LeftOut(path), _) => sink.left_out(path),
        (EntryName::Path(path), EntryKind::Folder) => sink.folder(path)?,
        (EntryName::Path(path), EntryKind::File) => {
            sink.file(path.clone(), entry.is_executable, &mut content)?;
        }
        (EntryName::Path(path), kind @ (EntryKind::SymbolicLink | EntryKind::HardLink)) => {
            sink.link(path, kind)?;
        }
    }
    let crc = content.finish(EntryProblem::Size)?;
    if compressed.limit() > 0 {
        return Err(ArchiveError::entry(name, EntryProblem::Size));
    }
    if crc != header.crc {
        return Err(ArchiveError::entry(name, EntryProblem::Checksum));
    }
    Ok(())
}

/// Reads the data descriptor, if there is one: it must fill the `after` bytes up to the next entry.
fn check_end(input: &mut impl BufRead, header: &EntryHeader, after: u64) -> Result<(), ArchiveError> {
    let problem = |problem| Err(ArchiveError::entry(&header.name, problem));
    if !header.has_descriptor() {
        return if after == 0 {
            Ok(())
        } else {
            problem(EntryProblem::DataAfter)
        };
    }
    let descriptor = read_descriptor(input, after)
        .map_err(|error| ArchiveError::read(error, "an entry's data descriptor is missing"))?;
    match descriptor {
        None if after > 0 => problem(EntryProblem::DataAfter),
        Some(found) if found == (header.crc, header.compressed_bytes, header.unpacked_bytes) => Ok(()),
        None | Some(_) => problem(EntryProblem::HeadersDiffer {
            field: "data descriptor",
        }),
    }
}
