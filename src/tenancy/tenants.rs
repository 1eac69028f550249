//! The operator's list of tenants.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;

use super::{Allowance, SearchText};
use crate::db::{AdminDb, DbError};
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
    pub allowance: Allowance,
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
            allowance: Allowance::from_row(row, "calls_per_minute", "calls_per_month")?,
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

/// Makes a tenant; `None` where the slug is taken.
///
/// # Errors
/// When the database is away or refuses.
pub async fn create(db: &AdminDb, slug: &Slug, name: &str) -> Result<Option<TenantId>, DbError> {
    let id = TenantId::new();
    let connection = db.directory().await?;
    let made = connection
        .execute(
            sql!("tenants/insert.sql").text(),
            &[id.as_uuid(), &slug.as_str(), &name],
        )
        .await?;
    Ok((made == 1).then_some(id))
}

/// All tenants, by slug.
///
/// # Errors
/// When the database is away or refuses.
pub async fn list(db: &AdminDb) -> Result<Vec<Tenant>, DbError> {
    let connection = db.directory().await?;
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
    let connection = db.directory().await?;
    let row = connection
        .query_opt(sql!("tenants/find.sql").text(), &[&slug])
        .await?;
    row.as_ref().map(Tenant::from_row).transpose()
}

/// Writes the tenant's name, its limits, and what is kept of its searches.
///
/// # Errors
/// When the database is away or refuses.
pub async fn update(tx: &crate::db::TenantTx, tenant: &Tenant) -> Result<(), DbError> {
    tx.execute_one(
        sql!("tenants/update.sql"),
        &[
            tx.tenant().as_uuid(),
            &tenant.name,
            &tenant.allowance.calls_per_minute,
            &tenant.allowance.calls_per_month,
            &tenant.search_text.as_str(),
        ],
    )
    .await
}

/// Erases everything of the transaction's tenant but its audit log and its row, which is nameless from then on; answers how
/// many rows of each table went.
///
/// # Errors
/// When the database is away or refuses.
pub async fn erase(tx: &mut crate::db::TenantTx) -> Result<BTreeMap<String, i64>, DbError> {
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
pub async fn set_status(tx: &crate::db::TenantTx, status: Status) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            sql!("tenants/set_status.sql"),
            &[tx.tenant().as_uuid(), &status.as_str()],
        )
        .await?;
    Ok(changed == 1)
}
