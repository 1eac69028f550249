//! Compares the stored index with the catalog.

use std::collections::HashMap;

use skill_search::segment::{DocumentChecksum, EncodedSegment, document_checksums};

use super::{segments, source};
use crate::db::{DbError, TenantTx};

/// What is stored of a tenant's index.
#[derive(Debug, Clone, Copy)]
pub struct IndexStatus {
    pub segments: i64,
    /// The revision of the catalog up to which changes are indexed.
    pub revision: i64,
    /// Bytes of postings.
    pub bytes: i64,
    /// Number of skills that searches can find.
    pub skills: i64,
    /// Number of changed skills that no segment has, at most 200. Searches index them in memory.
    pub pending: usize,
}

/// Reads what is stored of the tenant's index.
///
/// # Errors
/// Returns a [`DbError`] if it cannot be read.
pub async fn status(tx: &TenantTx) -> Result<IndexStatus, DbError> {
    let row = segments::status(tx).await?;
    let revision = row.try_get("revision")?;
    let pending = crate::registry::skills::changed_since(tx, revision, source::BATCH_SIZE).await?;
    Ok(IndexStatus {
        segments: row.try_get("segments")?,
        revision,
        bytes: row.try_get("bytes")?,
        skills: row.try_get("skills")?,
        pending: pending.len(),
    })
}

/// The result of [`check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Number of skills that were compared.
    pub skills: usize,
    /// Number of skills of which the index says something else than the catalog.
    pub differing: usize,
}

/// Indexes the catalog anew and compares each skill with the stored index. Changes that are not indexed yet are no difference.
///
/// # Errors
/// Returns a [`DbError`] if index or catalog cannot be read, or a segment is damaged.
pub async fn check(tx: &TenantTx) -> Result<Checked, DbError> {
    let mut stored = HashMap::new();
    let mut indexed = 0;
    for segment in segments::list(tx).await? {
        indexed = indexed.max(segment.revision);
    }
    for segment in segments::all(tx).await? {
        add(&mut stored, &segment)?;
    }
    let mut catalog = HashMap::new();
    let mut after = 0;
    while after < indexed
        && let Some(batch) = source::next_batch(tx, after).await?
    {
        add(&mut catalog, &batch.segment)?;
        after = batch.revision;
    }
    catalog.retain(|_, (revision, _)| i64::try_from(*revision).is_ok_and(|revision| revision <= indexed));
    let differing = catalog
        .iter()
        .filter(|(id, checksum)| stored.get(*id) != Some(*checksum))
        .count();
    let unknown = stored
        .iter()
        .filter(|(id, (_, checksum))| checksum.is_some() && !catalog.contains_key(*id))
        .count();
    Ok(Checked {
        skills: catalog.len(),
        differing: differing + unknown,
    })
}

fn add(all: &mut HashMap<u128, DocumentChecksum>, segment: &EncodedSegment) -> Result<(), DbError> {
    let checksums = document_checksums(segment).map_err(segments::damaged)?;
    for (id, checksum) in checksums {
        let known = all.entry(id).or_insert(checksum);
        if known.0 < checksum.0 {
            *known = checksum;
        }
    }
    Ok(())
}
