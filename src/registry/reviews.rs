//! Reviews: what a reviewer has to see, and their verdict.

mod difference;

pub use difference::{Difference, difference};

use jiff::Timestamp;
use serde_json::json;

use super::audit::{self, Entry};
use super::caller::Caller;
use super::lifecycle::{self, Action, VersionState};
use super::management::{self, ManageError, ManagedSkill};
use super::revision::next_revision;
use super::scans::{self, StoredScan};
use super::settings::Settings;
use super::signing;
use super::versions::{self, VersionRow};
use super::{latest, lifecycle::may};
use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, ReviewId, UserId, VersionId};
use crate::sql;
use crate::tenancy::mask_keys;

/// The maximum length of a comment in characters.
pub const MAX_COMMENT_CHARS: usize = 4_000;

/// The decision of a reviewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Approved,
    ChangesRequested,
}

impl Verdict {
    /// The spelling in the database and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::ChangesRequested => "changes_requested",
        }
    }
}

/// Who came to the verdict. Callers state it; it is recorded with the review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidedBy {
    /// A person read the skill and decided.
    Person,
    /// An assistant decided on its own.
    Assistant,
}

impl DecidedBy {
    /// The spelling in the database and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Assistant => "assistant",
        }
    }
}

/// Scores from 1 to 10.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scores {
    pub quality: Option<i16>,
    pub clarity: Option<i16>,
    pub completeness: Option<i16>,
}

/// A review to store.
#[derive(Debug)]
pub struct NewReview<'a> {
    pub slug: &'a str,
    /// The version in review if `None`.
    pub version: Option<&'a str>,
    pub verdict: Verdict,
    pub comment: &'a str,
    pub scores: Scores,
    pub decided_by: DecidedBy,
    /// Why the version may be used in spite of critical findings.
    pub override_reason: Option<&'a str>,
}

/// What a review changed.
#[derive(Debug, Clone)]
pub struct ReviewResult {
    pub skill: ManagedSkill,
    pub version_id: VersionId,
    pub version: String,
    pub digest: Digest,
    pub state: VersionState,
    /// Whether findings still keep it from being installed.
    pub quarantined: bool,
    /// Whether the verdict counted; an assistant's approval may not.
    pub counted: bool,
}

/// Why a review was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    #[error(transparent)]
    Manage(#[from] ManageError),
    /// The reviewer is the author of the version.
    #[error("the author of a version cannot review it")]
    OwnVersion,
    /// The version is quarantined, and no reason to override was given.
    #[error("version {version} has {count} findings that quarantine it")]
    Quarantined { version: String, count: usize },
    /// An override by an assistant, which does not count in this tenant.
    #[error("an assistant cannot override findings in this tenant")]
    AssistantOverride,
}

impl From<DbError> for ReviewError {
    fn from(error: DbError) -> Self {
        Self::Manage(ManageError::Db(error))
    }
}

/// A version that a reviewer or author looks at.
#[derive(Debug, Clone)]
pub struct ReviewedVersion {
    pub skill: ManagedSkill,
    pub version: VersionRow,
    /// The published version before it, to compare with.
    pub previous: Option<VersionRow>,
    pub scan: Option<StoredScan>,
}

/// The version with this label, or the newest that waits for a review, or the newest.
///
/// # Errors
/// [`ManageError::UnknownSkill`] also if the caller may not read it.
pub async fn open(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    version: Option<&str>,
) -> Result<ReviewedVersion, ManageError> {
    let skill = management::permitted(tx, caller, slug, Action::ReadUnpublished).await?;
    let versions = versions::states(tx, &[skill.id]).await?;
    let version = choose(&versions, version)?.clone();
    let previous = versions
        .iter()
        .rev()
        .find(|other| other.ordinal < version.ordinal && other.state == VersionState::Published)
        .cloned();
    let scan = scans::find(tx, version.digest).await?;
    Ok(ReviewedVersion {
        skill,
        version,
        previous,
        scan,
    })
}

fn choose<'a>(versions: &'a [VersionRow], label: Option<&str>) -> Result<&'a VersionRow, ManageError> {
    match label {
        Some(label) => versions
            .iter()
            .find(|version| version.version == label)
            .ok_or_else(|| ManageError::UnknownVersion(label.to_owned())),
        None => versions
            .iter()
            .rev()
            .find(|version| version.state == VersionState::InReview)
            .or_else(|| versions.last())
            .ok_or(ManageError::UnknownSkill),
    }
}

/// Stores a verdict. An approval publishes a version in review, a request for changes returns it to the author as a draft.
/// A verdict on a published version is stored and changes nothing, unless it overrides findings. Entry: `skill.review`.
///
/// # Errors
/// [`ReviewError`]; the transaction must then be rolled back.
pub async fn review(
    tx: &TenantTx,
    caller: &Caller,
    reviewer: UserId,
    settings: &Settings,
    new: &NewReview<'_>,
) -> Result<ReviewResult, ReviewError> {
    next_revision(tx).await?;
    let skill = management::permitted(tx, caller, new.slug, Action::Review).await?;
    let versions = versions::states(tx, &[skill.id]).await?;
    let version = choose(&versions, new.version)?;
    if caller.is_user(version.author) {
        return Err(ReviewError::OwnVersion);
    }
    match version.state {
        VersionState::InReview | VersionState::Published => {}
        VersionState::Draft | VersionState::Yanked => {
            return Err(ReviewError::Manage(ManageError::WrongState {
                version: version.version.clone(),
                state: version.state,
                needed: "in review or published",
            }));
        }
    }
    let counted = new.decided_by == DecidedBy::Person || settings.assistants_may_approve;
    let scan = scans::find(tx, version.digest).await?;
    let overrides = new.verdict == Verdict::Approved && version.quarantined;
    if overrides {
        override_or_refuse(tx, caller, &skill, version, scan.as_ref(), settings, new, counted).await?;
    }
    insert(tx, reviewer, version, scan.as_ref(), new, counted).await?;
    let state = if counted {
        apply(tx, caller, &skill, version, new).await?
    } else {
        version.state
    };
    if state != version.state || overrides {
        latest::refresh(tx, skill.id).await?;
    }
    let details = json!({
        "before": {"version": version.version, "state": version.state.as_str()},
        "after": {
            "version": version.version,
            "digest": version.digest,
            "state": state.as_str(),
            "verdict": new.verdict.as_str(),
            "decided_by": new.decided_by.as_str(),
            "counted": counted,
        },
    });
    let entry = Entry {
        actor: &caller.actor,
        action: "skill.review",
        subject: &skill.slug,
        details,
        source: caller.source,
    };
    audit::write(tx, &entry).await?;
    Ok(ReviewResult {
        version_id: version.id,
        version: version.version.clone(),
        digest: version.digest,
        state,
        quarantined: version.quarantined && !overrides,
        counted,
        skill,
    })
}

/// An approval of a quarantined version needs a reason to override its findings.
#[allow(clippy::too_many_arguments)]
async fn override_or_refuse(
    tx: &TenantTx,
    caller: &Caller,
    skill: &ManagedSkill,
    version: &VersionRow,
    scan: Option<&StoredScan>,
    settings: &Settings,
    new: &NewReview<'_>,
    counted: bool,
) -> Result<(), ReviewError> {
    let Some(reason) = new.override_reason else {
        let count = scan.map_or(0, |scan| {
            scans::counted(&scan.findings, settings)
                .iter()
                .filter(|finding| {
                    settings
                        .quarantine_at
                        .is_some_and(|threshold| finding.severity >= threshold)
                })
                .count()
        });
        return Err(ReviewError::Quarantined {
            version: version.version.clone(),
            count,
        });
    };
    if !counted {
        return Err(ReviewError::AssistantOverride);
    }
    if !may(caller, Action::OverrideFindings, skill.owner) {
        return Err(ReviewError::Manage(ManageError::NotPermitted(
            Action::OverrideFindings,
        )));
    }
    scans::override_findings(tx, caller, &skill.slug, version.digest, reason).await?;
    Ok(())
}

/// The state after a verdict that counts. What is published is signed, and what is denied is not published.
async fn apply(
    tx: &TenantTx,
    caller: &Caller,
    skill: &ManagedSkill,
    version: &VersionRow,
    new: &NewReview<'_>,
) -> Result<VersionState, ManageError> {
    if new.verdict == Verdict::Approved {
        management::refuse_denied(tx, version.digest).await?;
    }
    let to = match (version.state, new.verdict) {
        (VersionState::InReview, Verdict::Approved) => VersionState::Published,
        (VersionState::InReview, Verdict::ChangesRequested) => VersionState::Draft,
        (VersionState::Draft | VersionState::Published | VersionState::Yanked, _) => return Ok(version.state),
    };
    versions::set_state(tx, version.id, version.state, to, None).await?;
    if to == VersionState::Published {
        let (label, digest) = (&version.version, version.digest);
        signing::sign_published(tx, caller, version.id, &skill.slug, label, digest).await?;
    }
    Ok(to)
}

async fn insert(
    tx: &TenantTx,
    reviewer: UserId,
    version: &VersionRow,
    scan: Option<&StoredScan>,
    new: &NewReview<'_>,
    counted: bool,
) -> Result<(), DbError> {
    let (tenant, id) = (tx.tenant(), ReviewId::new());
    // The findings that the reviewer could see, by fingerprint: rules change later.
    let findings: Vec<&str> = scan.map_or_else(Vec::new, |scan| {
        scan.findings
            .iter()
            .map(|finding| finding.fingerprint.as_str())
            .collect()
    });
    let (verdict, decided_by, findings) = (new.verdict.as_str(), new.decided_by.as_str(), json!(findings));
    let comment = mask_keys(new.comment);
    let sql = sql!("reviews/insert.sql");
    let row = sql.row([
        ("tenant_id", tenant.as_uuid()),
        ("id", id.as_uuid()),
        ("version_id", version.id.as_uuid()),
        ("reviewer_id", reviewer.as_uuid()),
        ("verdict", &verdict),
        ("comment", &comment),
        ("findings", &findings),
        ("quality", &new.scores.quality),
        ("clarity", &new.scores.clarity),
        ("completeness", &new.scores.completeness),
        ("decided_by", &decided_by),
        ("counted", &counted),
    ]);
    tx.execute_one(sql, &row).await
}

/// A stored review.
#[derive(Debug, Clone)]
pub struct StoredReview {
    /// `approved` or `changes_requested`.
    pub verdict: String,
    pub comment: String,
    pub scores: Scores,
    /// `person` or `assistant`.
    pub decided_by: String,
    /// Whether the verdict changed the version's state.
    pub counted: bool,
    /// The reviewer's email address.
    pub reviewer: String,
    pub created_at: Timestamp,
}

/// The newest `limit` reviews of a version, newest first.
pub async fn of_version(tx: &TenantTx, version: VersionId, limit: i64) -> Result<Vec<StoredReview>, DbError> {
    let rows = tx
        .query(
            sql!("reviews/of_version.sql"),
            &[tx.tenant().as_uuid(), version.as_uuid(), &limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(StoredReview {
                verdict: row.try_get("verdict")?,
                comment: row.try_get("comment")?,
                scores: Scores {
                    quality: row.try_get("quality")?,
                    clarity: row.try_get("clarity")?,
                    completeness: row.try_get("completeness")?,
                },
                decided_by: row.try_get("decided_by")?,
                counted: row.try_get("counted")?,
                reviewer: row.try_get("email")?,
                created_at: row.try_get("created_at")?,
            })
        })
        .collect()
}

/// Whether the caller may read versions of this skill that are not published.
#[must_use]
pub fn may_read(caller: &Caller, skill: &ManagedSkill) -> bool {
    lifecycle::may(caller, Action::ReadUnpublished, skill.owner)
}
