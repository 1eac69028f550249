//! Secret paths: create, list and revoke.
//!
//! A secret path lets a client that sends no header read skills: the secret is a part of the URL. It acts with the rights of an API
//! key, but may only read and install.
//!
//! The functions here change rows and write no audit entry. Commands use [`crate::registry::administration`], which does both.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::ApiKey;
use crate::db::{DbError, TenantTx};
use crate::ids::{ApiKeyId, SecretPathId};
use crate::sql;

/// The longest time that a secret path is valid: 90 days. It stands in configuration files and in the logs of proxies.
pub const MAX_LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Properties of a secret path to be created.
#[derive(Debug, Clone)]
pub struct NewSecretPath {
    /// The key whose rights it has.
    pub api_key: ApiKeyId,
    /// A label, 1 to 100 characters.
    pub name: String,
    /// The slugs of the only skills that it opens; `None` for all that the key may see.
    pub only_skills: Option<Vec<String>>,
    /// At most [`MAX_LIFETIME`].
    pub lifetime: Duration,
    /// The administrator's account, 1 to 200 characters.
    pub created_by: String,
}

/// A stored secret path, as `skillkeep share list` shows it. The secret is not stored.
#[derive(Debug, Clone, Serialize)]
pub struct StoredSecretPath {
    pub id: SecretPathId,
    pub name: String,
    pub api_key: ApiKeyId,
    pub api_key_name: String,
    /// `None` for all.
    pub only_skills: Option<Vec<String>>,
    pub created_by: String,
    /// `active`, `expired`, `revoked`, `key expired` or `key revoked`.
    pub state: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// Creates a secret path; returns its id, its secret and when it expires. Only the secret's hash is stored.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn create(
    tx: &TenantTx,
    new: &NewSecretPath,
) -> Result<(SecretPathId, ApiKey, Timestamp), DbError> {
    let id = SecretPathId::new();
    let secret = ApiKey::generate_secret_path(tx.tenant(), &mut rand::rng());
    let row = tx
        .query_opt(
            sql!("secret_paths/insert.sql"),
            &[
                tx.tenant().as_uuid(),
                id.as_uuid(),
                new.api_key.as_uuid(),
                &new.name,
                &secret.hash().as_bytes().as_slice(),
                &new.only_skills,
                &new.created_by,
                &new.lifetime.as_secs_f64(),
            ],
        )
        .await?;
    let row = row.ok_or_else(|| DbError::Corrupt("a secret path was not stored".to_owned()))?;
    Ok((id, secret, row.try_get("expires_at")?))
}

/// Every secret path of the tenant, newest first.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn list(tx: &TenantTx) -> Result<Vec<StoredSecretPath>, DbError> {
    let rows = tx
        .query(sql!("secret_paths/list.sql"), &[tx.tenant().as_uuid()])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(StoredSecretPath {
                id: SecretPathId::from_uuid(row.try_get("id")?),
                name: row.try_get("name")?,
                api_key: ApiKeyId::from_uuid(row.try_get("api_key_id")?),
                api_key_name: row.try_get("api_key_name")?,
                only_skills: row.try_get("only_skills")?,
                created_by: row.try_get("created_by")?,
                state: row.try_get("state")?,
                created_at: row.try_get("created_at")?,
                expires_at: row.try_get("expires_at")?,
                revoked_at: row.try_get("revoked_at")?,
            })
        })
        .collect()
}

/// Revokes a secret path: it is rejected from the next request on, by every server. Returns `false` if there is none with this id,
/// or it was revoked before.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn revoke(tx: &TenantTx, id: SecretPathId) -> Result<bool, DbError> {
    let revoked = tx
        .execute(
            sql!("secret_paths/revoke.sql"),
            &[tx.tenant().as_uuid(), id.as_uuid()],
        )
        .await?;
    Ok(revoked == 1)
}
