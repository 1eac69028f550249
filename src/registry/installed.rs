//! What callers have installed, compared with the registry.

use std::collections::HashSet;

use tokio_postgres::Row;
use uuid::Uuid;

use super::lifecycle::VersionState;
use super::skills::{digest, state};
use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, SkillId, UserId, VersionId};
use crate::sql;

/// An installed skill, as a caller describes it.
#[derive(Debug, Clone, Copy)]
pub struct InstalledRef<'a> {
    pub slug: &'a str,
    /// The label of the version. If there is none, the version with the digest is looked for, and without both the latest.
    pub version: Option<&'a str>,
    /// The digest of the manifest.
    pub digest: Option<Digest>,
}

/// What the registry knows of an installed skill.
#[derive(Debug, Clone)]
pub struct InstalledSkill {
    pub skill: SkillId,
    /// The current slug, also if the caller named a former one.
    pub slug: String,
    pub is_archived: bool,
    /// `None` if the skill has no such version, or it was never published.
    pub version: Option<InstalledVersion>,
    /// The label of the latest version; `None` if there is none that may be installed.
    pub latest: Option<String>,
}

/// The installed version.
#[derive(Debug, Clone)]
pub struct InstalledVersion {
    pub id: VersionId,
    pub version: String,
    pub digest: Digest,
    pub is_quarantined: bool,
    /// Why an administrator denied its content, if that is why it is quarantined.
    pub denial: Option<String>,
    /// The reason if the version was withdrawn; empty if none was given.
    pub yanked: Option<String>,
}

/// The skills that a user confirmed to have installed, without those whose removal was reported.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn of_user(tx: &TenantTx, user: UserId) -> Result<HashSet<SkillId>, DbError> {
    let rows = tx
        .query(
            sql!("installs/skills_of_user.sql"),
            &[tx.tenant().as_uuid(), user.as_uuid()],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(SkillId::from_uuid(row.try_get("skill_id")?)))
        .collect()
}

/// Other skills that users who installed one of these installed too, with the number of those users, most first: at most `limit`,
/// each of at least `min_users`.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn together(
    tx: &TenantTx,
    skills: &HashSet<SkillId>,
    min_users: i64,
    limit: i64,
) -> Result<Vec<(SkillId, i64)>, DbError> {
    let ids: Vec<Uuid> = skills.iter().map(|id| *id.as_uuid()).collect();
    let rows = tx
        .query(
            sql!("installs/together.sql"),
            &[tx.tenant().as_uuid(), &ids, &min_users, &limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let skill = SkillId::from_uuid(row.try_get("skill_id")?);
            Ok((skill, row.try_get("users")?))
        })
        .collect()
}

/// What the registry knows of these skills, in their order. A skill that does not exist, or is not among `only_skills`, has `None`.
pub async fn look_up(
    tx: &TenantTx,
    installed: &[InstalledRef<'_>],
    only_skills: Option<&[String]>,
) -> Result<Vec<Option<InstalledSkill>>, DbError> {
    let slugs: Vec<&str> = installed.iter().map(|one| one.slug).collect();
    let versions: Vec<Option<&str>> = installed.iter().map(|one| one.version).collect();
    let digests: Vec<Option<&[u8]>> = installed
        .iter()
        .map(|one| one.digest.as_ref().map(|digest| digest.as_bytes().as_slice()))
        .collect();
    let rows = tx
        .query(
            sql!("installs/check.sql"),
            &[tx.tenant().as_uuid(), &slugs, &versions, &digests, &only_skills],
        )
        .await?;
    let mut found = vec![None; installed.len()];
    for row in &rows {
        let position: i64 = row.try_get("position")?;
        let place = usize::try_from(position - 1)
            .ok()
            .and_then(|index| found.get_mut(index));
        if let Some(place) = place {
            *place = Some(installed_skill(row)?);
        }
    }
    Ok(found)
}

fn installed_skill(row: &Row) -> Result<InstalledSkill, DbError> {
    let version: Option<VersionId> = row
        .try_get::<_, Option<uuid::Uuid>>("version_id")?
        .map(VersionId::from_uuid);
    Ok(InstalledSkill {
        skill: SkillId::from_uuid(row.try_get("skill_id")?),
        slug: row.try_get("slug")?,
        is_archived: row.try_get::<_, &str>("status")? == "archived",
        version: version.map(|id| installed_version(row, id)).transpose()?,
        latest: row.try_get("latest_version")?,
    })
}

fn installed_version(row: &Row, id: VersionId) -> Result<InstalledVersion, DbError> {
    let is_yanked = state(row, "version_status")? == VersionState::Yanked;
    let reason: Option<String> = row.try_get("yank_reason")?;
    Ok(InstalledVersion {
        id,
        version: row.try_get("version")?,
        digest: digest(row, "digest")?,
        is_quarantined: row.try_get("quarantined")?,
        denial: row.try_get("denial")?,
        yanked: is_yanked.then(|| reason.unwrap_or_default()),
    })
}
