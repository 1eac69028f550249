//! Finds the skill that a version belongs to, or the slug of a new one.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{NewVersion, Placement, PublishError, Source};
use crate::db::{DbError, TenantTx};
use crate::ids::{IdError, SkillId, Slug, UserId};
use crate::registry::lifecycle::{self, Action};
use crate::registry::versions::{self, VersionRow};
use crate::sql;

/// The highest number that is appended to a slug that is taken. After it, publishing fails with [`PublishError::NoSlug`].
const MAX_SLUG_NUMBER: u32 = 99;

/// Where a version goes.
pub(super) enum Target {
    Existing(Existing),
    New(Slug),
}

/// A skill in the registry with the same source, or with one of the candidate slugs.
#[derive(Debug)]
pub(super) struct Existing {
    pub(super) id: SkillId,
    pub(super) slug: String,
    owner: Option<UserId>,
    source_name: String,
    source: Option<String>,
    is_archived: bool,
    former_slugs: Vec<String>,
}

impl Existing {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: SkillId::from_uuid(row.try_get("id")?),
            slug: row.try_get("slug")?,
            owner: row.try_get::<_, Option<Uuid>>("owner_id")?.map(UserId::from_uuid),
            source_name: row.try_get("source_name")?,
            source: row.try_get("source")?,
            is_archived: row.try_get::<_, &str>("status")? == "archived",
            former_slugs: row
                .try_get::<_, Option<Vec<String>>>("former_slugs")?
                .unwrap_or_default(),
        })
    }

    fn has_slug(&self, slug: &str) -> bool {
        self.slug == slug || self.former_slugs.iter().any(|former| former == slug)
    }

    fn comes_from(&self, source: &Source<'_>) -> bool {
        self.source_name == source.name && self.source.as_deref() == Some(source.path)
    }

    /// Imported before sources had names.
    fn may_come_from(&self, source: &Source<'_>) -> bool {
        self.source_name.is_empty() && self.source.as_deref() == Some(source.path)
    }
}

/// The target of a new version, and the versions that the target has, oldest first.
///
/// # Errors
/// [`PublishError::Taken`], [`PublishError::Archived`] and [`PublishError::NoSlug`].
pub(super) async fn find(
    tx: &TenantTx,
    new: &NewVersion<'_>,
) -> Result<(Target, Vec<VersionRow>), PublishError> {
    let (candidates, source) = match new.placement {
        Placement::Slug(slug) => (vec![slug.clone()], None),
        Placement::Source(source) => {
            let prefix = source.prefix.or(new.folder.parent_name.as_deref());
            (slug_candidates(&new.document.name, prefix), Some(source))
        }
    };
    let existing = find_existing(tx, &candidates, source).await?;
    let target = match source {
        None => owned_or_new(existing, &candidates, new)?,
        Some(source) => from_source(tx, existing, &candidates, &source, new).await?,
    };
    let versions = match &target {
        Target::Existing(skill) => versions::states(tx, &[skill.id]).await?,
        Target::New(_) => Vec::new(),
    };
    Ok((target, versions))
}

/// The slug that [`store`](super::store) gives the version, if no other publication comes first.
///
/// # Errors
/// [`PublishError`]; the transaction must then be rolled back.
pub async fn planned_slug(tx: &TenantTx, new: &NewVersion<'_>) -> Result<Slug, PublishError> {
    match find(tx, new).await?.0 {
        Target::New(slug) => Ok(slug),
        Target::Existing(skill) => Ok(skill
            .slug
            .parse()
            .map_err(|error: IdError| DbError::Corrupt(error.to_string()))?),
    }
}

async fn find_existing(
    tx: &TenantTx,
    candidates: &[Slug],
    source: Option<Source<'_>>,
) -> Result<Vec<Existing>, DbError> {
    let slugs: Vec<&str> = candidates.iter().map(Slug::as_str).collect();
    let (name, path) = (source.map(|source| source.name), source.map(|source| source.path));
    let rows = tx
        .query(
            sql!("skills/find_existing.sql"),
            &[tx.tenant().as_uuid(), &slugs, &name, &path],
        )
        .await?;
    rows.iter().map(Existing::from_row).collect()
}

/// The caller's skill with the slug, or a new one.
fn owned_or_new(
    existing: Vec<Existing>,
    candidates: &[Slug],
    new: &NewVersion<'_>,
) -> Result<Target, PublishError> {
    let no_slug = || PublishError::NoSlug(new.document.name.clone());
    let slug = candidates.first().ok_or_else(no_slug)?;
    match existing.into_iter().find(|skill| skill.has_slug(slug.as_str())) {
        None => Ok(Target::New(slug.clone())),
        Some(skill) if !lifecycle::may(new.caller, Action::Publish, skill.owner) => {
            Err(PublishError::Taken(slug.to_string()))
        }
        Some(skill) if skill.is_archived => Err(PublishError::Archived(skill.slug)),
        // A fork is a new skill.
        Some(skill) if new.origin.is_some() => Err(PublishError::Taken(skill.slug)),
        Some(skill) => Ok(Target::Existing(skill)),
    }
}

/// The skill that the source filled before, or a new one with a slug that is free.
async fn from_source(
    tx: &TenantTx,
    mut existing: Vec<Existing>,
    candidates: &[Slug],
    source: &Source<'_>,
    new: &NewVersion<'_>,
) -> Result<Target, PublishError> {
    let same_source = existing
        .iter()
        .position(|skill| skill.comes_from(source))
        .or_else(|| existing.iter().position(|skill| skill.may_come_from(source)));
    if let Some(index) = same_source {
        return Ok(Target::Existing(existing.swap_remove(index)));
    }
    // The same skill, imported through another root folder: nothing new.
    let same_slug = existing
        .iter()
        .position(|skill| skill.slug == new.document.name.as_str());
    if let Some(index) = same_slug
        && let Some(skill) = existing.get(index)
    {
        let digest = new.folder.manifest_digest();
        let versions = versions::states(tx, &[skill.id]).await?;
        if versions.last().is_some_and(|latest| latest.digest == digest) {
            return Ok(Target::Existing(existing.swap_remove(index)));
        }
    }
    candidates
        .iter()
        .find(|slug| existing.iter().all(|skill| !skill.has_slug(slug.as_str())))
        .map(|slug| Target::New(slug.clone()))
        .ok_or_else(|| PublishError::NoSlug(new.document.name.clone()))
}

/// Binds a skill that was imported before sources had names to its source.
pub(super) async fn adopt(tx: &TenantTx, skill: &Existing, placement: Placement<'_>) -> Result<(), DbError> {
    match placement {
        Placement::Source(source) if skill.may_come_from(&source) && !skill.comes_from(&source) => {
            tx.execute_one(
                sql!("skills/set_source.sql"),
                &[
                    tx.tenant().as_uuid(),
                    skill.id.as_uuid(),
                    &source.name,
                    &source.path,
                ],
            )
            .await
        }
        Placement::Source(_) | Placement::Slug(_) => Ok(()),
    }
}

/// In order of preference: the name, the name with the prefix, the name with a number.
fn slug_candidates(name: &Slug, prefix: Option<&str>) -> Vec<Slug> {
    let with_prefix = prefix.and_then(|prefix| Slug::derive(&format!("{prefix}-{name}")));
    let numbered = (2..=MAX_SLUG_NUMBER).filter_map(|number| {
        // Leaves space for `-` and two digits, because `derive` cuts at the maximum length.
        let stem: String = name.as_str().chars().take(Slug::MAX_LEN - 3).collect();
        Slug::derive(&format!("{stem}-{number}"))
    });
    std::iter::once(name.clone())
        .chain(with_prefix)
        .chain(numbered)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_tried_before_numbers() {
        let slugs = slug_candidates(&"pdf".parse().unwrap(), Some("Acme Corp"));
        let first: Vec<&str> = slugs.iter().take(3).map(Slug::as_str).collect();
        assert_eq!(first, ["pdf", "acme-corp-pdf", "pdf-2"]);
    }

    #[test]
    fn slug_numbers_fit_after_the_longest_name() {
        let name: Slug = "a".repeat(64).parse().unwrap();
        let slugs = slug_candidates(&name, None);
        assert_eq!(slugs.len(), 99);
        assert!(slugs[1].as_str().ends_with("-2"), "{:?}", slugs[1]);
    }
}
