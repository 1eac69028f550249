//! Makes one segment of several.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

use super::block::{BlockWriter, EncodedPostings, Terms};
use super::directory::Directory;
use super::documents::Encoded;
use super::words::{self, WordsSource};
use super::{EncodedSegment, InvalidSegment, documents};
use crate::postings::Posting;
use crate::term::TermKey;
use crate::vocabulary::Vocabulary;

/// The bytes of a stored segment without its blocks.
#[derive(Debug, Clone, Copy)]
pub struct SegmentHead<'a> {
    pub documents: &'a [u8],
    pub directory: &'a [u8],
    pub vocabulary: &'a [u8],
    pub document_words: &'a [u8],
}

impl<'a> From<&'a EncodedSegment> for SegmentHead<'a> {
    fn from(segment: &'a EncodedSegment) -> Self {
        Self {
            documents: &segment.documents,
            directory: &segment.directory,
            vocabulary: &segment.vocabulary,
            document_words: &segment.document_words,
        }
    }
}

/// One segment with the latest revision of each document of `sources`. `is_current` says whether a revision of a document, by ID, is
/// still the latest one; others are left out. Records of removed documents are kept while `is_current` is true for them.
///
/// # Errors
/// Returns [`InvalidSegment`] if a source is damaged.
pub fn merge(
    sources: &[&EncodedSegment],
    is_current: impl Fn(u128, u64) -> bool,
) -> Result<EncodedSegment, InvalidSegment> {
    let heads: Vec<SegmentHead<'_>> = sources.iter().map(|source| SegmentHead::from(*source)).collect();
    let mut merger = Merger::new(&heads, is_current)?;
    while let MergeStep::NeedsBlock { source, number } = merger.advance()? {
        let blocks = sources.get(source).map(|source| &source.blocks);
        let block = blocks.and_then(|blocks| blocks.get(number as usize));
        merger.give(source, block.ok_or(InvalidSegment)?.clone())?;
    }
    merger.finish()
}

/// What a [`Merger`] needs to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeStep {
    /// The block with this number of a source, which is to be [given](Merger::give).
    NeedsBlock { source: usize, number: u32 },
    /// All postings are merged.
    Done,
}

/// Merges segments, and holds only one block of each at a time: the blocks of large ones do not fit into memory.
pub struct Merger {
    merged: EncodedSegment,
    inputs: Vec<Input>,
    /// The inputs by the key of their current term. The lowest first, and inputs in their order, which is that of the new slots.
    queue: BinaryHeap<Reverse<(TermKey, usize)>>,
    /// Inputs without a current term, whose next block is needed.
    waiting: Vec<usize>,
    writer: BlockWriter,
    /// The term that is being written, with its postings so far.
    key: Option<TermKey>,
    postings: Vec<Posting>,
}

impl Merger {
    /// As [`merge`], of segments whose blocks are given later.
    ///
    /// # Errors
    /// Returns [`InvalidSegment`] if a source is damaged.
    pub fn new(
        sources: &[SegmentHead<'_>],
        is_current: impl Fn(u128, u64) -> bool,
    ) -> Result<Self, InvalidSegment> {
        let documents = sources
            .iter()
            .map(|source| documents::encoded(source.documents))
            .collect::<Result<Vec<_>, _>>()?;
        let mut latest = latest_revisions(&documents);
        let mut kept_documents: Vec<&[u8]> = Vec::new();
        let mut words = Vec::with_capacity(sources.len());
        let mut inputs = Vec::with_capacity(sources.len());
        for (source, documents) in sources.iter().zip(documents) {
            let mut new_slots = Vec::with_capacity(documents.len());
            for Encoded { id, revision, bytes } in documents {
                let is_kept = latest.get(&id) == Some(&revision) && is_current(id, revision);
                if is_kept {
                    latest.remove(&id);
                    new_slots.push(Some(next_slot(&kept_documents)?));
                    kept_documents.push(bytes);
                } else {
                    new_slots.push(None);
                }
            }
            words.push(WordsSource {
                vocabulary: Vocabulary::from_bytes(source.vocabulary).map_err(|_| InvalidSegment)?,
                document_words: source.document_words,
                kept: new_slots.iter().map(Option::is_some).collect(),
            });
            inputs.push(Input::new(source.directory, new_slots)?);
        }
        let (vocabulary, document_words) = words::merge(&words)?;
        Ok(Self {
            merged: EncodedSegment {
                document_count: next_slot(&kept_documents)?,
                documents: documents::from_encoded(&kept_documents),
                vocabulary,
                document_words,
                ..EncodedSegment::default()
            },
            queue: BinaryHeap::with_capacity(inputs.len()),
            waiting: (0..inputs.len()).collect(),
            inputs,
            writer: BlockWriter::default(),
            key: None,
            postings: Vec::new(),
        })
    }

    /// Merges until a block is needed or all is done.
    ///
    /// # Errors
    /// Returns [`InvalidSegment`] if a block is damaged.
    pub fn advance(&mut self) -> Result<MergeStep, InvalidSegment> {
        loop {
            if let Some(source) = self.waiting.last().copied() {
                if let Some(number) = self.inputs.get(source).and_then(Input::next_block) {
                    return Ok(MergeStep::NeedsBlock { source, number });
                }
                // It is at its end.
                self.waiting.pop();
                continue;
            }
            let Some(Reverse((key, source))) = self.queue.pop() else {
                self.write_term();
                return Ok(MergeStep::Done);
            };
            if self.key != Some(key) {
                self.write_term();
                self.key = Some(key);
            }
            if let Some(input) = self.inputs.get_mut(source) {
                input.append_to(&mut self.postings)?;
            }
            self.go_to_next_term(source)?;
        }
    }

    /// Gives a block that [`Self::advance`] asked for.
    ///
    /// # Errors
    /// Returns [`InvalidSegment`] if the block is damaged.
    pub fn give(&mut self, source: usize, block: Vec<u8>) -> Result<(), InvalidSegment> {
        self.waiting.retain(|waiting| *waiting != source);
        if let Some(input) = self.inputs.get_mut(source) {
            input.take(block)?;
        }
        self.go_to_next_term(source)
    }

    /// Bytes of the blocks that [`Self::take_blocks`] would give.
    #[must_use]
    pub fn finished_bytes(&self) -> usize {
        self.writer.finished_bytes()
    }

    /// The blocks that are complete, in order, without those that were taken before.
    pub fn take_blocks(&mut self) -> Vec<Vec<u8>> {
        self.writer.take_blocks()
    }

    /// The merged segment with those of its blocks that were not taken. To be called when all is done.
    ///
    /// # Errors
    /// Returns [`InvalidSegment`] if blocks are still needed.
    pub fn finish(self) -> Result<EncodedSegment, InvalidSegment> {
        if !self.waiting.is_empty() || !self.queue.is_empty() {
            return Err(InvalidSegment);
        }
        let (blocks, first_keys) = self.writer.finish();
        Ok(EncodedSegment {
            directory: Directory::encode(&first_keys),
            blocks,
            ..self.merged
        })
    }

    fn go_to_next_term(&mut self, source: usize) -> Result<(), InvalidSegment> {
        let Some(input) = self.inputs.get_mut(source) else {
            return Ok(());
        };
        match input.next_term()? {
            Some(key) => self.queue.push(Reverse((key, source))),
            None => self.waiting.push(source),
        }
        Ok(())
    }

    fn write_term(&mut self) {
        if let Some(key) = self.key.take()
            && !self.postings.is_empty()
        {
            self.writer.push(key, &self.postings);
        }
        self.postings.clear();
    }
}

fn next_slot(documents: &[&[u8]]) -> Result<u32, InvalidSegment> {
    u32::try_from(documents.len()).map_err(|_| InvalidSegment)
}

fn latest_revisions(documents: &[Vec<Encoded<'_>>]) -> HashMap<u128, u64> {
    let mut latest: HashMap<u128, u64> = HashMap::new();
    for document in documents.iter().flatten() {
        let known = latest.entry(document.id).or_default();
        *known = (*known).max(document.revision);
    }
    latest
}

/// The terms of a source, in order.
struct Input {
    /// New place of each of its documents; `None` if it is left out.
    new_slots: Vec<Option<u32>>,
    first_keys: std::vec::IntoIter<TermKey>,
    next_block: u32,
    block: Vec<u8>,
    /// Where the next term begins in the block, and the key of the last one.
    position: (usize, u64),
    last_key: Option<TermKey>,
    /// Where the postings of the current term are in the block.
    postings: Range<usize>,
}

impl Input {
    fn new(directory: &[u8], new_slots: Vec<Option<u32>>) -> Result<Self, InvalidSegment> {
        Ok(Self {
            new_slots,
            first_keys: Directory::decode(directory)?.into_first_keys().into_iter(),
            next_block: 0,
            block: Vec::new(),
            position: (0, 0),
            last_key: None,
            postings: 0..0,
        })
    }

    /// The number of the block that is to be given next.
    fn next_block(&self) -> Option<u32> {
        (!self.first_keys.as_slice().is_empty()).then_some(self.next_block)
    }

    fn take(&mut self, block: Vec<u8>) -> Result<(), InvalidSegment> {
        let first_key = self.first_keys.next().ok_or(InvalidSegment)?;
        self.next_block += 1;
        self.position = (0, first_key.to_u64());
        self.block = block;
        Ok(())
    }

    /// Goes to the next term and returns it; `None` at the end of the block.
    fn next_term(&mut self) -> Result<Option<TermKey>, InvalidSegment> {
        let mut terms = Terms::resume(&self.block, self.position);
        let Some((key, postings)) = terms.next_term()? else {
            return Ok(None);
        };
        if self.last_key.is_some_and(|last| last >= key) {
            return Err(InvalidSegment);
        }
        self.last_key = Some(key);
        self.position = terms.position(&self.block);
        let (end, _) = self.position;
        self.postings = end - postings.byte_count()..end;
        Ok(Some(key))
    }

    /// Appends the postings of the current term in kept documents.
    fn append_to(&self, merged: &mut Vec<Posting>) -> Result<(), InvalidSegment> {
        let postings = self.block.get(self.postings.clone()).ok_or(InvalidSegment)?;
        let document_count = u32::try_from(self.new_slots.len()).map_err(|_| InvalidSegment)?;
        EncodedPostings::new(postings).for_each(document_count, |document, counts| {
            if let Some(slot) = self.new_slots.get(document as usize).copied().flatten() {
                merged.push(Posting { slot, counts });
            }
        })
    }
}
