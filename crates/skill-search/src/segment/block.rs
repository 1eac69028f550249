//! Blocks: the postings of consecutive terms.
//!
//! Of each term: the difference of its key from that of the term before, the number of bytes that follow, and its
//! postings. Of each posting: the difference of the document's number from that of the posting before (starting at 1),
//! a byte with one bit for each field that contains the term, and the occurrences in those fields unless all are 1.

use super::numbers::{Reader, write_number};
use super::{BLOCK_BYTES, InvalidSegment};
use crate::document::Field;
use crate::postings::{FieldCounts, Posting};
use crate::term::TermKey;

/// Set in a posting's byte of fields if the term occurs once in each.
const ONCE_EACH: u8 = 1 << 7;

/// Divides postings into blocks. Terms must come in ascending order.
#[derive(Default)]
pub(super) struct BlockWriter {
    blocks: Vec<Vec<u8>>,
    first_keys: Vec<TermKey>,
    current: Vec<u8>,
    previous: u64,
    /// Buffer for the postings of a term.
    encoded: Vec<u8>,
}

impl BlockWriter {
    /// Adds a term with its postings, ordered by document.
    pub(super) fn push(&mut self, key: TermKey, postings: &[Posting]) {
        self.encoded.clear();
        let mut previous = None;
        for posting in postings {
            let gap = match previous {
                Some(previous) => posting.slot.wrapping_sub(previous),
                None => posting.slot + 1,
            };
            previous = Some(posting.slot);
            write_number(&mut self.encoded, u64::from(gap));
            write_counts(&mut self.encoded, posting.counts);
        }
        if !self.current.is_empty() && self.current.len() + self.encoded.len() > BLOCK_BYTES {
            self.end_block();
        }
        if self.current.is_empty() {
            self.first_keys.push(key);
            self.previous = key.to_u64();
        }
        write_number(&mut self.current, key.to_u64() - self.previous);
        self.previous = key.to_u64();
        write_number(&mut self.current, self.encoded.len() as u64);
        self.current.extend_from_slice(&self.encoded);
    }

    fn end_block(&mut self) {
        self.blocks.push(std::mem::take(&mut self.current));
    }

    pub(super) fn finished_bytes(&self) -> usize {
        self.blocks.iter().map(Vec::len).sum()
    }

    /// The blocks that are complete, without those that were taken before.
    pub(super) fn take_blocks(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.blocks)
    }

    /// The blocks that were not taken, and the first term of each block.
    pub(super) fn finish(mut self) -> (Vec<Vec<u8>>, Vec<TermKey>) {
        if !self.current.is_empty() {
            self.end_block();
        }
        (self.blocks, self.first_keys)
    }
}

fn write_counts(bytes: &mut Vec<u8>, counts: FieldCounts) {
    let counts = Field::ALL.map(|field| counts.get(field));
    let mut fields = 0;
    for (bit, count) in counts.iter().enumerate() {
        if *count > 0 {
            fields |= 1 << bit;
        }
    }
    if counts.iter().all(|count| *count <= 1) {
        bytes.push(fields | ONCE_EACH);
    } else {
        bytes.push(fields);
        bytes.extend(counts.iter().filter(|count| **count > 0));
    }
}

/// A posting's byte of fields if the term occurs in the body only, as it does in most documents.
const BODY_ONLY: u8 = 1 << (Field::COUNT - 1);
const ONCE_IN_BODY: u8 = BODY_ONLY | ONCE_EACH;

/// The occurrences in the fields of `fields`, unless they are in that byte.
fn read_counts(reader: &mut Reader<'_>, fields: u8) -> Result<FieldCounts, InvalidSegment> {
    let mut counts = [0; Field::COUNT];
    for (bit, count) in counts.iter_mut().enumerate() {
        if fields >> bit & 1 == 1 {
            *count = if fields & ONCE_EACH == 0 {
                reader.byte()?
            } else {
                1
            };
        }
    }
    Ok(FieldCounts::new(counts))
}

/// The terms of a block in order, each with its encoded postings.
pub(super) struct Terms<'a> {
    reader: Reader<'a>,
    key: u64,
}

impl<'a> Terms<'a> {
    /// `first_key` is that of the block in its directory.
    pub(super) const fn new(block: &'a [u8], first_key: TermKey) -> Self {
        Self {
            reader: Reader(block),
            key: first_key.to_u64(),
        }
    }

    /// Continues at the end of what [`Self::position`] says of another reader.
    pub(super) fn resume(block: &'a [u8], (offset, key): (usize, u64)) -> Self {
        Self {
            reader: Reader(block.get(offset..).unwrap_or_default()),
            key,
        }
    }

    /// Where the next term begins in `block`, and the key of the last one.
    pub(super) const fn position(&self, block: &[u8]) -> (usize, u64) {
        (block.len() - self.reader.0.len(), self.key)
    }

    pub(super) fn next_term(&mut self) -> Result<Option<(TermKey, EncodedPostings<'a>)>, InvalidSegment> {
        if self.reader.is_at_end() {
            return Ok(None);
        }
        let gap = self.reader.number()?;
        self.key = self.key.checked_add(gap).ok_or(InvalidSegment)?;
        let postings = self.reader.bytes()?;
        Ok(Some((TermKey::from_u64(self.key), EncodedPostings(postings))))
    }

    /// The postings of a term; `None` if the block has none.
    pub(super) fn find(mut self, key: TermKey) -> Result<Option<EncodedPostings<'a>>, InvalidSegment> {
        while let Some((found, postings)) = self.next_term()? {
            if found == key {
                return Ok(Some(postings));
            }
            if found > key {
                break;
            }
        }
        Ok(None)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct EncodedPostings<'a>(&'a [u8]);

impl<'a> EncodedPostings<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn byte_count(self) -> usize {
        self.0.len()
    }

    /// About the number of postings.
    pub(super) const fn likely_count(self) -> usize {
        // Those of frequent terms take two or three bytes.
        self.0.len() / 2
    }

    /// Calls `each` with the postings in the order of their documents, whose numbers are below `document_count`.
    pub(super) fn for_each(
        self,
        document_count: u32,
        mut each: impl FnMut(u32, FieldCounts),
    ) -> Result<(), InvalidSegment> {
        let mut reader = Reader(self.0);
        // The number of the document after the previous one.
        let mut next = 0_u32;
        while !reader.is_at_end() {
            let (gap, counts) = match reader.0 {
                // Most postings are like this, and a search reads very many.
                [gap @ ..0x80, BODY_ONLY, count, rest @ ..] => {
                    reader.0 = rest;
                    (u32::from(*gap), FieldCounts::in_body(*count))
                }
                [gap @ ..0x80, ONCE_IN_BODY, rest @ ..] => {
                    reader.0 = rest;
                    (u32::from(*gap), FieldCounts::in_body(1))
                }
                _ => {
                    let gap = reader.number_u32()?;
                    let fields = reader.byte()?;
                    (gap, read_counts(&mut reader, fields)?)
                }
            };
            let document = gap
                .checked_sub(1)
                .and_then(|skipped| next.checked_add(skipped))
                .filter(|document| *document < document_count)
                .ok_or(InvalidSegment)?;
            each(document, counts);
            next = document + 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Written = Vec<(TermKey, Vec<Posting>)>;

    fn written() -> impl Strategy<Value = Written> {
        let counts = prop::array::uniform5(prop_oneof![Just(0_u8), Just(1), 0..=255_u8]);
        let postings = prop::collection::btree_map(0..5_000_u32, counts, 1..60);
        prop::collection::btree_map(any::<u64>(), postings, 0..80).prop_map(|terms| {
            let posting = |(slot, counts): (u32, [u8; 5])| Posting {
                slot,
                counts: FieldCounts::new(counts),
            };
            terms
                .into_iter()
                .map(|(key, postings)| {
                    (
                        TermKey::from_u64(key),
                        postings.into_iter().map(posting).collect(),
                    )
                })
                .collect()
        })
    }

    fn read(blocks: &[Vec<u8>], first_keys: &[TermKey]) -> Result<Written, InvalidSegment> {
        let mut read = Vec::new();
        for (block, first_key) in blocks.iter().zip(first_keys) {
            let mut terms = Terms::new(block, *first_key);
            while let Some((key, encoded)) = terms.next_term()? {
                let mut postings = Vec::new();
                encoded.for_each(5_000, |slot, counts| postings.push(Posting { slot, counts }))?;
                read.push((key, postings));
            }
        }
        Ok(read)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn blocks_are_read_back(written in written()) {
            let mut writer = BlockWriter::default();
            for (key, postings) in &written {
                writer.push(*key, postings);
            }
            let (blocks, first_keys) = writer.finish();
            prop_assert_eq!(read(&blocks, &first_keys), Ok(written.clone()));
            for (key, postings) in written {
                let at = first_keys.partition_point(|first| *first <= key) - 1;
                let found = Terms::new(&blocks[at], first_keys[at]).find(key).unwrap().unwrap();
                let mut count = 0;
                found.for_each(5_000, |_, _| count += 1).unwrap();
                prop_assert_eq!(count, postings.len());
            }
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200), key in any::<u64>()) {
            let key = TermKey::from_u64(key);
            let _ = read(std::slice::from_ref(&bytes), &[key]);
            let _ = Terms::new(&bytes, key).find(key);
        }
    }
}
