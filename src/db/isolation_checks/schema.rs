//! The whole schema, line by line, against the one that the migrations make.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;

use super::Check;
use crate::db::DbError;
use crate::sql;

/// What a freshly migrated database shows; a test keeps it true.
const EXPECTED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/proof/schema.txt"));

/// What stands for the name of a month's partition.
const MONTH: &str = "usage_events_MONTH";

/// The schema of this database as lines that do not depend on the month or on the owner's name, sorted.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn lines(connection: &Client) -> Result<BTreeMap<String, BTreeSet<String>>, DbError> {
    let rows = connection.query(sql!("catalogue/schema.sql").text(), &[]).await?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in &rows {
        let relation: String = row.try_get("relation")?;
        let line: String = row.try_get("line")?;
        let line = if is_month(&relation) {
            line.replace(&relation, MONTH)
        } else {
            line
        };
        found.entry(relation).or_default().insert(line);
    }
    Ok(found)
}

/// What is missing, and what is there beside it. Further indexes that only make something faster are the operator's to add.
pub(super) async fn check(connection: &Client) -> Result<Check, DbError> {
    let found = lines(connection).await?;
    let (of_months, others): (BTreeSet<&str>, BTreeSet<&str>) =
        EXPECTED.lines().partition(|line| line.contains(MONTH));
    let mut findings = Vec::new();
    let rest: BTreeSet<&str> = found
        .iter()
        .filter(|(relation, _)| !is_month(relation))
        .flat_map(|(_, lines)| lines.iter().map(String::as_str))
        .collect();
    compare("", &others, &rest, &mut findings);
    for (relation, lines) in found.iter().filter(|(relation, _)| is_month(relation)) {
        let lines = lines.iter().map(String::as_str).collect();
        compare(
            &format!(" (MONTH is {})", relation.trim_start_matches("usage_events_")),
            &of_months,
            &lines,
            &mut findings,
        );
    }
    Ok(Check::new(
        format!("the schema as migrated, {} lines", rest.len()),
        findings,
    ))
}

fn compare(whose: &str, expected: &BTreeSet<&str>, found: &BTreeSet<&str>, findings: &mut Vec<String>) {
    for missing in expected.difference(found) {
        findings.push(format!("missing{whose}: {missing}"));
    }
    for added in found
        .difference(expected)
        .filter(|line| !line.starts_with("index "))
    {
        findings.push(format!("not of skillkeep's making{whose}: {added}"));
    }
}

fn is_month(relation: &str) -> bool {
    relation
        .strip_prefix("usage_events_")
        .is_some_and(|month| month.bytes().all(|b| b.is_ascii_digit() || b == b'_'))
}
