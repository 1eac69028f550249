//! Changes of a skill's state: submit, yank, archive, deprecate, rename, transfer. Each checks the caller's permission, and
//! writes the audit entry of the change in the same transaction.

mod skill_changes;
mod version_changes;

pub use skill_changes::{rename, set_archived, set_deprecation, transfer};
pub use version_changes::{ChangedVersion, Yanked, submit, unyank, yank};

use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::audit::{self, Entry};
use super::caller::Caller;
use super::denylist::{self, Denial};
use super::lifecycle::{self, Action, VersionState};
use super::signing::SigningError;
use super::versions::VersionRow;
use crate::db::{DbError, TenantTx};
use crate::ids::{Digest, SkillId, Slug, UserId, VersionId};
use crate::sql;

/// The maximum length of a reason in characters.
pub const MAX_REASON_CHARS: usize = 1_000;

/// What decides who may change a skill.
#[derive(Debug, Clone)]
pub struct ManagedSkill {
    pub id: SkillId,
    pub slug: String,
    /// The name in the front matter.
    pub name: String,
    /// `None` for a skill that an administrator imported.
    pub owner: Option<UserId>,
    pub owner_email: Option<String>,
    pub is_archived: bool,
    pub latest: Option<VersionId>,
    pub deprecation: Option<Deprecation>,
    pub origin: Option<ForkOrigin>,
}

/// Why a skill should no longer be used.
#[derive(Debug, Clone)]
pub struct Deprecation {
    /// May be empty.
    pub note: String,
    /// The slug of the skill to use instead.
    pub successor: Option<String>,
}

/// The version that a fork was copied from.
#[derive(Debug, Clone)]
pub struct ForkOrigin {
    /// `None` if the origin was purged.
    pub slug: Option<String>,
    pub version: String,
    /// The latest version of the origin, if its files differ from those that were copied.
    pub newer: Option<String>,
}

impl ManagedSkill {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        let deprecation = match row.try_get::<_, Option<String>>("deprecation_note")? {
            Some(note) => Some(Deprecation {
                note,
                successor: row.try_get("successor")?,
            }),
            None => None,
        };
        Ok(Self {
            id: SkillId::from_uuid(row.try_get("id")?),
            slug: row.try_get("slug")?,
            name: row.try_get("name")?,
            owner: row.try_get::<_, Option<Uuid>>("owner_id")?.map(UserId::from_uuid),
            owner_email: row.try_get("owner_email")?,
            is_archived: row.try_get::<_, &str>("status")? == "archived",
            latest: row
                .try_get::<_, Option<Uuid>>("latest_version_id")?
                .map(VersionId::from_uuid),
            deprecation,
            origin: origin(row)?,
        })
    }
}

fn origin(row: &Row) -> Result<Option<ForkOrigin>, DbError> {
    let Some(version) = row.try_get::<_, Option<String>>("origin_version")? else {
        return Ok(None);
    };
    let copied: Option<&[u8]> = row.try_get("origin_digest")?;
    let latest: Option<&[u8]> = row.try_get("origin_latest_digest")?;
    let newer: Option<String> = row.try_get("origin_latest")?;
    Ok(Some(ForkOrigin {
        slug: row.try_get("origin")?,
        version,
        newer: newer.filter(|_| copied != latest),
    }))
}

/// Why a skill was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    #[error("there is no such skill")]
    UnknownSkill,
    #[error("the skill has no version {0}")]
    UnknownVersion(String),
    #[error("only {} may do this ({})", allowed(*.0), .0.as_str())]
    NotPermitted(Action),
    #[error("version {version} is {state}, and this needs a version that is {needed}")]
    WrongState {
        version: String,
        state: VersionState,
        needed: &'static str,
    },
    #[error("the slug \"{0}\" is taken")]
    Taken(Slug),
    #[error("there is no skill \"{0}\" that could be the successor")]
    UnknownSuccessor(String),
    #[error("the tenant has no active user {0}")]
    UnknownUser(String),
    #[error("{0}")]
    Denied(Denial),
    #[error(transparent)]
    Signing(SigningError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<SigningError> for ManageError {
    fn from(error: SigningError) -> Self {
        match error {
            SigningError::Db(error) => Self::Db(error),
            error @ SigningError::NoPrivateKey { .. } => Self::Signing(error),
        }
    }
}

/// Those who may do this with a skill, for messages.
fn allowed(action: Action) -> String {
    let names: Vec<&str> = lifecycle::Relation::ALL
        .into_iter()
        .filter(|relation| lifecycle::permits(*relation, action))
        .map(|relation| match relation {
            lifecycle::Relation::Owner => "the owner",
            lifecycle::Relation::Reviewer => "a reviewer who is not the owner",
            lifecycle::Relation::Administrator => "an administrator",
            lifecycle::Relation::User => "another user",
            lifecycle::Relation::CommandLine => "the command line on the server",
        })
        .collect();
    names.join(" or ")
}

/// The skill with this slug or former slug, in every state.
pub async fn find(tx: &TenantTx, slug: &str) -> Result<Option<ManagedSkill>, DbError> {
    let row = tx
        .query_opt(sql!("skills/managed.sql"), &[tx.tenant().as_uuid(), &slug])
        .await?;
    row.as_ref().map(ManagedSkill::from_row).transpose()
}

/// The skill, if the caller knows that it exists and may do this.
///
/// # Errors
/// [`ManageError::UnknownSkill`] also for an unpublished skill that the caller may not read.
pub async fn permitted(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    action: Action,
) -> Result<ManagedSkill, ManageError> {
    let skill = find(tx, slug).await?.ok_or(ManageError::UnknownSkill)?;
    let is_public = skill.latest.is_some() && !skill.is_archived;
    if !is_public && !lifecycle::may(caller, Action::ReadUnpublished, skill.owner) {
        return Err(ManageError::UnknownSkill);
    }
    if !lifecycle::may(caller, action, skill.owner) {
        return Err(ManageError::NotPermitted(action));
    }
    Ok(skill)
}

/// Refuses a version that is or contains something that an administrator denied.
///
/// # Errors
/// [`ManageError::Denied`].
pub async fn refuse_denied(tx: &TenantTx, manifest: Digest) -> Result<(), ManageError> {
    match denylist::of_manifest(tx, manifest).await? {
        Some(denial) => Err(ManageError::Denied(denial)),
        None => Ok(()),
    }
}

/// The version with this label, or the newest version in a state that `is_wanted` accepts.
pub(super) fn pick<'a>(
    versions: &'a [VersionRow],
    label: Option<&str>,
    needed: &'static str,
    is_wanted: impl Fn(VersionState) -> bool,
) -> Result<&'a VersionRow, ManageError> {
    let found = match label {
        Some(label) => versions
            .iter()
            .find(|version| version.version == label)
            .ok_or_else(|| ManageError::UnknownVersion(label.to_owned()))?,
        None => versions
            .iter()
            .rev()
            .find(|version| is_wanted(version.state))
            .or_else(|| versions.last())
            .ok_or(ManageError::UnknownSkill)?,
    };
    if is_wanted(found.state) {
        return Ok(found);
    }
    Err(ManageError::WrongState {
        version: found.version.clone(),
        state: found.state,
        needed,
    })
}

async fn record(
    tx: &TenantTx,
    caller: &Caller,
    action: &'static str,
    slug: &str,
    details: Value,
) -> Result<(), DbError> {
    let entry = Entry {
        actor: &caller.actor,
        action,
        subject: slug,
        details,
        source: caller.source,
    };
    audit::write(tx, &entry).await
}
