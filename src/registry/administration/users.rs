//! Create, suspend and resume users. The audit entries name users by id, because the log outlives their addresses.

use serde_json::json;

use super::record;
use crate::db::{DbError, TenantTx};
use crate::registry::audit::Actor;
use crate::tenancy::tenants::Status;
use crate::tenancy::users::{self, Email, UpsertedUser};

/// Why the status of a user could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("the tenant has no user {0}; `skillkeep user list` shows its users")]
    NotFound(String),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Finds the user with this address or creates one. Entry: `user.create`, if the user was created.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn find_or_create(
    tx: &TenantTx,
    actor: &Actor,
    email: &Email,
    name: &str,
) -> Result<UpsertedUser, DbError> {
    let user = users::find_or_create(tx, email, name).await?;
    if user.created {
        let details = json!({"after": {"status": Status::Active.as_str()}});
        record(tx, actor, "user.create", &user.id.to_string(), details).await?;
    }
    Ok(user)
}

/// Suspends or resumes a user; returns whether the status changed. Entry: `user.suspend` or `user.resume`, if it did.
///
/// # Errors
/// [`UserError::NotFound`] if the tenant has no such user.
pub async fn set_status(
    tx: &TenantTx,
    actor: &Actor,
    email: &Email,
    status: Status,
) -> Result<bool, UserError> {
    let all = users::list(tx).await?;
    let user = all
        .iter()
        .find(|user| user.email == email.as_str())
        .ok_or_else(|| UserError::NotFound(email.as_str().to_owned()))?;
    let changed = users::set_status(tx, email, status).await?;
    if changed {
        let action = match status {
            Status::Active => "user.resume",
            Status::Suspended => "user.suspend",
        };
        let details = json!({"before": {"status": user.status}, "after": {"status": status.as_str()}});
        record(tx, actor, action, &user.id.to_string(), details).await?;
    }
    Ok(changed)
}
