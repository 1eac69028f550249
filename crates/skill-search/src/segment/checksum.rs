//! Checksums of documents, to compare two indexes that have the same documents in different segments.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::block::Terms;
use super::directory::Directory;
use super::words::PlacesReader;
use super::{EncodedSegment, InvalidSegment, documents};
use crate::vocabulary::Vocabulary;

/// The revision of a document and a checksum of all that the segment has of it: entry, payload, words, and terms with their
/// occurrences. `None` for the record of a removed document.
pub type DocumentChecksum = (u64, Option<u128>);

/// The checksums of a segment's documents by id.
///
/// # Errors
/// Returns [`InvalidSegment`] if the segment is damaged.
pub fn document_checksums(
    segment: &EncodedSegment,
) -> Result<HashMap<u128, DocumentChecksum>, InvalidSegment> {
    let documents = documents::decode(&segment.documents)?;
    let document_count = u32::try_from(documents.len()).map_err(|_| InvalidSegment)?;
    let mut terms = vec![0_u128; documents.len()];
    let first_keys = Directory::decode(&segment.directory)?.into_first_keys();
    if first_keys.len() != segment.blocks.len() {
        return Err(InvalidSegment);
    }
    for (block, first_key) in segment.blocks.iter().zip(first_keys) {
        let mut block = Terms::new(block, first_key);
        while let Some((key, postings)) = block.next_term()? {
            postings.for_each(document_count, |document, counts| {
                if let Some(sum) = terms.get_mut(document as usize) {
                    // The order of terms has no meaning, so their checksums are added.
                    let key = key.to_u64().to_le_bytes();
                    let counts = counts.to_bits().to_le_bytes();
                    *sum = sum.wrapping_add(hash(&[&key, &counts]));
                }
            })?;
        }
    }
    let vocabulary = Vocabulary::from_bytes(&segment.vocabulary).map_err(|_| InvalidSegment)?;
    let vocabulary: Vec<&str> = vocabulary.iter().map(|(word, _)| word).collect();
    let mut words = PlacesReader::new(&segment.document_words);
    let mut checksums = HashMap::with_capacity(documents.len());
    for (document, terms) in documents.into_iter().zip(terms) {
        let id = document.id;
        let revision = document.revision;
        let is_present = document.content.is_some();
        let bytes = documents::encode(&[document]);
        let places = words.next_document()?.iter();
        let words = places
            .map(|place| vocabulary.get(*place as usize).copied().ok_or(InvalidSegment))
            .collect::<Result<Vec<&str>, _>>()?;
        let checksum = is_present.then(|| hash(&[&bytes, words.join("\0").as_bytes(), &terms.to_le_bytes()]));
        checksums.insert(id, (revision, checksum));
    }
    words.finish()?;
    Ok(checksums)
}

fn hash(parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let bytes: [u8; 32] = hash.finalize().into();
    let [first, ..] = bytes.as_chunks::<16>().0 else {
        return 0;
    };
    u128::from_le_bytes(*first)
}
