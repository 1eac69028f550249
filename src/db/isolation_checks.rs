//! Checks of tenant isolation. They read PostgreSQL's system catalog, so that no table or role can be forgotten in a list here.

mod roles;
mod schema;

use deadpool_postgres::Object;
use jiff::Timestamp;
use tokio_postgres::Row;

use self::roles::Roles;
use super::{AdminDb, DbError, SET_SEARCH_PATH, ServerDb};
use crate::sql;

/// Largest tolerated difference between this machine's clock and the database's. Event ids and expiry times rely on both.
const MAX_CLOCK_SKEW_SECONDS: i64 = 30;

/// Triggers that must fire for every value of `session_replication_role`.
const ALWAYS_ENABLED_TRIGGERS: [&str; 8] = [
    "audit_actor",
    "audit_append_only",
    "audit_chain",
    "audit_no_truncate",
    "catalog_revision",
    "forbid_blob_update",
    "forbid_file_update",
    "forbid_version_update",
];

/// The result of one check.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Check {
    /// The property that was checked, as a short phrase.
    pub name: String,
    /// One sentence for each violation; empty if the check passed.
    pub findings: Vec<String>,
}

impl Check {
    #[must_use]
    pub fn new(name: impl Into<String>, findings: Vec<String>) -> Self {
        Self {
            name: name.into(),
            findings,
        }
    }

    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Runs every check in the server's session, including those of the role and the session itself.
///
/// # Errors
/// The database is unavailable or rejects a statement.
pub async fn check_server(db: &ServerDb) -> Result<Vec<Check>, DbError> {
    // On two connections: the checks are most of the time that a process needs to start.
    let access = server_checks(db, Part::Access);
    let structure = server_checks(db, Part::Structure);
    let (mut checks, structure) = futures::try_join!(access, structure)?;
    checks.extend(structure);
    Ok(checks)
}

/// About half of the checks, by the time that they take.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Roles, policies, and what bypasses them.
    Access,
    /// Keys, triggers, and all other objects.
    Structure,
}

async fn server_checks(db: &ServerDb, part: Part) -> Result<Vec<Check>, DbError> {
    let connection = db.pg_catalog().await?;
    // One transaction: behind a transaction pooler, a setting lasts no longer.
    connection
        .batch_execute(&format!("BEGIN READ ONLY; {SET_SEARCH_PATH}"))
        .await?;
    let checks = checks_in_session(&connection, part).await;
    let rolled_back = connection.batch_execute("ROLLBACK").await;
    if rolled_back.is_err() {
        drop(Object::take(connection));
    }
    let checks = checks?;
    rolled_back?;
    Ok(checks)
}

async fn checks_in_session(connection: &Object, part: Part) -> Result<Vec<Check>, DbError> {
    let roles = Roles::effective(connection).await?;
    match part {
        Part::Access => {
            let mut checks = vec![
                roles::server(connection).await?,
                roles::session(connection, &roles).await?,
            ];
            checks.extend(access_checks(connection, &roles).await?);
            Ok(checks)
        }
        Part::Structure => structure_checks(connection).await,
    }
}

/// Runs the checks that do not depend on the server's session, as the admin role.
///
/// # Errors
/// The database is unavailable or rejects a statement.
pub async fn check_schema(db: &AdminDb) -> Result<Vec<Check>, DbError> {
    let connection = db.system_connection().await?;
    let mut checks = access_checks(&connection, &Roles::working()).await?;
    checks.extend(structure_checks(&connection).await?);
    Ok(checks)
}

/// Lists publications, replication and similar data egress. Reported as a warning; does not prevent the server from starting.
///
/// # Errors
/// The database is unavailable or rejects a statement.
pub async fn check_data_egress(db: &AdminDb) -> Result<Check, DbError> {
    let connection = db.system_connection().await?;
    let rows = connection
        .query(sql!("pg_catalog/replication_and_publications.sql").text(), &[])
        .await?;
    Ok(Check::new("no rows leave the database", format_findings(&rows)?))
}

/// Compares the schema with the one that the migrations create. Sees uncommitted changes of the connection's transaction.
///
/// # Errors
/// The database is unavailable or rejects a statement.
pub async fn compare_schema(connection: &tokio_postgres::Client) -> Result<Check, DbError> {
    schema::check(connection).await
}

/// Describes the schema as sorted lines, in the format of `sql/isolation_probe/schema.txt`.
///
/// # Errors
/// The database is unavailable or rejects a statement.
pub async fn schema_lines(db: &AdminDb) -> Result<Vec<String>, DbError> {
    let connection = db.system_connection().await?;
    let found = schema::lines(&connection).await?;
    let lines: std::collections::BTreeSet<String> = found.into_values().flatten().collect();
    Ok(lines.into_iter().collect())
}

/// Lists the functions for large objects that the roles may call. Every role can read and write the large objects of every tenant.
/// Reported as a warning: only a superuser can revoke them.
///
/// # Errors
/// The database is unavailable or rejects a statement.
pub async fn check_large_objects(db: &AdminDb) -> Result<Check, DbError> {
    let connection = db.system_connection().await?;
    let row = connection
        .query_one(
            sql!("pg_catalog/large_object_functions.sql").text(),
            &[Roles::working().names()],
        )
        .await?;
    let statement: Option<String> = row.try_get("revoke_statement")?;
    let findings = statement.map(|statement| {
        format!("every role may store large objects, which no policy covers; run as a superuser, in this database: {statement}")
    });
    Ok(Check::new(
        "no large objects, which have no tenant",
        findings.into_iter().collect(),
    ))
}

async fn access_checks(connection: &Object, roles: &Roles) -> Result<Vec<Check>, DbError> {
    Ok(vec![
        roles::attributes(connection, roles).await?,
        roles::ownership(connection, roles).await?,
        policies(connection).await?,
        bypass_paths(connection, roles).await?,
    ])
}

async fn structure_checks(connection: &Object) -> Result<Vec<Check>, DbError> {
    Ok(vec![
        keys(connection).await?,
        triggers(connection).await?,
        schema::check(connection).await?,
        partitions_and_clock(connection).await?,
    ])
}

async fn policies(connection: &Object) -> Result<Check, DbError> {
    let rows = connection
        .query(sql!("pg_catalog/tenant_tables.sql").text(), &[])
        .await?;
    let mut findings = Vec::new();
    for row in &rows {
        let table: String = row.try_get("name")?;
        for (column, expected, problem) in [
            ("rls_enabled", true, "has row level security disabled"),
            ("rls_forced", true, "does not FORCE row level security"),
            (
                "has_permissive",
                true,
                "lacks the policy tenant_access as skillkeep defines it",
            ),
            (
                "has_restrictive",
                true,
                "lacks the policy tenant_isolation as skillkeep defines it",
            ),
            ("has_other_policies", false, "has an unknown policy"),
            ("may_truncate", false, "may be truncated by the server's role"),
            (
                "partition_granted",
                false,
                "is a partition that the server's role may access directly",
            ),
        ] {
            if row.try_get::<_, bool>(column)? != expected {
                findings.push(format!("the table {table} {problem}"));
            }
        }
    }
    if rows.is_empty() {
        findings.push("no tenant table was found".to_owned());
    }
    Ok(Check::new(
        format!("row level security of {} tables", rows.len()),
        findings,
    ))
}

/// Objects that would show rows without any policy, in every schema and of every owner.
async fn bypass_paths(connection: &Object, roles: &Roles) -> Result<Check, DbError> {
    let mut rows = connection
        .query(sql!("pg_catalog/tables_without_rls.sql").text(), &[])
        .await?;
    for statement in [
        sql!("pg_catalog/objects_outside_public.sql"),
        sql!("pg_catalog/privileged_functions.sql"),
    ] {
        rows.extend(connection.query(statement.text(), &[roles.names()]).await?);
    }
    Ok(Check::new(
        "no object bypasses the policies",
        format_findings(&rows)?,
    ))
}

/// Formats rows with the columns `name` and `what` as "{name} is {what}".
fn format_findings(rows: &[Row]) -> Result<Vec<String>, DbError> {
    rows.iter()
        .map(|row| {
            let (name, what): (String, String) = (row.try_get("name")?, row.try_get("what")?);
            Ok(format!("{name} is {what}"))
        })
        .collect()
}

async fn keys(connection: &Object) -> Result<Check, DbError> {
    let rows = connection
        .query(sql!("pg_catalog/keys_without_tenant.sql").text(), &[])
        .await?;
    let findings = rows
        .iter()
        .map(|row| {
            let (name, table): (String, String) = (row.try_get("name")?, row.try_get("table_name")?);
            Ok(format!("the key {name} of {table} does not begin with tenant_id"))
        })
        .collect::<Result<_, DbError>>()?;
    Ok(Check::new(
        "primary, unique and foreign keys begin with the tenant",
        findings,
    ))
}

async fn triggers(connection: &Object) -> Result<Check, DbError> {
    let rows = connection
        .query(sql!("pg_catalog/always_enabled_triggers.sql").text(), &[])
        .await?;
    let enabled: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("name"))
        .collect::<Result<_, _>>()?;
    let findings = ALWAYS_ENABLED_TRIGGERS
        .iter()
        .filter(|wanted| !enabled.iter().any(|name| name == *wanted))
        .map(|missing| format!("the trigger {missing} is missing or not ENABLE ALWAYS"))
        .collect();
    Ok(Check::new("records cannot be changed", findings))
}

async fn partitions_and_clock(connection: &Object) -> Result<Check, DbError> {
    let row = connection
        .query_one(sql!("pg_catalog/partitions_and_clock.sql").text(), &[])
        .await?;
    let mut findings = Vec::new();
    if !row.try_get("this_month")? {
        findings.push("usage_events has no partition for this month, so no call can be recorded".to_owned());
    }
    if !row.try_get("next_month")? {
        findings.push("usage_events has no partition for next month".to_owned());
    }
    let wrong_bounds = connection
        .query(sql!("pg_catalog/partition_bounds.sql").text(), &[])
        .await?;
    for row in &wrong_bounds {
        let (name, bounds): (String, String) = (row.try_get("name")?, row.try_get("bounds")?);
        findings.push(format!(
            "the bounds of the partition {name} are not those of its month: {bounds}"
        ));
    }
    let database_clock: Timestamp = row.try_get("clock")?;
    findings.extend(clock_skew(Timestamp::now(), database_clock));
    Ok(Check::new("partitions and clock", findings))
}

/// A finding if the two clocks differ by more than [`MAX_CLOCK_SKEW_SECONDS`].
fn clock_skew(local: Timestamp, database: Timestamp) -> Option<String> {
    let seconds = local.duration_since(database).as_secs().abs();
    (seconds > MAX_CLOCK_SKEW_SECONDS)
        .then(|| format!("the database's clock and this machine's are {seconds} seconds apart"))
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;

    #[test]
    fn clock_skew_is_reported_in_both_directions() {
        let now = Timestamp::now();
        let limit = MAX_CLOCK_SKEW_SECONDS;
        for difference in [-limit, 0, limit] {
            assert_eq!(clock_skew(now, now + difference.seconds()), None);
        }
        for difference in [-limit - 1, limit + 1, 86_400] {
            let finding = clock_skew(now, now + difference.seconds()).unwrap();
            assert!(
                finding.contains(&format!("{} seconds apart", difference.abs())),
                "{finding}"
            );
        }
    }
}
