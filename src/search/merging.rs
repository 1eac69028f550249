//! Merges segments, so that a search reads few of them.
//!
//! The transaction that adds a segment merges small ones: of each size, when there are [`FAN_IN`] of them. Larger ones are merged in
//! the background, so that each has more than [`RATIO`] times as many documents as all smaller ones together: 100,000 skills
//! are in at most six segments of more than [`MAX_IN_CALL`] documents.

use std::cmp::Reverse;
use std::collections::VecDeque;

use skill_search::segment::{EncodedSegment, MergeStep, Merger, SegmentHead, merge};
use uuid::Uuid;

use super::segments::{self, SegmentRow};
use crate::db::{DbError, TenantTx};

const FAN_IN: usize = 8;
/// Merges up to this many documents are done by the transaction that made them necessary.
const MAX_IN_CALL: u32 = 64;
const RATIO: u32 = 3;
/// No merged segment is larger. Bounds the memory of a merge, which is about a kilobyte a document.
const MAX_DOCUMENTS: u32 = 131_072;
/// Blocks of a segment that a merge reads at once: about half a megabyte.
const READ_BLOCKS: i32 = 256;

/// The size class of a small segment: the number of digits of its document count in base [`FAN_IN`].
fn size_class(segment: &SegmentRow) -> u32 {
    segment.document_count.max(1).ilog(8)
}

/// The next segments that the transaction that added one merges.
fn choose_small(stored: &[SegmentRow]) -> Option<Vec<Uuid>> {
    (0..=MAX_IN_CALL.ilog(8)).find_map(|class| {
        let chosen: Vec<&SegmentRow> = stored
            .iter()
            .filter(|segment| size_class(segment) == class)
            .take(FAN_IN)
            .collect();
        let documents: u32 = chosen.iter().map(|segment| segment.document_count).sum();
        (chosen.len() == FAN_IN && documents <= MAX_IN_CALL)
            .then(|| chosen.iter().map(|segment| segment.id).collect())
    })
}

/// The next segments to merge in the background: one and all smaller ones.
pub(super) fn choose_large(stored: &[SegmentRow]) -> Option<Vec<Uuid>> {
    let mut sorted: Vec<&SegmentRow> = stored.iter().collect();
    sorted.sort_by_key(|segment| Reverse(segment.document_count));
    let mut smaller: u32 = sorted.iter().map(|segment| segment.document_count).sum();
    for (at, segment) in sorted.iter().enumerate() {
        let own = segment.document_count;
        smaller -= own;
        let is_due = own > MAX_IN_CALL && smaller > 0 && smaller.saturating_mul(RATIO) >= own;
        if is_due && own + smaller <= MAX_DOCUMENTS {
            return Some(sorted.iter().skip(at).map(|segment| segment.id).collect());
        }
    }
    None
}

/// Merges small segments in the transaction that added one. Returns whether larger ones are left to merge.
pub(super) async fn merge_small(tx: &TenantTx) -> Result<bool, DbError> {
    loop {
        let stored = segments::list(tx).await?;
        let is_done = match choose_small(&stored) {
            Some(chosen) => !merge_in_memory(tx, &chosen).await?,
            None => true,
        };
        if is_done {
            return Ok(choose_large(&stored).is_some());
        }
    }
}

/// Returns whether the segments were there.
async fn merge_in_memory(tx: &TenantTx, ids: &[Uuid]) -> Result<bool, DbError> {
    let Some(taken) = segments::take(tx, ids).await? else {
        return Ok(false);
    };
    let revision = taken.iter().map(|taken| taken.revision).max().unwrap_or(0);
    let merged = tokio::task::spawn_blocking(move || {
        let sources: Vec<&EncodedSegment> = taken.iter().map(|taken| &taken.segment).collect();
        merge(&sources, |_id, _revision| true)
    })
    .await
    .map_err(|error| DbError::Corrupt(format!("index segments could not be merged: {error}")))?;
    segments::insert(tx, revision, &merged.map_err(segments::damaged)?).await?;
    Ok(true)
}

/// Merges segments of any size in a transaction of its own, which holds the lock for merging. If this returns `false`, another
/// transaction removed some of them, and this one must be rolled back.
pub(super) async fn merge_large(
    tx: &TenantTx,
    stored: &[SegmentRow],
    chosen: &[Uuid],
) -> Result<bool, DbError> {
    let revisions = stored.iter().filter(|segment| chosen.contains(&segment.id));
    let revision = revisions.map(|segment| segment.revision).max().unwrap_or(0);
    let heads = segments::heads(tx, chosen).await?;
    if heads.len() != chosen.len() {
        return Ok(false);
    }
    let ids: Vec<Uuid> = heads.iter().map(|(id, _)| *id).collect();
    let merger = tokio::task::spawn_blocking(move || {
        let heads: Vec<SegmentHead<'_>> = heads.iter().map(|(_, head)| SegmentHead::from(head)).collect();
        Merger::new(&heads, |_id, _revision| true)
    })
    .await
    .map_err(|error| DbError::Corrupt(format!("index segments could not be merged: {error}")))?;
    let mut merger = merger.map_err(segments::damaged)?;
    let merged = Uuid::now_v7();
    let mut written = 0;
    let mut sources: Vec<BlockReader> = ids.into_iter().map(BlockReader::new).collect();
    while let MergeStep::NeedsBlock { source, .. } = merger.advance().map_err(segments::damaged)? {
        let block = match sources.get_mut(source) {
            Some(reader) => reader.next(tx).await?,
            None => None,
        };
        let Some(block) = block else {
            return Ok(false);
        };
        merger.give(source, block).map_err(segments::damaged)?;
        if merger.finished_bytes() >= segments::MAX_INSERT_BYTES {
            written = segments::insert_blocks(tx, merged, written, &merger.take_blocks()).await?;
        }
        // A merge of large segments takes seconds.
        tokio::task::yield_now().await;
    }
    let head = merger.finish().map_err(segments::damaged)?;
    segments::insert_blocks(tx, merged, written, &head.blocks).await?;
    segments::insert_head(tx, merged, revision, &head).await?;
    Ok(segments::remove(tx, chosen).await? == chosen.len() as u64)
}

/// Reads the blocks of a segment in order, some at a time.
struct BlockReader {
    segment: Uuid,
    next: i32,
    read: VecDeque<Vec<u8>>,
}

impl BlockReader {
    const fn new(segment: Uuid) -> Self {
        Self {
            segment,
            next: 0,
            read: VecDeque::new(),
        }
    }

    /// `None` if there are no more, or the segment is not stored any more.
    async fn next(&mut self, tx: &TenantTx) -> Result<Option<Vec<u8>>, DbError> {
        if self.read.is_empty() {
            self.read = segments::following_blocks(tx, self.segment, self.next, READ_BLOCKS)
                .await?
                .into();
            self.next = self.next.saturating_add(READ_BLOCKS);
        }
        Ok(self.read.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segments(counts: &[u32]) -> Vec<SegmentRow> {
        (1..)
            .zip(counts)
            .map(|(number, count)| SegmentRow {
                id: Uuid::from_u128(number),
                revision: 1,
                document_count: *count,
            })
            .collect()
    }

    fn numbers(chosen: Option<Vec<Uuid>>) -> Vec<u128> {
        chosen
            .unwrap_or_default()
            .into_iter()
            .map(|id| id.as_u128())
            .collect()
    }

    #[test]
    fn eight_small_segments_of_a_size_are_merged() {
        assert_eq!(choose_small(&segments(&[1; 7])), None);
        assert_eq!(numbers(choose_small(&segments(&[1; 9]))).len(), FAN_IN);
        assert_eq!(choose_small(&segments(&[1, 9, 1, 80, 1, 700, 5_000, 3])), None);
        assert_eq!(choose_small(&segments(&[20; 8])), None);
    }

    #[test]
    fn large_segments_are_merged_with_all_smaller_ones() {
        assert_eq!(choose_large(&segments(&[64, 30])), None);
        assert_eq!(numbers(choose_large(&segments(&[20, 65, 2]))), [2, 1, 3]);
        assert_eq!(choose_large(&segments(&[1_000, 300, 33])), None);
        assert_eq!(numbers(choose_large(&segments(&[1_000, 300, 34]))), [1, 2, 3]);
        // The result would be too large, so the largest is left alone.
        assert_eq!(choose_large(&segments(&[MAX_DOCUMENTS - 99, 100])), None);
        assert_eq!(
            numbers(choose_large(&segments(&[MAX_DOCUMENTS - 99, 100, 100]))),
            [2, 3]
        );
    }

    proptest! {
        #[test]
        fn few_segments_are_left(added in prop::collection::vec(1..400_u32, 1..200)) {
            let mut stored: Vec<SegmentRow> = Vec::new();
            for (number, document_count) in (0..).zip(added) {
                stored.push(SegmentRow { id: Uuid::from_u128(number), revision: 1, document_count });
                while let Some(chosen) = choose_small(&stored).or_else(|| choose_large(&stored)) {
                    let merged = stored.iter().filter(|segment| chosen.contains(&segment.id));
                    let document_count = merged.map(|segment| segment.document_count).sum();
                    stored.retain(|segment| !chosen.contains(&segment.id));
                    stored.push(SegmentRow { id: chosen[0], revision: 1, document_count });
                }
                prop_assert!(stored.iter().filter(|segment| segment.document_count > MAX_IN_CALL).count() <= 6);
            }
        }
    }
}
