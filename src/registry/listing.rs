//! The catalog in the order of slugs, as the lists of MCP show it, and single versions as resources and prompts show them.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::caller::Viewer;
use super::lifecycle::VersionState;
use super::skill_uri::SkillUri;
use super::skills::{self, ResolvedVersion};
use super::versions::FileEntry;
use crate::db::{DbError, TenantTx};
use crate::ids::{UserId, VersionId};
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

/// A skill as its owner sees it, in its newest version of any state.
#[derive(Debug, Clone)]
pub struct OwnSkill {
    pub slug: String,
    /// The name in the front matter.
    pub name: String,
    pub description: String,
    pub version: String,
    pub state: VersionState,
    pub quarantined: bool,
    pub is_archived: bool,
    pub is_deprecated: bool,
    /// The version that others get; `None` if there is none.
    pub latest_version: Option<String>,
    pub file_count: i32,
    /// Size of all files.
    pub total_bytes: i64,
}

/// The first `limit` skills of a user after the slug `after` (empty: from the start), in every state.
pub async fn mine(tx: &TenantTx, owner: UserId, after: &str, limit: i64) -> Result<Vec<OwnSkill>, DbError> {
    let rows = tx
        .query(
            sql!("skills/mine.sql"),
            &[tx.tenant().as_uuid(), owner.as_uuid(), &after, &limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(OwnSkill {
                slug: row.try_get("slug")?,
                name: row.try_get("name")?,
                description: row.try_get("description")?,
                version: row.try_get("version")?,
                state: skills::state(row, "version_status")?,
                quarantined: row.try_get("quarantined")?,
                is_archived: row.try_get::<_, &str>("status")? == "archived",
                is_deprecated: row.try_get::<_, Option<Timestamp>>("deprecated_at")?.is_some(),
                latest_version: row.try_get("latest_version")?,
                file_count: row.try_get("file_count")?,
                total_bytes: row.try_get("total_bytes")?,
            })
        })
        .collect()
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
