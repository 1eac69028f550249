//! Submit, yank, and take back a yank.

use serde_json::json;

use super::{ManageError, ManagedSkill, permitted, pick, record, refuse_denied};
use crate::db::TenantTx;
use crate::ids::{Digest, VersionId};
use crate::registry::caller::Caller;
use crate::registry::latest;
use crate::registry::lifecycle::{Action, VersionState};
use crate::registry::publish;
use crate::registry::revision::next_revision;
use crate::registry::settings::Settings;
use crate::registry::signing;
use crate::registry::versions::{self, VersionRow};

/// A version whose state changed.
#[derive(Debug, Clone)]
pub struct ChangedVersion {
    pub id: VersionId,
    pub version: String,
    pub digest: Digest,
    pub state: VersionState,
}

impl ChangedVersion {
    fn new(version: &VersionRow, state: VersionState) -> Self {
        Self {
            id: version.id,
            version: version.version.clone(),
            digest: version.digest,
            state,
        }
    }
}

/// Submits a draft: it is published, or waits for a review if the tenant requires one. Entry: `skill.submit`.
///
/// # Errors
/// [`ManageError`]; the transaction must then be rolled back.
pub async fn submit(
    tx: &TenantTx,
    caller: &Caller,
    settings: &Settings,
    slug: &str,
    version: Option<&str>,
) -> Result<(ManagedSkill, ChangedVersion), ManageError> {
    next_revision(tx).await?;
    let skill = permitted(tx, caller, slug, Action::Publish).await?;
    if !settings.allow_publishing(caller) {
        return Err(ManageError::NotPermitted(Action::Publish));
    }
    let versions = versions::states(tx, &[skill.id]).await?;
    let draft = pick(&versions, version, "a draft", |state| {
        state == VersionState::Draft
    })?;
    refuse_denied(tx, draft.digest).await?;
    let to = publish::first_state(settings, false);
    publish::submit(tx, caller, &skill.slug, &draft.version, draft.id, to).await?;
    if to == VersionState::Published {
        signing::sign_published(tx, caller, draft.id, &skill.slug, &draft.version, draft.digest).await?;
        latest::refresh(tx, skill.id).await?;
    }
    Ok((skill, ChangedVersion::new(draft, to)))
}

/// Which versions to yank.
#[derive(Debug, Clone, Copy)]
pub enum Yanked<'a> {
    /// The version with this label.
    One(&'a str),
    All,
}

/// Withdraws versions: nobody installs them again, and those who have them can still read them. Entry: `skill.yank`.
///
/// # Errors
/// [`ManageError`]; the transaction must then be rolled back.
pub async fn yank(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    which: Yanked<'_>,
    reason: &str,
) -> Result<(ManagedSkill, Vec<ChangedVersion>), ManageError> {
    next_revision(tx).await?;
    let mut skill = permitted(tx, caller, slug, Action::Yank).await?;
    let versions = versions::states(tx, &[skill.id]).await?;
    let is_live = |state| state != VersionState::Yanked;
    let chosen: Vec<&VersionRow> = match which {
        Yanked::One(label) => vec![pick(&versions, Some(label), "not yanked yet", is_live)?],
        Yanked::All => versions.iter().filter(|version| is_live(version.state)).collect(),
    };
    let mut changed = Vec::new();
    for version in chosen {
        versions::set_state(tx, version.id, version.state, VersionState::Yanked, Some(reason)).await?;
        let details = json!({
            "before": {"version": version.version, "state": version.state.as_str()},
            "after": {"version": version.version, "state": VersionState::Yanked.as_str(), "reason": reason},
        });
        record(tx, caller, "skill.yank", &skill.slug, details).await?;
        changed.push(ChangedVersion::new(version, VersionState::Yanked));
    }
    skill.latest = latest::refresh(tx, skill.id).await?;
    Ok((skill, changed))
}

/// Takes back the yank of a version that was published. Entry: `skill.unyank`.
///
/// # Errors
/// [`ManageError`]; the transaction must then be rolled back.
pub async fn unyank(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    version: &str,
) -> Result<(ManagedSkill, ChangedVersion), ManageError> {
    next_revision(tx).await?;
    let skill = permitted(tx, caller, slug, Action::Yank).await?;
    let versions = versions::states(tx, &[skill.id]).await?;
    let needed = "yanked after it was published";
    let yanked = pick(&versions, Some(version), needed, |state| {
        state == VersionState::Yanked
    })?;
    if !yanked.was_published {
        return Err(ManageError::WrongState {
            version: yanked.version.clone(),
            state: yanked.state,
            needed,
        });
    }
    versions::set_state(tx, yanked.id, VersionState::Yanked, VersionState::Published, None).await?;
    let details = json!({
        "before": {"version": yanked.version, "state": VersionState::Yanked.as_str()},
        "after": {"version": yanked.version, "state": VersionState::Published.as_str()},
    });
    record(tx, caller, "skill.unyank", &skill.slug, details).await?;
    latest::refresh(tx, skill.id).await?;
    Ok((skill, ChangedVersion::new(yanked, VersionState::Published)))
}
