//! Purge a skill.

use serde_json::json;
use uuid::Uuid;

use super::record;
use crate::db::{DbError, TenantTx};
use crate::registry::audit::Actor;
use crate::registry::management::ManagedSkill;
use crate::registry::revision::next_revision;
use crate::sql;

/// Deletes a skill with its bytes and everything that refers to it, except usage events and audit entries; returns the number
/// of deleted rows of each table. Archive the skill in an earlier transaction, so that the search indexes forget it. Entry:
/// `skill.purge`, with the digests of its versions.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn purge(
    tx: &TenantTx,
    actor: &Actor,
    skill: &ManagedSkill,
    reason: &str,
) -> Result<Vec<(String, i64)>, DbError> {
    let versions = crate::registry::versions::states(tx, &[skill.id]).await?;
    // The index is removed with the skill, and built again without it.
    next_revision(tx).await?;
    let rows = tx
        .query(
            sql!("skills/purge.sql"),
            &[tx.tenant().as_uuid(), skill.id.as_uuid() as &Uuid],
        )
        .await?;
    let mut counts = Vec::new();
    for row in &rows {
        counts.push((row.try_get("table_name")?, row.try_get("row_count")?));
    }
    let versions: Vec<_> = versions
        .iter()
        .map(|version| json!({"version": version.version, "digest": version.digest}))
        .collect();
    let details = json!({"before": {"versions": versions}, "after": {"reason": reason}});
    record(tx, actor, "skill.purge", &skill.slug, details).await?;
    Ok(counts)
}
