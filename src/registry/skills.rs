//! Looking skills up.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, SkillId, VersionId};
use crate::sql;

/// What a list of skills shows of each.
#[derive(Debug, Clone)]
pub struct SkillSummary {
    /// The skill.
    pub id: SkillId,
    /// Its unique name.
    pub slug: String,
    /// What it calls itself.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its category.
    pub category: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its author.
    pub author: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// Whether it keeps to the Agent Skills format.
    pub conformant: bool,
    /// Its latest version.
    pub version: String,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The summaries of these skills, in no order; those that are gone or another tenant's are left out.
///
/// # Errors
/// When the database is away or refuses.
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
                name: row.try_get("name")?,
                description: row.try_get("description")?,
                category: row.try_get("category")?,
                tags: row.try_get("tags")?,
                author: row.try_get("author")?,
                license: row.try_get("license")?,
                conformant: row.try_get("conformant")?,
                version: row.try_get("version")?,
                updated_at: row.try_get("updated_at")?,
            })
        })
        .collect()
}

/// A skill and one of its versions, as far as a call that names them needs it.
#[derive(Debug, Clone)]
pub struct ResolvedVersion {
    /// The skill.
    pub skill: SkillId,
    /// Its unique name.
    pub slug: String,
    /// The version.
    pub version_id: VersionId,
    /// The version's label.
    pub version: String,
    /// The version's digest.
    pub digest: Digest,
    /// The reason, where the version was yanked.
    pub yanked: Option<String>,
}

/// The skill of this slug with the version of this label, or with its latest.
///
/// # Errors
/// When the database is away or refuses.
pub async fn find(
    tx: &TenantTx,
    slug: &str,
    version: Option<&str>,
) -> Result<Option<ResolvedVersion>, DbError> {
    let row = tx
        .query_opt(sql!("skills/find.sql"), &[tx.tenant().as_uuid(), &slug, &version])
        .await?;
    row.as_ref().map(found).transpose()
}

pub(super) fn found(row: &Row) -> Result<ResolvedVersion, DbError> {
    Ok(ResolvedVersion {
        skill: SkillId::from_uuid(row.try_get("id")?),
        slug: row.try_get("slug")?,
        version_id: VersionId::from_uuid(row.try_get("version_id")?),
        version: row.try_get("version")?,
        digest: digest(row, "digest")?,
        yanked: yanked(row)?,
    })
}

fn yanked(row: &Row) -> Result<Option<String>, DbError> {
    let is_yanked = row.try_get::<_, &str>("version_status")? == "yanked";
    let reason: Option<String> = row.try_get("yank_reason")?;
    Ok(is_yanked.then(|| reason.unwrap_or_default()))
}

/// Reads a column that holds a digest.
pub(crate) fn digest(row: &Row, column: &str) -> Result<Digest, DbError> {
    Digest::from_bytes(row.try_get(column)?).map_err(|error| DbError::Corrupt(error.to_string()))
}

/// Everything that there is to know of a skill in one of its versions.
#[derive(Debug, Clone)]
pub struct Details {
    /// The skill and version.
    pub found: ResolvedVersion,
    /// What it calls itself.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its category.
    pub category: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its author.
    pub author: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// Whether its latest version keeps to the Agent Skills format.
    pub conformant: bool,
    /// Where it does not, as a list of objects with `code` and `message`.
    pub notes: Value,
    /// The front matter of the version.
    pub front_matter: Value,
    /// Files in the version.
    pub file_count: i32,
    /// Bytes in the version.
    pub total_bytes: i64,
    /// When the skill was first published.
    pub created_at: Timestamp,
    /// When the version was published.
    pub version_created_at: Timestamp,
    /// How many rated it.
    pub ratings: i64,
    /// Their mean, 1 to 5.
    pub stars: Option<f64>,
    /// Confirmed installs.
    pub installs: i64,
    /// Reports that it helped.
    pub helped: i64,
    /// Reports that it failed.
    pub failed: i64,
    /// Reports that it is out of date.
    pub stale: i64,
    /// The verdict of the last review of this version.
    pub review: Option<String>,
}

/// Everything on the skill of this slug, in the version of this label or in its latest.
///
/// # Errors
/// When the database is away or refuses.
pub async fn details(tx: &TenantTx, slug: &str, version: Option<&str>) -> Result<Option<Details>, DbError> {
    let Some(row) = tx
        .query_opt(
            sql!("skills/details.sql"),
            &[tx.tenant().as_uuid(), &slug, &version],
        )
        .await?
    else {
        return Ok(None);
    };
    Ok(Some(Details {
        found: found(&row)?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        category: row.try_get("category")?,
        tags: row.try_get("tags")?,
        author: row.try_get("author")?,
        license: row.try_get("license")?,
        conformant: row.try_get("conformant")?,
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

/// A skill that changed, with what the search index holds of it.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The skill.
    pub id: SkillId,
    /// Its unique name.
    pub slug: String,
    /// What it calls itself.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its category.
    pub category: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its author.
    pub author: Option<String>,
    /// Whether it can be found at all.
    pub active: bool,
    /// The revision at which it changed.
    pub revision: i64,
    /// The bytes of its `SKILL.md`.
    pub skill_md: Option<Vec<u8>>,
}

/// The skills that changed after a revision, oldest change first, at most `limit`.
///
/// # Errors
/// When the database is away or refuses.
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
                active: row.try_get::<_, &str>("status")? == "active",
                revision: row.try_get("revision")?,
                skill_md: row.try_get("skill_md")?,
            })
        })
        .collect()
}
