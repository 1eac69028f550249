//! Removal of old usage events.

use jiff::{Timestamp, ToSpan as _};
use serde_json::json;

use super::record;
use crate::db::{AdminDb, DbError, TenantTx};
use crate::registry::audit::Actor;
use crate::registry::settings::{self, SettingKey};
use crate::sql;

/// Drops the usage events of months that ended before a day, of all tenants; returns the names of the dropped partitions. The
/// database function writes the entry `usage.prune` of every tenant that had events there.
///
/// # Errors
/// When the database is unavailable, or rejects a day after the first of the current month.
pub async fn prune(
    db: &AdminDb,
    actor: &Actor,
    keep_from: jiff::civil::Date,
) -> Result<Vec<String>, DbError> {
    let connection = db.system_connection().await?;
    let rows = connection
        .query(sql!("usage/prune.sql").text(), &[&keep_from, &actor.name()])
        .await?;
    rows.iter().map(|row| Ok(row.try_get("partition")?)).collect()
}

/// Deletes the usage events of a tenant that are older than its setting `usage.retention_months`; returns their number, or `None`
/// for a tenant without the setting. Entry: `usage.prune`, if events were deleted.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn apply_retention(tx: &TenantTx, actor: &Actor) -> Result<Option<i64>, DbError> {
    let Some(months) = settings::load(tx).await?.retention_months else {
        return Ok(None);
    };
    let now = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let keep_from = now
        .checked_sub(i64::from(months).months())
        .map_err(|error| DbError::Corrupt(format!("{}: {error}", SettingKey::UsageRetention.as_str())))?
        .timestamp();
    let row = tx
        .query_one(
            sql!("usage/prune_tenant.sql"),
            &[tx.tenant().as_uuid(), &keep_from],
        )
        .await?;
    let count: i64 = row.try_get("row_count")?;
    if count > 0 {
        let details = json!({"before": {"usage_events": count}, "after": {"usage_events": 0}});
        record(tx, actor, "usage.prune", &keep_from.to_string(), details).await?;
    }
    Ok(Some(count))
}
