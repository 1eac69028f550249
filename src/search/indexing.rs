//! Keeps the stored index up to date with the catalog.

use super::{merging, segments, source};
use crate::db::{DbError, ServerDb, TenantTx};
use crate::ids::TenantId;

/// Number of skills that a call indexes in its own transaction. What is left is indexed by [`compact`].
const MAX_IN_CALL: usize = 2 * source::BATCH_SIZE as usize;

/// What [`compact_step`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compacted {
    /// Changes were indexed or segments merged; there may be more to do.
    Some,
    Nothing,
}

/// Adds the changes since the last segment to the index. To be called in a transaction that changed the catalog, before its commit.
///
/// # Errors
/// Returns a [`DbError`] if the changes cannot be read or the index cannot be written.
pub async fn index_changes(tx: &TenantTx) -> Result<(), DbError> {
    tx.set_index_pending(false);
    let stored = segments::list(tx).await?;
    let mut indexed = stored.iter().map(|segment| segment.revision).max().unwrap_or(0);
    let mut left = MAX_IN_CALL;
    let mut has_new = false;
    while left > 0 {
        let Some(batch) = source::next_batch(tx, indexed).await? else {
            break;
        };
        left = left.saturating_sub(batch.segment.document_count as usize);
        segments::insert(tx, batch.revision, &batch.segment).await?;
        indexed = batch.revision;
        has_new = true;
    }
    if has_new {
        tx.set_embedding_due();
        if merging::merge_small(tx).await? || left == 0 {
            tx.set_compaction_due();
        }
    }
    Ok(())
}

/// Commits a transaction that may have changed the catalog, with its change of the index.
///
/// # Errors
/// As [`index_changes`] and [`TenantTx::commit`].
pub async fn commit(tx: TenantTx) -> Result<(), DbError> {
    if tx.is_index_pending() {
        index_changes(&tx).await?;
    }
    tx.commit().await
}

/// Indexes a batch of changes that no segment has, or merges segments once. The caller commits and calls again until nothing is
/// left to do, so that no transaction is long.
///
/// # Errors
/// Returns a [`DbError`] if the index cannot be read or written.
async fn compact_step(tx: &TenantTx) -> Result<Compacted, DbError> {
    if !segments::lock(tx).await? {
        // Another process is at it.
        return Ok(Compacted::Nothing);
    }
    let stored = segments::list(tx).await?;
    let indexed = stored.iter().map(|segment| segment.revision).max().unwrap_or(0);
    if let Some(batch) = source::next_batch(tx, indexed).await? {
        segments::insert(tx, batch.revision, &batch.segment).await?;
        // They would never be read again.
        segments::clear_old(tx).await?;
        return Ok(Compacted::Some);
    }
    match merging::choose_large(&stored) {
        Some(chosen) if merging::merge_large(tx, &stored, &chosen).await? => Ok(Compacted::Some),
        Some(_) | None => Ok(Compacted::Nothing),
    }
}

/// Does all steps of [`compact_step`], each in a transaction that `begin` starts. Returns their number.
///
/// # Errors
/// As [`compact_step`].
pub async fn compact<B, F>(begin: B) -> Result<usize, DbError>
where
    B: Fn() -> F + Send + Sync,
    F: Future<Output = Result<TenantTx, DbError>> + Send,
{
    let mut steps = 0;
    loop {
        let tx = begin().await?;
        match compact_step(&tx).await? {
            Compacted::Some => tx.commit().await?,
            Compacted::Nothing => {
                tx.rollback().await?;
                return Ok(steps);
            }
        }
        steps += 1;
    }
}

/// Removes the tenant's index. [`compact`] builds it again; until then searches index in memory.
///
/// # Errors
/// Returns a [`DbError`] if the index cannot be removed.
pub async fn rebuild(tx: &TenantTx) -> Result<(), DbError> {
    segments::clear(tx).await
}

/// Does [`compact`] for a tenant in the background, after a call that added a segment.
pub async fn compact_after_call(db: ServerDb, tenant: TenantId) {
    let compacted = compact(|| TenantTx::begin_after_call(&db, tenant)).await;
    if let Err(error) = compacted {
        // The next change tries again.
        tracing::warn!(%error, "cannot merge segments of the search index");
    }
}
