//! Makes one segment of several.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::block::{BlockWriter, EncodedPostings, Terms};
use super::directory::Directory;
use super::documents::{self, StoredDocument};
use super::{EncodedSegment, InvalidSegment, words};
use crate::postings::Posting;
use crate::term::TermKey;
use crate::vocabulary::Vocabulary;

/// The bytes of a stored segment.
#[derive(Debug, Clone, Copy)]
pub struct SegmentSource<'a> {
    pub documents: &'a [u8],
    pub directory: &'a [u8],
    /// All blocks, in order.
    pub blocks: &'a [Vec<u8>],
    pub vocabulary: &'a [u8],
    pub document_words: &'a [u8],
}

impl<'a> From<&'a EncodedSegment> for SegmentSource<'a> {
    fn from(segment: &'a EncodedSegment) -> Self {
        Self {
            documents: &segment.documents,
            directory: &segment.directory,
            blocks: &segment.blocks,
            vocabulary: &segment.vocabulary,
            document_words: &segment.document_words,
        }
    }
}

/// One segment with the latest revision of each document of `sources`. `is_current` says whether a revision of a document is still
/// the latest one; others are left out. Records of removed documents are kept while `is_current` is true for them.
///
/// # Errors
/// Returns [`InvalidSegment`] if a source is damaged.
pub fn merge(
    sources: &[SegmentSource<'_>],
    is_current: impl Fn(&StoredDocument) -> bool,
) -> Result<EncodedSegment, InvalidSegment> {
    let mut merged = Merged::default();
    let mut inputs = Vec::with_capacity(sources.len());
    let documents = sources
        .iter()
        .map(|source| documents::decode(source.documents))
        .collect::<Result<Vec<_>, _>>()?;
    let vocabularies = sources
        .iter()
        .map(|source| Vocabulary::from_bytes(source.vocabulary).map_err(|_| InvalidSegment))
        .collect::<Result<Vec<_>, _>>()?;
    let mut latest = latest_revisions(&documents);
    let mut words_of: Vec<Vec<&str>> = Vec::new();
    for ((source, documents), vocabulary) in sources.iter().zip(documents).zip(&vocabularies) {
        let words = words::decode(vocabulary, source.document_words, documents.len())?;
        let mut new_slots = Vec::with_capacity(documents.len());
        for (document, words) in documents.into_iter().zip(words) {
            let is_latest = latest.get(&document.id) == Some(&document.revision);
            if is_latest && is_current(&document) {
                latest.remove(&document.id);
                words_of.push(words);
                new_slots.push(Some(merged.push(document)));
            } else {
                new_slots.push(None);
            }
        }
        inputs.push(Input::new(source, new_slots)?);
    }
    merge_postings(inputs, &mut merged.writer)?;
    let (vocabulary, document_words) = words::encode(&words_of);
    let (blocks, first_keys) = merged.writer.finish();
    Ok(EncodedSegment {
        document_count: u32::try_from(merged.documents.len()).map_err(|_| InvalidSegment)?,
        documents: documents::encode(&merged.documents),
        directory: Directory::encode(&first_keys),
        blocks,
        vocabulary,
        document_words,
    })
}

fn latest_revisions(documents: &[Vec<StoredDocument>]) -> HashMap<u128, u64> {
    let mut latest: HashMap<u128, u64> = HashMap::new();
    for document in documents.iter().flatten() {
        let revision = latest.entry(document.id).or_default();
        *revision = (*revision).max(document.revision);
    }
    latest
}

#[derive(Default)]
struct Merged {
    documents: Vec<StoredDocument>,
    writer: BlockWriter,
}

impl Merged {
    fn push(&mut self, document: StoredDocument) -> u32 {
        let slot = u32::try_from(self.documents.len()).unwrap_or(u32::MAX);
        self.documents.push(document);
        slot
    }
}

/// The terms of a source, in order.
struct Input<'a> {
    /// New place of each of its documents; `None` if it is left out.
    new_slots: Vec<Option<u32>>,
    blocks: std::iter::Zip<std::slice::Iter<'a, Vec<u8>>, std::vec::IntoIter<TermKey>>,
    terms: Option<Terms<'a>>,
    /// The postings of the term that is next.
    postings: Option<EncodedPostings<'a>>,
}

impl<'a> Input<'a> {
    fn new(source: &SegmentSource<'a>, new_slots: Vec<Option<u32>>) -> Result<Self, InvalidSegment> {
        let first_keys = Directory::decode(source.directory)?.into_first_keys();
        if first_keys.len() != source.blocks.len() {
            return Err(InvalidSegment);
        }
        Ok(Self {
            new_slots,
            blocks: source.blocks.iter().zip(first_keys),
            terms: None,
            postings: None,
        })
    }

    /// Goes to the next term and returns it.
    fn advance(&mut self) -> Result<Option<TermKey>, InvalidSegment> {
        loop {
            if let Some(terms) = &mut self.terms
                && let Some((key, postings)) = terms.next_term()?
            {
                self.postings = Some(postings);
                return Ok(Some(key));
            }
            let Some((block, first_key)) = self.blocks.next() else {
                return Ok(None);
            };
            self.terms = Some(Terms::new(block, first_key));
        }
    }

    /// Appends the postings of the current term in kept documents.
    fn append_to(&self, merged: &mut Vec<Posting>) -> Result<(), InvalidSegment> {
        let Some(postings) = self.postings else {
            return Ok(());
        };
        let document_count = u32::try_from(self.new_slots.len()).map_err(|_| InvalidSegment)?;
        postings.for_each(document_count, |document, counts| {
            if let Some(slot) = self.new_slots.get(document as usize).copied().flatten() {
                merged.push(Posting { slot, counts });
            }
        })
    }
}

fn merge_postings(mut inputs: Vec<Input<'_>>, writer: &mut BlockWriter) -> Result<(), InvalidSegment> {
    // The lowest term first, and its inputs in their order, which is that of the new slots.
    let mut queue = BinaryHeap::new();
    for (number, input) in inputs.iter_mut().enumerate() {
        if let Some(key) = input.advance()? {
            queue.push(Reverse((key, number)));
        }
    }
    let mut postings = Vec::new();
    let mut previous = None;
    while let Some(Reverse((key, number))) = queue.pop() {
        if let Some(previous) = previous.filter(|previous| *previous != key) {
            write_term(writer, previous, &mut postings);
        }
        previous = Some(key);
        let Some(input) = inputs.get_mut(number) else {
            continue;
        };
        input.append_to(&mut postings)?;
        if let Some(next) = input.advance()? {
            if next <= key {
                return Err(InvalidSegment);
            }
            queue.push(Reverse((next, number)));
        }
    }
    if let Some(previous) = previous {
        write_term(writer, previous, &mut postings);
    }
    Ok(())
}

fn write_term(writer: &mut BlockWriter, key: TermKey, postings: &mut Vec<Posting>) {
    if !postings.is_empty() {
        writer.push(key, postings);
    }
    postings.clear();
}
