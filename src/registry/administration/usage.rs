//! Removal of old usage events.

use crate::db::{AdminDb, DbError};
use crate::registry::audit::Actor;
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
