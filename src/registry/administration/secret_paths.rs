//! Create and revoke secret paths.

use jiff::Timestamp;
use serde_json::json;

use super::record;
use crate::db::{DbError, TenantTx};
use crate::ids::SecretPathId;
use crate::registry::audit::Actor;
use crate::tenancy::ApiKey;
use crate::tenancy::secret_paths::{self, NewSecretPath};

/// Creates a secret path. Entry: `share.create`.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn create(
    tx: &TenantTx,
    actor: &Actor,
    new: &NewSecretPath,
) -> Result<(SecretPathId, ApiKey, Timestamp), DbError> {
    let (id, secret, expires_at) = secret_paths::create(tx, new).await?;
    // Without its name, which people choose after themselves.
    let after = json!({"key": new.api_key, "only_skills": new.only_skills, "expires_at": expires_at});
    record(
        tx,
        actor,
        "share.create",
        &id.to_string(),
        json!({"after": after}),
    )
    .await?;
    Ok((id, secret, expires_at))
}

/// Revokes a secret path. Entry: `share.revoke`. Returns `false` if there is none with this id, or it was revoked before.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn revoke(tx: &TenantTx, actor: &Actor, id: SecretPathId) -> Result<bool, DbError> {
    if !secret_paths::revoke(tx, id).await? {
        return Ok(false);
    }
    let details = json!({"before": {"revoked": false}, "after": {"revoked": true}});
    record(tx, actor, "share.revoke", &id.to_string(), details).await?;
    Ok(true)
}
