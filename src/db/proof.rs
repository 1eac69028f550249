//! Proves on the live database that one tenant cannot reach another: two throw-away tenants with a row in every table,
//! one of them, in the server's role, trying to read, change and forge the other's. All of it is rolled back.

use std::collections::BTreeMap;

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;

use super::guard::Check;
use super::{AdminDb, DbError, TenantTx};
use crate::ids::{EventId, TenantId};
use crate::sql;

/// Tries every table that holds tenants' rows, as the catalogue lists them.
///
/// # Errors
/// When the database does not answer.
pub async fn prove_isolation(db: &AdminDb) -> Result<Check, DbError> {
    let connection = db.directory().await?;
    let tables: Vec<String> = connection
        .query(sql!("catalogue/tables.sql").text(), &[])
        .await?
        .iter()
        .map(|row| row.try_get("name"))
        .collect::<Result<_, _>>()?;
    connection.batch_execute("BEGIN").await?;
    let tried = attack_all(&connection, &tables).await;
    let rolled_back = connection.batch_execute("ROLLBACK").await;
    if rolled_back.is_err() {
        // Not to be used again with two tenants' rows in an open transaction.
        drop(Object::take(connection));
    }
    rolled_back?;
    Ok(Check::new(
        format!(
            "one tenant cannot reach another's rows in {} tables",
            tables.len()
        ),
        tried?,
    ))
}

async fn attack_all(connection: &Object, tables: &[String]) -> Result<Vec<String>, DbError> {
    let (attacker, victim) = (TenantId::new(), TenantId::new());
    for tenant in [attacker, victim] {
        let plant = format!(
            "INSERT INTO tenants (id, slug, name) VALUES ('{tenant}', 'proof-{tenant}', 'proof');\n{}\n{}",
            set_tenant(Some(tenant)),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/proof/plant.sql")),
        );
        connection.batch_execute(&plant).await?;
    }
    connection.batch_execute("SET LOCAL ROLE skillkeep_app").await?;
    let mut findings = Vec::new();
    for table in tables {
        attack(connection, table, attacker, victim, &mut findings).await?;
    }
    Ok(findings)
}

/// For every table with tenants' rows, how many are this tenant's, and a sum over all that is in them.
///
/// # Errors
/// When the database does not answer.
pub async fn table_sums(db: &AdminDb, tenant: TenantId) -> Result<BTreeMap<String, (i64, String)>, DbError> {
    let tx = TenantTx::begin_as_operator(db, tenant).await?;
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
    tx.roll_back().await?;
    Ok(sums)
}

/// How many calls of a tenant are recorded, by tool and outcome.
///
/// # Errors
/// When the database does not answer.
pub async fn event_counts(
    db: &AdminDb,
    tenant: TenantId,
) -> Result<BTreeMap<(String, String), usize>, DbError> {
    let tx = TenantTx::begin_as_operator(db, tenant).await?;
    let statement = format!(
        "SELECT tool, outcome, count(*) FROM usage_events WHERE tenant_id = '{tenant}' GROUP BY tool, outcome"
    );
    let mut counts = BTreeMap::new();
    for row in tx.connection()?.query(&statement, &[]).await? {
        let count = usize::try_from(row.try_get::<_, i64>(2)?).unwrap_or_default();
        counts.insert((row.try_get(0)?, row.try_get(1)?), count);
    }
    tx.roll_back().await?;
    Ok(counts)
}

/// One id of each table that has ids, by the table's name.
///
/// # Errors
/// When the database does not answer.
pub async fn known_ids(tx: &TenantTx) -> Result<BTreeMap<String, String>, DbError> {
    let mut ids = BTreeMap::new();
    for table in tenant_tables(tx).await? {
        // By way of JSON, since not every table has an id.
        let statement = format!("SELECT min(to_jsonb(t) ->> 'id') FROM {table} t");
        let row = tx.connection()?.query_one(&statement, &[]).await?;
        if let Some(id) = row.try_get::<_, Option<String>>(0)? {
            ids.insert(table, id);
        }
    }
    Ok(ids)
}

/// The tables as tenants' rows are read from them: without the partitions, which nobody may reach directly.
pub(super) async fn tenant_tables(tx: &TenantTx) -> Result<Vec<String>, DbError> {
    let rows = tx.query(sql!("catalogue/tables.sql"), &[]).await?;
    let mut tables = Vec::new();
    for row in &rows {
        if !row.try_get::<_, bool>("is_partition")? {
            tables.push(row.try_get("name")?);
        }
    }
    Ok(tables)
}

pub(super) fn tenant_column(table: &str) -> &'static str {
    if table == "tenants" { "id" } else { "tenant_id" }
}

fn set_tenant(tenant: Option<TenantId>) -> String {
    let tenant = tenant.map_or_else(String::new, |tenant| tenant.to_string());
    format!("SET LOCAL app.current_tenant_id = '{tenant}';")
}

/// The names come from the catalogue, of tables that our own migrations made, so they need no quoting.
async fn attack(
    connection: &Object,
    table: &str,
    attacker: TenantId,
    victim: TenantId,
    findings: &mut Vec<String>,
) -> Result<(), DbError> {
    let column = tenant_column(table);
    connection.batch_execute(&set_tenant(Some(attacker))).await?;
    let foreign = count(
        connection,
        &format!("SELECT count(*) FROM {table} WHERE {column} <> '{attacker}'"),
    )
    .await?;
    if foreign.is_some_and(|rows| rows > 0) {
        findings.push(format!("{table} shows a tenant the rows of others"));
    }
    // A partition may not be reached directly at all; everywhere else the tenant must see its own row.
    let own = count(connection, &format!("SELECT count(*) FROM {table}")).await?;
    if own == Some(0) && !table.starts_with("usage_events_") {
        findings.push(format!(
            "{table} hides a tenant's own rows, so its policies prove nothing"
        ));
    }
    // A row finds its partition by its id before any policy looks at it, so there the id must be a real one.
    let forged = if table == "usage_events" {
        format!(
            "INSERT INTO {table} (tenant_id, id) VALUES ('{victim}', '{}')",
            EventId::new()
        )
    } else {
        format!("INSERT INTO {table} ({column}) VALUES ('{victim}')")
    };
    for (deed, statement) in [
        (
            "change",
            format!("UPDATE {table} SET {column} = {column} WHERE {column} = '{victim}'"),
        ),
        (
            "delete",
            format!("DELETE FROM {table} WHERE {column} = '{victim}'"),
        ),
        ("forge", forged),
    ] {
        if succeeds(connection, &statement).await? {
            findings.push(format!("{table} lets a tenant {deed} another's rows"));
        }
    }
    connection.batch_execute(&set_tenant(None)).await?;
    let nobody = count(connection, &format!("SELECT count(*) FROM {table}")).await?;
    if nobody.is_some_and(|rows| rows > 0) {
        findings.push(format!("{table} shows rows where no tenant is set"));
    }
    Ok(())
}

/// `None` where the role may not read the table at all.
async fn count(connection: &Object, statement: &str) -> Result<Option<i64>, DbError> {
    connection.batch_execute("SAVEPOINT attempt").await?;
    match connection.query_one(statement, &[]).await {
        Ok(row) => Ok(Some(row.try_get(0)?)),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            connection.batch_execute("ROLLBACK TO SAVEPOINT attempt").await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the attempt touched a row, or failed for another reason than that it is not allowed.
async fn succeeds(connection: &Object, statement: &str) -> Result<bool, DbError> {
    connection.batch_execute("SAVEPOINT attempt").await?;
    match connection.execute(statement, &[]).await {
        Ok(touched) => Ok(touched > 0),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            connection.batch_execute("ROLLBACK TO SAVEPOINT attempt").await?;
            Ok(false)
        }
        Err(error) if error.is_closed() => Err(error.into()),
        Err(_) => {
            connection.batch_execute("ROLLBACK TO SAVEPOINT attempt").await?;
            Ok(true)
        }
    }
}
