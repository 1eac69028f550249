//! The stored form of an index: segments.
//!
//! A segment is immutable and holds some documents: their entries, the postings of their terms in blocks, and their
//! words. A change of a document adds a small segment with its new state; [`merge`] makes one segment of several. The
//! newest revision of a document counts, in whichever segment it is.
//!
//! The program that stores segments reads the documents and directories of all, and of the blocks those that contain
//! the terms of a query, see [`SegmentedIndex`]. All bytes are checked when they are read: damaged ones give
//! [`InvalidSegment`], never a panic.

mod block;
mod builder;
mod checksum;
mod directory;
mod documents;
mod index;
mod loaded;
mod merge;
mod numbers;
#[cfg(test)]
mod tests;
mod words;

pub use builder::SegmentBuilder;
pub use checksum::{DocumentChecksum, document_checksums};
pub use documents::{StoredContent, StoredDocument};
pub use index::{Applied, BlockId, SegmentId, SegmentedIndex};
pub use loaded::LoadedIndex;
pub use merge::{MergeStep, Merger, SegmentHead, merge};

/// A segment as bytes, to store them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedSegment {
    /// Number of documents, with the removed ones.
    pub document_count: u32,
    /// The documents: ids, revisions, lengths, names, payloads.
    pub documents: Vec<u8>,
    /// The first term of each block.
    pub directory: Vec<u8>,
    /// The postings, ordered by term. A block has about [`BLOCK_BYTES`].
    pub blocks: Vec<Vec<u8>>,
    /// The words for corrections, see [`Vocabulary::from_bytes`](crate::Vocabulary::from_bytes).
    pub vocabulary: Vec<u8>,
    /// The words of each document. Only [`merge`] reads them.
    pub document_words: Vec<u8>,
}

/// Size at which a block of postings ends. The postings of one term are never divided, so a block can be larger. PostgreSQL stores
/// values up to about this size in the row itself, and reads larger ones in pieces from elsewhere.
pub const BLOCK_BYTES: usize = 1_900;

/// The bytes are not a segment of this version of the program, or are damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidSegment;

impl std::fmt::Display for InvalidSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an index segment is damaged or of another version: build the index again")
    }
}

impl std::error::Error for InvalidSegment {}
