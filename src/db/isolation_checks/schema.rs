//! Compares the whole schema, line by line, with the one that the migrations create.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;

use super::Check;
use crate::db::DbError;
use crate::sql;

/// The schema of a freshly migrated database. The test `schema_txt_matches_the_migrations` keeps it current.
const EXPECTED: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/sql/isolation_probe/schema.txt"
));

/// Replaces the name of a monthly partition in the lines.
const PARTITION_PLACEHOLDER: &str = "usage_events_MONTH";

/// Prefixes of the names of monthly partitions, and of those that `usage prune` has detached and not dropped yet.
const ATTACHED: &str = "usage_events_";
const DETACHED: &str = "pruned_events_";
/// The primary key of a partition belongs to its parent's; that of a detached one is its own.
const DETACHED_KEY: &str =
    "constraint usage_events_MONTH_pkey of usage_events_MONTH PRIMARY KEY (tenant_id, id)";
/// The trigger of a partition is its parent's; a detached one, into which nothing is inserted, has none.
const PARENTS_TRIGGER: &str = "trigger CREATE TRIGGER forget_usage_day ";

/// The schema of this database by relation, as sorted lines that do not depend on the month or the owner's name.
///
/// # Errors
/// The database is unavailable or rejects the statement.
pub(super) async fn lines(connection: &Client) -> Result<BTreeMap<String, BTreeSet<String>>, DbError> {
    let rows = connection
        .query(sql!("pg_catalog/schema_objects.sql").text(), &[])
        .await?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in &rows {
        let relation: String = row.try_get("relation")?;
        let line: String = row.try_get("line")?;
        // The indexes of a detached month keep the names that they had.
        let line = match month(&relation) {
            Some(month) => line
                .replace(&relation, PARTITION_PLACEHOLDER)
                .replace(&format!("{ATTACHED}{month}"), PARTITION_PLACEHOLDER),
            None => line,
        };
        found.entry(relation).or_default().insert(line);
    }
    Ok(found)
}

/// Reports missing and unexpected lines. Additional non-unique indexes are allowed: they affect only speed.
pub(super) async fn check(connection: &Client) -> Result<Check, DbError> {
    let found = lines(connection).await?;
    let (of_partitions, others): (BTreeSet<&str>, BTreeSet<&str>) = EXPECTED
        .lines()
        .partition(|line| line.contains(PARTITION_PLACEHOLDER));
    let mut findings = Vec::new();
    let rest: BTreeSet<&str> = found
        .iter()
        .filter(|(relation, _)| month(relation).is_none())
        .flat_map(|(_, lines)| lines.iter().map(String::as_str))
        .collect();
    compare("", &others, &rest, &mut findings);
    let of_detached: BTreeSet<&str> = of_partitions
        .iter()
        .copied()
        .filter(|line| !line.starts_with("child ") && !line.starts_with(PARENTS_TRIGGER))
        .chain([DETACHED_KEY])
        .collect();
    for (relation, lines) in &found {
        let Some(month) = month(relation) else {
            continue;
        };
        let expected = if relation.starts_with(DETACHED) {
            &of_detached
        } else {
            &of_partitions
        };
        let lines = lines.iter().map(String::as_str).collect();
        compare(&format!(" (MONTH is {month})"), expected, &lines, &mut findings);
    }
    Ok(Check::new(
        format!("the schema as migrated, {} lines", rest.len()),
        findings,
    ))
}

fn compare(partition: &str, expected: &BTreeSet<&str>, found: &BTreeSet<&str>, findings: &mut Vec<String>) {
    for missing in expected.difference(found) {
        findings.push(format!("missing{partition}: {missing}"));
    }
    for unexpected in found
        .difference(expected)
        .filter(|line| !line.starts_with("index "))
    {
        findings.push(format!("unexpected{partition}: {unexpected}"));
    }
}

/// The month of a partition, attached or detached, from its name.
fn month(relation: &str) -> Option<&str> {
    relation
        .strip_prefix(ATTACHED)
        .or_else(|| relation.strip_prefix(DETACHED))
        .filter(|month| month.bytes().all(|b| b.is_ascii_digit() || b == b'_'))
}
