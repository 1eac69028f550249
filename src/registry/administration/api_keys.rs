//! Create, limit, rotate and revoke API keys.

use std::time::Duration;

use serde_json::json;

use super::record;
use crate::db::{DbError, TenantTx};
use crate::ids::ApiKeyId;
use crate::registry::audit::Actor;
use crate::tenancy::api_keys::{self, KeyError, NewApiKey};
use crate::tenancy::{ApiKey, CallLimits};

/// Creates an API key. Entry: `key.create`.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn create(tx: &TenantTx, actor: &Actor, new: &NewApiKey) -> Result<(ApiKeyId, ApiKey), DbError> {
    let (id, key) = api_keys::create(tx, new).await?;
    // Without the key's name: people name their keys after themselves, and the log outlives their erasure.
    let after = json!({
        "user": new.user,
        "scopes": new.scopes,
        "only_skills": new.only_skills,
        "only_tools": new.only_tools,
        "expires_at": new.expires_at,
        "limits": new.call_limits,
    });
    record(tx, actor, "key.create", &id.to_string(), json!({"after": after})).await?;
    Ok((id, key))
}

/// Changes the limits of an API key and returns the new ones. The key's row is locked in between. Entry: `key.limit`.
///
/// # Errors
/// [`KeyError::NotFound`] if the tenant has no such key.
pub async fn change_call_limits(
    tx: &TenantTx,
    actor: &Actor,
    id: ApiKeyId,
    change: impl FnOnce(CallLimits) -> CallLimits,
) -> Result<CallLimits, KeyError> {
    let before = api_keys::call_limits(tx, id).await?;
    let after = change(before);
    api_keys::set_call_limits(tx, id, after).await?;
    let details = json!({"before": before, "after": after});
    record(tx, actor, "key.limit", &id.to_string(), details).await?;
    Ok(after)
}

/// Revokes an API key. Entry: `key.revoke`.
///
/// # Errors
/// [`KeyError::NotFound`] if the tenant has no such key, [`KeyError::Ended`] if it was revoked before.
pub async fn revoke(tx: &TenantTx, actor: &Actor, id: ApiKeyId) -> Result<(), KeyError> {
    let before = api_keys::status(tx, id).await?;
    api_keys::revoke(tx, id).await?;
    let after = api_keys::status(tx, id).await?;
    let details = json!({"before": before, "after": after});
    record(tx, actor, "key.revoke", &id.to_string(), details).await?;
    Ok(())
}

/// Creates an API key with the same properties. The old key keeps working for `grace`. Entry: `key.rotate`.
///
/// # Errors
/// [`KeyError::NotFound`] if the tenant has no such key, [`KeyError::Ended`] if it has ended or was rotated before.
pub async fn rotate(
    tx: &TenantTx,
    actor: &Actor,
    id: ApiKeyId,
    grace: Duration,
) -> Result<(ApiKeyId, ApiKey), KeyError> {
    let before = api_keys::status(tx, id).await?;
    let (new_id, key) = api_keys::rotate(tx, id, grace).await?;
    let after = api_keys::status(tx, id).await?;
    let successor = api_keys::status(tx, new_id).await?;
    let details = json!({
        "before": before, "after": after, "grace_seconds": grace.as_secs(), "successor": successor,
    });
    record(tx, actor, "key.rotate", &id.to_string(), details).await?;
    Ok((new_id, key))
}
