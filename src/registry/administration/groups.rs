//! Groups of users. The audit entries name users by id, because the log outlives their addresses.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::record;
use crate::db::{DbError, TenantTx};
use crate::ids::{GroupId, Slug, UserId};
use crate::registry::audit::Actor;
use crate::sql;
use crate::tenancy::users::{self, Email};

/// Why a group was not changed.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    #[error("the tenant has a group {0} already")]
    Exists(Slug),
    #[error("the tenant has no group {0}; `skillkeep group list` shows its groups")]
    NotFound(Slug),
    #[error("the tenant has no user {0}; `skillkeep user list` shows its users")]
    UnknownUser(String),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A group, as `skillkeep group list` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    pub name: String,
    /// Email addresses.
    pub members: Vec<String>,
    pub created_at: Timestamp,
}

/// The groups of the transaction's tenant, by name.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn list(tx: &TenantTx) -> Result<Vec<Group>, DbError> {
    let rows = tx
        .query(sql!("groups/list.sql"), &[tx.tenant().as_uuid()])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Group {
                name: row.try_get("name")?,
                members: row.try_get("members")?,
                created_at: row.try_get("created_at")?,
            })
        })
        .collect()
}

/// The group with this name.
///
/// # Errors
/// [`GroupError::NotFound`].
pub async fn find(tx: &TenantTx, name: &Slug) -> Result<GroupId, GroupError> {
    let row = tx
        .query_opt(sql!("groups/find.sql"), &[tx.tenant().as_uuid(), &name.as_str()])
        .await?
        .ok_or_else(|| GroupError::NotFound(name.clone()))?;
    let id: Uuid = row.try_get("id").map_err(DbError::from)?;
    Ok(GroupId::from_uuid(id))
}

/// Creates a group. Entry: `group.create`.
///
/// # Errors
/// [`GroupError::Exists`].
pub async fn create(tx: &TenantTx, actor: &Actor, name: &Slug) -> Result<GroupId, GroupError> {
    let id = GroupId::new();
    let created = tx
        .execute(
            sql!("groups/insert.sql"),
            &[tx.tenant().as_uuid(), id.as_uuid(), &name.as_str()],
        )
        .await?;
    if created == 0 {
        return Err(GroupError::Exists(name.clone()));
    }
    record(
        tx,
        actor,
        "group.create",
        name.as_str(),
        json!({"after": {"members": []}}),
    )
    .await?;
    Ok(id)
}

/// Adds a user to a group; returns `false` if they were in it. Entry: `group.add`, if they were not.
///
/// # Errors
/// [`GroupError::NotFound`], [`GroupError::UnknownUser`].
pub async fn add(tx: &TenantTx, actor: &Actor, name: &Slug, email: &Email) -> Result<bool, GroupError> {
    let (group, user) = (find(tx, name).await?, user(tx, email).await?);
    let added = tx
        .execute(
            sql!("groups/add_member.sql"),
            &[tx.tenant().as_uuid(), group.as_uuid(), user.as_uuid()],
        )
        .await?;
    if added == 1 {
        let details = json!({"after": {"added": user}});
        record(tx, actor, "group.add", name.as_str(), details).await?;
    }
    Ok(added == 1)
}

/// Removes a user from a group; returns `false` if they were not in it. Entry: `group.remove`, if they were.
///
/// # Errors
/// [`GroupError::NotFound`], [`GroupError::UnknownUser`].
pub async fn remove(tx: &TenantTx, actor: &Actor, name: &Slug, email: &Email) -> Result<bool, GroupError> {
    let (group, user) = (find(tx, name).await?, user(tx, email).await?);
    let removed = tx
        .execute(
            sql!("groups/remove_member.sql"),
            &[tx.tenant().as_uuid(), group.as_uuid(), user.as_uuid()],
        )
        .await?;
    if removed == 1 {
        let details = json!({"after": {"removed": user}});
        record(tx, actor, "group.remove", name.as_str(), details).await?;
    }
    Ok(removed == 1)
}

/// The user with this address, also a suspended one.
async fn user(tx: &TenantTx, email: &Email) -> Result<UserId, GroupError> {
    let all = users::list(tx).await?;
    all.iter()
        .find(|user| user.email == email.as_str())
        .map(|user| user.id)
        .ok_or_else(|| GroupError::UnknownUser(email.as_str().to_owned()))
}
