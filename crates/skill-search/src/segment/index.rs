//! The documents of all segments of an index.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::directory::Directory;
use super::documents::{self, Tail};
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
    /// By slot, also of documents that were removed or replaced by a later revision. Apart from the rest, since ranking reads
    /// them for each posting.
    lengths: Vec<[u32; Field::COUNT]>,
    /// The ids and signatures, by slot.
    identities: Vec<(u128, u64)>,
    /// By slot. `None`: removed or replaced.
    tails: Vec<Option<Tail>>,
    /// By the document's id. Callers make the ids, so nobody can choose them to collide.
    states: FxHashMap<u128, State>,
    live: usize,
    total_lengths: [u64; Field::COUNT],
    /// With a seed, since authors choose the words of names.
    name_frequencies: HashMap<TermKey, u32, foldhash::fast::RandomState>,
    bytes: usize,
}

pub(super) struct Segment {
    pub(super) id: SegmentId,
    pub(super) first_slot: u32,
    pub(super) document_count: u32,
    /// Number of documents that were not removed or replaced.
    live: u32,
    pub(super) directory: Directory,
    /// As stored. Names and payloads are read from here when they are needed: a process that starts would spend most of its
    /// time on copies of them.
    documents: Box<[u8]>,
}

impl Segment {
    /// Whether no document was removed or replaced.
    pub(super) const fn is_whole(&self) -> bool {
        self.live == self.document_count
    }

    fn memory_bytes(&self) -> usize {
        self.directory.block_count() * size_of::<TermKey>() + self.documents.len()
    }
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
            + self.lengths.capacity() * size_of::<[u32; Field::COUNT]>()
            + self.identities.capacity() * size_of::<(u128, u64)>()
            + self.tails.capacity() * size_of::<Option<Tail>>()
            + self.states.capacity() * (size_of::<(u128, State)>() + 1)
            + self.name_frequencies.capacity() * (size_of::<(TermKey, u32)>() + 1)
    }

    /// Makes room for so many more documents, which are then added without moving the others.
    pub fn reserve(&mut self, documents: usize) {
        self.lengths.reserve_exact(documents);
        self.identities.reserve_exact(documents);
        self.tails.reserve_exact(documents);
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
        let heads = documents::heads(documents)?;
        let directory = Directory::decode(directory)?;
        let first_slot = u32::try_from(self.tails.len()).map_err(|_| InvalidSegment)?;
        let document_count = u32::try_from(heads.len()).map_err(|_| InvalidSegment)?;
        first_slot.checked_add(document_count).ok_or(InvalidSegment)?;
        let segment = Segment {
            id,
            first_slot,
            document_count,
            live: 0,
            directory,
            documents: documents.into(),
        };
        self.bytes += segment.memory_bytes();
        self.segments.push(segment);
        let mut applied = Applied::default();
        for (slot, head) in (first_slot..).zip(heads) {
            self.lengths.push([0; Field::COUNT]);
            self.identities.push((head.id, 0));
            self.tails.push(None);
            let state = State {
                revision: head.revision,
                slot: head.content.map(|_| slot),
            };
            let old = match self.states.entry(head.id) {
                Entry::Occupied(known) if known.get().revision >= head.revision => continue,
                Entry::Occupied(mut known) => known.insert(state).slot,
                Entry::Vacant(place) => {
                    place.insert(state);
                    None
                }
            };
            if let Some(old) = old
                && let Some(replaced) = self.take(old)
            {
                applied.removed.push((old, replaced));
            }
            if let Some((entry, tail)) = head.content {
                self.put(slot, entry, tail);
                applied.added.push(slot);
            }
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
        let Some((first, count)) = self
            .segments
            .get(at)
            .map(|segment| (segment.first_slot, segment.document_count))
        else {
            return Vec::new();
        };
        let mut removed = Vec::new();
        for slot in first..first + count {
            if let Some(payload) = self.take(slot) {
                if let Some((id, _)) = self.identities.get(slot as usize) {
                    self.states.remove(id);
                }
                removed.push((slot, payload));
            }
        }
        // After its documents, whose names are in it.
        self.bytes -= self.segments.remove(at).memory_bytes();
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

    /// Removes a document and returns its payload.
    fn take(&mut self, slot: u32) -> Option<Box<[u8]>> {
        let tail = self.tails.get_mut(slot as usize)?.take()?;
        let lengths = self.lengths.get(slot as usize)?;
        self.live -= 1;
        for (total, length) in self.total_lengths.iter_mut().zip(lengths) {
            *total -= u64::from(*length);
        }
        let at = self.segment_at(slot)?;
        let segment = self.segments.get_mut(at)?;
        segment.live -= 1;
        let bytes = &segment.documents;
        for key in tail.name_keys(bytes) {
            if let Some(frequency) = self.name_frequencies.get_mut(&key) {
                *frequency -= 1;
                if *frequency == 0 {
                    self.name_frequencies.remove(&key);
                }
            }
        }
        Some(tail.payload(bytes).into())
    }

    fn put(&mut self, slot: u32, entry: DocumentEntry<u128>, tail: Tail) {
        self.live += 1;
        for (total, length) in self.total_lengths.iter_mut().zip(entry.lengths) {
            *total += u64::from(length);
        }
        let at = self.segment_at(slot);
        if let Some(segment) = at.and_then(|at| self.segments.get_mut(at)) {
            segment.live += 1;
            for key in tail.name_keys(&segment.documents) {
                *self.name_frequencies.entry(key).or_default() += 1;
            }
        }
        let slot = slot as usize;
        if let (Some(lengths), Some(identity), Some(own_tail)) = (
            self.lengths.get_mut(slot),
            self.identities.get_mut(slot),
            self.tails.get_mut(slot),
        ) {
            *lengths = entry.lengths;
            *identity = (entry.id, entry.signature);
            *own_tail = Some(tail);
        }
    }

    /// The place of the segment that holds a slot. Segments are in the order of their slots.
    fn segment_at(&self, slot: u32) -> Option<usize> {
        self.segments
            .partition_point(|segment| segment.first_slot <= slot)
            .checked_sub(1)
    }

    /// The document with this slot, with its payload.
    #[must_use]
    pub fn document(&self, slot: u32) -> Option<(DocumentEntry<u128>, &[u8])> {
        let tail = (*self.tails.get(slot as usize)?)?;
        let segment = self.segments.get(self.segment_at(slot)?)?;
        Some((self.entry(slot)?, tail.payload(&segment.documents)))
    }

    pub(super) fn entry(&self, slot: u32) -> Option<DocumentEntry<u128>> {
        if !self.is_live(slot) {
            return None;
        }
        let (id, signature) = *self.identities.get(slot as usize)?;
        Some(DocumentEntry {
            id,
            lengths: *self.lengths(slot)?,
            signature,
        })
    }

    pub(super) fn lengths(&self, slot: u32) -> Option<&[u32; Field::COUNT]> {
        self.lengths.get(slot as usize)
    }

    pub(super) fn name_keys(&self, slot: u32) -> impl Iterator<Item = TermKey> {
        let tail = self.tails.get(slot as usize).copied().flatten();
        let segment = self.segment_at(slot).and_then(|at| self.segments.get(at));
        let keys = tail.zip(segment);
        keys.into_iter()
            .flat_map(|(tail, segment)| tail.name_keys(&segment.documents))
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
        self.tails.get(slot as usize).is_some_and(Option::is_some)
    }

    /// Upper limit of the slots, exclusive. Slots of replaced documents are not used again.
    #[must_use]
    pub const fn slot_count(&self) -> usize {
        self.tails.len()
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
