//! API keys: create, list, limit, rotate and revoke.
//!
//! The functions here change rows and write no audit entry. Commands use [`crate::registry::administration`], which does both.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;

use super::{ApiKey, CallLimits, Scopes};
use crate::db::{DbError, TenantTx};
use crate::ids::{ApiKeyId, UserId};
use crate::sql;

/// Properties of an API key to be created.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The owner.
    pub user: UserId,
    /// A label, 1 to 100 characters.
    pub name: String,
    /// At least one.
    pub scopes: Scopes,
    /// The only skills that the key can see, by slug; `None` for all.
    pub only_skills: Option<Vec<String>>,
    /// The only tools that the key can call; `None` for all.
    pub only_tools: Option<Vec<String>>,
    /// `None` for a key that does not expire.
    pub expires_at: Option<Timestamp>,
    pub call_limits: CallLimits,
}

/// A stored API key, as `skillkeep key list` shows it. The key's text is not stored.
#[derive(Debug, Clone, Serialize)]
pub struct StoredApiKey {
    pub id: ApiKeyId,
    pub name: String,
    /// The owner's email address.
    pub email: String,
    pub scopes: Vec<String>,
    /// `None` for all.
    pub only_skills: Option<Vec<String>>,
    /// `None` for all.
    pub only_tools: Option<Vec<String>>,
    #[serde(flatten)]
    pub call_limits: CallLimits,
    /// `active`, `expired`, `revoked`, `suspended` (its user) or `tenant suspended`.
    pub state: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// In the future while the grace period of a rotated key runs.
    pub revoked_at: Option<Timestamp>,
    /// The key that a rotation created in its place.
    pub replaced_by: Option<ApiKeyId>,
    /// When the newest usage event of the key was recorded.
    pub last_used_at: Option<Timestamp>,
}

impl StoredApiKey {
    /// When the key ends or ended: the earlier of expiry and revocation.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        [self.expires_at, self.revoked_at].into_iter().flatten().min()
    }
}

impl StoredApiKey {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: ApiKeyId::from_uuid(row.try_get("id")?),
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            scopes: row.try_get("scopes")?,
            only_skills: row.try_get("only_skills")?,
            only_tools: row.try_get("only_tools")?,
            call_limits: CallLimits::from_row(row, "calls_per_minute", "calls_per_month")?,
            state: row.try_get("state")?,
            created_at: row.try_get("created_at")?,
            expires_at: row.try_get("expires_at")?,
            revoked_at: row.try_get("revoked_at")?,
            replaced_by: row
                .try_get::<_, Option<_>>("replaced_by")?
                .map(ApiKeyId::from_uuid),
            last_used_at: row.try_get("last_used_at")?,
        })
    }
}

/// Why an API key could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the tenant has no such API key; `skillkeep key list` shows its keys")]
    NotFound,
    /// The key was revoked, has expired or was rotated before.
    #[error("this API key {0}")]
    Ended(&'static str),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<tokio_postgres::Error> for KeyError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Creates an API key. Only its hash is stored, so the returned key cannot be retrieved again.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn create(tx: &TenantTx, new: &NewApiKey) -> Result<(ApiKeyId, ApiKey), DbError> {
    let id = ApiKeyId::new();
    let key = ApiKey::generate(tx.tenant(), &mut rand::rng());
    let sql = sql!("api_keys/insert.sql");
    tx.execute_one(
        sql,
        &sql.row([
            ("tenant_id", tx.tenant().as_uuid()),
            ("id", id.as_uuid()),
            ("user_id", new.user.as_uuid()),
            ("name", &new.name),
            ("key_hash", &key.hash().as_bytes().as_slice()),
            ("scopes", &new.scopes.names()),
            ("only_skills", &new.only_skills),
            ("only_tools", &new.only_tools),
            ("expires_at", &new.expires_at),
            ("calls_per_minute", &new.call_limits.calls_per_minute),
            ("calls_per_month", &new.call_limits.calls_per_month),
        ]),
    )
    .await?;
    Ok((id, key))
}

/// The tenant's API keys, newest first.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn list(tx: &TenantTx) -> Result<Vec<StoredApiKey>, DbError> {
    let rows = tx
        .query(sql!("api_keys/list.sql"), &[tx.tenant().as_uuid()])
        .await?;
    rows.iter().map(StoredApiKey::from_row).collect()
}

/// Looks up an API key by its text. `None` if the transaction's tenant has no such key.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn inspect(tx: &TenantTx, key: &ApiKey) -> Result<Option<StoredApiKey>, DbError> {
    let row = tx
        .query_opt(
            sql!("api_keys/inspect.sql"),
            &[tx.tenant().as_uuid(), &key.hash().as_bytes().as_slice()],
        )
        .await?;
    row.as_ref().map(StoredApiKey::from_row).transpose()
}

/// Reads the limits of an API key and locks its row until the transaction ends.
///
/// # Errors
/// [`KeyError::NotFound`] if the tenant has no such key.
pub async fn call_limits(tx: &TenantTx, id: ApiKeyId) -> Result<CallLimits, KeyError> {
    let row = locked_row(tx, id).await?;
    Ok(CallLimits::from_row(&row, "calls_per_minute", "calls_per_month")?)
}

/// Stores the limits of an API key.
///
/// # Errors
/// [`DbError::RowCount`] if the tenant has no such key.
pub async fn set_call_limits(tx: &TenantTx, id: ApiKeyId, call_limits: CallLimits) -> Result<(), KeyError> {
    tx.execute_one(
        sql!("api_keys/set_limits.sql"),
        &[
            tx.tenant().as_uuid(),
            id.as_uuid(),
            &call_limits.calls_per_minute,
            &call_limits.calls_per_month,
        ],
    )
    .await?;
    Ok(())
}

/// Snapshot of an API key's state, stored as before/after in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyStatus {
    /// `active`, `expired`, `revoked` or `suspended` (its user).
    pub state: &'static str,
    /// When the key ends or ended; `None` for never.
    pub ends: Option<Timestamp>,
    /// The key that a rotation created in its place.
    pub replaced_by: Option<ApiKeyId>,
}

/// Reads the status of an API key and locks its row until the transaction ends.
///
/// # Errors
/// [`KeyError::NotFound`] if the tenant has no such key.
pub async fn status(tx: &TenantTx, id: ApiKeyId) -> Result<KeyStatus, KeyError> {
    let row = locked_row(tx, id).await?;
    let state = match (
        row.try_get("revoked")?,
        row.try_get("expired")?,
        row.try_get("suspended")?,
    ) {
        (true, _, _) => "revoked",
        (false, true, _) => "expired",
        (false, false, true) => "suspended",
        (false, false, false) => "active",
    };
    Ok(KeyStatus {
        state,
        ends: row.try_get("ends")?,
        replaced_by: row
            .try_get::<_, Option<_>>("replaced_by")?
            .map(ApiKeyId::from_uuid),
    })
}

/// The row of an API key, locked until the transaction ends.
async fn locked_row(tx: &TenantTx, id: ApiKeyId) -> Result<Row, KeyError> {
    tx.query_opt(
        sql!("api_keys/get_for_update.sql"),
        &[tx.tenant().as_uuid(), id.as_uuid()],
    )
    .await?
    .ok_or(KeyError::NotFound)
}

/// Revokes an API key: it is rejected from the next call on, by every server.
///
/// # Errors
/// [`KeyError::NotFound`] if the tenant has no such key, [`KeyError::Ended`] if it was revoked before.
pub async fn revoke(tx: &TenantTx, id: ApiKeyId) -> Result<(), KeyError> {
    let revoked = tx
        .execute(
            sql!("api_keys/revoke.sql"),
            &[tx.tenant().as_uuid(), id.as_uuid()],
        )
        .await?;
    if revoked == 1 {
        return Ok(());
    }
    locked_row(tx, id).await?;
    Err(KeyError::Ended("was revoked before"))
}

/// Creates an API key with the same properties. The old key keeps working for `grace`.
///
/// # Errors
/// [`KeyError::NotFound`] if the tenant has no such key, [`KeyError::Ended`] if it has ended or was rotated before.
pub async fn rotate(tx: &TenantTx, id: ApiKeyId, grace: Duration) -> Result<(ApiKeyId, ApiKey), KeyError> {
    let tenant = tx.tenant();
    let row = locked_row(tx, id).await?;
    if row.try_get("revoked")? {
        return Err(KeyError::Ended(
            "was revoked; create a new one with `skillkeep key create`",
        ));
    }
    if row.try_get("expired")? {
        return Err(KeyError::Ended(
            "has expired; create a new one with `skillkeep key create`",
        ));
    }
    if row.try_get::<_, Option<uuid::Uuid>>("replaced_by")?.is_some() {
        return Err(KeyError::Ended(
            "was rotated before; rotate the key that replaced it",
        ));
    }
    let scopes: Vec<String> = row.try_get("scopes")?;
    let new = NewApiKey {
        user: UserId::from_uuid(row.try_get("user_id")?),
        name: row.try_get("name")?,
        scopes: Scopes::parse(scopes.iter().map(String::as_str))
            .map_err(|error| DbError::Corrupt(error.to_string()))?,
        only_skills: row.try_get("only_skills")?,
        only_tools: row.try_get("only_tools")?,
        expires_at: row.try_get("expires_at")?,
        call_limits: CallLimits::from_row(&row, "calls_per_minute", "calls_per_month")?,
    };
    let (new_id, key) = create(tx, &new).await?;
    tx.execute_one(
        sql!("api_keys/replace.sql"),
        &[
            tenant.as_uuid(),
            id.as_uuid(),
            new_id.as_uuid(),
            &grace.as_secs_f64(),
        ],
    )
    .await?;
    Ok((new_id, key))
}
