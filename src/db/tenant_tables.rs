//! Generic access to the tables with tenants' rows, which are found in the system catalog so that none is forgotten.

use std::collections::BTreeMap;

use super::{AdminDb, DbError, TenantTx};
use crate::ids::TenantId;
use crate::sql;

/// The names of the tables with tenants' rows, without the partitions and the months that are being dropped, to which no role has direct access.
pub(super) async fn tenant_tables(tx: &TenantTx) -> Result<Vec<String>, DbError> {
    let rows = tx.query(sql!("pg_catalog/tenant_tables.sql"), &[]).await?;
    let mut tables = Vec::new();
    for row in &rows {
        if !row.try_get::<_, bool>("is_partition")? {
            tables.push(row.try_get("name")?);
        }
    }
    Ok(tables)
}

/// The column of a table that names the tenant.
pub(super) fn tenant_column(table: &str) -> &'static str {
    if table == "tenants" { "id" } else { "tenant_id" }
}

/// Returns the tenant's number of rows in every tenant table, and a checksum of their contents.
///
/// # Errors
/// The database is unavailable or rejects a statement.
pub async fn table_sums(db: &AdminDb, tenant: TenantId) -> Result<BTreeMap<String, (i64, String)>, DbError> {
    let tx = TenantTx::begin_as_admin(db, tenant).await?;
    let mut sums = BTreeMap::new();
    for table in tenant_tables(&tx).await? {
        let column = tenant_column(&table);
        let statement = format!(
            "SELECT count(*), coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t \
             WHERE {column} = '{tenant}'"
        );
        let row = tx.connection()?.query_one(&statement, &[]).await?;
        sums.insert(table, (row.try_get(0)?, row.try_get(1)?));
    }
    tx.rollback().await?;
    Ok(sums)
}

/// Counts a tenant's usage events by tool and outcome.
///
/// # Errors
/// The database is unavailable or rejects a statement.
pub async fn event_counts(
    db: &AdminDb,
    tenant: TenantId,
) -> Result<BTreeMap<(String, String), usize>, DbError> {
    let tx = TenantTx::begin_as_admin(db, tenant).await?;
    let statement = format!(
        "SELECT tool, outcome, count(*) FROM usage_events WHERE tenant_id = '{tenant}' GROUP BY tool, outcome"
    );
    let mut counts = BTreeMap::new();
    for row in tx.connection()?.query(&statement, &[]).await? {
        let count = usize::try_from(row.try_get::<_, i64>(2)?).unwrap_or_default();
        counts.insert((row.try_get(0)?, row.try_get(1)?), count);
    }
    tx.rollback().await?;
    Ok(counts)
}

/// Returns one id of the current tenant for each table that has ids, by the table's name.
///
/// # Errors
/// The database is unavailable or rejects a statement.
pub async fn known_ids(tx: &TenantTx) -> Result<BTreeMap<String, String>, DbError> {
    let mut ids = BTreeMap::new();
    for table in tenant_tables(tx).await? {
        // Read from JSON, because not every table has a column `id`.
        let statement = format!("SELECT min(to_jsonb(t) ->> 'id') FROM {table} t");
        let row = tx.connection()?.query_one(&statement, &[]).await?;
        if let Some(id) = row.try_get::<_, Option<String>>(0)? {
            ids.insert(table, id);
        }
    }
    Ok(ids)
}
