//! Tenants: the organisations that share one server and no data.
//!
//! The functions here change rows and write no audit entry. Commands use [`crate::registry::administration`], which does both.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;

use super::{CallLimits, SearchText};
use crate::db::{AdminDb, DbError, TenantTx};
use crate::ids::{Slug, TenantId};
use crate::sql;

/// A tenant, as `skillkeep tenant list` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Tenant {
    pub id: TenantId,
    pub slug: String,
    pub name: String,
    /// `active`, `suspended` or `erased`.
    pub status: String,
    /// Limits of all API keys of the tenant together.
    #[serde(flatten)]
    pub call_limits: CallLimits,
    pub search_text: SearchText,
    /// Bytes of the files of all skills; each content counts once.
    pub stored_bytes: i64,
    pub created_at: Timestamp,
}

impl Tenant {
    /// Whether nothing but the audit log is left of the tenant.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.status == "erased"
    }

    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: TenantId::from_uuid(row.try_get("id")?),
            slug: row.try_get("slug")?,
            name: row.try_get("name")?,
            status: row.try_get("status")?,
            call_limits: CallLimits::from_row(row, "calls_per_minute", "calls_per_month")?,
            search_text: row
                .try_get::<_, &str>("search_text")?
                .parse()
                .map_err(DbError::Corrupt)?,
            stored_bytes: row.try_get("stored_bytes")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// Status of a tenant or a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// API keys are accepted.
    Active,
    /// API keys are rejected.
    Suspended,
}

impl Status {
    /// The spelling in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// Creates the tenant whose id the transaction was begun with. Returns `false` if the slug is taken.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn create(
    tx: &TenantTx,
    slug: &Slug,
    name: &str,
    call_limits: CallLimits,
) -> Result<bool, DbError> {
    let inserted = tx
        .execute(
            sql!("tenants/insert.sql"),
            &[
                tx.tenant().as_uuid(),
                &slug.as_str(),
                &name,
                &call_limits.calls_per_minute,
                &call_limits.calls_per_month,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// All tenants, sorted by slug.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn list(db: &AdminDb) -> Result<Vec<Tenant>, DbError> {
    let connection = db.system_connection().await?;
    connection
        .query(sql!("tenants/list.sql").text(), &[])
        .await?
        .iter()
        .map(Tenant::from_row)
        .collect()
}

/// The tenant with this slug, also an erased one.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn find(db: &AdminDb, slug: &str) -> Result<Option<Tenant>, DbError> {
    let connection = db.system_connection().await?;
    let row = connection
        .query_opt(sql!("tenants/find.sql").text(), &[&slug])
        .await?;
    row.as_ref().map(Tenant::from_row).transpose()
}

/// Prevents the erasure of the tenant until the transaction ends. Returns `false` if the tenant was already erased.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn lock_key_share(tx: &TenantTx) -> Result<bool, DbError> {
    let row = tx
        .query_opt(sql!("tenants/lock_key_share.sql"), &[tx.tenant().as_uuid()])
        .await?;
    row.map_or(Ok(false), |row| Ok(row.try_get("not_erased")?))
}

/// Reads the transaction's tenant and locks its row against changes until the transaction ends.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn lock(tx: &TenantTx) -> Result<Option<Tenant>, DbError> {
    let row = tx
        .query_opt(sql!("tenants/lock.sql"), &[tx.tenant().as_uuid()])
        .await?;
    row.as_ref().map(Tenant::from_row).transpose()
}

/// Stores the tenant's name, limits and search text setting.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn update(tx: &TenantTx, tenant: &Tenant) -> Result<(), DbError> {
    tx.execute_one(
        sql!("tenants/update.sql"),
        &[
            tx.tenant().as_uuid(),
            &tenant.name,
            &tenant.call_limits.calls_per_minute,
            &tenant.call_limits.calls_per_month,
            &tenant.search_text.as_str(),
        ],
    )
    .await
}

/// Erases all rows of the transaction's tenant except its audit log and its own row, which loses its slug and name. Returns
/// the number of erased rows per table. Waits for running writes, without a statement timeout.
///
/// # Errors
/// When the database is unavailable or rejects the statement; `OBJECT_NOT_IN_PREREQUISITE_STATE` for an erased tenant.
pub async fn erase(tx: &mut TenantTx) -> Result<BTreeMap<String, i64>, DbError> {
    tx.without_time_limit().await?;
    let rows = tx
        .query(sql!("tenants/erase.sql"), &[tx.tenant().as_uuid()])
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("table_name")?, row.try_get("row_count")?)))
        .collect()
}

/// Suspends or resumes a tenant. Returns `false` if the status did not change or the tenant is erased.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn set_status(tx: &TenantTx, status: Status) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            sql!("tenants/set_status.sql"),
            &[tx.tenant().as_uuid(), &status.as_str()],
        )
        .await?;
    Ok(changed == 1)
}
