//! Archive, deprecate, rename and transfer.

use serde_json::json;

use super::{ManageError, ManagedSkill, find, permitted, record};
use crate::db::TenantTx;
use crate::ids::Slug;
use crate::registry::caller::Caller;
use crate::registry::lifecycle::Action;
use crate::registry::revision::next_revision;
use crate::registry::{signing, skills};
use crate::sql;
use crate::tenancy::mask_keys;
use crate::tenancy::users::{self, Email};

/// Archives or restores a skill; returns `false` if it already was. Entry: `skill.archive` or `skill.restore`.
///
/// # Errors
/// [`ManageError`]; the transaction must then be rolled back.
pub async fn set_archived(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    archived: bool,
) -> Result<(ManagedSkill, bool), ManageError> {
    let revision = next_revision(tx).await?;
    let skill = permitted(tx, caller, slug, Action::Archive).await?;
    if skill.is_archived == archived {
        return Ok((skill, false));
    }
    let (before, after) = if archived {
        ("active", "archived")
    } else {
        ("archived", "active")
    };
    tx.execute_one(
        sql!("skills/set_status.sql"),
        &[tx.tenant().as_uuid(), skill.id.as_uuid(), &after, &revision],
    )
    .await?;
    let action = if archived {
        "skill.archive"
    } else {
        "skill.restore"
    };
    let details = json!({"before": {"status": before}, "after": {"status": after}});
    record(tx, caller, action, &skill.slug, details).await?;
    Ok((skill, true))
}

/// Marks a skill as deprecated, or lifts the deprecation if `note` is `None`. Entry: `skill.deprecate` or `skill.undeprecate`.
///
/// # Errors
/// [`ManageError`]; the transaction must then be rolled back.
pub async fn set_deprecation(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    note: Option<&str>,
    successor: Option<&str>,
) -> Result<ManagedSkill, ManageError> {
    let revision = next_revision(tx).await?;
    let skill = permitted(tx, caller, slug, Action::Deprecate).await?;
    let successor = match successor {
        Some(slug) => {
            let found = skills::find(tx, slug, None, caller.viewer()).await?;
            let found = found.filter(|found| found.skill != skill.id);
            Some(found.ok_or_else(|| ManageError::UnknownSuccessor(slug.to_owned()))?)
        }
        None => None,
    };
    let successor_id = successor.as_ref().map(|found| *found.skill.as_uuid());
    tx.execute_one(
        sql!("skills/set_deprecation.sql"),
        &[
            tx.tenant().as_uuid(),
            skill.id.as_uuid(),
            &note.map(mask_keys),
            &successor_id,
            &revision,
        ],
    )
    .await?;
    let action = if note.is_some() {
        "skill.deprecate"
    } else {
        "skill.undeprecate"
    };
    let details = json!({"after": {"note": note, "successor": successor.map(|found| found.slug)}});
    record(tx, caller, action, &skill.slug, details).await?;
    Ok(skill)
}

/// Renames a skill; its old slug leads to it from then on. Entry: `skill.rename`.
///
/// # Errors
/// [`ManageError`]; the transaction must then be rolled back.
pub async fn rename(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    to: &Slug,
) -> Result<ManagedSkill, ManageError> {
    let revision = next_revision(tx).await?;
    let skill = permitted(tx, caller, slug, Action::Rename).await?;
    if skill.slug == to.as_str() {
        return Ok(skill);
    }
    let tenant = tx.tenant();
    match find(tx, to.as_str()).await? {
        Some(other) if other.id != skill.id => return Err(ManageError::Taken(to.clone())),
        // A former slug of this skill becomes its slug again.
        Some(_) => {
            tx.execute_one(
                sql!("aliases/delete.sql"),
                &[tenant.as_uuid(), &to.as_str(), skill.id.as_uuid()],
            )
            .await?;
        }
        None => {}
    }
    tx.execute_one(
        sql!("skills/set_slug.sql"),
        &[tenant.as_uuid(), skill.id.as_uuid(), &to.as_str(), &revision],
    )
    .await?;
    tx.execute_one(
        sql!("aliases/insert.sql"),
        &[tenant.as_uuid(), &skill.slug, skill.id.as_uuid()],
    )
    .await?;
    // The signatures cover the slug.
    signing::sign_renamed(tx, caller, skill.id, &skill.slug, to).await?;
    let details = json!({"before": {"slug": skill.slug}, "after": {"slug": to}});
    record(tx, caller, "skill.rename", to.as_str(), details).await?;
    Ok(ManagedSkill {
        slug: to.to_string(),
        ..skill
    })
}

/// Gives a skill to another active user. Entry: `skill.transfer`.
///
/// # Errors
/// [`ManageError`]; the transaction must then be rolled back.
pub async fn transfer(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    to: &Email,
) -> Result<ManagedSkill, ManageError> {
    let revision = next_revision(tx).await?;
    let skill = permitted(tx, caller, slug, Action::Transfer).await?;
    let user = users::find_active(tx, to)
        .await?
        .ok_or_else(|| ManageError::UnknownUser(to.as_str().to_owned()))?;
    tx.execute_one(
        sql!("skills/set_owner.sql"),
        &[
            tx.tenant().as_uuid(),
            skill.id.as_uuid(),
            user.as_uuid(),
            &revision,
        ],
    )
    .await?;
    let details = json!({"before": {"owner": skill.owner}, "after": {"owner": user}});
    record(tx, caller, "skill.transfer", &skill.slug, details).await?;
    Ok(ManagedSkill {
        owner: Some(user),
        owner_email: Some(to.as_str().to_owned()),
        ..skill
    })
}
