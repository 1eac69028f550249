//! The documents of a segment.

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
    /// What the program stores with the document, and the index does not read.
    pub payload: Box<[u8]>,
}

pub(super) fn encode(documents: &[StoredDocument]) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    write_number(&mut bytes, documents.len() as u64);
    for document in documents {
        bytes.extend_from_slice(&document.id.to_be_bytes());
        write_number(&mut bytes, document.revision);
        let Some(StoredContent { entry, payload }) = &document.content else {
            bytes.push(REMOVED);
            continue;
        };
        bytes.push(PRESENT);
        for length in entry.lengths {
            write_number(&mut bytes, u64::from(length));
        }
        bytes.extend_from_slice(&entry.signature.to_le_bytes());
        write_number(&mut bytes, entry.name_keys.len() as u64);
        for key in &entry.name_keys {
            bytes.extend_from_slice(&key.to_u64().to_le_bytes());
        }
        write_bytes(&mut bytes, payload);
    }
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<StoredDocument>, InvalidSegment> {
    let mut reader = Reader(bytes);
    if reader.byte()? != FORMAT {
        return Err(InvalidSegment);
    }
    let documents = (0..reader.count()?)
        .map(|_| decode_document(&mut reader))
        .collect::<Result<Vec<_>, _>>()?;
    if reader.is_at_end() {
        Ok(documents)
    } else {
        Err(InvalidSegment)
    }
}

fn decode_document(reader: &mut Reader<'_>) -> Result<StoredDocument, InvalidSegment> {
    let id = u128::from_be_bytes(reader.array()?);
    let revision = reader.number()?;
    let content = match reader.byte()? {
        REMOVED => None,
        PRESENT => Some(decode_content(reader, id)?),
        _ => return Err(InvalidSegment),
    };
    Ok(StoredDocument {
        id,
        revision,
        content,
    })
}

fn decode_content(reader: &mut Reader<'_>, id: u128) -> Result<StoredContent, InvalidSegment> {
    let mut lengths = [0; Field::COUNT];
    for length in &mut lengths {
        *length = reader.number_u32()?;
    }
    let signature = u64::from_le_bytes(reader.array()?);
    let name_keys = (0..reader.count()?)
        .map(|_| Ok(TermKey::from_u64(u64::from_le_bytes(reader.array()?))))
        .collect::<Result<Box<[_]>, InvalidSegment>>()?;
    let payload = reader.bytes()?.into();
    Ok(StoredContent {
        entry: DocumentEntry {
            id,
            lengths,
            name_keys,
            signature,
        },
        payload,
    })
}
