//! The cache of blocks of postings, for all tenants of a process.

use std::collections::HashMap;
use std::sync::Arc;

use moka::future::Cache;
use skill_search::segment::BlockId;
use uuid::Uuid;

use crate::db::{DbError, TenantTx};
use crate::ids::TenantId;
use crate::sql;

/// Memory of an entry beside its bytes.
const ENTRY_BYTES: usize = 200;

#[derive(Clone)]
pub(super) struct BlockCache(Cache<(TenantId, BlockId), Arc<[u8]>>);

impl BlockCache {
    pub(super) fn new(max_bytes: u64) -> Self {
        let weight = |_key: &(TenantId, BlockId), block: &Arc<[u8]>| {
            u32::try_from(block.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(max_bytes).weigher(weight).build())
    }

    /// The blocks, from the cache or the database. Those of segments that were merged meanwhile are missing.
    pub(super) async fn get(
        &self,
        tx: &TenantTx,
        ids: impl IntoIterator<Item = BlockId>,
    ) -> Result<HashMap<BlockId, Arc<[u8]>>, DbError> {
        let tenant = tx.tenant();
        let mut blocks = HashMap::new();
        let mut missing: Vec<BlockId> = Vec::new();
        for id in ids {
            match self.0.get(&(tenant, id)).await {
                Some(block) => {
                    blocks.insert(id, block);
                }
                None => missing.push(id),
            }
        }
        if missing.is_empty() {
            return Ok(blocks);
        }
        for (id, block) in read(tx, missing).await? {
            self.0.insert((tenant, id), Arc::clone(&block)).await;
            blocks.insert(id, block);
        }
        Ok(blocks)
    }
}

async fn read(tx: &TenantTx, mut ids: Vec<BlockId>) -> Result<Vec<(BlockId, Arc<[u8]>)>, DbError> {
    ids.sort_unstable();
    ids.dedup();
    let segments: Vec<Uuid> = ids.iter().map(|id| Uuid::from_u128(id.segment)).collect();
    let numbers: Vec<i32> = ids
        .iter()
        .map(|id| i32::try_from(id.number).unwrap_or(i32::MAX))
        .collect();
    let rows = tx
        .query(
            sql!("search/blocks.sql"),
            &[tx.tenant().as_uuid(), &segments, &numbers],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let id = BlockId {
                segment: row.try_get::<_, Uuid>("segment_id")?.as_u128(),
                number: u32::try_from(row.try_get::<_, i32>("number")?).unwrap_or(u32::MAX),
            };
            Ok((id, Arc::from(row.try_get::<_, &[u8]>("bytes")?)))
        })
        .collect()
}
