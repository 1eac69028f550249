//! The inverted index in memory.
//!
//! It is small, because each process has its own: a posting takes eight bytes, terms are hashes, and no text is stored
//! except the words of the vocabulary. It stores only integers, so the order of changes cannot affect a score: an index
//! that was changed gives the same results as a new one with the same documents.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem::size_of;

use crate::analysis::{AnalyzedDocument, Analyzer};
use crate::document::{Document, Field};
use crate::hit::Hit;
use crate::postings::{Posting, Postings};
use crate::query::Query;
use crate::ranking::search;
use crate::term::TermKey;
use crate::view::{DocumentEntry, IndexView};
use crate::vocabulary::Vocabulary;
use crate::words::Words;

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
    /// Number of documents whose name contains a term.
    name_frequencies: HashMap<TermKey, u32>,
    words: Words,
    analyzer: Analyzer,
}

struct Term {
    key: TermKey,
    postings: Postings,
}

struct IndexedDocument<Id> {
    entry: DocumentEntry<Id>,
    name_keys: Box<[TermKey]>,
    /// Indexes of its distinct terms.
    terms: Box<[u32]>,
    /// Indexes of its words in the vocabulary.
    words: Box<[u32]>,
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
            name_frequencies: HashMap::new(),
            words: Words::default(),
            analyzer: Analyzer::new(),
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
            + self.name_frequencies.capacity() * (size_of::<(TermKey, u32)>() + 1)
            + self.slots.capacity() * (size_of::<(Id, u32)>() + 1);
        let postings: usize = self.terms.iter().map(|term| term.postings.heap_bytes()).sum();
        let documents: usize = self
            .documents
            .iter()
            .flatten()
            .map(|document| {
                size_of_val(&*document.terms)
                    + size_of_val(&*document.words)
                    + size_of_val(&*document.name_keys)
            })
            .sum();
        let vectors = self.terms.capacity() * size_of::<Term>()
            + self.documents.capacity() * size_of::<Option<IndexedDocument<Id>>>()
            + (self.free_terms.capacity() + self.free_slots.capacity()) * size_of::<u32>();
        maps + postings + documents + vectors + self.words.memory_bytes() + self.analyzer.memory_bytes()
    }

    /// Adds a document, or replaces the document with the same ID.
    pub fn upsert(&mut self, document: &Document<'_, Id>) {
        self.remove(document.id);
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.documents.push(None);
            last_index(self.documents.len())
        });
        let AnalyzedDocument {
            entry,
            name_keys,
            terms,
            words,
        } = self.analyzer.analyze(document);
        let terms = terms
            .into_iter()
            .map(|(key, counts)| self.add_posting(key, Posting { slot, counts }))
            .collect();
        for (total, length) in self.total_lengths.iter_mut().zip(entry.lengths) {
            *total += u64::from(length);
        }
        for key in &name_keys {
            *self.name_frequencies.entry(*key).or_default() += 1;
        }
        let words = words.into_iter().map(|word| self.words.add(word)).collect();
        if let Some(free) = self.documents.get_mut(slot as usize) {
            *free = Some(IndexedDocument {
                entry,
                name_keys,
                terms,
                words,
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
        for (total, length) in self.total_lengths.iter_mut().zip(document.entry.lengths) {
            *total -= u64::from(length);
        }
        for key in document.name_keys {
            if let Some(frequency) = self.name_frequencies.get_mut(&key) {
                *frequency -= 1;
                if *frequency == 0 {
                    self.name_frequencies.remove(&key);
                }
            }
        }
        for word in document.words {
            self.words.remove(word);
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
}

impl<Id: Copy + Ord + Hash> SearchIndex<Id> {
    /// Returns the best `limit` documents for which `filter` is true, best first, as [`search`](crate::search) does for
    /// the expanded query.
    #[must_use]
    pub fn search(&self, query: &Query, limit: usize, filter: impl Fn(Id) -> bool) -> Vec<Hit<Id>> {
        search(self, &query.expanded(self), limit, filter)
    }
}

impl<Id: Copy + Ord + Hash> IndexView for SearchIndex<Id> {
    type Id = Id;

    fn len(&self) -> usize {
        self.slots.len()
    }

    fn slot_count(&self) -> usize {
        self.documents.len()
    }

    fn total_lengths(&self) -> [u64; Field::COUNT] {
        self.total_lengths
    }

    fn document(&self, slot: u32) -> Option<DocumentEntry<Id>> {
        let document = self.documents.get(slot as usize)?.as_ref()?;
        Some(document.entry)
    }

    fn lengths(&self, slot: u32) -> Option<&[u32; Field::COUNT]> {
        let document = self.documents.get(slot as usize)?.as_ref()?;
        Some(&document.entry.lengths)
    }

    fn name_keys(&self, slot: u32) -> impl Iterator<Item = TermKey> {
        let document = self.documents.get(slot as usize).and_then(Option::as_ref);
        document
            .into_iter()
            .flat_map(|document| document.name_keys.iter().copied())
    }

    fn postings(&self, key: TermKey) -> &[Posting] {
        self.term_indexes
            .get(&key)
            .and_then(|index| self.terms.get(*index as usize))
            .map_or(&[], |term| term.postings.as_slice())
    }

    fn name_frequency(&self, key: TermKey) -> u32 {
        self.name_frequencies.get(&key).copied().unwrap_or_default()
    }

    fn vocabulary(&self) -> &Vocabulary {
        self.words.vocabulary()
    }
}

/// Index of the last element of a vector with `len` elements. There are fewer than 2Â³Â² terms and documents, since
/// their postings alone would exceed the memory.
fn last_index(len: usize) -> u32 {
    u32::try_from(len.saturating_sub(1)).unwrap_or(u32::MAX)
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
        assert!(index.name_frequencies.is_empty());
        assert!(index.vocabulary().is_empty());
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
