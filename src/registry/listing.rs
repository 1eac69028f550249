//! The catalog in the order of slugs, as the lists of MCP show it, and single versions as resources and prompts show them.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::caller::Viewer;
use super::skill_uri::SkillUri;
use super::skills::ResolvedVersion;
use super::versions::FileEntry;
use crate::db::{DbError, TenantTx};
use crate::ids::VersionId;
use crate::sql;

/// A skill in one version.
#[derive(Debug, Clone)]
pub struct ListedSkill {
    pub resolved: ResolvedVersion,
    /// The name in the front matter.
    pub name: String,
    pub description: String,
    /// Last change of the skill.
    pub updated_at: Timestamp,
    /// The front matter of the version, without NUL characters.
    pub front_matter: Value,
}

impl ListedSkill {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            resolved: ResolvedVersion::from_row(row)?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            updated_at: row.try_get("updated_at")?,
            front_matter: row.try_get("front_matter")?,
        })
    }

    /// The URI of the version's folder; `None` if the version label cannot be a URI segment.
    #[must_use]
    pub fn folder(&self) -> Option<SkillUri> {
        SkillUri::folder(&self.resolved.slug, &self.resolved.version, &self.front_matter)
    }
}

/// The first `limit` skills after the slug `after` (empty: from the start), each in its latest version. If `only` is set,
/// skills with other slugs are left out.
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

/// The skill with this slug, in the version with this label or in its latest version.
pub async fn get_version(
    tx: &TenantTx,
    slug: &str,
    version: Option<&str>,
) -> Result<Option<ListedSkill>, DbError> {
    let viewer = Viewer::PUBLISHED;
    let row = tx
        .query_opt(
            sql!("skills/get_version.sql"),
            &[
                tx.tenant().as_uuid(),
                &slug,
                &version,
                &viewer.user_uuid(),
                &viewer.sees_all,
            ],
        )
        .await?;
    row.as_ref().map(ListedSkill::from_row).transpose()
}

/// The manifests of these versions. A version that does not exist has no entry.
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

/// The slugs of the first `limit` skills that changed after a revision of the catalog, oldest change first.
pub async fn changed_slugs(tx: &TenantTx, revision: i64, limit: i64) -> Result<Vec<String>, DbError> {
    let rows = tx
        .query(
            sql!("skills/changed_slugs.sql"),
            &[tx.tenant().as_uuid(), &revision, &limit],
        )
        .await?;
    rows.iter().map(|row| Ok(row.try_get("slug")?)).collect()
}
