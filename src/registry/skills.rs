//! Skills: look-ups by slug or id, and what changed since a revision of the catalog.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::caller::Viewer;
use super::lifecycle::VersionState;
use super::usage::Subject;
use crate::db::{DbError, Param, TenantTx};
use crate::ids::{Digest, SkillId, VersionId};
use crate::sql;

/// What lists show of a skill. Texts are as long as their columns permit.
#[derive(Debug, Clone)]
pub struct SkillMetadata {
    /// The name in the front matter.
    pub name: String,
    pub description: String,
    pub category: Option<String>,
    pub tags: Vec<String>,
    pub author: Option<String>,
    pub license: Option<String>,
    /// Whether the latest version follows the Agent Skills format.
    pub conformant: bool,
}

impl SkillMetadata {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            category: row.try_get("category")?,
            tags: row.try_get("tags")?,
            author: row.try_get("author")?,
            license: row.try_get("license")?,
            conformant: row.try_get("conformant")?,
        })
    }

    /// The values in the order of the columns in `skills/insert.sql` and `skills/set_latest.sql`.
    pub(super) fn params(&self) -> [Param<'_>; 7] {
        [
            &self.name,
            &self.description,
            &self.category,
            &self.tags,
            &self.author,
            &self.license,
            &self.conformant,
        ]
    }
}

/// A skill as the search results show it.
#[derive(Debug, Clone)]
pub struct SkillSummary {
    pub id: SkillId,
    pub slug: String,
    pub metadata: SkillMetadata,
    /// The latest version.
    pub version: String,
    pub file_count: i32,
    /// Size of all files of the latest version.
    pub total_bytes: i64,
    pub is_deprecated: bool,
}

/// The summaries of these skills, in no particular order. Ids that do not exist or belong to another tenant are left out.
pub async fn summaries(tx: &TenantTx, ids: &[SkillId]) -> Result<Vec<SkillSummary>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
    let rows = tx
        .query(sql!("skills/by_ids.sql"), &[tx.tenant().as_uuid(), &ids])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(SkillSummary {
                id: SkillId::from_uuid(row.try_get("id")?),
                slug: row.try_get("slug")?,
                metadata: SkillMetadata::from_row(row)?,
                version: row.try_get("version")?,
                file_count: row.try_get("file_count")?,
                total_bytes: row.try_get("total_bytes")?,
                is_deprecated: row.try_get("deprecated")?,
            })
        })
        .collect()
}

/// A skill and one of its versions, resolved from a slug and an optional version label.
#[derive(Debug, Clone)]
pub struct ResolvedVersion {
    pub skill: SkillId,
    pub slug: String,
    pub version_id: VersionId,
    pub version: String,
    pub digest: Digest,
    pub state: VersionState,
    /// The reason if the version was yanked; empty if none was given.
    pub yanked: Option<String>,
}

impl ResolvedVersion {
    pub(super) fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            skill: SkillId::from_uuid(row.try_get("id")?),
            slug: row.try_get("slug")?,
            version_id: VersionId::from_uuid(row.try_get("version_id")?),
            version: row.try_get("version")?,
            digest: digest(row, "digest")?,
            state: state(row, "version_status")?,
            yanked: yanked(row)?,
        })
    }

    /// What a usage event records of a call about this version.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        Subject {
            skill: Some(self.skill),
            version: Some(self.version_id),
            digest: Some(self.digest),
        }
    }
}

/// The skill with this slug or former slug, and its version with this label or its latest version.
pub async fn find(
    tx: &TenantTx,
    slug: &str,
    version: Option<&str>,
    viewer: Viewer,
) -> Result<Option<ResolvedVersion>, DbError> {
    let row = tx
        .query_opt(
            sql!("skills/find.sql"),
            &[
                tx.tenant().as_uuid(),
                &slug,
                &version,
                &viewer.user_uuid(),
                &viewer.sees_all,
            ],
        )
        .await?;
    row.as_ref().map(ResolvedVersion::from_row).transpose()
}

/// Reads a column that holds the state of a version.
pub(super) fn state(row: &Row, column: &str) -> Result<VersionState, DbError> {
    row.try_get::<_, &str>(column)?.parse().map_err(DbError::Corrupt)
}

fn yanked(row: &Row) -> Result<Option<String>, DbError> {
    let is_yanked = state(row, "version_status")? == VersionState::Yanked;
    let reason: Option<String> = row.try_get("yank_reason")?;
    Ok(is_yanked.then(|| reason.unwrap_or_default()))
}

/// Reads a column that holds a digest.
pub(crate) fn digest(row: &Row, column: &str) -> Result<Digest, DbError> {
    Digest::from_bytes(row.try_get(column)?).map_err(|error| DbError::Corrupt(error.to_string()))
}

/// Everything that the registry stores about a skill in one version, except its files.
#[derive(Debug, Clone)]
pub struct SkillDetails {
    pub resolved: ResolvedVersion,
    pub metadata: SkillMetadata,
    /// Deviations of the latest version from the format: a list of objects with `code` and `message`.
    pub notes: Value,
    pub front_matter: Value,
    pub file_count: i32,
    pub total_bytes: i64,
    /// First publication of the skill.
    pub created_at: Timestamp,
    /// Publication of the version.
    pub version_created_at: Timestamp,
    /// Number of ratings.
    pub ratings: i64,
    /// Mean rating, 1 to 5.
    pub stars: Option<f64>,
    /// Confirmed installs.
    pub installs: i64,
    /// Number of reports with the outcome `helped`; the same for `failed` and `stale`.
    pub helped: i64,
    pub failed: i64,
    pub stale: i64,
    /// Result of the last review of this version: `approved` or `changes_requested`.
    pub review: Option<String>,
}

/// The details of the skill with this slug or former slug, in the version with this label or in its latest version.
pub async fn details(
    tx: &TenantTx,
    slug: &str,
    version: Option<&str>,
    viewer: Viewer,
) -> Result<Option<SkillDetails>, DbError> {
    let Some(row) = tx
        .query_opt(
            sql!("skills/details.sql"),
            &[
                tx.tenant().as_uuid(),
                &slug,
                &version,
                &viewer.user_uuid(),
                &viewer.sees_all,
            ],
        )
        .await?
    else {
        return Ok(None);
    };
    Ok(Some(SkillDetails {
        resolved: ResolvedVersion::from_row(&row)?,
        metadata: SkillMetadata::from_row(&row)?,
        notes: row.try_get("notes")?,
        front_matter: row.try_get("front_matter")?,
        file_count: row.try_get("file_count")?,
        total_bytes: row.try_get("total_bytes")?,
        created_at: row.try_get("created_at")?,
        version_created_at: row.try_get("version_created_at")?,
        ratings: row.try_get("ratings")?,
        stars: row.try_get("stars")?,
        installs: row.try_get("installs")?,
        helped: row.try_get("helped")?,
        failed: row.try_get("failed")?,
        stale: row.try_get("stale")?,
        review: row.try_get("review")?,
    }))
}

/// A changed skill, with the fields of the search index.
#[derive(Debug, Clone)]
pub struct Changed {
    pub id: SkillId,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub category: Option<String>,
    pub tags: Vec<String>,
    pub author: Option<String>,
    /// Whether searches may find it.
    pub active: bool,
    /// The revision of the catalog that changed it.
    pub revision: i64,
    pub updated_at: Timestamp,
    /// The bytes of `SKILL.md`.
    pub skill_md: Option<Vec<u8>>,
}

/// The first `limit` skills that changed after a revision of the catalog, oldest change first.
pub async fn changed_since(tx: &TenantTx, revision: i64, limit: i64) -> Result<Vec<Changed>, DbError> {
    let rows = tx
        .query(
            sql!("skills/changed_since.sql"),
            &[tx.tenant().as_uuid(), &revision, &limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Changed {
                id: SkillId::from_uuid(row.try_get("id")?),
                slug: row.try_get("slug")?,
                name: row.try_get("name")?,
                description: row.try_get("description")?,
                category: row.try_get("category")?,
                tags: row.try_get("tags")?,
                author: row.try_get("author")?,
                active: row.try_get::<_, &str>("status")? == "active"
                    && row.try_get::<_, Option<Uuid>>("latest_version_id")?.is_some(),
                revision: row.try_get("revision")?,
                updated_at: row.try_get("updated_at")?,
                skill_md: row.try_get("skill_md")?,
            })
        })
        .collect()
}
