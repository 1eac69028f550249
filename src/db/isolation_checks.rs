//! Whether the walls between tenants stand, read from the database's own catalogue, not from a list of ours.

mod roles;
mod schema;

use deadpool_postgres::Object;
use jiff::Timestamp;

use self::roles::Roles;
use super::{AdminDb, DbError, SET_SEARCH_PATH, ServerDb};
use crate::sql;

/// How far the database's clock may be from this program's before event ids and expiries lose their meaning.
const MAX_CLOCK_SKEW_SECONDS: i64 = 30;

/// Triggers that must be in force whatever `session_replication_role` says.
const ALWAYS_ON: [&str; 6] = [
    "audit_append_only",
    "audit_chain",
    "audit_no_truncate",
    "published_bytes_stay",
    "published_files_stay",
    "published_versions_stay",
];

/// One thing that was looked at.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Check {
    /// What was looked at, in a few words.
    pub name: String,
    /// What is wrong, a sentence each; empty where all is well.
    pub findings: Vec<String>,
}

impl Check {
    /// A check with what it found.
    #[must_use]
    pub fn new(name: impl Into<String>, findings: Vec<String>) -> Self {
        Self {
            name: name.into(),
            findings,
        }
    }

    /// Whether all is well.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Every check of the catalogue, as the server's role sees it.
///
/// # Errors
/// When the database does not answer.
pub async fn check_server(db: &ServerDb) -> Result<Vec<Check>, DbError> {
    let connection = db.pg_catalog().await?;
    // One transaction: through a pooler, only that sees what is set for it.
    connection
        .batch_execute(&format!("BEGIN READ ONLY; {SET_SEARCH_PATH}"))
        .await?;
    let checks = as_server(&connection).await;
    let ended = connection.batch_execute("ROLLBACK").await;
    if ended.is_err() {
        drop(Object::take(connection));
    }
    let checks = checks?;
    ended?;
    Ok(checks)
}

async fn as_server(connection: &Object) -> Result<Vec<Check>, DbError> {
    let roles = Roles::acting(connection).await?;
    let mut checks = vec![
        roles::server(connection).await?,
        roles::session(connection, &roles).await?,
    ];
    checks.extend(pg_catalog(connection, &roles).await?);
    Ok(checks)
}

/// The checks that do not depend on the role, as the operator's role sees them.
///
/// # Errors
/// When the database does not answer.
pub async fn check_schema(db: &AdminDb) -> Result<Vec<Check>, DbError> {
    pg_catalog(&db.system_connection().await?, &Roles::working()).await
}

/// What an owner may have wanted: copies of the rows that go elsewhere, for example to a standby. It is told, and no reason not to serve.
///
/// # Errors
/// When the database does not answer.
pub async fn check_outgoing(db: &AdminDb) -> Result<Check, DbError> {
    let connection = db.system_connection().await?;
    let rows = connection
        .query(sql!("catalogue/outgoing.sql").text(), &[])
        .await?;
    Ok(Check::new("no rows leave the database", named(&rows)?))
}

/// Compares the schema that this connection sees, its own transaction's changes included, with the one as migrated.
///
/// # Errors
/// When the database does not answer.
pub async fn compare_schema(connection: &tokio_postgres::Client) -> Result<Check, DbError> {
    schema::check(connection).await
}

/// The schema of a database as lines, for keeping `sql/proof/schema.txt` true.
///
/// # Errors
/// When the database does not answer.
pub async fn schema_lines(db: &AdminDb) -> Result<Vec<String>, DbError> {
    let connection = db.system_connection().await?;
    let found = schema::lines(&connection).await?;
    let lines: std::collections::BTreeSet<String> = found.into_values().flatten().collect();
    Ok(lines.into_iter().collect())
}

async fn pg_catalog(connection: &Object, roles: &Roles) -> Result<Vec<Check>, DbError> {
    Ok(vec![
        roles::attributes(connection, roles).await?,
        roles::owners(connection, roles).await?,
        policies(connection).await?,
        around(connection, roles).await?,
        references(connection).await?,
        triggers(connection).await?,
        schema::check(connection).await?,
        partitions_and_clock(connection).await?,
    ])
}

async fn policies(connection: &Object) -> Result<Check, DbError> {
    let rows = connection.query(sql!("catalogue/tables.sql").text(), &[]).await?;
    let mut findings = Vec::new();
    for row in &rows {
        let table: String = row.try_get("name")?;
        for (column, wanted, what) in [
            ("rls_enabled", true, "has row level security switched off"),
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
            (
                "has_other_policies",
                false,
                "has a policy that skillkeep does not know",
            ),
            ("may_truncate", false, "may be truncated by the server's role"),
            (
                "partition_granted",
                false,
                "is a partition that the server's role may reach directly",
            ),
        ] {
            if row.try_get::<_, bool>(column)? != wanted {
                findings.push(format!("the table {table} {what}"));
            }
        }
    }
    if rows.is_empty() {
        findings.push("no table of the registry was found".to_owned());
    }
    Ok(Check::new(
        format!("row level security of {} tables", rows.len()),
        findings,
    ))
}

/// What would show rows without any policy, in whichever schema it lies and whoever made it.
async fn around(connection: &Object, roles: &Roles) -> Result<Check, DbError> {
    let mut rows = connection
        .query(sql!("catalogue/unguarded.sql").text(), &[])
        .await?;
    for statement in [sql!("catalogue/elsewhere.sql"), sql!("catalogue/reach.sql")] {
        rows.extend(connection.query(statement.text(), &[roles.names()]).await?);
    }
    Ok(Check::new("nothing leads around the policies", named(&rows)?))
}

/// Findings of rows that hold a name and what bears it.
fn named(rows: &[tokio_postgres::Row]) -> Result<Vec<String>, DbError> {
    rows.iter()
        .map(|row| {
            let (name, what): (String, String) = (row.try_get("name")?, row.try_get("what")?);
            Ok(format!("{name} is {what}"))
        })
        .collect()
}

async fn references(connection: &Object) -> Result<Check, DbError> {
    let rows = connection
        .query(sql!("catalogue/references.sql").text(), &[])
        .await?;
    let findings = rows
        .iter()
        .map(|row| {
            let (name, table): (String, String) = (row.try_get("name")?, row.try_get("table_name")?);
            Ok(format!("the key {name} of {table} does not begin with tenant_id"))
        })
        .collect::<Result<_, DbError>>()?;
    Ok(Check::new("keys carry the tenant", findings))
}

async fn triggers(connection: &Object) -> Result<Check, DbError> {
    let rows = connection
        .query(sql!("catalogue/audit_triggers.sql").text(), &[])
        .await?;
    let on: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("name"))
        .collect::<Result<_, _>>()?;
    let findings = ALWAYS_ON
        .iter()
        .filter(|wanted| !on.iter().any(|name| name == *wanted))
        .map(|missing| format!("the trigger {missing} is missing or not ENABLE ALWAYS"))
        .collect();
    Ok(Check::new("records cannot be changed", findings))
}

async fn partitions_and_clock(connection: &Object) -> Result<Check, DbError> {
    let row = connection
        .query_one(sql!("catalogue/partition.sql").text(), &[])
        .await?;
    let mut findings = Vec::new();
    if !row.try_get("this_month")? {
        findings.push("usage_events has no partition for this month, so no call can be recorded".to_owned());
    }
    if !row.try_get("next_month")? {
        findings.push("usage_events has no partition for next month".to_owned());
    }
    for row in &connection.query(sql!("catalogue/bounds.sql").text(), &[]).await? {
        let (name, bounds): (String, String) = (row.try_get("name")?, row.try_get("bounds")?);
        findings.push(format!(
            "the partition {name} does not hold just the ids of its month, but: {bounds}"
        ));
    }
    let clock: Timestamp = row.try_get("clock")?;
    findings.extend(clock_skew(Timestamp::now(), clock));
    Ok(Check::new("partitions and clock", findings))
}

/// What is wrong where our clock and the database's show different times.
fn clock_skew(ours: Timestamp, theirs: Timestamp) -> Option<String> {
    let seconds = ours.duration_since(theirs).as_secs().abs();
    (seconds > MAX_CLOCK_SKEW_SECONDS)
        .then(|| format!("the database's clock and this machine's are {seconds} seconds apart"))
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;

    #[test]
    fn clocks_that_differ_are_told_whichever_is_ahead() {
        let now = Timestamp::now();
        let limit = MAX_CLOCK_SKEW_SECONDS;
        for apart in [-limit, 0, limit] {
            assert_eq!(clock_skew(now, now + apart.seconds()), None);
        }
        for apart in [-limit - 1, limit + 1, 86_400] {
            let told = clock_skew(now, now + apart.seconds()).unwrap();
            assert!(told.contains(&format!("{} seconds apart", apart.abs())), "{told}");
        }
    }
}
