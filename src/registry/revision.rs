//! The revision of a tenant's catalog, which orders its changes.

use crate::db::{DbError, TenantTx};
use crate::sql;

/// Increments the catalog's revision. Until the transaction ends, no other transaction changes the tenant's catalog.
pub(super) async fn next_revision(tx: &TenantTx) -> Result<i64, DbError> {
    let row = tx
        .query_one(sql!("tenants/next_revision.sql"), &[tx.tenant().as_uuid()])
        .await?;
    Ok(row.try_get("catalog_revision")?)
}
