//! Distribute skills to users.

use serde_json::json;

use super::groups::{self, GroupError};
use super::record;
use crate::db::{DbError, TenantTx};
use crate::ids::{DistributionId, GroupId, Slug};
use crate::registry::audit::Actor;
use crate::registry::lifecycle::VersionState;
use crate::registry::management::{self, ManagedSkill};
use crate::registry::versions;
use crate::sql;

/// Why a distribution was not changed.
#[derive(Debug, thiserror::Error)]
pub enum DistributionError {
    #[error("there is no skill \"{0}\"; `skillkeep skill list` shows the skills of the tenant")]
    UnknownSkill(String),
    #[error("the skill has no published version {0}; `skillkeep skill history` shows its versions")]
    UnknownVersion(String),
    #[error(
        "the skill is not distributed to these users; `skillkeep distribute list` shows the distributions"
    )]
    NotDistributed,
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Distributes a skill to a group, or to all users: in the version with this label, or the latest. Replaces the distribution
/// of the skill to the same users. Returns the skill's slug. Entry: `distribution.set`.
///
/// # Errors
/// [`DistributionError`]; the transaction must then be rolled back.
pub async fn set(
    tx: &TenantTx,
    actor: &Actor,
    slug: &str,
    version: Option<&str>,
    group: Option<&Slug>,
) -> Result<String, DistributionError> {
    let (skill, group_id) = target(tx, slug, group).await?;
    let version_id = match version {
        None => None,
        Some(label) => {
            let versions = versions::states(tx, &[skill.id]).await?;
            let found = versions.iter().find(|version| {
                version.version == label && version.state == VersionState::Published && !version.quarantined
            });
            let found = found.ok_or_else(|| DistributionError::UnknownVersion(label.to_owned()))?;
            Some(*found.id.as_uuid())
        }
    };
    let replaced = delete(tx, &skill, group_id).await?;
    let (id, group_uuid, name) = (
        DistributionId::new(),
        group_id.map(|id| *id.as_uuid()),
        actor.name(),
    );
    tx.execute_one(
        sql!("distributions/insert.sql"),
        &[
            tx.tenant().as_uuid(),
            id.as_uuid(),
            skill.id.as_uuid(),
            &group_uuid,
            &version_id,
            &name,
        ],
    )
    .await?;
    let details = json!({"before": {"distributed": replaced}, "after": {"version": version, "group": group}});
    record(tx, actor, "distribution.set", &skill.slug, details).await?;
    Ok(skill.slug)
}

/// Ends the distribution of a skill to a group, or to all users. Installed copies stay. Returns the skill's slug. Entry:
/// `distribution.remove`.
///
/// # Errors
/// [`DistributionError`]; the transaction must then be rolled back.
pub async fn remove(
    tx: &TenantTx,
    actor: &Actor,
    slug: &str,
    group: Option<&Slug>,
) -> Result<String, DistributionError> {
    let (skill, group_id) = target(tx, slug, group).await?;
    if !delete(tx, &skill, group_id).await? {
        return Err(DistributionError::NotDistributed);
    }
    let details = json!({"before": {"group": group}});
    record(tx, actor, "distribution.remove", &skill.slug, details).await?;
    Ok(skill.slug)
}

async fn target(
    tx: &TenantTx,
    slug: &str,
    group: Option<&Slug>,
) -> Result<(ManagedSkill, Option<GroupId>), DistributionError> {
    let skill = management::find(tx, slug)
        .await?
        .ok_or_else(|| DistributionError::UnknownSkill(slug.to_owned()))?;
    let group = match group {
        Some(name) => Some(groups::find(tx, name).await?),
        None => None,
    };
    Ok((skill, group))
}

/// Whether there was a distribution.
async fn delete(tx: &TenantTx, skill: &ManagedSkill, group: Option<GroupId>) -> Result<bool, DbError> {
    let group = group.map(|id| *id.as_uuid());
    let deleted = tx
        .execute(
            sql!("distributions/delete.sql"),
            &[tx.tenant().as_uuid(), skill.id.as_uuid(), &group],
        )
        .await?;
    Ok(deleted == 1)
}
