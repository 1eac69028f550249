//! The directory of a segment: the first term of each block, eight bytes each, lowest byte first.

use super::InvalidSegment;
use crate::term::TermKey;

#[derive(Debug, Default)]
pub(super) struct Directory(Box<[TermKey]>);

impl Directory {
    pub(super) fn encode(first_keys: &[TermKey]) -> Vec<u8> {
        first_keys
            .iter()
            .flat_map(|key| key.to_u64().to_le_bytes())
            .collect()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, InvalidSegment> {
        let (keys, []) = bytes.as_chunks::<8>() else {
            return Err(InvalidSegment);
        };
        let keys: Box<[TermKey]> = keys
            .iter()
            .map(|key| TermKey::from_u64(u64::from_le_bytes(*key)))
            .collect();
        if keys.is_sorted() {
            Ok(Self(keys))
        } else {
            Err(InvalidSegment)
        }
    }

    /// Number of the block that contains the postings of a term, if the segment has any.
    pub(super) fn block_of(&self, key: TermKey) -> Option<u32> {
        let following = self.0.partition_point(|first| *first <= key);
        u32::try_from(following.checked_sub(1)?).ok()
    }

    pub(super) fn first_key(&self, block: u32) -> Option<TermKey> {
        self.0.get(block as usize).copied()
    }

    pub(super) fn into_first_keys(self) -> Vec<TermKey> {
        self.0.into_vec()
    }

    pub(super) const fn block_count(&self) -> usize {
        self.0.len()
    }
}
