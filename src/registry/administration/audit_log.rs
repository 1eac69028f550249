//! Export of the audit log.

use serde_json::json;

use super::record;
use crate::db::{AdminDb, DbError, TenantTx};
use crate::registry::audit::Actor;
use crate::tenancy::tenants::Tenant;

/// Records the export of a tenant's audit log and returns the transaction to read the log in. Entry: `audit.export`, committed
/// before anything is read and therefore part of the export.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn begin_export(
    db: &AdminDb,
    actor: &Actor,
    tenant: &Tenant,
    is_signed: bool,
) -> Result<TenantTx, DbError> {
    let tx = TenantTx::begin_as_admin(db, tenant.id).await?;
    let details = json!({"after": {"signed": is_signed}});
    record(&tx, actor, "audit.export", &tenant.slug, details).await?;
    tx.commit().await?;
    TenantTx::begin_as_admin(db, tenant.id).await
}
