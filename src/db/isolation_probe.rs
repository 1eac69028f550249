//! Proves on the live database that one tenant cannot reach another: two throw-away tenants with a row in every table,
//! one of them, in the server's role, trying to read, change, move, delete and forge the other's. First with the role's own
//! privileges, then with every privilege, lent for the moment, so that it is the policies that refuse. All of it is rolled back.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;

use super::isolation_checks::Check;
use super::{AdminDb, DbError, TenantTx};
use crate::ids::{EventId, TenantId};
use crate::sql;

/// Tries every table that holds tenants' rows, as the catalogue lists them.
///
/// # Errors
/// When the database does not answer.
pub async fn prove_isolation(db: &AdminDb) -> Result<Check, DbError> {
    let connection = db.system_connection().await?;
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
    let (findings, with_all_privileges) = tried?;
    let alone = if with_all_privileges {
        ""
    } else {
        " (with the server's own privileges only: this connection may not act as the tables' owner, who could lend it more)"
    };
    Ok(Check::new(
        format!(
            "one tenant cannot reach another's rows in {} tables{alone}",
            tables.len()
        ),
        findings,
    ))
}

/// What was found, and whether it was tried with every privilege too.
async fn attack_all(connection: &Object, tables: &[String]) -> Result<(Vec<String>, bool), DbError> {
    let (attacker, victim) = (TenantId::new(), TenantId::new());
    for tenant in [attacker, victim] {
        let plant = format!(
            "INSERT INTO tenants (id, slug, name) VALUES ('{tenant}', 'proof-{tenant}', 'proof');\n{}\n{}",
            set_tenant(Some(tenant)),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/proof/plant.sql")),
        );
        match connection.batch_execute(&plant).await {
            Ok(()) => {}
            // Such a database is not whole either, and what else was found must be seen.
            Err(error) => {
                let Some(refusal) = error.as_db_error() else {
                    return Err(error.into());
                };
                let finding = format!("a tenant's own rows were refused: {}", refusal.message());
                return Ok((vec![finding], true));
            }
        }
    }
    let owner = connection
        .query_one(sql!("catalogue/owner.sql").text(), &[])
        .await?;
    let mut findings = BTreeSet::new();
    attack_with(
        connection,
        tables,
        Privileges::Own,
        (attacker, victim),
        &mut findings,
    )
    .await?;
    let with_all_privileges: bool = owner.try_get("is_reachable")?;
    if with_all_privileges {
        let owner: String = owner.try_get("owner")?;
        let lend = format!(
            "SET LOCAL ROLE {owner}; GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO skillkeep_app",
            tables.join(", ")
        );
        connection.batch_execute(&lend).await?;
        attack_with(
            connection,
            tables,
            Privileges::All,
            (attacker, victim),
            &mut findings,
        )
        .await?;
    }
    Ok((findings.into_iter().collect(), with_all_privileges))
}

/// What the server's role may do during an attack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Privileges {
    /// What it was granted.
    Own,
    /// Everything, so that nothing but the policies refuses.
    All,
}

async fn attack_with(
    connection: &Object,
    tables: &[String],
    privileges: Privileges,
    between: (TenantId, TenantId),
    findings: &mut BTreeSet<String>,
) -> Result<(), DbError> {
    connection.batch_execute("SET LOCAL ROLE skillkeep_app").await?;
    let mut changeable = BTreeMap::new();
    for row in &connection
        .query(sql!("catalogue/changeable.sql").text(), &[])
        .await?
    {
        let (name, column): (String, String) = (row.try_get("name")?, row.try_get("column_name")?);
        changeable.insert(name, column);
    }
    for table in tables {
        let target = Target {
            connection,
            table,
            changeable: changeable.get(table).map(String::as_str),
            privileges,
        };
        target.read(between.0, findings).await?;
        target.write(between, findings).await?;
        target.read_as_nobody(findings).await?;
    }
    Ok(())
}

/// For every table with tenants' rows, how many are this tenant's, and a sum over all that is in them.
///
/// # Errors
/// When the database does not answer.
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
    let tx = TenantTx::begin_as_admin(db, tenant).await?;
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

/// A table under attack. The names come from the catalogue, of tables that our own migrations made, so they need no quoting.
struct Target<'a> {
    connection: &'a Object,
    table: &'a str,
    /// A column that the role may change.
    changeable: Option<&'a str>,
    privileges: Privileges,
}

/// What became of an attempt.
enum ProbeOutcome {
    /// So many rows were read or touched.
    Rows(i64),
    /// A privilege was missing, or a policy refused a new row.
    Denied,
    /// It came as far as another error of the database.
    Failed(SqlState),
}

impl Target<'_> {
    fn is_partition(&self) -> bool {
        self.table.starts_with("usage_events_")
    }

    async fn read(&self, attacker: TenantId, findings: &mut BTreeSet<String>) -> Result<(), DbError> {
        let (table, column) = (self.table, tenant_column(self.table));
        self.become_tenant(Some(attacker)).await?;
        let foreign = format!("SELECT count(*) FROM {table} WHERE {column} <> '{attacker}'");
        if matches!(self.count(&foreign).await?, ProbeOutcome::Rows(rows) if rows > 0) {
            findings.insert(format!("{table} shows a tenant the rows of others"));
        }
        // A partition may not be reached directly at all; everywhere else the tenant must see its own row.
        if self.is_partition() {
            return Ok(());
        }
        match self.count(&format!("SELECT count(*) FROM {table}")).await? {
            ProbeOutcome::Rows(rows) if rows > 0 => {}
            ProbeOutcome::Rows(_) | ProbeOutcome::Denied | ProbeOutcome::Failed(_) => {
                findings.insert(format!(
                    "{table} hides a tenant's own rows, so its policies prove nothing"
                ));
            }
        }
        Ok(())
    }

    async fn write(
        &self,
        (attacker, victim): (TenantId, TenantId),
        findings: &mut BTreeSet<String>,
    ) -> Result<(), DbError> {
        let (table, column) = (self.table, tenant_column(self.table));
        let may_delete = self.privileges == Privileges::All;
        let mut deeds = vec![
            (
                "delete",
                format!("DELETE FROM {table} WHERE {column} = '{victim}'"),
                !may_delete,
            ),
            ("forge", self.forged(victim), true),
        ];
        if let Some(changed) = self.changeable {
            deeds.push((
                "change",
                format!("UPDATE {table} SET {changed} = {changed} WHERE {column} = '{victim}'"),
                // A policy that refuses the row after the change has let it be found.
                false,
            ));
        }
        if may_delete {
            deeds.push((
                "take",
                format!("UPDATE {table} SET {column} = '{attacker}' WHERE {column} = '{victim}'"),
                false,
            ));
        }
        for (deed, statement, may_be_denied) in deeds {
            let is_held = match self.attempt(&statement).await? {
                ProbeOutcome::Rows(touched) => touched == 0,
                ProbeOutcome::Denied => may_be_denied,
                ProbeOutcome::Failed(_) => false,
            };
            if !is_held {
                findings.insert(format!("{table} lets a tenant {deed} another's rows"));
            }
        }
        if may_delete {
            let given = format!("UPDATE {table} SET {column} = '{victim}' WHERE {column} = '{attacker}'");
            let is_held = match self.attempt(&given).await? {
                ProbeOutcome::Rows(touched) => touched == 0,
                ProbeOutcome::Denied => true,
                // The triggers that keep records from changing come before the policies.
                ProbeOutcome::Failed(state) => state == SqlState::RESTRICT_VIOLATION,
            };
            if !is_held {
                findings.insert(format!("{table} lets a tenant give its rows to another"));
            }
        }
        Ok(())
    }

    /// A row finds its partition by its id before any policy looks at it, so there the id must be a real one.
    fn forged(&self, victim: TenantId) -> String {
        let table = self.table;
        if table == "usage_events" {
            let id = EventId::new();
            format!("INSERT INTO {table} (tenant_id, id) VALUES ('{victim}', '{id}')")
        } else {
            format!(
                "INSERT INTO {table} ({}) VALUES ('{victim}')",
                tenant_column(table)
            )
        }
    }

    async fn read_as_nobody(&self, findings: &mut BTreeSet<String>) -> Result<(), DbError> {
        self.become_tenant(None).await?;
        let all = format!("SELECT count(*) FROM {}", self.table);
        if matches!(self.count(&all).await?, ProbeOutcome::Rows(rows) if rows > 0) {
            findings.insert(format!("{} shows rows where no tenant is set", self.table));
        }
        Ok(())
    }

    async fn become_tenant(&self, tenant: Option<TenantId>) -> Result<(), DbError> {
        Ok(self.connection.batch_execute(&set_tenant(tenant)).await?)
    }

    async fn count(&self, statement: &str) -> Result<ProbeOutcome, DbError> {
        self.connection.batch_execute("SAVEPOINT attempt").await?;
        let counted = match self.connection.query_one(statement, &[]).await {
            Ok(row) => Ok(ProbeOutcome::Rows(row.try_get(0)?)),
            Err(error) => refused(error),
        };
        self.rollback_to_savepoint().await?;
        counted
    }

    async fn attempt(&self, statement: &str) -> Result<ProbeOutcome, DbError> {
        self.connection.batch_execute("SAVEPOINT attempt").await?;
        let done = match self.connection.execute(statement, &[]).await {
            Ok(touched) => Ok(ProbeOutcome::Rows(i64::try_from(touched).unwrap_or(i64::MAX))),
            Err(error) => refused(error),
        };
        self.rollback_to_savepoint().await?;
        done
    }

    async fn rollback_to_savepoint(&self) -> Result<(), DbError> {
        Ok(self
            .connection
            .batch_execute("ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt")
            .await?)
    }
}

fn refused(error: tokio_postgres::Error) -> Result<ProbeOutcome, DbError> {
    match error.code() {
        Some(state) if *state == SqlState::INSUFFICIENT_PRIVILEGE => Ok(ProbeOutcome::Denied),
        Some(state) => Ok(ProbeOutcome::Failed(state.clone())),
        None => Err(error.into()),
    }
}
