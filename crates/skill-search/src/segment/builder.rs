//! Builds a segment of documents.

use std::collections::HashMap;

use super::block::BlockWriter;
use super::directory::Directory;
use super::documents::{self, StoredContent, StoredDocument};
use super::{EncodedSegment, words};
use crate::analysis::AnalyzedDocument;
use crate::postings::Posting;
use crate::term::TermKey;

/// Collects documents for a new segment.
#[derive(Default)]
pub struct SegmentBuilder {
    documents: Vec<StoredDocument>,
    postings: HashMap<TermKey, Vec<Posting>>,
    words: Vec<Vec<Box<str>>>,
}

impl SegmentBuilder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Adds a document. A document may be added once.
    pub fn add(&mut self, document: AnalyzedDocument<u128>, revision: u64, payload: Box<[u8]>) {
        let slot = self.next_slot();
        for (key, counts) in document.terms {
            self.postings
                .entry(key)
                .or_default()
                .push(Posting { slot, counts });
        }
        self.words.push(document.words);
        self.documents.push(StoredDocument {
            id: document.entry.id,
            revision,
            content: Some(StoredContent {
                entry: document.entry,
                name_keys: document.name_keys,
                payload,
            }),
        });
    }

    /// Records that a document was removed.
    pub fn add_removed(&mut self, id: u128, revision: u64) {
        self.words.push(Vec::new());
        self.documents.push(StoredDocument {
            id,
            revision,
            content: None,
        });
    }

    fn next_slot(&self) -> u32 {
        // There are fewer than 2³² documents, since their entries alone would exceed the memory.
        u32::try_from(self.documents.len()).unwrap_or(u32::MAX)
    }

    #[must_use]
    pub fn finish(self) -> EncodedSegment {
        let document_count = self.next_slot();
        let mut terms: Vec<(TermKey, Vec<Posting>)> = self.postings.into_iter().collect();
        terms.sort_unstable_by_key(|(key, _)| *key);
        let mut writer = BlockWriter::default();
        for (key, postings) in &terms {
            writer.push(*key, postings);
        }
        let (blocks, first_keys) = writer.finish();
        let words: Vec<Vec<&str>> = self
            .words
            .iter()
            .map(|words| words.iter().map(|word| &**word).collect())
            .collect();
        let (vocabulary, document_words) = words::encode(&words);
        EncodedSegment {
            document_count,
            documents: documents::encode(&self.documents),
            directory: Directory::encode(&first_keys),
            blocks,
            vocabulary,
            document_words,
        }
    }
}
