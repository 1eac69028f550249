//! The revision of a tenant's catalog, which orders its changes.

use crate::db::{DbError, TenantTx};
use crate::sql;

/// A catalog that no other transaction changes until this one ends.
pub(super) struct LockedCatalog {
    pub(super) revision: i64,
    /// Bytes of all files of the tenant; each content counts once.
    pub(super) stored_bytes: u64,
}

/// Increments the catalog's revision. Until the transaction ends, no other transaction changes the tenant's catalog.
pub(super) async fn lock_catalog(tx: &TenantTx) -> Result<LockedCatalog, DbError> {
    let row = tx
        .query_one(sql!("tenants/next_revision.sql"), &[tx.tenant().as_uuid()])
        .await?;
    tx.set_index_pending(true);
    Ok(LockedCatalog {
        revision: row.try_get("catalog_revision")?,
        stored_bytes: u64::try_from(row.try_get::<_, i64>("stored_bytes")?).unwrap_or(0),
    })
}

/// The revision of [`lock_catalog`].
pub(super) async fn next_revision(tx: &TenantTx) -> Result<i64, DbError> {
    Ok(lock_catalog(tx).await?.revision)
}
