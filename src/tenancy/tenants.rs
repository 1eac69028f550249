//! The operator's list of tenants.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;

use super::{CallLimits, SearchText};
use crate::db::{AdminDb, DbError, TenantTx};
use crate::ids::{Slug, TenantId};
use crate::sql;

/// A tenant as the operator sees it.
#[derive(Debug, Clone, Serialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its short name.
    pub slug: String,
    /// Its full name.
    pub name: String,
    /// `active`, `suspended` or `erased`.
    pub status: String,
    /// How many calls its keys may make together.
    #[serde(flatten)]
    pub call_limits: CallLimits,
    /// What is kept of its searches.
    pub search_text: SearchText,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Tenant {
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
            created_at: row.try_get("created_at")?,
        })
    }
}

/// Whether a tenant may work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its keys work.
    Active,
    /// None of its keys works.
    Suspended,
}

impl Status {
    /// As the database spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// Makes the transaction's tenant, whose id was made before; `false` where the slug is taken.
///
/// # Errors
/// When the database is away or refuses.
pub async fn create(tx: &TenantTx, slug: &Slug, name: &str) -> Result<bool, DbError> {
    let made = tx
        .execute(
            sql!("tenants/insert.sql"),
            &[tx.tenant().as_uuid(), &slug.as_str(), &name],
        )
        .await?;
    Ok(made == 1)
}

/// All tenants, by slug.
///
/// # Errors
/// When the database is away or refuses.
pub async fn list(db: &AdminDb) -> Result<Vec<Tenant>, DbError> {
    let connection = db.system_connection().await?;
    connection
        .query(sql!("tenants/list.sql").text(), &[])
        .await?
        .iter()
        .map(Tenant::from_row)
        .collect()
}

/// The tenant with this slug.
///
/// # Errors
/// When the database is away or refuses.
pub async fn find(db: &AdminDb, slug: &str) -> Result<Option<Tenant>, DbError> {
    let connection = db.system_connection().await?;
    let row = connection
        .query_opt(sql!("tenants/find.sql").text(), &[&slug])
        .await?;
    row.as_ref().map(Tenant::from_row).transpose()
}

/// Keeps the transaction's tenant from being erased before the transaction ends; `false` where it was erased already.
///
/// # Errors
/// When the database is away or refuses.
pub async fn lock_key_share(tx: &TenantTx) -> Result<bool, DbError> {
    let row = tx
        .query_opt(sql!("tenants/lock_key_share.sql"), &[tx.tenant().as_uuid()])
        .await?;
    row.map_or(Ok(false), |row| Ok(row.try_get("not_erased")?))
}

/// The transaction's tenant as it is now; nobody else changes it before the transaction ends.
///
/// # Errors
/// When the database is away or refuses.
pub async fn lock(tx: &TenantTx) -> Result<Option<Tenant>, DbError> {
    let row = tx
        .query_opt(sql!("tenants/lock.sql"), &[tx.tenant().as_uuid()])
        .await?;
    row.as_ref().map(Tenant::from_row).transpose()
}

/// Writes the tenant's name, its limits, and what is kept of its searches.
///
/// # Errors
/// When the database is away or refuses.
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

/// Erases everything of the transaction's tenant but its audit log and its row, which is nameless from then on; answers how
/// many rows of each table went. It waits for whoever is writing.
///
/// # Errors
/// When the database is away or refuses, as it does for a tenant that was erased before.
pub async fn erase(tx: &mut TenantTx) -> Result<BTreeMap<String, i64>, DbError> {
    tx.without_time_limit().await?;
    let rows = tx
        .query(sql!("tenants/erase.sql"), &[tx.tenant().as_uuid()])
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("table_name")?, row.try_get("row_count")?)))
        .collect()
}

/// Suspends a tenant or lets it work again; `false` where it already was so, or is erased.
///
/// # Errors
/// When the database is away or refuses.
pub async fn set_status(tx: &TenantTx, status: Status) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            sql!("tenants/set_status.sql"),
            &[tx.tenant().as_uuid(), &status.as_str()],
        )
        .await?;
    Ok(changed == 1)
}
