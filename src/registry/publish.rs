//! Publishing: stores a version with its manifest and bytes, and updates the skill's metadata from it.
//!
//! The tools, the command line and the import all call [`store`].

mod audit_entry;
mod diagnostic_line;
mod error;
mod placement;
mod rows;
mod signature;
mod versioning;

pub use diagnostic_line::DiagnosticLine;
pub use error::PublishError;
pub use placement::planned_slug;

use futures::try_join;
use serde_json::json;
use skill_scanner::ScanReport;

use self::placement::Target;
use self::versioning::Unchanged;
use super::audit::{self, Entry};
use super::caller::Caller;
use super::denylist;
use super::display_metadata::DisplayMetadata;
use super::latest::{latest_of, set_latest};
use super::lifecycle::VersionState;
use super::revision::lock_catalog;
use super::scans;
use super::settings::Settings;
use super::signing;
use super::usage::Subject;
use super::versions::{self, VersionRow};
use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, SkillId, Slug, VersionId};
use agent_skills::{SkillDocument, SkillFile, SkillFolder, SkillVersion};

/// The maximum length of a change note in characters.
pub const MAX_CHANGE_NOTE_CHARS: usize = 2_000;

/// Which skill a version belongs to.
#[derive(Debug, Clone, Copy)]
pub enum Placement<'a> {
    /// The skill with this slug, or a new one.
    Slug(&'a Slug),
    /// The skill that this source filled before, or a new one.
    Source(Source<'a>),
}

/// The place that an imported skill comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// Name of the import, such as the address of a repository. Two sources never fill one skill.
    pub name: &'a str,
    /// Path in the source. The next import recognises the skill by it.
    pub path: &'a str,
    /// Put before the slug if it is taken, such as the name of a plugin.
    pub prefix: Option<&'a str>,
}

impl<'a> Source<'a> {
    /// A path in an import without a name.
    #[must_use]
    pub const fn path(path: &'a str) -> Self {
        Self {
            name: "",
            path,
            prefix: None,
        }
    }
}

/// The version that a fork was copied from.
#[derive(Debug, Clone)]
pub struct Origin {
    pub skill: SkillId,
    pub version: String,
    pub digest: Digest,
}

/// A version to publish.
pub struct NewVersion<'a> {
    pub placement: Placement<'a>,
    pub folder: &'a SkillFolder,
    /// The parsed `SKILL.md`.
    pub document: &'a SkillDocument,
    pub caller: &'a Caller,
    pub settings: &'a Settings,
    /// The scanner's result for the folder.
    pub scan: &'a ScanReport,
    /// Overrides the version in the front matter.
    pub version: Option<SkillVersion>,
    /// What changed, up to [`MAX_CHANGE_NOTE_CHARS`] characters.
    pub change_note: &'a str,
    /// Whether to store a draft.
    pub draft: bool,
    /// Set for forks.
    pub origin: Option<Origin>,
}

impl<'a> NewVersion<'a> {
    /// A version to publish at once, with the version of its front matter.
    #[must_use]
    pub const fn new(
        placement: Placement<'a>,
        folder: &'a SkillFolder,
        document: &'a SkillDocument,
        caller: &'a Caller,
        settings: &'a Settings,
        scan: &'a ScanReport,
    ) -> Self {
        Self {
            placement,
            folder,
            document,
            caller,
            settings,
            scan,
            version: None,
            change_note: "",
            draft: false,
            origin: None,
        }
    }

    fn names_a_version(&self) -> bool {
        self.version.is_some() || self.document.version.is_some()
    }
}

/// The effect of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    /// A new skill.
    Created,
    /// A new version of an existing skill.
    Updated,
    /// A stored draft with the same files was submitted.
    Submitted,
    /// Nothing: a version already has the same files.
    Unchanged,
}

/// The skill and version in the registry after publishing.
#[derive(Debug, Clone)]
pub struct StoredVersion {
    pub outcome: PublishOutcome,
    pub skill: SkillId,
    pub version_id: VersionId,
    pub slug: String,
    pub version: String,
    pub digest: Digest,
    pub state: VersionState,
    /// Whether the scanner's findings keep it from being installed.
    pub quarantined: bool,
    /// Whether it is the latest version of the skill.
    pub is_latest: bool,
}

impl StoredVersion {
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

/// Publishes a version of an existing or new skill.
///
/// Versions of one tenant are stored one after the other. Files that a version of the skill already has change nothing,
/// unless that version is a draft and `new` is not.
///
/// # Errors
/// [`PublishError`]; the transaction must then be rolled back.
pub async fn store(tx: &TenantTx, new: &NewVersion<'_>) -> Result<StoredVersion, PublishError> {
    if !new.settings.allow_publishing(new.caller) {
        return Err(PublishError::NotAllowed);
    }
    let label = versioning::requested(new)?;
    let digest = new.folder.manifest_digest();
    // Importing a folder again mostly changes nothing. It needs no lock to find that out.
    if let Placement::Source(_) = new.placement
        && let Some(stored) = find_stored(tx, new, digest).await?
    {
        refuse_denied(tx, new, digest).await?;
        return Ok(stored);
    }
    let catalog = lock_catalog(tx).await?;
    refuse_denied(tx, new, digest).await?;
    let (target, versions) = placement::find(tx, new).await?;
    if let Some(unchanged) = versioning::unchanged(&target, &versions, digest, new) {
        return settle(tx, new, unchanged).await;
    }
    // Counts files again that the tenant has already: near the limit, exactness is not worth a query.
    if !new
        .settings
        .allow_storing(catalog.stored_bytes, new.folder.total_bytes())
    {
        return Err(PublishError::StorageFull);
    }
    insert(tx, new, target, versions, label, digest, catalog.revision).await
}

/// Refuses files that an administrator denied, also if they are stored already.
async fn refuse_denied(tx: &TenantTx, new: &NewVersion<'_>, digest: Digest) -> Result<(), PublishError> {
    let mut digests: Vec<Digest> = new.folder.files.iter().map(SkillFile::digest).collect();
    digests.push(digest);
    match denylist::matching(tx, &digests).await? {
        Some(denial) => Err(PublishError::Denied(denial)),
        None => Ok(()),
    }
}

/// The stored version with the same files as `new`, unless it is a draft to submit.
async fn find_stored(
    tx: &TenantTx,
    new: &NewVersion<'_>,
    digest: Digest,
) -> Result<Option<StoredVersion>, PublishError> {
    let (target, versions) = placement::find(tx, new).await?;
    Ok(match versioning::unchanged(&target, &versions, digest, new) {
        Some(Unchanged::AsStored(stored)) => Some(stored),
        Some(Unchanged::DraftToSubmit(_)) | None => None,
    })
}

/// Finishes a publication whose files are stored already.
async fn settle(
    tx: &TenantTx,
    new: &NewVersion<'_>,
    unchanged: Unchanged,
) -> Result<StoredVersion, PublishError> {
    let mut stored = match unchanged {
        Unchanged::AsStored(stored) => return Ok(stored),
        Unchanged::DraftToSubmit(stored) => stored,
    };
    let to = first_state(new.settings, false);
    submit(
        tx,
        new.caller,
        &stored.slug,
        &stored.version,
        stored.version_id,
        to,
    )
    .await?;
    if to == VersionState::Published {
        let (version, digest) = (stored.version_id, stored.digest);
        signing::sign_published(tx, new.caller, version, &stored.slug, &stored.version, digest).await?;
    }
    stored.outcome = PublishOutcome::Submitted;
    stored.state = to;
    stored.is_latest = to == VersionState::Published
        && super::latest::refresh(tx, stored.skill).await? == Some(stored.version_id);
    Ok(stored)
}

/// Moves a draft to the state in which new versions begin, and writes the audit entry.
pub(super) async fn submit(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    label: &str,
    version: VersionId,
    to: VersionState,
) -> Result<bool, DbError> {
    let changed = versions::set_state(tx, version, VersionState::Draft, to, None).await?;
    if changed {
        let entry = Entry {
            actor: &caller.actor,
            action: "skill.submit",
            subject: slug,
            details: json!({
                "before": {"version": label, "state": VersionState::Draft.as_str()},
                "after": {"version": label, "state": to.as_str()},
            }),
            source: caller.source,
        };
        audit::write(tx, &entry).await?;
    }
    Ok(changed)
}

/// The state of a new version.
pub(super) const fn first_state(settings: &Settings, draft: bool) -> VersionState {
    if draft {
        VersionState::Draft
    } else if settings.review_required {
        VersionState::InReview
    } else {
        VersionState::Published
    }
}

async fn insert(
    tx: &TenantTx,
    new: &NewVersion<'_>,
    target: Target,
    mut versions: Vec<VersionRow>,
    label: Option<SkillVersion>,
    digest: Digest,
    revision: i64,
) -> Result<StoredVersion, PublishError> {
    let display = DisplayMetadata::new(new.document, &new.folder.diagnostics);
    let label = versioning::label(&target, &versions, label, new)?;
    let before = latest_of(&versions).map(|version| (version.version.clone(), version.digest));
    let (skill, slug, outcome) = match &target {
        Target::Existing(skill) => (skill.id, skill.slug.clone(), PublishOutcome::Updated),
        Target::New(slug) => (SkillId::new(), slug.to_string(), PublishOutcome::Created),
    };
    let state = first_state(new.settings, new.draft);
    let signer = signature::signer(tx, new, state).await?;
    let quarantined =
        scans::quarantines(&new.scan.findings, new.settings) && !scans::is_overridden(tx, digest).await?;
    let version = VersionRow {
        id: VersionId::new(),
        skill,
        ordinal: versions.last().map_or(0, |version| version.ordinal) + 1,
        version: label.clone(),
        digest,
        state,
        quarantined,
        author: new.caller.user,
        yank_reason: None,
        was_published: state == VersionState::Published,
    };
    let version_id = version.id;
    versions.push(version.clone());
    let latest = latest_of(&versions).map(|version| version.id);
    let is_latest = latest == Some(version_id);
    let stored = StoredVersion {
        outcome,
        skill,
        version_id,
        slug,
        version: label,
        digest,
        state,
        quarantined,
        is_latest,
    };
    // Sent in this order, in one round trip: the later rows refer to the earlier ones.
    tx.prepare_all(&rows::STATEMENTS).await?;
    let digests = rows::digests(new.folder);
    try_join!(
        write_skill(tx, new, &target, skill, &display, revision),
        rows::insert_version(tx, &version, new),
        rows::insert_blobs(tx, new.folder, &digests),
        rows::insert_files(tx, version_id, new.folder, &digests),
        scans::store(tx, digest, new.scan),
        async {
            // A skill without a published version shows the metadata of its newest draft to its author.
            if is_latest || latest.is_none() {
                set_latest(tx, skill, latest, &display, revision).await?;
            }
            Ok(())
        },
        signature::store(tx, signer.as_ref(), &stored),
        audit_entry::write(tx, new, &stored, before, signer.as_ref()),
    )?;
    Ok(stored)
}

async fn write_skill(
    tx: &TenantTx,
    new: &NewVersion<'_>,
    target: &Target,
    id: SkillId,
    display: &DisplayMetadata,
    revision: i64,
) -> Result<(), DbError> {
    match target {
        Target::Existing(skill) => placement::adopt(tx, skill, new.placement).await,
        Target::New(slug) => rows::insert_skill(tx, id, slug, new, display, revision).await,
    }
}
