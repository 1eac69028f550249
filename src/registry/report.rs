//! Reports of callers on skills that they used, and the usage report over a period.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::db::{DbError, Param, TenantTx};
use crate::ids::{Digest, ReportId, SkillId, UserId, VersionId, min_uuid_v7};
use crate::sql;
use crate::tenancy::mask_keys;

mod days;
mod demand;
mod lists;
mod summary;

pub use days::summarise_days;
pub use demand::{Demand, EmptySearch, SearchNotFollowed, UnusedSkill, demand};

/// A caller's report on a skill that they used.
#[derive(Debug, Clone)]
pub struct NewReport<'a> {
    /// A report is stored once per user and idempotency key.
    pub idempotency_key: &'a str,
    pub user: UserId,
    pub skill: SkillId,
    /// The version that was used.
    pub version: VersionId,
    /// Whether the caller named the version. If not, a repeated report is the same report even if the latest version changed.
    pub names_version: bool,
    /// `helped`, `failed` or `stale`.
    pub outcome: &'a str,
    /// Minutes of work saved.
    pub minutes_saved: Option<i32>,
    /// Tokens spent.
    pub tokens: Option<i64>,
    pub comment: Option<&'a str>,
}

/// Result of storing a report.
#[derive(Debug, Clone)]
pub struct StoredReport {
    pub id: ReportId,
    /// Whether a report with this idempotency key was stored before.
    pub duplicate: bool,
    /// Whether the stored report equals the new one.
    pub same: bool,
    /// Of a duplicate: the version of the stored report, with its label and digest.
    pub about: Option<(VersionId, String, Digest)>,
}

/// Stores a report, once per user and idempotency key.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn report(tx: &TenantTx, new: &NewReport<'_>) -> Result<StoredReport, DbError> {
    let id = ReportId::new();
    let sql = sql!("usage/insert_feedback.sql");
    let tenant = tx.tenant();
    let (key, comment) = (mask_keys(new.idempotency_key), new.comment.map(mask_keys));
    let row = sql.row([
        ("tenant_id", tenant.as_uuid()),
        ("id", id.as_uuid()),
        ("idempotency_key", &key),
        ("user_id", new.user.as_uuid()),
        ("skill_id", new.skill.as_uuid()),
        ("version_id", new.version.as_uuid()),
        ("outcome", &new.outcome),
        ("minutes_saved", &new.minutes_saved),
        ("tokens", &new.tokens),
        ("comment", &comment),
    ]);
    let inserted = tx.execute(sql, &row).await?;
    if inserted == 1 {
        return Ok(StoredReport {
            id,
            duplicate: false,
            same: true,
            about: None,
        });
    }
    let row = tx
        .query_one(
            sql!("usage/find_feedback.sql"),
            &[tenant.as_uuid(), new.user.as_uuid(), &key],
        )
        .await?;
    let version = VersionId::from_uuid(row.try_get("version_id")?);
    let digest =
        Digest::from_bytes(row.try_get("digest")?).map_err(|error| DbError::Corrupt(error.to_string()))?;
    let same = row.try_get::<_, Uuid>("skill_id")? == *new.skill.as_uuid()
        && (!new.names_version || version == new.version)
        && row.try_get::<_, &str>("outcome")? == new.outcome
        && row.try_get::<_, Option<i32>>("minutes_saved")? == new.minutes_saved
        && row.try_get::<_, Option<i64>>("tokens")? == new.tokens;
    Ok(StoredReport {
        id: ReportId::from_uuid(row.try_get("id")?),
        duplicate: true,
        same,
        about: Some((version, row.try_get("version")?, digest)),
    })
}

/// A half-open period of time: `from` is included, `until` is not.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Period {
    /// The bounds as event ids, so that the index of the primary key finds the period.
    fn id_bounds(self) -> (Uuid, Uuid) {
        (min_uuid_v7(self.from), min_uuid_v7(self.until))
    }
}

/// What decides the order of the skills in a usage report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SkillOrder {
    #[default]
    Calls,
    Users,
    Installs,
    Helped,
}

/// Calls of one tool.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ToolUsage {
    pub tool: String,
    pub calls: i64,
    /// Calls with an outcome other than `ok`.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: i64,
}

/// Usage of one user.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UserUsage {
    /// The user's email address.
    pub email: String,
    pub calls: i64,
    /// Number of different skills that the calls were about.
    pub skills: i64,
}

/// Usage of one skill. Numbers that are zero are left out.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct SkillUsage {
    /// The skill's slug.
    pub skill: String,
    /// Calls about the skill.
    pub calls: i64,
    /// Number of users who made these calls.
    pub users: i64,
    /// Confirmed installs.
    #[serde(skip_serializing_if = "is_zero")]
    pub installs: i64,
    /// Reports that it helped.
    #[serde(skip_serializing_if = "is_zero")]
    pub helped: i64,
    /// Reports that it failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: i64,
    /// Reports that it is out of date.
    #[serde(skip_serializing_if = "is_zero")]
    pub stale: i64,
    /// Minutes of work saved, as reported.
    #[serde(skip_serializing_if = "is_zero")]
    pub minutes_saved: i64,
}

/// Usage of a tenant in a period. The numbers count everything; each list shows its first rows.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UsageReport {
    /// Start of the period (RFC 3339), included.
    pub from: String,
    /// End of the period (RFC 3339), not included.
    pub until: String,
    /// Number of calls with any outcome.
    pub calls: i64,
    /// Number of calls with an outcome other than `ok`.
    pub failed_calls: i64,
    /// Number of calls that were about a skill.
    pub skill_calls: i64,
    /// Number of users who made calls.
    pub users: i64,
    /// Number of different skills that calls were about.
    pub skills: i64,
    /// Confirmed installs.
    pub installs: i64,
    /// Median duration of a call, in milliseconds.
    pub median_ms: f64,
    /// 99th percentile of the duration, in milliseconds.
    pub p99_ms: f64,
    /// Reports that a skill helped.
    pub helped: i64,
    /// Reports that a skill failed.
    pub failed: i64,
    /// Reports that a skill is out of date.
    pub stale: i64,
    /// Minutes of work saved, as reported.
    pub minutes_saved: i64,
    /// Tokens spent, as reported.
    pub tokens: i64,
    /// Calls by tool, most first.
    pub by_tool: Vec<ToolUsage>,
    /// Calls by outcome.
    pub by_outcome: BTreeMap<String, i64>,
    /// Users with the most calls.
    pub by_user: Vec<UserUsage>,
    /// Skills with the most of what the order names.
    pub by_skill: Vec<SkillUsage>,
    #[serde(flatten)]
    pub demand: Demand,
}

/// Computes the usage report of a period. Each list has at most `top` rows. It stores summaries of the period's days, so that the
/// next report is faster: commit it.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn summarise(
    tx: &TenantTx,
    period: Period,
    top: i64,
    order: SkillOrder,
) -> Result<UsageReport, DbError> {
    let (from, until) = period.id_bounds();
    let tenant = tx.tenant();
    let bounds: [Param<'_>; 3] = [tenant.as_uuid(), &from, &until];
    let summary = days::summarise(tx, period, Timestamp::now()).await?;
    let (installs, feedback, unused) = futures::try_join!(
        tx.query(sql!("usage/installs_by_skill.sql"), &bounds),
        tx.query(sql!("usage/feedback_by_skill.sql"), &bounds),
        demand::unused(tx, period, top),
    )?;
    let tokens = feedback
        .iter()
        .map(|row| row.try_get::<_, i64>("tokens"))
        .sum::<Result<i64, _>>()?;
    let rows = usize::try_from(top).unwrap_or(usize::MAX);
    let numbers = lists::skill_numbers(&summary, &installs, &feedback)?;
    let sum = |number: fn(&SkillUsage) -> i64| numbers.values().map(number).sum();
    let mut by_outcome = BTreeMap::new();
    for ((_, outcome), calls) in &summary.tools {
        *by_outcome.entry(outcome.clone()).or_default() += calls;
    }
    Ok(UsageReport {
        from: seconds(period.from),
        until: seconds(period.until),
        calls: summary.calls(),
        failed_calls: summary.failed_calls(),
        skill_calls: sum(|skill| skill.calls),
        users: count(summary.pairs.keys().map(|(user, _)| user)),
        skills: count(summary.pairs.keys().filter_map(|(_, skill)| skill.as_ref())),
        installs: sum(|skill| skill.installs),
        median_ms: f64::from(summary.duration_at(0.5)) / 10.0,
        p99_ms: f64::from(summary.duration_at(0.99)) / 10.0,
        helped: sum(|skill| skill.helped),
        failed: sum(|skill| skill.failed),
        stale: sum(|skill| skill.stale),
        minutes_saved: sum(|skill| skill.minutes_saved),
        tokens,
        by_tool: lists::by_tool(&summary, rows),
        by_outcome,
        by_user: lists::by_user(tx, &summary, rows).await?,
        by_skill: lists::by_skill(tx, numbers, rows, order).await?,
        demand: Demand::new(summary, unused, rows),
    })
}

/// Number of different ids.
fn count<'a>(ids: impl Iterator<Item = &'a Uuid>) -> i64 {
    let different: HashSet<&Uuid> = ids.collect();
    i64::try_from(different.len()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes the field by reference"
)]
const fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A time without fractions of a second (RFC 3339).
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EventId;

    #[test]
    fn event_id_of_now_is_within_the_period() {
        let before = Timestamp::now() - std::time::Duration::from_secs(60);
        let id = EventId::new();
        let after = Timestamp::now() + std::time::Duration::from_secs(60);
        let (from, until) = Period {
            from: before,
            until: after,
        }
        .id_bounds();
        assert!(from <= *id.as_uuid() && *id.as_uuid() < until);
    }
}
