//! The skills in the order of their slugs, as the protocol's lists show them, and single versions as they are served.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::skill_uri::SkillUri;
use super::skills::{ResolvedVersion, found};
use super::versions::FileEntry;
use crate::db::{DbError, TenantTx};
use crate::ids::VersionId;
use crate::sql;

/// A skill in one of its versions.
#[derive(Debug, Clone)]
pub struct ListedSkill {
    /// The skill and version.
    pub found: ResolvedVersion,
    /// What the skill calls itself.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The front matter of the version, as its author wrote it.
    pub front_matter: Value,
}

impl ListedSkill {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            found: found(row)?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            updated_at: row.try_get("updated_at")?,
            front_matter: row.try_get("front_matter")?,
        })
    }

    /// The URI of the version's folder; `None` where its label cannot stand in one.
    #[must_use]
    pub fn folder(&self) -> Option<SkillUri> {
        SkillUri::folder(&self.found.slug, &self.found.version, &self.front_matter)
    }
}

/// The skills after a slug (all of them after the empty one), each in its latest version, at most `limit`. With
/// `only`, no others than these slugs.
///
/// # Errors
/// When the database is away or refuses.
pub async fn page(
    tx: &TenantTx,
    after: &str,
    only: Option<&[String]>,
    limit: i64,
) -> Result<Vec<ListedSkill>, DbError> {
    let rows = tx
        .query(
            sql!("skills/page.sql"),
            &[tx.tenant().as_uuid(), &after, &only, &limit],
        )
        .await?;
    rows.iter().map(ListedSkill::from_row).collect()
}

/// The skill of this slug, in the version of this label or in its latest.
///
/// # Errors
/// When the database is away or refuses.
pub async fn one(tx: &TenantTx, slug: &str, version: Option<&str>) -> Result<Option<ListedSkill>, DbError> {
    let row = tx
        .query_opt(
            sql!("skills/get_version.sql"),
            &[tx.tenant().as_uuid(), &slug, &version],
        )
        .await?;
    row.as_ref().map(ListedSkill::from_row).transpose()
}

/// The manifests of these versions.
///
/// # Errors
/// When the database is away or refuses.
pub async fn manifests(
    tx: &TenantTx,
    versions: &[VersionId],
) -> Result<HashMap<VersionId, Vec<FileEntry>>, DbError> {
    let ids: Vec<Uuid> = versions.iter().map(|id| *id.as_uuid()).collect();
    let rows = tx
        .query(sql!("versions/manifests.sql"), &[tx.tenant().as_uuid(), &ids])
        .await?;
    let mut manifests: HashMap<VersionId, Vec<FileEntry>> = HashMap::new();
    for row in &rows {
        manifests
            .entry(VersionId::from_uuid(row.try_get("version_id")?))
            .or_default()
            .push(FileEntry::from_row(row)?);
    }
    Ok(manifests)
}

/// The slugs of the skills that changed after a revision, at most `limit`.
///
/// # Errors
/// When the database is away or refuses.
pub async fn changed_slugs(tx: &TenantTx, revision: i64, limit: i64) -> Result<Vec<String>, DbError> {
    let rows = tx
        .query(
            sql!("skills/changed_slugs.sql"),
            &[tx.tenant().as_uuid(), &revision, &limit],
        )
        .await?;
    rows.iter().map(|row| Ok(row.try_get("slug")?)).collect()
}
