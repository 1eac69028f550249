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
    let target = match new.placement {
        Placement::Slug(slug) => {
            let existing = find_existing(tx, &PreferredSlugs::new(slug, None), None).await?;
            owned_or_new(existing, slug, new)?
        }
        Placement::Source(source) => from_source(tx, &source, new).await?,
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
    slugs: &PreferredSlugs,
    source: Option<&Source<'_>>,
) -> Result<Vec<Existing>, DbError> {
    let prefixed = slugs.prefixed.as_ref().map(Slug::as_str);
    let (name, path) = (source.map(|source| source.name), source.map(|source| source.path));
    let rows = tx
        .query(
            sql!("skills/find_existing.sql"),
            &[
                tx.tenant().as_uuid(),
                &slugs.name.as_str(),
                &prefixed,
                &name,
                &path,
            ],
        )
        .await?;
    rows.iter().map(Existing::from_row).collect()
}

/// The first slug with a number that no skill has or had.
async fn free_numbered_slug(tx: &TenantTx, name: &Slug) -> Result<Option<Slug>, DbError> {
    let candidates = numbered_slugs(name);
    let slugs: Vec<&str> = candidates.iter().map(Slug::as_str).collect();
    let rows = tx
        .query(
            sql!("skills/list_taken_slugs.sql"),
            &[tx.tenant().as_uuid(), &slugs],
        )
        .await?;
    let taken = rows
        .iter()
        .map(|row| row.try_get("slug"))
        .collect::<Result<Vec<String>, _>>()?;
    Ok(candidates
        .into_iter()
        .find(|slug| !taken.iter().any(|taken| taken == slug.as_str())))
}

/// The caller's skill with the slug, or a new one.
fn owned_or_new(existing: Vec<Existing>, slug: &Slug, new: &NewVersion<'_>) -> Result<Target, PublishError> {
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
    source: &Source<'_>,
    new: &NewVersion<'_>,
) -> Result<Target, PublishError> {
    let prefix = source.prefix.or(new.folder.parent_name.as_deref());
    let preferred = PreferredSlugs::new(&new.document.name, prefix);
    let mut existing = find_existing(tx, &preferred, Some(source)).await?;
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
    let is_free = |slug: &Slug| existing.iter().all(|skill| !skill.has_slug(slug.as_str()));
    if let Some(slug) = preferred.into_iter().find(is_free) {
        return Ok(Target::New(slug));
    }
    free_numbered_slug(tx, &new.document.name)
        .await?
        .map(Target::New)
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

/// The slugs that an imported skill gets if they are free.
struct PreferredSlugs {
    name: Slug,
    /// The name with the prefix of the source.
    prefixed: Option<Slug>,
}

impl PreferredSlugs {
    fn new(name: &Slug, prefix: Option<&str>) -> Self {
        Self {
            name: name.clone(),
            prefixed: prefix.and_then(|prefix| Slug::derive(&format!("{prefix}-{name}"))),
        }
    }

    fn into_iter(self) -> impl Iterator<Item = Slug> {
        std::iter::once(self.name).chain(self.prefixed)
    }
}

/// The name with the numbers that are tried after the preferred slugs.
fn numbered_slugs(name: &Slug) -> Vec<Slug> {
    (2..=MAX_SLUG_NUMBER)
        .filter_map(|number| {
            // Leaves space for `-` and two digits, because `derive` cuts at the maximum length.
            let stem: String = name.as_str().chars().take(Slug::MAX_LEN - 3).collect();
            Slug::derive(&format!("{stem}-{number}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_tried_before_the_prefix() {
        let slugs = PreferredSlugs::new(&"pdf".parse().unwrap(), Some("Acme Corp"));
        let slugs: Vec<String> = slugs.into_iter().map(|slug| slug.to_string()).collect();
        assert_eq!(slugs, ["pdf", "acme-corp-pdf"]);
    }

    #[test]
    fn slug_numbers_fit_after_the_longest_name() {
        let name: Slug = "a".repeat(64).parse().unwrap();
        let slugs = numbered_slugs(&name);
        assert_eq!(slugs.len(), 98);
        assert!(slugs[0].as_str().ends_with("-2"), "{:?}", slugs[0]);
        assert!(slugs[97].as_str().ends_with("-99"), "{:?}", slugs[97]);
    }
}
