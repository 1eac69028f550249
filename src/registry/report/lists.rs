//! The lists of a usage report.

use std::cmp::Reverse;
use std::collections::HashMap;

use tokio_postgres::Row;
use uuid::Uuid;

use super::summary::Summary;
use super::{SkillOrder, SkillUsage, ToolUsage, UserUsage};
use crate::db::{DbError, Sql, TenantTx};
use crate::sql;

/// The slug of skills that no longer exist: calls about them count in the totals, so they have a row too.
const REMOVED: &str = "(removed)";

/// The tools with the most calls.
pub(super) fn by_tool(summary: &Summary, top: usize) -> Vec<ToolUsage> {
    let mut tools: HashMap<&str, ToolUsage> = HashMap::new();
    for ((tool, outcome), calls) in &summary.tools {
        let usage = tools.entry(tool).or_insert_with(|| ToolUsage {
            tool: tool.clone(),
            calls: 0,
            failed: 0,
        });
        usage.calls += calls;
        usage.failed += if outcome == "ok" { 0 } else { *calls };
    }
    let mut tools: Vec<ToolUsage> = tools.into_values().collect();
    tools.sort_unstable_by(|one, other| {
        (Reverse(one.calls), &one.tool).cmp(&(Reverse(other.calls), &other.tool))
    });
    tools.truncate(top);
    tools
}

/// The users with the most calls.
pub(super) async fn by_user(tx: &TenantTx, summary: &Summary, top: usize) -> Result<Vec<UserUsage>, DbError> {
    let mut sums: HashMap<Uuid, (i64, i64)> = HashMap::new();
    for ((user, skill), calls) in &summary.pairs {
        let sum = sums.entry(*user).or_default();
        *sum = (sum.0 + calls, sum.1 + i64::from(skill.is_some()));
    }
    let mut sums: Vec<(Uuid, (i64, i64))> = sums.into_iter().collect();
    keep_top(&mut sums, top, |(_, (calls, _))| *calls);
    let ids = sums.iter().map(|(user, _)| *user).collect();
    let emails = names(tx, sql!("usage/emails.sql"), ids, "email").await?;
    let mut users: Vec<UserUsage> = sums
        .into_iter()
        .filter_map(|(user, (calls, skills))| {
            let email = emails.get(&user)?.clone();
            Some(UserUsage { email, calls, skills })
        })
        .collect();
    users.sort_unstable_by(|one, other| {
        (Reverse(one.calls), &one.email).cmp(&(Reverse(other.calls), &other.email))
    });
    users.truncate(top);
    Ok(users)
}

/// The numbers of the skills, without their slugs: from the calls, the installs (`usage/installs_by_skill.sql`) and the feedback
/// (`usage/feedback_by_skill.sql`) of the period.
pub(super) fn skill_numbers(
    summary: &Summary,
    installs: &[Row],
    feedback: &[Row],
) -> Result<HashMap<Uuid, SkillUsage>, DbError> {
    let mut skills: HashMap<Uuid, SkillUsage> = HashMap::new();
    for ((_, skill), calls) in &summary.pairs {
        let Some(skill) = skill else { continue };
        let sum = skills.entry(*skill).or_default();
        sum.calls += calls;
        sum.users += 1;
    }
    for row in installs {
        skills.entry(row.try_get("skill_id")?).or_default().installs = row.try_get("installs")?;
    }
    for row in feedback {
        let sum = skills.entry(row.try_get("skill_id")?).or_default();
        sum.helped = row.try_get("helped")?;
        sum.failed = row.try_get("failed")?;
        sum.stale = row.try_get("stale")?;
        sum.minutes_saved = row.try_get("minutes_saved")?;
    }
    Ok(skills)
}

/// The skills with the most of what the order names.
pub(super) async fn by_skill(
    tx: &TenantTx,
    numbers: HashMap<Uuid, SkillUsage>,
    top: usize,
    order: SkillOrder,
) -> Result<Vec<SkillUsage>, DbError> {
    let key = |usage: &SkillUsage| match order {
        SkillOrder::Calls => usage.calls,
        SkillOrder::Users => usage.users,
        SkillOrder::Installs => usage.installs,
        SkillOrder::Helped => usage.helped,
    };
    let mut skills: Vec<(Uuid, SkillUsage)> = numbers.into_iter().collect();
    keep_top(&mut skills, top, |(_, usage)| key(usage));
    let ids = skills.iter().map(|(skill, _)| *skill).collect();
    let slugs = names(tx, sql!("usage/slugs.sql"), ids, "slug").await?;
    let mut skills: Vec<SkillUsage> = skills
        .into_iter()
        .map(|(skill, usage)| SkillUsage {
            skill: slugs.get(&skill).map_or(REMOVED, String::as_str).to_owned(),
            ..usage
        })
        .collect();
    skills.sort_unstable_by(|one, other| {
        let rank = |usage: &SkillUsage| Reverse((key(usage), usage.calls, usage.minutes_saved));
        (rank(one), &one.skill).cmp(&(rank(other), &other.skill))
    });
    skills.truncate(top);
    Ok(skills)
}

/// Removes the rows that are not among the first `top` by their key; rows with equal keys stay together.
fn keep_top<T>(rows: &mut Vec<T>, top: usize, key: impl Fn(&T) -> i64) {
    rows.sort_unstable_by_key(|row| Reverse(key(row)));
    if let Some(least) = top.checked_sub(1).and_then(|last| rows.get(last)).map(&key) {
        rows.retain(|row| key(row) >= least);
    }
}

/// The names of users or skills by id.
async fn names(
    tx: &TenantTx,
    sql: Sql,
    ids: Vec<Uuid>,
    column: &str,
) -> Result<HashMap<Uuid, String>, DbError> {
    let rows = tx.query(sql, &[tx.tenant().as_uuid(), &ids]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get("id")?, row.try_get(column)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_equal_to_the_last_one_stay() {
        for (top, left) in [
            (1, vec![9]),
            (2, vec![9, 5, 5]),
            (9, vec![9, 5, 5, 1]),
            (0, vec![9, 5, 5, 1]),
        ] {
            let mut rows = vec![5, 1, 9, 5];
            keep_top(&mut rows, top, |row| *row);
            assert_eq!(rows, left, "{top}");
        }
    }
}
