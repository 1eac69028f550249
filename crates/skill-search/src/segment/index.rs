//! The documents of all segments of an index.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use super::directory::Directory;
use super::documents::{self, StoredContent};
use super::{EncodedSegment, InvalidSegment};
use crate::document::Field;
use crate::term::TermKey;
use crate::view::DocumentEntry;

/// Identifies a segment, for example a UUID.
pub type SegmentId = u128;

/// A block of postings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId {
    pub segment: SegmentId,
    pub number: u32,
}

/// The documents of an index, without their postings. Ranking needs a [`LoadedIndex`](super::LoadedIndex).
#[derive(Default)]
pub struct SegmentedIndex {
    pub(super) segments: Vec<Segment>,
    /// By slot. `None`: removed, or replaced by a later revision.
    documents: Vec<Option<StoredContent>>,
    /// By the document's id. Callers make the ids, so nobody can choose them to collide.
    states: FxHashMap<u128, State>,
    live: usize,
    total_lengths: [u64; Field::COUNT],
    name_frequencies: HashMap<TermKey, u32>,
    bytes: usize,
}

pub(super) struct Segment {
    pub(super) id: SegmentId,
    pub(super) first_slot: u32,
    pub(super) document_count: u32,
    pub(super) directory: Directory,
}

#[derive(Clone, Copy)]
struct State {
    revision: u64,
    /// `None` if the document was removed.
    slot: Option<u32>,
}

/// What adding a segment changed.
#[derive(Debug, Default)]
pub struct Applied {
    /// The slots and payloads of documents that were removed or replaced.
    pub removed: Vec<(u32, Box<[u8]>)>,
    /// The slots of new documents and of new revisions.
    pub added: Vec<u32>,
}

impl SegmentedIndex {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of documents.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.live
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The segments in the order in which they were added.
    pub fn segment_ids(&self) -> impl Iterator<Item = SegmentId> {
        self.segments.iter().map(|segment| segment.id)
    }

    /// Approximate memory use in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.bytes
            + self.documents.capacity() * size_of::<Option<StoredContent>>()
            + self.states.capacity() * (size_of::<(u128, State)>() + 1)
            + self.name_frequencies.capacity() * (size_of::<(TermKey, u32)>() + 1)
    }

    /// Makes room for so many more documents, which are then added without moving the others.
    pub fn reserve(&mut self, documents: usize) {
        self.documents.reserve_exact(documents);
        self.states.reserve(documents);
    }

    /// Adds the documents of a segment. Of a document that the index has, the later revision counts.
    ///
    /// # Errors
    /// Returns [`InvalidSegment`] if the bytes are damaged. The index is then unchanged.
    pub fn add(
        &mut self,
        id: SegmentId,
        documents: &[u8],
        directory: &[u8],
    ) -> Result<Applied, InvalidSegment> {
        let documents = documents::decode(documents)?;
        let directory = Directory::decode(directory)?;
        let first_slot = u32::try_from(self.documents.len()).map_err(|_| InvalidSegment)?;
        let document_count = u32::try_from(documents.len()).map_err(|_| InvalidSegment)?;
        first_slot.checked_add(document_count).ok_or(InvalidSegment)?;
        self.bytes += directory.block_count() * size_of::<TermKey>();
        self.segments.push(Segment {
            id,
            first_slot,
            document_count,
            directory,
        });
        let mut applied = Applied::default();
        self.documents.reserve(documents.len());
        for (slot, document) in (first_slot..).zip(documents) {
            self.documents.push(None);
            let state = self.states.get(&document.id).copied();
            if state.is_some_and(|state| state.revision >= document.revision) {
                continue;
            }
            if let Some(old) = state.and_then(|state| state.slot)
                && let Some(replaced) = self.take(old)
            {
                applied.removed.push((old, replaced.payload));
            }
            let is_present = document.content.is_some();
            if let Some(content) = document.content {
                self.put(slot, content);
                applied.added.push(slot);
            }
            let state = State {
                revision: document.revision,
                slot: is_present.then_some(slot),
            };
            self.states.insert(document.id, state);
        }
        // A document that is in the segment twice was added and removed again.
        applied.added.retain(|slot| self.is_live(*slot));
        Ok(applied)
    }

    /// Removes a segment with the documents of which it has the latest revision. Returns their slots and payloads. For a segment
    /// that was merged: the merged one is to be added next.
    pub fn remove_segment(&mut self, id: SegmentId) -> Vec<(u32, Box<[u8]>)> {
        let Some(at) = self.segments.iter().position(|segment| segment.id == id) else {
            return Vec::new();
        };
        let segment = self.segments.remove(at);
        self.bytes -= segment.directory.block_count() * size_of::<TermKey>();
        let mut removed = Vec::new();
        for slot in segment.first_slot..segment.first_slot + segment.document_count {
            if let Some(content) = self.take(slot) {
                self.states.remove(&content.entry.id);
                removed.push((slot, content.payload));
            }
        }
        removed
    }

    /// As [`add`](Self::add), of a segment that is not stored.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_encoded(
        &mut self,
        id: SegmentId,
        segment: &EncodedSegment,
    ) -> Result<Applied, InvalidSegment> {
        self.add(id, &segment.documents, &segment.directory)
    }

    fn take(&mut self, slot: u32) -> Option<StoredContent> {
        let content = self.documents.get_mut(slot as usize)?.take()?;
        self.live -= 1;
        for (total, length) in self.total_lengths.iter_mut().zip(content.entry.lengths) {
            *total -= u64::from(length);
        }
        for key in &content.entry.name_keys {
            if let Some(frequency) = self.name_frequencies.get_mut(key) {
                *frequency -= 1;
                if *frequency == 0 {
                    self.name_frequencies.remove(key);
                }
            }
        }
        self.bytes -= heap_bytes(&content);
        Some(content)
    }

    fn put(&mut self, slot: u32, content: StoredContent) {
        self.live += 1;
        for (total, length) in self.total_lengths.iter_mut().zip(content.entry.lengths) {
            *total += u64::from(length);
        }
        for key in &content.entry.name_keys {
            *self.name_frequencies.entry(*key).or_default() += 1;
        }
        self.bytes += heap_bytes(&content);
        if let Some(place) = self.documents.get_mut(slot as usize) {
            *place = Some(content);
        }
    }

    /// The document with this slot, with its payload.
    #[must_use]
    pub fn document(&self, slot: u32) -> Option<(&DocumentEntry<u128>, &[u8])> {
        let content = self.documents.get(slot as usize)?.as_ref()?;
        Some((&content.entry, &content.payload))
    }

    /// The slot of a document.
    #[must_use]
    pub fn slot_of(&self, id: u128) -> Option<u32> {
        self.states.get(&id)?.slot
    }

    /// The latest revision of a document, also of one that was removed.
    #[must_use]
    pub fn revision_of(&self, id: u128) -> Option<u64> {
        self.states.get(&id).map(|state| state.revision)
    }

    pub(super) fn is_live(&self, slot: u32) -> bool {
        self.documents.get(slot as usize).is_some_and(Option::is_some)
    }

    /// Upper limit of the slots, exclusive. Slots of replaced documents are not used again.
    #[must_use]
    pub const fn slot_count(&self) -> usize {
        self.documents.len()
    }

    pub(super) const fn total_lengths(&self) -> [u64; Field::COUNT] {
        self.total_lengths
    }

    pub(super) fn name_frequency(&self, key: TermKey) -> u32 {
        self.name_frequencies.get(&key).copied().unwrap_or_default()
    }

    /// The blocks that contain these terms, of all segments, each with its term. A block may contain several.
    #[must_use]
    pub fn blocks_of(&self, keys: &[TermKey]) -> Vec<(TermKey, BlockId)> {
        let block = |segment: &Segment, key: TermKey| {
            let number = segment.directory.block_of(key)?;
            Some((
                key,
                BlockId {
                    segment: segment.id,
                    number,
                },
            ))
        };
        self.segments
            .iter()
            .flat_map(|segment| keys.iter().filter_map(move |key| block(segment, *key)))
            .collect()
    }
}

fn heap_bytes(content: &StoredContent) -> usize {
    size_of_val(&*content.entry.name_keys) + content.payload.len()
}
