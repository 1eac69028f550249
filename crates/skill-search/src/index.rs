//! The inverted index.
//!
//! It is small, because each process has its own: a posting takes eight bytes, terms are hashes, and no text is stored.
//! It stores only integers, so the order of changes cannot affect a score: an index that was changed gives the same
//! results as a new one with the same documents.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem::size_of;

use crate::document::{Document, Field};
use crate::postings::{FieldCounts, Posting, Postings};
use crate::tokenizer::{TermKey, Tokenizer};

/// Maximum number of bytes of a body that are indexed. Measured on real skills, text beyond it does not change the
/// ranking. Bounds the time for which one large document delays the searches after it.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Maximum number of bytes of each other field that are indexed; tags and headings are counted together.
pub const MAX_FIELD_BYTES: usize = 16 * 1024;

/// An in-memory full-text index. `Id` identifies a document, for example a UUID.
///
/// # Examples
/// ```
/// use skill_search::{Document, Query, SearchIndex};
///
/// let mut index = SearchIndex::new();
/// index.upsert(&Document {
///     id: 1,
///     name: "pdf-tools",
///     description: "Extracts tables from PDF files",
///     tags: &["documents".to_owned()],
///     headings: &[],
///     body: "Run the script.",
/// });
/// let hits = index.search(&Query::new("extract the tables, please"), 10, |_| true);
/// assert_eq!(hits[0].id, 1);
/// assert_eq!(hits[0].why(8), "description: extract, tables");
///
/// index.remove(1);
/// assert!(index.is_empty());
/// ```
pub struct SearchIndex<Id> {
    /// Index of a term in `terms`.
    term_indexes: HashMap<TermKey, u32>,
    terms: Vec<Term>,
    /// Unused indexes of `terms`.
    free_terms: Vec<u32>,
    /// Index of a document in `documents`.
    slots: HashMap<Id, u32>,
    documents: Vec<Option<IndexedDocument<Id>>>,
    /// Unused indexes of `documents`.
    free_slots: Vec<u32>,
    /// Number of terms of all documents together, per field. Gives the average length of a field.
    total_lengths: [u64; Field::COUNT],
    tokenizer: Tokenizer,
}

struct Term {
    key: TermKey,
    postings: Postings,
}

pub(crate) struct IndexedDocument<Id> {
    pub(crate) id: Id,
    /// Number of terms per field, in the order of [`Field::ALL`].
    pub(crate) lengths: [u32; Field::COUNT],
    /// Indexes of its distinct terms in the order of their first occurrence. The first `name_terms` are in the name.
    terms: Box<[u32]>,
    name_terms: usize,
}

impl<Id> IndexedDocument<Id> {
    pub(crate) fn name_terms(&self) -> impl Iterator<Item = u32> {
        self.terms.iter().take(self.name_terms).copied()
    }
}

impl<Id> Default for SearchIndex<Id> {
    fn default() -> Self {
        Self {
            term_indexes: HashMap::new(),
            terms: Vec::new(),
            free_terms: Vec::new(),
            slots: HashMap::new(),
            documents: Vec::new(),
            free_slots: Vec::new(),
            total_lengths: [0; Field::COUNT],
            tokenizer: Tokenizer::default(),
        }
    }
}

impl<Id: Copy + Eq + Hash> SearchIndex<Id> {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of documents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Memory use in bytes, without the overhead of the allocator.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        // A HashMap has one control byte per bucket.
        let maps = self.term_indexes.capacity() * (size_of::<(TermKey, u32)>() + 1)
            + self.slots.capacity() * (size_of::<(Id, u32)>() + 1);
        let postings: usize = self.terms.iter().map(|term| term.postings.heap_bytes()).sum();
        let documents: usize = self
            .documents
            .iter()
            .flatten()
            .map(|document| size_of_val(&*document.terms))
            .sum();
        let vectors = self.terms.capacity() * size_of::<Term>()
            + self.documents.capacity() * size_of::<Option<IndexedDocument<Id>>>()
            + (self.free_terms.capacity() + self.free_slots.capacity()) * size_of::<u32>();
        maps + postings + documents + vectors + self.tokenizer.memory_bytes()
    }

    /// Adds a document, or replaces the document with the same ID.
    pub fn upsert(&mut self, document: &Document<'_, Id>) {
        self.remove(document.id);
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.documents.push(None);
            last_index(self.documents.len())
        });
        let (counts_by_term, lengths) = count_terms(&mut self.tokenizer, document);
        let name_terms = counts_by_term
            .iter()
            .take_while(|(_, counts)| counts.get(Field::Name) > 0)
            .count();
        let terms = counts_by_term
            .into_iter()
            .map(|(key, counts)| self.add_posting(key, Posting { slot, counts }))
            .collect();
        for (total, length) in self.total_lengths.iter_mut().zip(lengths) {
            *total += u64::from(length);
        }
        if let Some(free) = self.documents.get_mut(slot as usize) {
            *free = Some(IndexedDocument {
                id: document.id,
                lengths,
                terms,
                name_terms,
            });
        }
        self.slots.insert(document.id, slot);
    }

    /// Removes a document. Does nothing if the index does not contain it.
    pub fn remove(&mut self, id: Id) {
        let Some(slot) = self.slots.remove(&id) else {
            return;
        };
        let Some(document) = self.documents.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        self.free_slots.push(slot);
        for term in document.terms {
            self.remove_posting(term, slot);
        }
        for (total, length) in self.total_lengths.iter_mut().zip(document.lengths) {
            *total -= u64::from(length);
        }
    }

    /// Adds a posting to a term, which is created if it is new. Returns the term's index.
    fn add_posting(&mut self, key: TermKey, posting: Posting) -> u32 {
        if let Some(&index) = self.term_indexes.get(&key) {
            if let Some(term) = self.terms.get_mut(index as usize) {
                term.postings.push(posting);
            }
            return index;
        }
        let term = Term {
            key,
            postings: Postings::One(posting),
        };
        let index = match self.free_terms.pop() {
            Some(index) => {
                if let Some(free) = self.terms.get_mut(index as usize) {
                    *free = term;
                }
                index
            }
            None => {
                self.terms.push(term);
                last_index(self.terms.len())
            }
        };
        self.term_indexes.insert(key, index);
        index
    }

    fn remove_posting(&mut self, index: u32, slot: u32) {
        let Some(term) = self.terms.get_mut(index as usize) else {
            return;
        };
        if term.postings.remove(slot) {
            self.term_indexes.remove(&term.key);
            term.postings = Postings::Many(Vec::new());
            self.free_terms.push(index);
        }
    }

    /// The postings of a term; empty if no document contains it.
    pub(crate) fn postings(&self, key: TermKey) -> &[Posting] {
        self.term_indexes
            .get(&key)
            .map_or(&[], |index| self.postings_at(*index))
    }

    pub(crate) fn postings_at(&self, index: u32) -> &[Posting] {
        self.terms
            .get(index as usize)
            .map_or(&[], |term| term.postings.as_slice())
    }

    /// The documents by slot. `None` for the slot of a removed document.
    pub(crate) fn documents(&self) -> &[Option<IndexedDocument<Id>>] {
        &self.documents
    }

    /// Number of terms of all documents together, in the order of [`Field::ALL`].
    pub(crate) const fn total_lengths(&self) -> [u64; Field::COUNT] {
        self.total_lengths
    }
}

/// Index of the last element of a vector with `len` elements. There are fewer than 2³² terms and documents, since
/// their postings alone would exceed the memory.
fn last_index(len: usize) -> u32 {
    u32::try_from(len.saturating_sub(1)).unwrap_or(u32::MAX)
}

type CountsByTerm = Vec<(TermKey, FieldCounts)>;

/// Counts the occurrences of each term per field, in the order of first occurrence. Also returns the lengths of the
/// fields in terms.
fn count_terms<Id>(
    tokenizer: &mut Tokenizer,
    document: &Document<'_, Id>,
) -> (CountsByTerm, [u32; Field::COUNT]) {
    let mut counts_by_term: CountsByTerm = Vec::new();
    let mut positions: HashMap<TermKey, usize> =
        HashMap::with_capacity(document.body.len().min(MAX_BODY_BYTES) / 16);
    let lengths = Field::ALL.map(|field| {
        let mut length = 0_u32;
        for_each_text(document, field, &mut |text| {
            tokenizer.tokens(text, &mut |token| {
                length = length.saturating_add(1);
                let position = *positions.entry(token.key).or_insert_with(|| {
                    counts_by_term.push((token.key, FieldCounts::default()));
                    counts_by_term.len() - 1
                });
                if let Some((_, counts)) = counts_by_term.get_mut(position) {
                    counts.increment(field);
                }
            });
        });
        length
    });
    (counts_by_term, lengths)
}

/// Calls `each` with the texts of a field, up to the field's limit in bytes.
fn for_each_text<Id>(document: &Document<'_, Id>, field: Field, each: &mut impl FnMut(&str)) {
    let mut bytes_left = MAX_FIELD_BYTES;
    let mut each_item = |items: &[String]| {
        for item in items {
            let item = truncated(item, bytes_left);
            bytes_left -= item.len();
            each(item);
        }
    };
    match field {
        Field::Name => each(truncated(document.name, MAX_FIELD_BYTES)),
        Field::Tags => each_item(document.tags),
        Field::Description => each(truncated(document.description, MAX_FIELD_BYTES)),
        Field::Headings => each_item(document.headings),
        Field::Body => each(truncated(document.body, MAX_BODY_BYTES)),
    }
}

/// The longest prefix of at most `max_bytes` bytes that ends between two characters.
fn truncated(text: &str, max_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(max_bytes))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(index: &mut SearchIndex<usize>, body: &str) -> usize {
        let id = index.len() + 1;
        index.upsert(&document(id, body));
        id
    }

    fn document(id: usize, body: &str) -> Document<'_, usize> {
        Document {
            id,
            name: "pdf",
            description: "",
            tags: &[],
            headings: &[],
            body,
        }
    }

    #[test]
    fn removed_documents_leave_nothing_behind() {
        let mut index = SearchIndex::new();
        let ids = ["one body", "another body", "a third body"].map(|body| add(&mut index, body));
        assert_eq!(index.len(), 3);
        for id in ids {
            index.remove(id);
            index.remove(id);
        }
        assert!(index.is_empty());
        assert!(index.term_indexes.is_empty());
        assert_eq!(index.total_lengths, [0; 5]);
        assert_eq!(index.free_terms.len(), index.terms.len());
        assert_eq!(index.free_slots.len(), index.documents.len());
    }

    #[test]
    fn freed_terms_and_slots_are_reused() {
        let mut index = SearchIndex::new();
        let id = add(&mut index, "one two three");
        let (terms, documents) = (index.terms.len(), index.documents.len());
        for round in 0..100 {
            let body = format!("word{round} other{round} third{round}");
            index.upsert(&document(id, &body));
        }
        assert_eq!(index.len(), 1);
        assert_eq!(index.documents.len(), documents);
        assert!(index.terms.len() <= 2 * terms, "{} terms", index.terms.len());
    }

    #[test]
    fn long_body_is_cut_between_characters() {
        assert_eq!(truncated("\u{e9}\u{e9}", 3), "\u{e9}");
        assert_eq!(truncated("\u{e9}", 0), "");
        assert_eq!(truncated("pdf", 9), "pdf");
        let mut index = SearchIndex::new();
        add(
            &mut index,
            &format!("early {} late", "\u{2014}".repeat(MAX_BODY_BYTES)),
        );
        // The name and the first word; "late" is after the limit.
        assert_eq!(index.terms.len(), 2);
    }

    #[test]
    fn memory_use_includes_terms() {
        let mut index = SearchIndex::new();
        let empty = index.memory_bytes();
        add(
            &mut index,
            &(0..1_000).map(|n| format!("word{n}, ")).collect::<String>(),
        );
        assert!(index.memory_bytes() > empty + 1_000 * (size_of::<Term>() + size_of::<u32>()));
    }
}
