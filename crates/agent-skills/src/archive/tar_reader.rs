//! Reads a tar archive (POSIX.1-2017 pax and ustar, GNU), uncompressed or as one gzip member (RFC 1952).

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use tar::{EntryType, Header};

use super::checks::{Checks, Content, EntryKind, Sink};
use super::error::{ArchiveError, EntryProblem};
use super::names::EntryName;
use super::tar_extensions::{Extensions, MAX_EXTENSION_BYTES, check_global};

pub(super) const BLOCK_BYTES: usize = 512;
const BUFFER_BYTES: usize = 64 * 1024;
const MISSING_END: &str = "its end marker is missing";
/// Maximum size of the zeros after the end marker in bytes. `tar` fills its last record, by default to 10 KiB.
const MAX_PADDING_BYTES: usize = 1024 * 1024;

/// Reads all entries of a gzip-compressed tar archive into `sink`.
pub(super) fn read_tar_gz(
    input: impl Read,
    checks: &mut Checks,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    let input = BufReader::with_capacity(BUFFER_BYTES, input);
    let mut decoder = GzDecoder::new(input);
    let mut start = Vec::new();
    decoder
        .by_ref()
        .take(BLOCK_BYTES as u64)
        .read_to_end(&mut start)
        .map_err(|error| ArchiveError::read(error, "its compressed data has no end"))?;
    if !start
        .first_chunk()
        .is_some_and(|block| is_zero(block) || is_tar_header(block))
    {
        return Err(ArchiveError::Format {
            found: "a gzip file that contains something else",
        });
    }
    read_tar(start.chain(&mut decoder), checks, sink)?;
    // Programs disagree about what follows the first member: some read it, some do not.
    let rest = decoder.get_mut().fill_buf().map_err(ArchiveError::Unreadable)?;
    if rest.is_empty() {
        return Ok(());
    }
    Err(ArchiveError::Malformed {
        reason: "there is data, or another gzip member, after its end",
    })
}

/// Reads all entries of a tar archive into `sink`.
pub(super) fn read_tar(
    mut input: impl Read,
    checks: &mut Checks,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    let input = &mut input;
    let mut extensions = Extensions::default();
    let mut is_empty = true;
    while let Some(header) = read_header(input)? {
        is_empty = false;
        let kind = header.entry_type();
        let size = header
            .entry_size()
            .map_err(|_| ArchiveError::entry(header.path_bytes(), EntryProblem::Header))?;
        if kind.is_pax_global_extensions() {
            check_global(&read_extension(input, &header, size, checks)?)?;
        } else if kind.is_pax_local_extensions() {
            extensions.add_pax(&read_extension(input, &header, size, checks)?)?;
        } else if kind.is_gnu_longname() {
            extensions.set_path(read_extension(input, &header, size, checks)?)?;
        } else if kind.is_gnu_longlink() {
            read_extension(input, &header, size, checks)?;
        } else {
            read_entry(
                input,
                &header,
                size,
                std::mem::take(&mut extensions),
                checks,
                sink,
            )?;
        }
    }
    if is_empty {
        return Err(ArchiveError::Empty);
    }
    if extensions.is_pending() {
        return Err(ArchiveError::Malformed {
            reason: "its last header names an entry that does not follow",
        });
    }
    read_end(input)
}

/// Returns `None` at the end marker, a block of zeros.
fn read_header(input: &mut impl Read) -> Result<Option<Header>, ArchiveError> {
    let mut header = Header::new_old();
    let block = header.as_mut_bytes();
    input
        .read_exact(block)
        .map_err(|error| ArchiveError::read(error, MISSING_END))?;
    if is_zero(block) {
        return Ok(None);
    }
    if !has_valid_checksum(&header) {
        return Err(ArchiveError::Malformed {
            reason: "a header does not match its checksum",
        });
    }
    Ok(Some(header))
}

/// Whether `block` can be the first block of a tar archive.
pub(super) fn is_tar_header(block: &[u8; BLOCK_BYTES]) -> bool {
    let mut header = Header::new_old();
    header.as_mut_bytes().copy_from_slice(block);
    !is_zero(block) && has_valid_checksum(&header)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// The checksum counts its own field as spaces (POSIX.1-2017, pax, "ustar Interchange Format").
fn has_valid_checksum(header: &Header) -> bool {
    let bytes = header.as_bytes().iter().enumerate();
    let sum: u32 = bytes
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u32::from(*byte)
            }
        })
        .sum();
    header.cksum().is_ok_and(|expected| expected == sum)
}

/// Everything after the end marker must be zeros: programs that ignore the marker would read more entries.
fn read_end(input: &mut impl Read) -> Result<(), ArchiveError> {
    let mut buffer = [0; 8192];
    let mut padding_bytes = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) if buffer.get(..count).is_some_and(is_zero) => {
                padding_bytes += count;
                if padding_bytes > MAX_PADDING_BYTES {
                    return Err(ArchiveError::Malformed {
                        reason: "there are more than 1048576 zeros after its end marker",
                    });
                }
            }
            Ok(_) => {
                return Err(ArchiveError::Malformed {
                    reason: "there is data after its end marker",
                });
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ArchiveError::read(error, MISSING_END)),
        }
    }
}

/// Reads the content of an extension header.
fn read_extension(
    input: &mut impl Read,
    header: &Header,
    size: u64,
    checks: &mut Checks,
) -> Result<Vec<u8>, ArchiveError> {
    if size > MAX_EXTENSION_BYTES {
        return Err(ArchiveError::entry(
            header.path_bytes(),
            EntryProblem::ExtensionTooLarge,
        ));
    }
    checks.overhead(size + 2 * BLOCK_BYTES as u64)?;
    let mut bytes = Vec::new();
    input
        .take(size)
        .read_to_end(&mut bytes)
        .map_err(|error| ArchiveError::read(error, MISSING_END))?;
    if (bytes.len() as u64) < size {
        return Err(ArchiveError::entry(header.path_bytes(), EntryProblem::Truncated));
    }
    skip_padding(input, size)?;
    Ok(bytes)
}

fn skip_padding(input: &mut impl Read, size: u64) -> Result<(), ArchiveError> {
    let mut padding = [0; BLOCK_BYTES];
    let len = size.wrapping_neg() % BLOCK_BYTES as u64;
    let padding = usize::try_from(len).ok().and_then(|len| padding.get_mut(..len));
    input
        .read_exact(padding.unwrap_or_default())
        .map_err(|error| ArchiveError::read(error, MISSING_END))
}

fn read_entry(
    input: &mut impl Read,
    header: &Header,
    size: u64,
    extensions: Extensions,
    checks: &mut Checks,
    sink: &mut dyn Sink,
) -> Result<(), ArchiveError> {
    let raw_name = extensions
        .path
        .unwrap_or_else(|| header.path_bytes().into_owned());
    let problem = |problem| Err(ArchiveError::entry(&raw_name, problem));
    if extensions.is_sparse {
        return problem(EntryProblem::Sparse);
    }
    if extensions.size.is_some_and(|pax| pax != size) {
        return problem(EntryProblem::Size);
    }
    let kind = entry_kind(header.entry_type(), &raw_name)?;
    let name = checks.name(&raw_name, kind)?;
    if size > 0 && kind == EntryKind::Folder {
        return problem(EntryProblem::FolderWithContent);
    }
    if size > 0 && kind == EntryKind::HardLink {
        return problem(EntryProblem::Link {
            kind: "hard link with content",
        });
    }
    let mode = header
        .mode()
        .map_err(|_| ArchiveError::entry(&raw_name, EntryProblem::Header))?;
    let entry = String::from_utf8_lossy(&raw_name);
    checks.declared_size(&entry, size)?;
    let mut reader = input.take(size);
    let mut content = Content::new(&entry, &mut reader, checks, size);
    match (&name, kind) {
        (EntryName::Root, _) => {}
        (EntryName::LeftOut(path), _) => sink.left_out(path),
        (EntryName::Path(path), EntryKind::Folder) => sink.folder(path)?,
        (EntryName::Path(path), EntryKind::File) => {
            sink.file(path.clone(), mode & 0o100 != 0, &mut content)?;
        }
        (EntryName::Path(path), EntryKind::SymbolicLink | EntryKind::HardLink) => sink.link(path, kind)?,
    }
    content.finish(EntryProblem::Truncated)?;
    skip_padding(input, size)
}

fn entry_kind(kind: EntryType, raw_name: &[u8]) -> Result<EntryKind, ArchiveError> {
    let problem = |problem| Err(ArchiveError::entry(raw_name, problem));
    match kind.as_byte() {
        // Before POSIX.1-1988, a folder was a file with "/" at the end of its name.
        0 | b'0' if raw_name.ends_with(b"/") => Ok(EntryKind::Folder),
        0 | b'0' => Ok(EntryKind::File),
        b'1' => Ok(EntryKind::HardLink),
        b'2' => Ok(EntryKind::SymbolicLink),
        b'3' | b'4' => problem(EntryProblem::Special { kind: "device" }),
        b'5' => Ok(EntryKind::Folder),
        b'6' => problem(EntryProblem::Special { kind: "pipe" }),
        b'S' => problem(EntryProblem::Sparse),
        other => problem(EntryProblem::TarType { kind: other.into() }),
    }
}
