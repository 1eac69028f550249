//! Removal of old usage events.

use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};
use serde_json::json;
use tokio_postgres::error::SqlState;

use super::record;
use crate::db::{AdminDb, DbError, TenantTx};
use crate::registry::audit::Actor;
use crate::registry::settings::{self, SettingKey};
use crate::sql;

/// Tenants whose audit entries one transaction writes. Each takes a lock until the commit, of about 6,400 that PostgreSQL has
/// room for by default.
const TENANTS_PER_BATCH: i32 = 200;

/// Attempts to detach a month. Each makes the calls wait for at most twice the `lock_timeout` of `detach_usage_month`, 0.4 s;
/// between two of them, the calls that waited are served.
const MAX_DETACH_ATTEMPTS: u32 = 100;
const DETACH_PAUSE: Duration = Duration::from_secs(1);

/// Why months could not be dropped.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// Every attempt to detach a month met a transaction that had not ended. The months before it are dropped.
    #[error(
        "calls or reports were running at each of {MAX_DETACH_ATTEMPTS} attempts to detach a month; the months before it are dropped, and running it again continues"
    )]
    Busy,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Drops the usage events of months that ended before a day, of all tenants; returns the names of the dropped partitions.
/// Database functions write the entry `usage.prune` of every tenant that had events in a month.
///
/// One month at a time: it is detached, which takes a short exclusive lock; then the entries are written in batches; then it is
/// dropped. Also ends what an interrupted run has begun.
///
/// # Errors
/// [`PruneError::Busy`], or the database is unavailable or rejects a day after the first of the current month.
pub async fn prune(
    db: &AdminDb,
    actor: &Actor,
    keep_from: jiff::civil::Date,
) -> Result<Vec<String>, PruneError> {
    let mut dropped = Vec::new();
    loop {
        while let Some(done) = prune_batch(db, actor, keep_from).await? {
            dropped.extend(done);
        }
        if !detach_month(db, keep_from).await? {
            return Ok(dropped);
        }
    }
}

/// Writes one batch of entries. `None` if no month is detached; `Some(None)` if entries are left, else the dropped partition.
async fn prune_batch(
    db: &AdminDb,
    actor: &Actor,
    keep_from: jiff::civil::Date,
) -> Result<Option<Option<String>>, DbError> {
    let connection = db.system_connection().await?;
    let row = connection
        .query_opt(
            sql!("usage/prune_batch.sql").text(),
            &[&keep_from, &actor.name(), &TENANTS_PER_BATCH],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let partition: String = row.try_get("partition")?;
    let dropped: bool = row.try_get("dropped")?;
    Ok(Some(dropped.then_some(partition)))
}

/// Detaches the oldest month, and returns whether there was one.
async fn detach_month(db: &AdminDb, keep_from: jiff::civil::Date) -> Result<bool, PruneError> {
    let connection = db.system_connection().await?;
    for _ in 0..MAX_DETACH_ATTEMPTS {
        let detached = connection
            .query_one(sql!("usage/prune_detach.sql").text(), &[&keep_from])
            .await;
        match detached.map_err(DbError::from) {
            Ok(row) => {
                let detached: Option<String> = row.try_get("detached").map_err(DbError::from)?;
                return Ok(detached.is_some());
            }
            Err(error) if is_lock_conflict(&error) => tokio::time::sleep(DETACH_PAUSE).await,
            Err(error) => return Err(error.into()),
        }
    }
    Err(PruneError::Busy)
}

fn is_lock_conflict(error: &DbError) -> bool {
    matches!(
        error.sql_state(),
        Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED)
    )
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
