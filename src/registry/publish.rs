//! Publishing: stores a version with its manifest and bytes, and updates the skill's metadata from it.

mod display_metadata;

use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

use display_metadata::{DisplayMetadata, fit, without_nul};

use super::audit::{self, Actor, Entry};
use crate::db::{DbError, Param, TenantTx};
use crate::ids::{Digest, SkillId, Slug, VersionId};
use crate::sql;
use agent_skills::{Diagnostic, Severity, SkillDocument, SkillFolder};

/// The highest number that is appended to a slug that is taken. After it, publishing fails with [`PublishError::NoSlug`].
const MAX_SLUG_NUMBER: u32 = 99;

/// The longest version label that is taken from the front matter, in characters. `+` and an ordinal may follow it.
const MAX_AUTHOR_LABEL: usize = 50;

/// A version to publish.
pub struct NewVersion<'a> {
    /// Path relative to the imported folder. The next import recognises the skill by it.
    pub source: &'a str,
    pub folder: &'a SkillFolder,
    /// The parsed `SKILL.md`.
    pub document: &'a SkillDocument,
    /// Recorded in the audit log.
    pub actor: &'a Actor,
}

/// The effect of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    /// A new skill.
    Created,
    /// A new version of an existing skill.
    Updated,
    /// Nothing: the latest version already has the same files.
    Unchanged,
}

/// The skill and version in the registry after publishing.
#[derive(Debug, Clone)]
pub struct Stored {
    pub outcome: PublishOutcome,
    pub slug: String,
    pub version: String,
    pub digest: Digest,
}

/// Why a version was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Every slug that can be derived from the name is taken.
    #[error("too many skills are named \"{0}\"; rename the skill")]
    NoSlug(Slug),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A skill in the registry with the same source, or with one of the candidate slugs.
struct Existing {
    id: SkillId,
    slug: String,
    source: Option<String>,
    latest: Option<(String, Digest)>,
}

impl Existing {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        let version: Option<String> = row.try_get("version")?;
        let digest: Option<&[u8]> = row.try_get("digest")?;
        let latest = match (version, digest) {
            (Some(version), Some(digest)) => {
                let digest =
                    Digest::from_bytes(digest).map_err(|error| DbError::Corrupt(error.to_string()))?;
                Some((version, digest))
            }
            (Some(_) | None, _) => None,
        };
        Ok(Self {
            id: SkillId::from_uuid(row.try_get("id")?),
            slug: row.try_get("slug")?,
            source: row.try_get("source")?,
            latest,
        })
    }

    /// The result for a version that the registry already has as the latest.
    fn unchanged(&self, digest: Digest) -> Option<Stored> {
        let (version, latest) = self.latest.as_ref()?;
        (*latest == digest).then(|| Stored {
            outcome: PublishOutcome::Unchanged,
            slug: self.slug.clone(),
            version: version.clone(),
            digest,
        })
    }
}

/// Publishes a version of the skill with the same source, or of a new skill.
///
/// # Errors
/// [`PublishError`]; the transaction must then be rolled back.
pub async fn store(tx: &TenantTx, new: &NewVersion<'_>) -> Result<Stored, PublishError> {
    let digest = new.folder.manifest_digest();
    let candidates = slug_candidates(&new.document.name, new.folder.parent_name.as_deref());
    let existing = find_existing(tx, &candidates, new.source).await?;
    let same_source = existing
        .iter()
        .find(|skill| skill.source.as_deref() == Some(new.source));
    if let Some(stored) = same_source.and_then(|skill| skill.unchanged(digest)) {
        return Ok(stored);
    }
    // The same skill, imported through a different root folder.
    let same_name = existing
        .iter()
        .find(|skill| skill.slug == new.document.name.as_str());
    if same_source.is_none()
        && let Some(stored) = same_name.and_then(|skill| skill.unchanged(digest))
    {
        return Ok(stored);
    }
    let revision = next_revision(tx).await?;
    let display = DisplayMetadata::new(new.document, new.folder);
    let (skill, slug, outcome) = match same_source {
        Some(skill) => (skill.id, skill.slug.clone(), PublishOutcome::Updated),
        None => {
            let slug = candidates
                .iter()
                .find(|slug| existing.iter().all(|skill| skill.slug != slug.as_str()))
                .ok_or_else(|| PublishError::NoSlug(new.document.name.clone()))?;
            let skill = SkillId::new();
            insert_skill(tx, skill, slug, new.source, &display, revision).await?;
            (skill, slug.to_string(), PublishOutcome::Created)
        }
    };
    let (version_id, version) = insert_version(tx, skill, digest, new).await?;
    insert_files(tx, version_id, new.folder).await?;
    set_latest(tx, skill, version_id, &display, revision).await?;
    let before = same_source.and_then(|skill| skill.latest.as_ref());
    let details = json!({
        "before": before.map(|(version, digest)| json!({"version": version, "digest": digest})),
        "after": {"version": version, "digest": digest, "source": new.source},
    });
    let entry = Entry {
        actor: new.actor,
        action: "skill.publish",
        subject: &slug,
        details,
        source: "cli",
    };
    audit::write(tx, &entry).await?;
    Ok(Stored {
        outcome,
        slug,
        version,
        digest,
    })
}

/// In order of preference: the name, the name with the parent folder as prefix, the name with a number.
fn slug_candidates(name: &Slug, parent: Option<&str>) -> Vec<Slug> {
    let with_parent = parent.and_then(|parent| Slug::derive(&format!("{parent}-{name}")));
    let numbered = (2..=MAX_SLUG_NUMBER).filter_map(|number| {
        // Leaves space for `-` and two digits, because `derive` cuts at the maximum length.
        let stem: String = name.as_str().chars().take(Slug::MAX_LEN - 3).collect();
        Slug::derive(&format!("{stem}-{number}"))
    });
    std::iter::once(name.clone())
        .chain(with_parent)
        .chain(numbered)
        .collect()
}

async fn find_existing(tx: &TenantTx, candidates: &[Slug], source: &str) -> Result<Vec<Existing>, DbError> {
    let slugs: Vec<&str> = candidates.iter().map(Slug::as_str).collect();
    let rows = tx
        .query(
            sql!("skills/for_publishing.sql"),
            &[tx.tenant().as_uuid(), &slugs, &source],
        )
        .await?;
    rows.iter().map(Existing::from_row).collect()
}

async fn next_revision(tx: &TenantTx) -> Result<i64, DbError> {
    let row = tx
        .query_one(sql!("tenants/next_revision.sql"), &[tx.tenant().as_uuid()])
        .await?;
    Ok(row.try_get("catalogue_revision")?)
}

async fn insert_skill(
    tx: &TenantTx,
    skill: SkillId,
    slug: &Slug,
    source: &str,
    display: &DisplayMetadata,
    revision: i64,
) -> Result<(), DbError> {
    let (tenant, slug) = (tx.tenant(), slug.as_str());
    let mut params: Vec<Param<'_>> = vec![tenant.as_uuid(), skill.as_uuid(), &slug];
    params.extend(display.metadata.params());
    let rest: [Param<'_>; 3] = [&display.notes, &source, &revision];
    params.extend(rest);
    tx.execute_one(sql!("skills/insert.sql"), &params).await
}

async fn set_latest(
    tx: &TenantTx,
    skill: SkillId,
    version: VersionId,
    display: &DisplayMetadata,
    revision: i64,
) -> Result<(), DbError> {
    let tenant = tx.tenant();
    let mut params: Vec<Param<'_>> = vec![tenant.as_uuid(), skill.as_uuid(), version.as_uuid()];
    params.extend(display.metadata.params());
    let rest: [Param<'_>; 2] = [&display.notes, &revision];
    params.extend(rest);
    tx.execute_one(sql!("skills/set_latest.sql"), &params).await
}

async fn insert_version(
    tx: &TenantTx,
    skill: SkillId,
    digest: Digest,
    new: &NewVersion<'_>,
) -> Result<(VersionId, String), DbError> {
    let id = VersionId::new();
    let author_label = new
        .document
        .version
        .as_deref()
        .map(|text| fit(text, MAX_AUTHOR_LABEL))
        .filter(|text| !text.is_empty());
    let row = tx
        .query_one(
            sql!("versions/labels.sql"),
            &[tx.tenant().as_uuid(), skill.as_uuid(), &author_label],
        )
        .await?;
    let ordinal = row.try_get::<_, i32>("last_ordinal")? + 1;
    let taken: bool = row.try_get("taken")?;
    let label = match author_label {
        None => ordinal.to_string(),
        // The author changed the skill but not its version. Labels are unique.
        Some(label) if taken => format!("{label}+{ordinal}"),
        Some(label) => label,
    };
    let file_count = i32::try_from(new.folder.files.len()).unwrap_or(i32::MAX);
    let total_bytes: i64 = new.folder.files.iter().map(|file| size(&file.bytes)).sum();
    let front_matter = without_nul(&Value::Object(new.document.front_matter.clone()));
    tx.execute_one(
        sql!("versions/insert.sql"),
        &[
            tx.tenant().as_uuid(),
            id.as_uuid(),
            skill.as_uuid(),
            &ordinal,
            &label,
            &digest.as_bytes().as_slice(),
            &front_matter,
            &file_count,
            &total_bytes,
        ],
    )
    .await?;
    Ok((id, label))
}

async fn insert_files(tx: &TenantTx, version: VersionId, folder: &SkillFolder) -> Result<(), DbError> {
    let tenant = tx.tenant();
    let digests: Vec<Vec<u8>> = folder
        .files
        .iter()
        .map(|file| file.digest().as_bytes().to_vec())
        .collect();
    let bytes: Vec<&[u8]> = folder.files.iter().map(|file| file.bytes.as_slice()).collect();
    tx.execute(
        sql!("versions/insert_blobs.sql"),
        &[tenant.as_uuid(), &digests, &bytes],
    )
    .await?;
    let paths: Vec<&str> = folder.files.iter().map(|file| file.path.as_str()).collect();
    let sizes: Vec<i64> = folder.files.iter().map(|file| size(&file.bytes)).collect();
    let modes: Vec<&str> = folder
        .files
        .iter()
        .map(|file| if file.is_executable { "executable" } else { "file" })
        .collect();
    let inserted = tx
        .execute(
            sql!("versions/insert_files.sql"),
            &[
                tenant.as_uuid(),
                version.as_uuid() as &Uuid,
                &paths,
                &digests,
                &sizes,
                &modes,
            ],
        )
        .await?;
    let expected = u64::try_from(paths.len()).unwrap_or(u64::MAX);
    if inserted == expected {
        Ok(())
    } else {
        Err(DbError::RowCount {
            expected,
            actual: inserted,
        })
    }
}

fn size(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

/// A deviation of a skill from the format, for the import report.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DiagnosticLine {
    /// Stable identifier.
    pub code: &'static str,
    /// Whether it violates the format; otherwise it is a warning.
    pub breaks_a_rule: bool,
    /// What was found and how it was handled.
    pub message: String,
}

impl From<&Diagnostic> for DiagnosticLine {
    fn from(note: &Diagnostic) -> Self {
        Self {
            code: note.code(),
            breaks_a_rule: note.severity() == Severity::Error,
            message: note.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_folder_is_tried_before_numbers() {
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
