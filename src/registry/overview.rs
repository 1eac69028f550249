//! The catalog as administrators see it: skills in every state.

use jiff::Timestamp;
use serde::Serialize;

use crate::db::{DbError, TenantTx};
use crate::sql;

/// A skill in the overview.
#[derive(Debug, Clone, Serialize)]
pub struct SkillRow {
    pub skill: String,
    /// The name in the front matter.
    pub name: String,
    pub description: String,
    /// `active` or `archived`.
    pub status: String,
    pub deprecated: bool,
    /// The latest version; `None` if no version can be installed.
    pub version: Option<String>,
    /// The owner's email address; `None` for imported skills.
    pub owner: Option<String>,
    /// The name of the import that fills it; may be empty.
    pub source: String,
    pub versions: i64,
    pub in_review: i64,
    pub quarantined: i64,
    pub stars: Option<f64>,
    pub installs: i64,
    pub updated_at: Timestamp,
}

/// The first `limit` skills after the slug `after`; archived ones only if `archived`.
pub async fn page(tx: &TenantTx, after: &str, archived: bool, limit: i64) -> Result<Vec<SkillRow>, DbError> {
    let rows = tx
        .query(
            sql!("skills/overview.sql"),
            &[tx.tenant().as_uuid(), &after, &archived, &limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(SkillRow {
                skill: row.try_get("slug")?,
                name: row.try_get("name")?,
                description: row.try_get("description")?,
                status: row.try_get("status")?,
                deprecated: row.try_get("deprecated")?,
                version: row.try_get("version")?,
                owner: row.try_get("owner_email")?,
                source: row.try_get("source_name")?,
                versions: row.try_get("versions")?,
                in_review: row.try_get("in_review")?,
                quarantined: row.try_get("quarantined")?,
                stars: row.try_get("stars")?,
                installs: row.try_get("installs")?,
                updated_at: row.try_get("updated_at")?,
            })
        })
        .collect()
}
