//! Skills of a source that are no longer in it, and archived skills that are.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{ImportOutcome, Line};
use crate::db::{DbError, TenantTx};
use crate::registry::caller::Caller;
use crate::registry::management::{self, ManageError};
use crate::sql;

/// Reports the active skills of the source that are not at a path in `seen`, and archives them if `prune` is set. Skills at or
/// below a path in `unknown`, which could not be read, are left alone.
pub(super) async fn report(
    tx: &TenantTx,
    caller: &Caller,
    source_name: &str,
    seen: &BTreeMap<String, Option<String>>,
    unknown: &[String],
    prune: bool,
) -> Result<Vec<Line>, DbError> {
    let rows = tx
        .query(
            sql!("skills/of_source.sql"),
            &[tx.tenant().as_uuid(), &source_name],
        )
        .await?;
    let mut lines = Vec::new();
    let mut active = BTreeSet::new();
    for row in &rows {
        let (path, slug): (String, String) = (row.try_get("source")?, row.try_get("slug")?);
        if !seen.contains_key(&path) && !unknown.iter().any(|folder| is_at_or_below(&path, folder)) {
            lines.push(departed(tx, caller, path, slug.clone(), prune).await?);
        }
        active.insert(slug);
    }
    lines.extend(archived(tx, seen, &active).await?);
    Ok(lines)
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    folder == "."
        || path == folder
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
}

async fn departed(
    tx: &TenantTx,
    caller: &Caller,
    path: String,
    slug: String,
    prune: bool,
) -> Result<Line, DbError> {
    let mut line = Line::because(
        path,
        ImportOutcome::Departed,
        "it left the source; --prune archives it",
    );
    if prune {
        match management::set_archived(tx, caller, &slug, true).await {
            Ok(_) => line = Line::because(line.source, ImportOutcome::Archived, "it left the source"),
            Err(ManageError::Db(error)) => return Err(error),
            Err(error) => line.reason = Some(error.to_string()),
        }
    }
    line.skill = Some(slug);
    Ok(line)
}

/// Skills that are in the source and archived in the registry. An import does not restore them, because an administrator may have
/// archived them.
async fn archived(
    tx: &TenantTx,
    seen: &BTreeMap<String, Option<String>>,
    active: &BTreeSet<String>,
) -> Result<Vec<Line>, DbError> {
    let slugs: Vec<&str> = seen
        .values()
        .flatten()
        .map(String::as_str)
        .filter(|slug| !active.contains(*slug))
        .collect();
    if slugs.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx
        .query(sql!("skills/statuses.sql"), &[tx.tenant().as_uuid(), &slugs])
        .await?;
    let mut lines = Vec::new();
    for row in &rows {
        let slug: String = row.try_get("slug")?;
        if row.try_get::<_, &str>("status")? != "archived" {
            continue;
        }
        let source = seen
            .iter()
            .find(|(_, seen)| seen.as_ref() == Some(&slug))
            .map_or_else(|| ".".to_owned(), |(source, _)| source.clone());
        let reason =
            format!("the skill is archived; `skillkeep skill restore {slug}` makes it visible again");
        lines.push(Line {
            skill: Some(slug),
            ..Line::because(source, ImportOutcome::LeftOut, reason)
        });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_covers_itself_and_what_is_below() {
        for (path, folder, is_covered) in [
            ("a", "a", true),
            ("a/b", "a", true),
            ("ab", "a", false),
            ("a", "a/b", false),
            ("a/b", ".", true),
        ] {
            assert_eq!(is_at_or_below(path, folder), is_covered, "{path} in {folder}");
        }
    }
}
