//! An index with the postings of a query's terms.

use std::collections::HashMap;

use super::InvalidSegment;
use super::block::Terms;
use super::index::{BlockId, Segment, SegmentedIndex};
use crate::document::Field;
use crate::postings::Posting;
use crate::term::TermKey;
use crate::view::{DocumentEntry, IndexView};
use crate::vocabulary::Vocabulary;

/// What a search reads: the documents of all segments, the postings that were loaded for it, and a vocabulary.
pub struct LoadedIndex<'a> {
    index: &'a SegmentedIndex,
    vocabulary: &'a Vocabulary,
    postings: HashMap<TermKey, Vec<Posting>>,
}

impl<'a> LoadedIndex<'a> {
    #[must_use]
    pub fn new(index: &'a SegmentedIndex, vocabulary: &'a Vocabulary) -> Self {
        Self {
            index,
            vocabulary,
            postings: HashMap::new(),
        }
    }

    /// The same postings with another vocabulary.
    #[must_use]
    pub fn with_vocabulary<'b>(self, vocabulary: &'b Vocabulary) -> LoadedIndex<'b>
    where
        'a: 'b,
    {
        LoadedIndex {
            index: self.index,
            vocabulary,
            postings: self.postings,
        }
    }

    /// Whether the postings of a term are loaded.
    #[must_use]
    pub fn has(&self, key: TermKey) -> bool {
        self.postings.contains_key(&key)
    }

    /// Loads the postings of terms. `block` gives the bytes of a block that [`SegmentedIndex::blocks_of`] names. Terms that are
    /// loaded already are skipped.
    ///
    /// # Errors
    /// Returns [`InvalidSegment`] if a block is missing or damaged.
    pub fn load<'b>(
        &mut self,
        keys: &[TermKey],
        block: impl Fn(BlockId) -> Option<&'b [u8]>,
    ) -> Result<(), InvalidSegment> {
        for key in keys {
            if self.has(*key) {
                continue;
            }
            let mut postings = Vec::new();
            for segment in &self.index.segments {
                if let Some(number) = segment.directory.block_of(*key) {
                    let id = BlockId {
                        segment: segment.id,
                        number,
                    };
                    let bytes = block(id).ok_or(InvalidSegment)?;
                    self.read(segment, number, bytes, *key, &mut postings)?;
                }
            }
            self.postings.insert(*key, postings);
        }
        Ok(())
    }

    fn read(
        &self,
        segment: &Segment,
        number: u32,
        bytes: &[u8],
        key: TermKey,
        postings: &mut Vec<Posting>,
    ) -> Result<(), InvalidSegment> {
        let first_key = segment.directory.first_key(number).ok_or(InvalidSegment)?;
        let Some(found) = Terms::new(bytes, first_key).find(key)? else {
            return Ok(());
        };
        postings.reserve(found.likely_count());
        let is_whole = segment.is_whole();
        found.for_each(segment.document_count, |document, counts| {
            let slot = segment.first_slot + document;
            if is_whole || self.index.is_live(slot) {
                postings.push(Posting { slot, counts });
            }
        })
    }
}

impl IndexView for LoadedIndex<'_> {
    type Id = u128;

    fn len(&self) -> usize {
        self.index.len()
    }

    fn slot_count(&self) -> usize {
        self.index.slot_count()
    }

    fn total_lengths(&self) -> [u64; Field::COUNT] {
        self.index.total_lengths()
    }

    fn document(&self, slot: u32) -> Option<DocumentEntry<u128>> {
        self.index.entry(slot)
    }

    fn lengths(&self, slot: u32) -> Option<&[u32; Field::COUNT]> {
        self.index.lengths(slot)
    }

    fn name_keys(&self, slot: u32) -> impl Iterator<Item = TermKey> {
        self.index.name_keys(slot)
    }

    fn postings(&self, key: TermKey) -> &[Posting] {
        debug_assert!(self.has(key), "the postings of a term are not loaded");
        self.postings.get(&key).map_or(&[], Vec::as_slice)
    }

    fn name_frequency(&self, key: TermKey) -> u32 {
        self.index.name_frequency(key)
    }

    fn vocabulary(&self) -> &Vocabulary {
        self.vocabulary
    }
}
