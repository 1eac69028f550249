//! The stored segments of the index.

use std::collections::HashMap;

use skill_search::segment::{EncodedSegment, InvalidSegment};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::db::{DbError, TenantTx};
use crate::sql;

/// The format of segments that this program writes and reads. To be incremented with each change of the encoding or of the
/// analysis of texts; the index is then built again. A test compares the bytes of a sample.
pub(super) const FORMAT: i16 = 3;
/// Bytes of blocks that one statement inserts.
pub(super) const MAX_INSERT_BYTES: usize = 4 << 20;

/// A stored segment, without its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct SegmentRow {
    pub(super) id: Uuid,
    pub(super) revision: i64,
    pub(super) document_count: u32,
}

/// The segments in the order of their revisions.
pub(super) async fn list(tx: &TenantTx) -> Result<Vec<SegmentRow>, DbError> {
    let rows = tx
        .query(
            sql!("search/list_segments.sql"),
            &[tx.tenant().as_uuid(), &FORMAT],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(SegmentRow {
                id: row.try_get("id")?,
                revision: row.try_get("revision")?,
                document_count: u32::try_from(row.try_get::<_, i32>("document_count")?).unwrap_or(0),
            })
        })
        .collect()
}

/// Rows with the documents of these segments. Those that were merged meanwhile are missing.
pub(super) async fn documents(tx: &TenantTx, ids: &[Uuid]) -> Result<Vec<Row>, DbError> {
    tx.query(sql!("search/documents.sql"), &[tx.tenant().as_uuid(), &ids])
        .await
}

/// The encoded vocabularies of these segments.
pub(super) async fn vocabularies(tx: &TenantTx, ids: &[Uuid]) -> Result<Vec<(Uuid, Vec<u8>)>, DbError> {
    let rows = tx
        .query(sql!("search/vocabularies.sql"), &[tx.tenant().as_uuid(), &ids])
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("id")?, row.try_get("vocabulary")?)))
        .collect()
}

/// Adds a segment with the changes up to a revision.
pub(super) async fn insert(tx: &TenantTx, revision: i64, segment: &EncodedSegment) -> Result<Uuid, DbError> {
    let id = Uuid::now_v7();
    insert_head(tx, id, revision, segment).await?;
    insert_blocks(tx, id, 0, &segment.blocks).await?;
    Ok(id)
}

/// Adds a segment without its blocks. They may be there already: the foreign key is checked at the end of the transaction.
pub(super) async fn insert_head(
    tx: &TenantTx,
    id: Uuid,
    revision: i64,
    segment: &EncodedSegment,
) -> Result<(), DbError> {
    let document_count = i32::try_from(segment.document_count).unwrap_or(i32::MAX);
    tx.execute_one(
        sql!("search/insert_segment.sql"),
        &[
            tx.tenant().as_uuid(),
            &id,
            &FORMAT,
            &revision,
            &document_count,
            &segment.documents,
            &segment.directory,
            &segment.vocabulary,
            &segment.document_words,
        ],
    )
    .await
}

/// Adds blocks of a segment, the first with the number `first`. Returns the number of the next one.
pub(super) async fn insert_blocks(
    tx: &TenantTx,
    id: Uuid,
    mut first: i32,
    mut blocks: &[Vec<u8>],
) -> Result<i32, DbError> {
    while !blocks.is_empty() {
        let mut bytes = 0;
        let fitting = blocks
            .iter()
            .take_while(|block| {
                bytes += block.len();
                bytes <= MAX_INSERT_BYTES
            })
            .count();
        let (now, later) = blocks.split_at(fitting.max(1));
        tx.execute(
            sql!("search/insert_blocks.sql"),
            &[tx.tenant().as_uuid(), &id, &now, &first],
        )
        .await?;
        first = first.saturating_add(i32::try_from(now.len()).unwrap_or(i32::MAX));
        blocks = later;
    }
    Ok(first)
}

/// Segments without their blocks, with their ids. Those that were merged meanwhile are missing.
pub(super) async fn heads(tx: &TenantTx, ids: &[Uuid]) -> Result<Vec<(Uuid, EncodedSegment)>, DbError> {
    let rows = tx
        .query(sql!("search/heads.sql"), &[tx.tenant().as_uuid(), &ids])
        .await?;
    rows.iter()
        .map(|row| {
            let head = EncodedSegment {
                document_count: 0,
                documents: row.try_get("documents")?,
                directory: row.try_get("directory")?,
                blocks: Vec::new(),
                vocabulary: row.try_get("vocabulary")?,
                document_words: row.try_get("document_words")?,
            };
            Ok((row.try_get("id")?, head))
        })
        .collect()
}

/// At most `count` blocks of a segment in order, beginning with the one with the number `first`.
pub(super) async fn following_blocks(
    tx: &TenantTx,
    id: Uuid,
    first: i32,
    count: i32,
) -> Result<Vec<Vec<u8>>, DbError> {
    let end = first.saturating_add(count);
    let rows = tx
        .query(
            sql!("search/following_blocks.sql"),
            &[tx.tenant().as_uuid(), &id, &first, &end],
        )
        .await?;
    let block = |row: &Row| row.try_get("bytes").map_err(DbError::from);
    rows.iter().map(block).collect()
}

/// Removes segments with their blocks. Returns their number.
pub(super) async fn remove(tx: &TenantTx, ids: &[Uuid]) -> Result<u64, DbError> {
    tx.execute(sql!("search/remove_segments.sql"), &[tx.tenant().as_uuid(), &ids])
        .await
}

/// A segment that was removed to be merged.
pub(super) struct Taken {
    pub(super) revision: i64,
    pub(super) segment: EncodedSegment,
}

/// Takes the lock for merging until the transaction ends. Returns `false` if another transaction has it.
pub(super) async fn lock(tx: &TenantTx) -> Result<bool, DbError> {
    let row = tx
        .query_one(sql!("search/try_lock.sql"), &[tx.tenant().as_uuid()])
        .await?;
    row.try_get("taken").map_err(DbError::from)
}

/// Removes segments and returns them. `None` if another transaction merges segments of the tenant, or has removed one of these.
pub(super) async fn take(tx: &TenantTx, ids: &[Uuid]) -> Result<Option<Vec<Taken>>, DbError> {
    let tenant = tx.tenant();
    if !lock(tx).await? {
        return Ok(None);
    }
    let mut blocks: HashMap<Uuid, Vec<(i32, Vec<u8>)>> = HashMap::new();
    for row in tx
        .query(sql!("search/take_blocks.sql"), &[tenant.as_uuid(), &ids])
        .await?
    {
        blocks
            .entry(row.try_get("segment_id")?)
            .or_default()
            .push((row.try_get("number")?, row.try_get("bytes")?));
    }
    let rows = tx
        .query(sql!("search/take_segments.sql"), &[tenant.as_uuid(), &ids])
        .await?;
    if rows.len() != ids.len() {
        return Ok(None);
    }
    let mut taken = Vec::with_capacity(rows.len());
    for row in rows {
        let mut blocks = blocks.remove(&row.try_get("id")?).unwrap_or_default();
        blocks.sort_unstable_by_key(|(number, _)| *number);
        taken.push(Taken {
            revision: row.try_get("revision")?,
            segment: EncodedSegment {
                document_count: 0,
                documents: row.try_get("documents")?,
                directory: row.try_get("directory")?,
                blocks: blocks.into_iter().map(|(_, bytes)| bytes).collect(),
                vocabulary: row.try_get("vocabulary")?,
                document_words: row.try_get("document_words")?,
            },
        });
    }
    Ok(Some(taken))
}

/// All segments.
pub(super) async fn all(tx: &TenantTx) -> Result<Vec<EncodedSegment>, DbError> {
    let rows = tx
        .query(sql!("search/all.sql"), &[tx.tenant().as_uuid(), &FORMAT])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(EncodedSegment {
                document_count: 0,
                documents: row.try_get("documents")?,
                directory: row.try_get("directory")?,
                blocks: row.try_get("blocks")?,
                vocabulary: row.try_get("vocabulary")?,
                document_words: row.try_get("document_words")?,
            })
        })
        .collect()
}

/// Counts segments and what they hold.
pub(super) async fn status(tx: &TenantTx) -> Result<Row, DbError> {
    tx.query_one(sql!("search/status.sql"), &[tx.tenant().as_uuid(), &FORMAT])
        .await
}

/// Removes the segments that an older program wrote.
pub(super) async fn clear_old(tx: &TenantTx) -> Result<(), DbError> {
    tx.execute(sql!("search/clear_old.sql"), &[tx.tenant().as_uuid(), &FORMAT])
        .await?;
    Ok(())
}

/// Removes the whole index of the tenant.
pub(super) async fn clear(tx: &TenantTx) -> Result<(), DbError> {
    let tenant = tx.tenant();
    tx.execute(sql!("search/clear_blocks.sql"), &[tenant.as_uuid()])
        .await?;
    tx.execute(sql!("search/clear_segments.sql"), &[tenant.as_uuid()])
        .await?;
    Ok(())
}

pub(super) fn damaged(error: InvalidSegment) -> DbError {
    DbError::Corrupt(error.to_string())
}
