//! A key's life: made, listed, rotated, revoked.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;

use super::{ApiKey, CallLimits, Scopes};
use crate::db::{DbError, TenantTx};
use crate::ids::{ApiKeyId, UserId};
use crate::sql;

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose it is.
    pub user: UserId,
    /// Its name, 1 to 100 characters.
    pub name: String,
    /// What it may do; at least one.
    pub scopes: Scopes,
    /// The only skills that it may see, by slug.
    pub only_skills: Option<Vec<String>>,
    /// The only tools that it may call.
    pub only_tools: Option<Vec<String>>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// How many calls it may make.
    pub call_limits: CallLimits,
}

/// A key's record, as the operator sees it.
#[derive(Debug, Clone, Serialize)]
pub struct KeyRecord {
    /// Its id.
    pub id: ApiKeyId,
    /// Its name.
    pub name: String,
    /// Its owner's address.
    pub email: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The only skills that it may see.
    pub only_skills: Option<Vec<String>>,
    /// The only tools that it may call.
    pub only_tools: Option<Vec<String>>,
    /// How many calls it may make.
    #[serde(flatten)]
    pub call_limits: CallLimits,
    /// `active`, `expired`, `revoked`, or `suspended` with its user.
    pub state: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was, or will be, revoked.
    pub revoked_at: Option<Timestamp>,
    /// The key that took its place.
    pub replaced_by: Option<ApiKeyId>,
    /// The last call made with it.
    pub last_used_at: Option<Timestamp>,
}

impl KeyRecord {
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

/// Why a key's life did not go on as asked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The tenant has no such key.
    #[error("there is no such key in this tenant; `skillkeep key list` shows the keys")]
    NotFound,
    /// It has ended, or been rotated already.
    #[error("this key {0}")]
    Ended(&'static str),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Makes a key. The answer is the only time it can be seen.
///
/// # Errors
/// When the database is away or refuses.
pub async fn create(tx: &TenantTx, new: &NewKey) -> Result<(ApiKeyId, ApiKey), DbError> {
    let id = ApiKeyId::new();
    let key = ApiKey::generate(tx.tenant(), &mut rand::rng());
    tx.execute_one(
        sql!("api_keys/insert.sql"),
        &[
            tx.tenant().as_uuid(),
            id.as_uuid(),
            new.user.as_uuid(),
            &new.name,
            &key.hash().as_bytes().as_slice(),
            &new.scopes.names(),
            &new.only_skills,
            &new.only_tools,
            &new.expires_at,
            &new.call_limits.calls_per_minute,
            &new.call_limits.calls_per_month,
        ],
    )
    .await?;
    Ok((id, key))
}

/// The tenant's keys, newest first.
///
/// # Errors
/// When the database is away or refuses.
pub async fn list(tx: &TenantTx) -> Result<Vec<KeyRecord>, DbError> {
    let rows = tx.query(sql!("api_keys/list.sql"), &[tx.tenant().as_uuid()]).await?;
    rows.iter().map(KeyRecord::from_row).collect()
}

/// The record of a key that somebody found; `None` where its tenant has no such key.
///
/// # Errors
/// When the database is away or refuses.
pub async fn inspect(tx: &TenantTx, key: &ApiKey) -> Result<Option<KeyRecord>, DbError> {
    let row = tx
        .query_opt(
            sql!("api_keys/inspect.sql"),
            &[tx.tenant().as_uuid(), &key.hash().as_bytes().as_slice()],
        )
        .await?;
    row.as_ref().map(KeyRecord::from_row).transpose()
}

/// How many calls a key may make. Its row is locked until the transaction ends.
///
/// # Errors
/// When there is no such key.
pub async fn call_limits(tx: &TenantTx, id: ApiKeyId) -> Result<CallLimits, KeyError> {
    let row = tx
        .query_opt(sql!("api_keys/get_for_update.sql"), &[tx.tenant().as_uuid(), id.as_uuid()])
        .await?
        .ok_or(KeyError::NotFound)?;
    Ok(CallLimits::from_row(&row, "calls_per_minute", "calls_per_month")?)
}

/// Changes how many calls a key may make.
///
/// # Errors
/// When the database is away or refuses, or there is no such key.
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

/// How a key stands at a moment, for the log of what is changed of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyStatus {
    /// `active`, `expired`, `revoked`, or `suspended` with its user.
    pub state: &'static str,
    /// When it ends, or did.
    pub ends: Option<Timestamp>,
    /// The key that took its place.
    pub replaced_by: Option<ApiKeyId>,
}

/// How a key stands. Its row is locked until the transaction ends.
///
/// # Errors
/// When there is no such key.
pub async fn standing(tx: &TenantTx, id: ApiKeyId) -> Result<KeyStatus, KeyError> {
    let row = tx
        .query_opt(sql!("api_keys/get_for_update.sql"), &[tx.tenant().as_uuid(), id.as_uuid()])
        .await?
        .ok_or(KeyError::NotFound)?;
    let is = |name: &str| row.try_get::<_, bool>(name).map_err(DbError::from);
    let state = match (is("revoked")?, is("expired")?, is("suspended")?) {
        (true, _, _) => "revoked",
        (false, true, _) => "expired",
        (false, false, true) => "suspended",
        (false, false, false) => "active",
    };
    let replaced_by: Option<uuid::Uuid> = row.try_get("replaced_by").map_err(DbError::from)?;
    Ok(KeyStatus {
        state,
        ends: row.try_get("ends").map_err(DbError::from)?,
        replaced_by: replaced_by.map(ApiKeyId::from_uuid),
    })
}

/// Ends a key from the next call on.
///
/// # Errors
/// When there is no such key, or it has ended already.
pub async fn revoke(tx: &TenantTx, id: ApiKeyId) -> Result<(), KeyError> {
    if tx
        .execute(sql!("api_keys/revoke.sql"), &[tx.tenant().as_uuid(), id.as_uuid()])
        .await?
        == 1
    {
        return Ok(());
    }
    match tx
        .query_opt(sql!("api_keys/get_for_update.sql"), &[tx.tenant().as_uuid(), id.as_uuid()])
        .await?
    {
        Some(_) => Err(KeyError::Ended("was revoked before")),
        None => Err(KeyError::NotFound),
    }
}

/// Makes a key with the same rights, and lets the old one work for `grace` more.
///
/// # Errors
/// When there is no such key, it has ended, or it was rotated before.
pub async fn rotate(tx: &TenantTx, id: ApiKeyId, grace: Duration) -> Result<(ApiKeyId, ApiKey), KeyError> {
    let tenant = tx.tenant();
    let row = tx
        .query_opt(sql!("api_keys/get_for_update.sql"), &[tenant.as_uuid(), id.as_uuid()])
        .await?
        .ok_or(KeyError::NotFound)?;
    let column = |name: &str| row.try_get::<_, bool>(name).map_err(DbError::from);
    if column("revoked")? {
        return Err(KeyError::Ended(
            "was revoked; make a new one with `skillkeep key create`",
        ));
    }
    if column("expired")? {
        return Err(KeyError::Ended(
            "has expired; make a new one with `skillkeep key create`",
        ));
    }
    if row
        .try_get::<_, Option<uuid::Uuid>>("replaced_by")
        .map_err(DbError::from)?
        .is_some()
    {
        return Err(KeyError::Ended("was rotated before; rotate its successor"));
    }
    let scopes: Vec<String> = row.try_get("scopes").map_err(DbError::from)?;
    let new = NewKey {
        user: UserId::from_uuid(row.try_get("user_id").map_err(DbError::from)?),
        name: row.try_get("name").map_err(DbError::from)?,
        scopes: Scopes::parse(scopes.iter().map(String::as_str))
            .map_err(|e| DbError::Corrupt(e.to_string()))?,
        only_skills: row.try_get("only_skills").map_err(DbError::from)?,
        only_tools: row.try_get("only_tools").map_err(DbError::from)?,
        expires_at: row.try_get("expires_at").map_err(DbError::from)?,
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
