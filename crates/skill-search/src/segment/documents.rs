//! The documents of a segment.

use std::num::NonZeroU32;

use super::InvalidSegment;
use super::numbers::{Reader, write_bytes, write_number};
use crate::document::Field;
use crate::term::TermKey;
use crate::view::DocumentEntry;

/// The format of [`encode`]; other numbers belong to other versions of the program.
const FORMAT: u8 = 1;
const REMOVED: u8 = 0;
const PRESENT: u8 = 1;

/// A document of a segment, or the record that it was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    pub id: u128,
    /// Orders the states of a document: the highest counts.
    pub revision: u64,
    /// `None` if the document was removed.
    pub content: Option<StoredContent>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredContent {
    pub entry: DocumentEntry<u128>,
    pub name_keys: Box<[TermKey]>,
    /// What the program stores with the document, and the index does not read.
    pub payload: Box<[u8]>,
}

pub(super) fn encode(documents: &[StoredDocument]) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    write_number(&mut bytes, documents.len() as u64);
    for document in documents {
        bytes.extend_from_slice(&document.id.to_be_bytes());
        write_number(&mut bytes, document.revision);
        let Some(StoredContent {
            entry,
            name_keys,
            payload,
        }) = &document.content
        else {
            bytes.push(REMOVED);
            continue;
        };
        bytes.push(PRESENT);
        for length in entry.lengths {
            write_number(&mut bytes, u64::from(length));
        }
        bytes.extend_from_slice(&entry.signature.to_le_bytes());
        write_number(&mut bytes, name_keys.len() as u64);
        for key in name_keys {
            bytes.extend_from_slice(&key.to_u64().to_le_bytes());
        }
        write_bytes(&mut bytes, payload);
    }
    bytes
}

/// Decodes all documents of a segment.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<StoredDocument>, InvalidSegment> {
    let document = |head: &Head| {
        let content = head.content.map(|(entry, tail)| StoredContent {
            entry,
            name_keys: tail.name_keys(bytes).collect(),
            payload: tail.payload(bytes).into(),
        });
        StoredDocument {
            id: head.id,
            revision: head.revision,
            content,
        }
    };
    Ok(heads(bytes)?.iter().map(document).collect())
}

/// A stored document without its name and payload, which stay in the segment's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) id: u128,
    pub(super) revision: u64,
    /// `None` if the document was removed.
    pub(super) content: Option<(DocumentEntry<u128>, Tail)>,
}

/// Where the terms of a document's name begin in the bytes of its segment; the payload follows them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail(NonZeroU32);

impl Tail {
    /// The terms of the name. Empty if the bytes are not those that [`heads`] read.
    pub(super) fn name_keys(self, bytes: &[u8]) -> impl Iterator<Item = TermKey> {
        let keys = self.read(bytes).map_or(&[][..], |(keys, _)| keys);
        keys.as_chunks::<8>()
            .0
            .iter()
            .map(|key| TermKey::from_u64(u64::from_le_bytes(*key)))
    }

    /// What the program stores with the document. Empty if the bytes are not those that [`heads`] read.
    pub(super) fn payload(self, bytes: &[u8]) -> &[u8] {
        self.read(bytes).map_or(&[], |(_, payload)| payload)
    }

    fn read(self, bytes: &[u8]) -> Result<(&[u8], &[u8]), InvalidSegment> {
        let bytes = bytes.get(self.0.get() as usize..).ok_or(InvalidSegment)?;
        read_tail(&mut Reader(bytes))
    }
}

/// A document with its bytes in a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded<'a> {
    pub(super) id: u128,
    pub(super) revision: u64,
    pub(super) bytes: &'a [u8],
}

/// The documents of a segment, to write them again as they are.
pub(super) fn encoded(bytes: &[u8]) -> Result<Vec<Encoded<'_>>, InvalidSegment> {
    let mut reader = Reader(bytes);
    if reader.byte()? != FORMAT {
        return Err(InvalidSegment);
    }
    let count = reader.count()?;
    let mut documents = Vec::with_capacity(count);
    for _ in 0..count {
        let start = reader.0;
        let head = read_head(&mut reader, bytes.len())?;
        let taken = start.len() - reader.0.len();
        documents.push(Encoded {
            id: head.id,
            revision: head.revision,
            bytes: start.get(..taken).unwrap_or_default(),
        });
    }
    if reader.is_at_end() {
        Ok(documents)
    } else {
        Err(InvalidSegment)
    }
}

/// The documents of a segment from what [`encoded`] gave for each.
pub(super) fn from_encoded(documents: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    write_number(&mut bytes, documents.len() as u64);
    for document in documents {
        bytes.extend_from_slice(document);
    }
    bytes
}

/// Reads and checks all documents of a segment.
pub(super) fn heads(bytes: &[u8]) -> Result<Vec<Head>, InvalidSegment> {
    let mut reader = Reader(bytes);
    if reader.byte()? != FORMAT {
        return Err(InvalidSegment);
    }
    let count = reader.count()?;
    let mut heads = Vec::with_capacity(count);
    for _ in 0..count {
        heads.push(read_head(&mut reader, bytes.len())?);
    }
    if reader.is_at_end() {
        Ok(heads)
    } else {
        Err(InvalidSegment)
    }
}

fn read_head(reader: &mut Reader<'_>, length: usize) -> Result<Head, InvalidSegment> {
    let id = u128::from_be_bytes(reader.array()?);
    let revision = reader.number()?;
    let content = match reader.byte()? {
        REMOVED => None,
        PRESENT => Some(read_content(reader, id, length)?),
        _ => return Err(InvalidSegment),
    };
    Ok(Head {
        id,
        revision,
        content,
    })
}

fn read_content(
    reader: &mut Reader<'_>,
    id: u128,
    length: usize,
) -> Result<(DocumentEntry<u128>, Tail), InvalidSegment> {
    let mut lengths = [0; Field::COUNT];
    for length in &mut lengths {
        *length = reader.number_u32()?;
    }
    let signature = u64::from_le_bytes(reader.array()?);
    let offset = length - reader.0.len();
    let offset = u32::try_from(offset).ok().and_then(NonZeroU32::new);
    let tail = Tail(offset.ok_or(InvalidSegment)?);
    read_tail(reader)?;
    let entry = DocumentEntry {
        id,
        lengths,
        signature,
    };
    Ok((entry, tail))
}

/// The encoded terms of the name, and the payload.
fn read_tail<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8]), InvalidSegment> {
    let keys = reader
        .count()?
        .checked_mul(size_of::<u64>())
        .ok_or(InvalidSegment)?;
    Ok((reader.take(keys)?, reader.bytes()?))
}
