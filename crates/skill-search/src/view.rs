//! What ranking reads of an index, wherever its postings are stored.

use crate::document::Field;
use crate::postings::Posting;
use crate::term::TermKey;
use crate::vocabulary::Vocabulary;

/// An index that [`search`](crate::search) can rank.
///
/// Ranking reads without waiting. An index that keeps its postings elsewhere loads those of [`Query::keys`] before the
/// search, and again those that [`Query::expanded`] added; [`postings`](Self::postings) is called for no other keys.
///
/// [`Query::keys`]: crate::Query::keys
/// [`Query::expanded`]: crate::Query::expanded
pub trait IndexView {
    /// Identifies a document, for example a UUID. Documents with equal scores are ordered by it.
    type Id: Copy + Ord;

    /// Number of documents.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Upper limit of the slots, exclusive. A search takes time and memory in proportion to it: 12 bytes a slot.
    fn slot_count(&self) -> usize;

    /// Number of terms of all documents together per field, in the order of [`Field::ALL`].
    fn total_lengths(&self) -> [u64; Field::COUNT];

    /// The document with this slot; `None` if it was removed.
    fn document(&self, slot: u32) -> Option<DocumentEntry<Self::Id>>;

    /// The lengths of a document that was not removed. Called once per posting of the query.
    fn lengths(&self, slot: u32) -> Option<&[u32; Field::COUNT]>;

    /// The distinct terms of a document's name, in the order of their first occurrence. None if it was removed.
    fn name_keys(&self, slot: u32) -> impl Iterator<Item = TermKey>;

    /// The documents that contain a term, in any order, each once, without removed documents. Empty if there are none.
    fn postings(&self, key: TermKey) -> &[Posting];

    /// Number of documents whose name contains a term. Called for the terms of the names of documents that match.
    fn name_frequency(&self, key: TermKey) -> u32;

    /// The words by which queries are corrected and completed. May be a little behind the documents.
    fn vocabulary(&self) -> &Vocabulary;
}

/// What ranking reads of a document, beside its postings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentEntry<Id> {
    pub id: Id,
    /// Number of terms per field, in the order of [`Field::ALL`].
    pub lengths: [u32; Field::COUNT],
    /// A SimHash of the body's terms: bodies that are nearly the same differ in few bits. 0 if the body has no terms.
    pub signature: u64,
}
