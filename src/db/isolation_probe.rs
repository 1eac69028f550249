//! Tests tenant isolation in SQL on the live database. Two throw-away tenants get a row in every table; then one of them,
//! in the server's role, tries to read, change, move, delete and forge the other's rows. It tries first with the role's own
//! privileges, then with every privilege on the tables, so that only the policies can refuse. All of it is rolled back.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;

use super::isolation_checks::Check;
use super::tenant_tables::tenant_column;
use super::{AdminDb, DbError};
use crate::ids::{EventId, TenantId};
use crate::sql;

/// Attacks every table with tenants' rows, partitions included.
///
/// Uses the server's own privileges only if this connection cannot act as the tables' owner; the check's name says so.
///
/// # Errors
/// The database is unavailable or rejects a statement that must succeed.
pub async fn probe_isolation(db: &AdminDb) -> Result<Check, DbError> {
    let connection = db.system_connection().await?;
    let tables: Vec<String> = connection
        .query(sql!("pg_catalog/tenant_tables.sql").text(), &[])
        .await?
        .iter()
        .map(|row| row.try_get("name"))
        .collect::<Result<_, _>>()?;
    connection.batch_execute("BEGIN").await?;
    let probed = attack_all(&connection, &tables).await;
    let rolled_back = connection.batch_execute("ROLLBACK").await;
    if rolled_back.is_err() {
        // Must not return to the pool with an open transaction that holds two tenants' rows.
        drop(Object::take(connection));
    }
    rolled_back?;
    let (findings, with_all_privileges) = probed?;
    let restriction = if with_all_privileges {
        ""
    } else {
        " (with the server's own privileges only: this connection cannot act as the tables' owner, who could grant more)"
    };
    Ok(Check::new(
        format!(
            "one tenant cannot reach another's rows in {} tables{restriction}",
            tables.len()
        ),
        findings,
    ))
}

/// Returns the findings, and whether the attacks were also run with every privilege.
async fn attack_all(connection: &Object, tables: &[String]) -> Result<(Vec<String>, bool), DbError> {
    let (attacker, victim) = (TenantId::new(), TenantId::new());
    for tenant in [attacker, victim] {
        let seed = format!(
            "INSERT INTO tenants (id, slug, name) VALUES ('{tenant}', 'probe-{tenant}', 'probe');\n{}\n{}",
            set_tenant(Some(tenant)),
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/sql/isolation_probe/seed.sql"
            )),
        );
        match connection.batch_execute(&seed).await {
            Ok(()) => {}
            // A damaged schema may reject the rows. That is a finding, and must not hide those of the other checks.
            Err(error) => {
                let Some(rejection) = error.as_db_error() else {
                    return Err(error.into());
                };
                let finding = format!("a tenant's own rows were rejected: {}", rejection.message());
                return Ok((vec![finding], true));
            }
        }
    }
    let owner = connection
        .query_one(sql!("pg_catalog/table_owner.sql").text(), &[])
        .await?;
    let mut findings = BTreeSet::new();
    attack_with(
        connection,
        tables,
        Privileges::Granted,
        (attacker, victim),
        &mut findings,
    )
    .await?;
    let with_all_privileges: bool = owner.try_get("is_reachable")?;
    if with_all_privileges {
        let owner: String = owner.try_get("owner")?;
        let grant = format!(
            "SET LOCAL ROLE {owner}; GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO skillkeep_app",
            tables.join(", ")
        );
        connection.batch_execute(&grant).await?;
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

/// The privileges of the server's role during an attack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Privileges {
    /// Those that the migrations grant.
    Granted,
    /// Every privilege on the tables, so that only the policies can refuse.
    All,
}

async fn attack_with(
    connection: &Object,
    tables: &[String],
    privileges: Privileges,
    (attacker, victim): (TenantId, TenantId),
    findings: &mut BTreeSet<String>,
) -> Result<(), DbError> {
    connection.batch_execute("SET LOCAL ROLE skillkeep_app").await?;
    let mut updatable_columns = BTreeMap::new();
    for row in &connection
        .query(sql!("pg_catalog/updatable_columns.sql").text(), &[])
        .await?
    {
        let (name, column): (String, String) = (row.try_get("name")?, row.try_get("column_name")?);
        updatable_columns.insert(name, column);
    }
    for table in tables {
        let target = Target {
            connection,
            table,
            updatable_column: updatable_columns.get(table).map(String::as_str),
            privileges,
        };
        target.read(attacker, findings).await?;
        target.write(attacker, victim, findings).await?;
        target.read_without_tenant(findings).await?;
    }
    Ok(())
}

fn set_tenant(tenant: Option<TenantId>) -> String {
    let tenant = tenant.map_or_else(String::new, |tenant| tenant.to_string());
    format!("SET LOCAL app.current_tenant_id = '{tenant}';")
}

/// A table under attack. Its name comes from the system catalog and was made by a migration, so it needs no quoting.
struct Target<'a> {
    connection: &'a Object,
    table: &'a str,
    /// A column that the server's role may update.
    updatable_column: Option<&'a str>,
    privileges: Privileges,
}

/// The result of one attempt.
enum ProbeOutcome {
    /// The number of rows that were read or changed.
    Rows(i64),
    /// A privilege was missing, or a policy rejected the new row.
    Denied,
    /// Another database error.
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
        // Nobody may read a partition directly. In every other table the tenant must see its own row.
        if self.is_partition() {
            return Ok(());
        }
        match self.count(&format!("SELECT count(*) FROM {table}")).await? {
            ProbeOutcome::Rows(rows) if rows > 0 => {}
            ProbeOutcome::Rows(_) | ProbeOutcome::Denied | ProbeOutcome::Failed(_) => {
                findings.insert(format!(
                    "{table} hides a tenant's own rows, so the probe shows nothing about its policies"
                ));
            }
        }
        Ok(())
    }

    async fn write(
        &self,
        attacker: TenantId,
        victim: TenantId,
        findings: &mut BTreeSet<String>,
    ) -> Result<(), DbError> {
        let (table, column) = (self.table, tenant_column(self.table));
        let has_all = self.privileges == Privileges::All;
        // A verb for the finding, the statement, and whether a denial is the expected answer.
        let mut attacks = vec![
            (
                "delete",
                format!("DELETE FROM {table} WHERE {column} = '{victim}'"),
                !has_all,
            ),
            ("forge", self.forged_insert(victim), true),
        ];
        if let Some(updated) = self.updatable_column {
            attacks.push((
                "change",
                format!("UPDATE {table} SET {updated} = {updated} WHERE {column} = '{victim}'"),
                // A policy that rejects the new row has already let the old row be found.
                false,
            ));
        }
        if has_all {
            attacks.push((
                "take",
                format!("UPDATE {table} SET {column} = '{attacker}' WHERE {column} = '{victim}'"),
                false,
            ));
        }
        for (verb, statement, may_be_denied) in attacks {
            let is_isolated = match self.attempt(&statement).await? {
                ProbeOutcome::Rows(changed) => changed == 0,
                ProbeOutcome::Denied => may_be_denied,
                ProbeOutcome::Failed(_) => false,
            };
            if !is_isolated {
                findings.insert(format!("{table} lets a tenant {verb} another's rows"));
            }
        }
        if has_all {
            let give = format!("UPDATE {table} SET {column} = '{victim}' WHERE {column} = '{attacker}'");
            let is_isolated = match self.attempt(&give).await? {
                ProbeOutcome::Rows(changed) => changed == 0,
                ProbeOutcome::Denied => true,
                // The triggers that forbid changes of records run before the policies.
                ProbeOutcome::Failed(state) => state == SqlState::RESTRICT_VIOLATION,
            };
            if !is_isolated {
                findings.insert(format!("{table} lets a tenant give its rows to another"));
            }
        }
        Ok(())
    }

    /// An INSERT of a row of the victim. PostgreSQL chooses the partition before it evaluates policies, so a usage event
    /// needs an id of this month.
    fn forged_insert(&self, victim: TenantId) -> String {
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

    async fn read_without_tenant(&self, findings: &mut BTreeSet<String>) -> Result<(), DbError> {
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
            Err(error) => outcome_of(error),
        };
        self.rollback_to_savepoint().await?;
        counted
    }

    async fn attempt(&self, statement: &str) -> Result<ProbeOutcome, DbError> {
        self.connection.batch_execute("SAVEPOINT attempt").await?;
        let executed = match self.connection.execute(statement, &[]).await {
            Ok(changed) => Ok(ProbeOutcome::Rows(i64::try_from(changed).unwrap_or(i64::MAX))),
            Err(error) => outcome_of(error),
        };
        self.rollback_to_savepoint().await?;
        executed
    }

    async fn rollback_to_savepoint(&self) -> Result<(), DbError> {
        Ok(self
            .connection
            .batch_execute("ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt")
            .await?)
    }
}

fn outcome_of(error: tokio_postgres::Error) -> Result<ProbeOutcome, DbError> {
    match error.code() {
        Some(state) if *state == SqlState::INSUFFICIENT_PRIVILEGE => Ok(ProbeOutcome::Denied),
        Some(state) => Ok(ProbeOutcome::Failed(state.clone())),
        None => Err(error.into()),
    }
}
