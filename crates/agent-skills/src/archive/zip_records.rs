//! The records of a zip archive (APPNOTE.TXT 6.3.10, section 4.3), decoded but not checked against each other.

use std::io::{self, Read};

use super::error::{ArchiveError, EntryProblem};

pub(super) const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";
pub(super) const CENTRAL_HEADER: [u8; 4] = *b"PK\x01\x02";
pub(super) const END_RECORD: [u8; 4] = *b"PK\x05\x06";
pub(super) const ZIP64_END_RECORD: [u8; 4] = *b"PK\x06\x06";
pub(super) const ZIP64_LOCATOR: [u8; 4] = *b"PK\x06\x07";
pub(super) const DATA_DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";

pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;
/// The real method is in an extra field of an encrypted entry.
const AES: u16 = 99;

const ENCRYPTED: u16 = 1;
const STRONG_ENCRYPTION: u16 = 1 << 6;
const MASKED_HEADERS: u16 = 1 << 13;
/// Sizes and checksum follow the content.
pub(super) const HAS_DESCRIPTOR: u16 = 1 << 3;

const ZIP64_EXTRA: u16 = 0x0001;
/// A second name, which some programs prefer.
const UNICODE_PATH_EXTRA: u16 = 0x7075;

/// Reads little-endian numbers from a record. A number beyond the record's end is `None`.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(first)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }
}

/// What a local header and a header of the central directory have in common.
#[derive(Debug, Clone)]
pub(super) struct EntryHeader {
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) compressed_bytes: u64,
    pub(super) unpacked_bytes: u64,
    pub(super) name: Box<[u8]>,
}

impl EntryHeader {
    pub(super) const fn has_descriptor(&self) -> bool {
        self.flags & HAS_DESCRIPTOR != 0
    }

    pub(super) fn check_method(&self) -> Result<(), ArchiveError> {
        if self.flags & (ENCRYPTED | STRONG_ENCRYPTION | MASKED_HEADERS) != 0 || self.method == AES {
            return Err(ArchiveError::entry(&self.name, EntryProblem::Encrypted));
        }
        if self.method != STORED && self.method != DEFLATED {
            let method = self.method;
            return Err(ArchiveError::entry(&self.name, EntryProblem::Method { method }));
        }
        Ok(())
    }
}

/// A local header. The sizes are absent or invalid if it announces a data descriptor.
pub(super) struct LocalHeader {
    pub(super) header: EntryHeader,
    /// Size of the header itself, with name and extra fields.
    pub(super) bytes: u64,
}

/// A header of the central directory.
pub(super) struct CentralHeader {
    pub(super) header: EntryHeader,
    pub(super) made_by: u16,
    pub(super) external_attributes: u32,
    /// Offset of the local header in the archive.
    pub(super) offset: u64,
}

const TRUNCATED_HEADER: &str = "an entry's header is missing";

/// Reads up to 65,535 bytes: as many as a 16-bit length can announce.
fn read_vec(input: &mut impl Read, len: u16) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = vec![0; usize::from(len)];
    read_exact(input, &mut bytes)?;
    Ok(bytes)
}

fn read_exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), ArchiveError> {
    input
        .read_exact(bytes)
        .map_err(|error| ArchiveError::read(error, TRUNCATED_HEADER))
}

const fn wrong_signature() -> ArchiveError {
    ArchiveError::Malformed {
        reason: "there is no entry where the archive says",
    }
}

impl LocalHeader {
    pub(super) fn read(input: &mut impl Read) -> Result<Self, ArchiveError> {
        let mut fixed = [0; 30];
        read_exact(input, &mut fixed)?;
        let (mut header, name_len, extra_len) = Self::decode(&fixed).ok_or_else(wrong_signature)?;
        header.name = read_vec(input, name_len)?.into();
        let extra = read_vec(input, extra_len)?;
        apply_extra(&mut header, &extra, None)?;
        Ok(Self {
            header,
            bytes: 30 + u64::from(name_len) + u64::from(extra_len),
        })
    }

    fn decode(fixed: &[u8; 30]) -> Option<(EntryHeader, u16, u16)> {
        let mut fields = Fields(fixed);
        if fields.bytes::<4>()? != LOCAL_HEADER {
            return None;
        }
        let _version_needed = fields.u16()?;
        common(&mut fields)
    }
}

impl CentralHeader {
    pub(super) fn read(input: &mut impl Read) -> Result<Self, ArchiveError> {
        let mut fixed = [0; 46];
        read_exact(input, &mut fixed)?;
        let (mut found, [name_len, extra_len, comment_len]) =
            Self::decode(&fixed).ok_or_else(wrong_signature)?;
        found.header.name = read_vec(input, name_len)?.into();
        let extra = read_vec(input, extra_len)?;
        apply_extra(&mut found.header, &extra, Some(&mut found.offset))?;
        read_vec(input, comment_len)?;
        Ok(found)
    }

    fn decode(fixed: &[u8; 46]) -> Option<(Self, [u16; 3])> {
        let mut fields = Fields(fixed);
        if fields.bytes::<4>()? != CENTRAL_HEADER {
            return None;
        }
        let made_by = fields.u16()?;
        let _version_needed = fields.u16()?;
        let (header, name_len, extra_len) = common(&mut fields)?;
        let comment_len = fields.u16()?;
        let _disk = fields.u16()?;
        let _internal_attributes = fields.u16()?;
        let external_attributes = fields.u32()?;
        let offset = fields.u32()?.into();
        let found = Self {
            header,
            made_by,
            external_attributes,
            offset,
        };
        Some((found, [name_len, extra_len, comment_len]))
    }
}

/// The fields from the flags to the length of the extra fields. Returns the lengths of name and extra fields.
fn common(fields: &mut Fields<'_>) -> Option<(EntryHeader, u16, u16)> {
    let flags = fields.u16()?;
    let method = fields.u16()?;
    let _time_and_date = fields.u32()?;
    let crc = fields.u32()?;
    let compressed_bytes = fields.u32()?.into();
    let unpacked_bytes = fields.u32()?.into();
    let name_len = fields.u16()?;
    let extra_len = fields.u16()?;
    let header = EntryHeader {
        flags,
        method,
        crc,
        compressed_bytes,
        unpacked_bytes,
        name: Box::default(),
    };
    Some((header, name_len, extra_len))
}

/// Applies 64-bit sizes, and checks that a second name is the first.
fn apply_extra(header: &mut EntryHeader, extra: &[u8], offset: Option<&mut u64>) -> Result<(), ArchiveError> {
    let mut fields = Fields(extra);
    let mut zip64 = None;
    while !fields.0.is_empty() {
        let field = fields
            .u16()
            .zip(fields.u16())
            .and_then(|(id, len)| Some((id, fields.slice(len.into())?)));
        let Some((id, data)) = field else {
            return Err(ArchiveError::entry(&header.name, EntryProblem::Header));
        };
        if id == ZIP64_EXTRA && zip64.replace(data).is_some() {
            return Err(ArchiveError::entry(&header.name, EntryProblem::Header));
        }
        // Version (1 byte), checksum of the first name (4 bytes), name.
        if id == UNICODE_PATH_EXTRA && data.get(5..) != Some(&*header.name) {
            let field = "name";
            return Err(ArchiveError::entry(
                &header.name,
                EntryProblem::HeadersDiffer { field },
            ));
        }
    }
    let mut zip64 = Fields(zip64.unwrap_or(&[]));
    let sizes = [
        Some(&mut header.unpacked_bytes),
        Some(&mut header.compressed_bytes),
        offset,
    ];
    for size in sizes.into_iter().flatten() {
        // Without the extra field, the 32-bit number is the size (APPNOTE.TXT 4.5.3).
        if *size == u64::from(u32::MAX)
            && let Some(wide) = zip64.u64()
        {
            *size = wide;
        }
    }
    Ok(())
}

/// Reads a data descriptor of `len` bytes. Returns checksum, compressed and unpacked size, or `None` if no descriptor has this
/// length. The signature and 64-bit sizes are optional (APPNOTE.TXT 4.3.9).
pub(super) fn read_descriptor(input: &mut impl Read, len: u64) -> io::Result<Option<(u32, u64, u64)>> {
    let mut buffer = [0; 24];
    let bytes = match usize::try_from(len) {
        Ok(len @ (12 | 16 | 20 | 24)) => buffer.get_mut(..len).unwrap_or_default(),
        _ => return Ok(None),
    };
    input.read_exact(bytes)?;
    let mut fields = Fields(bytes);
    if matches!(len, 16 | 24) && fields.bytes() != Some(DATA_DESCRIPTOR) {
        return Ok(None);
    }
    let crc = fields.u32();
    let sizes = if len >= 20 {
        fields.u64().zip(fields.u64())
    } else {
        fields.u32().map(u64::from).zip(fields.u32().map(u64::from))
    };
    Ok(crc
        .zip(sizes)
        .map(|(crc, (compressed, unpacked))| (crc, compressed, unpacked)))
}
