//! Merges segments, so that a search reads few of them.
//!
//! Segments of about the same size are merged when there are [`FAN_IN`] of them, so a skill is written again about as often as the
//! number of its tenant's skills has digits in base eight.

use skill_search::segment::{SegmentSource, merge};
use uuid::Uuid;

use super::segments::{self, SegmentRow};
use crate::db::{DbError, TenantTx};

const FAN_IN: usize = 8;
/// Larger segments are not merged. Bounds the memory and the time of a merge: about 25 MB and a second.
const MAX_DOCUMENTS: u32 = 4_096;
/// Merges up to this many documents are done by the transaction that made them necessary.
const MAX_IN_CALL: u32 = 64;

/// The size class of a segment: the number of digits of its document count in base [`FAN_IN`].
fn size_class(segment: &SegmentRow) -> u32 {
    segment.document_count.max(1).ilog(8)
}

/// The next segments to merge, at most `max_documents` together.
pub(super) fn choose(stored: &[SegmentRow], max_documents: u32) -> Option<Vec<Uuid>> {
    (0..=MAX_DOCUMENTS.ilog(8)).find_map(|class| {
        let chosen: Vec<&SegmentRow> = stored
            .iter()
            .filter(|segment| size_class(segment) == class && segment.document_count < MAX_DOCUMENTS)
            .take(FAN_IN)
            .collect();
        let documents: u32 = chosen.iter().map(|segment| segment.document_count).sum();
        (chosen.len() == FAN_IN && documents <= max_documents)
            .then(|| chosen.iter().map(|segment| segment.id).collect())
    })
}

/// Merges small segments in the transaction that added one. Returns whether larger ones are left to merge.
pub(super) async fn merge_small(tx: &TenantTx) -> Result<bool, DbError> {
    loop {
        let stored = segments::list(tx).await?;
        let is_done = match choose(&stored, MAX_IN_CALL) {
            Some(chosen) => !merge_segments(tx, &chosen).await?,
            None => true,
        };
        if is_done {
            return Ok(choose(&stored, u32::MAX).is_some());
        }
    }
}

/// Returns whether the segments were there.
pub(super) async fn merge_segments(tx: &TenantTx, ids: &[Uuid]) -> Result<bool, DbError> {
    let Some(taken) = segments::take(tx, ids).await? else {
        return Ok(false);
    };
    let revision = taken.iter().map(|taken| taken.revision).max().unwrap_or(0);
    let merged = tokio::task::spawn_blocking(move || {
        let sources: Vec<SegmentSource<'_>> = taken
            .iter()
            .map(|taken| SegmentSource::from(&taken.segment))
            .collect();
        merge(&sources, |_document| true)
    })
    .await
    .map_err(|error| DbError::Corrupt(format!("index segments could not be merged: {error}")))?;
    segments::insert(tx, revision, &merged.map_err(segments::damaged)?).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn eight_segments_of_a_size_are_merged() {
        assert_eq!(choose(&segments(&[1; 7]), u32::MAX), None);
        assert_eq!(
            choose(&segments(&[1; 9]), u32::MAX).map(|ids| ids.len()),
            Some(FAN_IN)
        );
        assert_eq!(
            choose(&segments(&[1, 9, 1, 80, 1, 700, 5_000, 3]), u32::MAX),
            None
        );
        assert_eq!(choose(&segments(&[20; 8]), MAX_IN_CALL), None);
        assert_eq!(choose(&segments(&[5_000; 20]), u32::MAX), None);
    }
}
