//! What callers report of skills, and the report over a period.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{DbError, Param, Sql, TenantTx};
use crate::ids::{Digest, ReportId, SkillId, UserId, VersionId};
use crate::sql;

/// What a caller says of a skill that he used.
#[derive(Debug, Clone)]
pub struct NewReport<'a> {
    /// Sent twice with the same key, the report counts once.
    pub idempotency_key: &'a str,
    /// Who says it.
    pub user: UserId,
    /// The skill.
    pub skill: SkillId,
    /// The version that was used.
    pub version: VersionId,
    /// Whether the caller named it. Where he did not, the same report may be sent again after a newer version came out.
    pub names_version: bool,
    /// `helped`, `failed` or `stale`.
    pub outcome: &'a str,
    /// Minutes of work that it saved.
    pub minutes_saved: Option<i32>,
    /// Tokens that it cost.
    pub tokens: Option<i64>,
    /// A few words.
    pub comment: Option<&'a str>,
}

/// A report that stands in the database.
#[derive(Debug, Clone)]
pub struct StoredReport {
    /// Its id.
    pub id: ReportId,
    /// Whether it was there before.
    pub duplicate: bool,
    /// Whether it says the same as the one that was sent now.
    pub same: bool,
    /// Where it was there before: the version that it is about, with its label and digest.
    pub about: Option<(VersionId, String, Digest)>,
}

/// Stores a report, once for each idempotency key of a user.
///
/// # Errors
/// When the database is away or refuses.
pub async fn report(tx: &TenantTx, new: &NewReport<'_>) -> Result<StoredReport, DbError> {
    let id = ReportId::new();
    let made = tx
        .execute(
            sql!("usage/insert_feedback.sql"),
            &[
                tx.tenant().as_uuid(),
                id.as_uuid(),
                &new.idempotency_key,
                new.user.as_uuid(),
                new.skill.as_uuid(),
                new.version.as_uuid(),
                &new.outcome,
                &new.minutes_saved,
                &new.tokens,
                &new.comment,
            ],
        )
        .await?;
    if made == 1 {
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
            &[tx.tenant().as_uuid(), new.user.as_uuid(), &new.idempotency_key],
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

/// A period of time, from its start up to but without its end.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    /// The first moment in it.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

impl Period {
    /// The bounds as the smallest UUIDv7 of each moment: ids carry the time, so the key's index finds the period.
    fn bounds(self) -> (Uuid, Uuid) {
        (min_uuid_v7(self.from), min_uuid_v7(self.until))
    }
}

fn min_uuid_v7(moment: Timestamp) -> Uuid {
    // Moments before 1970 have no UUIDv7; the first one stands for them.
    let millis = u128::try_from(moment.as_millisecond()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

/// The calls of one tool that ended in one way.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ToolUsage {
    /// The tool.
    pub tool: String,
    /// How the calls ended.
    pub outcome: String,
    /// How many they were.
    pub calls: i64,
}

/// A user's share.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UserUsage {
    /// The user's address.
    pub email: String,
    /// Calls.
    pub calls: i64,
    /// Different skills that the calls were about.
    pub skills: i64,
}

/// A skill's share.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SkillUsage {
    /// The skill's slug.
    pub skill: String,
    /// Calls that were about it.
    pub calls: i64,
    /// Users who made them.
    pub users: i64,
    /// Confirmed installs.
    pub installs: i64,
    /// Reports that it helped.
    pub helped: i64,
    /// Reports that it failed.
    pub failed: i64,
    /// Reports that it is out of date.
    pub stale: i64,
    /// Minutes of work saved, as reported.
    pub minutes_saved: i64,
}

/// A search that found nothing.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EmptySearch {
    /// What was searched for.
    pub query: String,
    /// How often.
    pub searches: i64,
}

/// Who used what in a period, and what it brought.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UsageReport {
    /// The first moment, RFC 3339.
    pub from: String,
    /// The first moment after, RFC 3339.
    pub until: String,
    /// Calls, whatever their end.
    pub calls: i64,
    /// Calls that did not end well.
    pub failed_calls: i64,
    /// Users who called.
    pub users: i64,
    /// Skills that calls were about.
    pub skills: i64,
    /// The median call, in milliseconds.
    pub median_ms: f64,
    /// 99 of 100 calls took no longer than this, in milliseconds.
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
    /// Calls by tool and outcome, most first.
    pub by_tool: Vec<ToolUsage>,
    /// The users with most calls.
    pub by_user: Vec<UserUsage>,
    /// The skills with most calls.
    pub by_skill: Vec<SkillUsage>,
    /// Searches that found nothing, most frequent first.
    pub empty_searches: Vec<EmptySearch>,
}

/// Sums up a period; the lists hold at most `top` rows each.
///
/// # Errors
/// When the database is away or refuses.
pub async fn summarise(tx: &TenantTx, period: Period, top: i64) -> Result<UsageReport, DbError> {
    let tenant = tx.tenant();
    let (from, until) = period.bounds();
    let bounds: [Param<'_>; 3] = [tenant.as_uuid(), &from, &until];
    let bounds_and_top: [Param<'_>; 4] = [tenant.as_uuid(), &from, &until, &top];
    let all = |sql: Sql| tx.query(sql, &bounds);
    let first = |sql: Sql| tx.query(sql, &bounds_and_top);
    let (totals, reported, tools, users, skills, searches) = futures::try_join!(
        tx.query_one(sql!("usage/totals.sql"), &bounds),
        tx.query_one(sql!("usage/feedback_totals.sql"), &bounds),
        all(sql!("usage/by_tool.sql")),
        first(sql!("usage/by_user.sql")),
        first(sql!("usage/by_skill.sql")),
        first(sql!("usage/searches_without_result.sql")),
    )?;
    Ok(UsageReport {
        from: period.from.to_string(),
        until: period.until.to_string(),
        calls: totals.try_get("calls")?,
        failed_calls: totals.try_get("failed_calls")?,
        users: totals.try_get("users")?,
        skills: totals.try_get("skills")?,
        median_ms: milliseconds(totals.try_get("median_us")?),
        p99_ms: milliseconds(totals.try_get("p99_us")?),
        helped: reported.try_get("helped")?,
        failed: reported.try_get("failed")?,
        stale: reported.try_get("stale")?,
        minutes_saved: reported.try_get("minutes_saved")?,
        tokens: reported.try_get("tokens")?,
        by_tool: tools
            .iter()
            .map(|row| {
                Ok(ToolUsage {
                    tool: row.try_get("tool")?,
                    outcome: row.try_get("outcome")?,
                    calls: row.try_get("calls")?,
                })
            })
            .collect::<Result<_, DbError>>()?,
        by_user: users
            .iter()
            .map(|row| {
                Ok(UserUsage {
                    email: row.try_get("email")?,
                    calls: row.try_get("calls")?,
                    skills: row.try_get("skills")?,
                })
            })
            .collect::<Result<_, DbError>>()?,
        by_skill: skills.iter().map(skill_usage).collect::<Result<_, DbError>>()?,
        empty_searches: searches
            .iter()
            .map(|row| {
                Ok(EmptySearch {
                    query: row.try_get("query")?,
                    searches: row.try_get("searches")?,
                })
            })
            .collect::<Result<_, DbError>>()?,
    })
}

fn skill_usage(row: &tokio_postgres::Row) -> Result<SkillUsage, DbError> {
    Ok(SkillUsage {
        skill: row.try_get("slug")?,
        calls: row.try_get("calls")?,
        users: row.try_get("users")?,
        installs: row.try_get("installs")?,
        helped: row.try_get("helped")?,
        failed: row.try_get("failed")?,
        stale: row.try_get("stale")?,
        minutes_saved: row.try_get("minutes_saved")?,
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a duration of 2^53 microseconds is 285 years"
)]
fn milliseconds(micros: i64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EventId;

    #[test]
    fn a_period_holds_the_ids_of_its_moments() {
        let before = Timestamp::now() - std::time::Duration::from_secs(60);
        let id = EventId::new();
        let after = Timestamp::now() + std::time::Duration::from_secs(60);
        let (from, until) = Period {
            from: before,
            until: after,
        }
        .bounds();
        assert!(from <= *id.as_uuid() && *id.as_uuid() < until);
    }
}
