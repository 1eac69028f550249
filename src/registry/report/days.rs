//! Reads the usage events of a period: stored summaries of whole days, and the events of the other times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Period;
use super::summary::Summary;
use crate::db::{DbError, Param, TenantTx};
use crate::ids::min_uuid_v7;
use crate::sql;

/// How long after a search a use counts as its result. `usage/summarise.sql` has the same number.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(30 * 60);
/// The summary of a day with fewer calls is not stored: reading so few again takes 10 ms.
const MIN_STORED_CALLS: i64 = 500;
/// Days before today whose summaries are made in the background: the default period of a report.
const PREPARED_DAYS: i32 = 31;

/// Sums up the usage events of a period. Whole days are read from `usage_days`; those that are missing there are stored if they ended
/// long enough ago. So the first report over a period is slow, and it must be committed.
pub(super) async fn summarise(tx: &TenantTx, period: Period, now: Timestamp) -> Result<Summary, DbError> {
    let mut summary = Summary::default();
    let mut stored = BTreeSet::new();
    let mut may_store = false;
    if let Some((first, last)) = whole_days(period) {
        let tenant = tx.tenant();
        let own: [Param<'_>; 1] = [tenant.as_uuid()];
        let days: [Param<'_>; 3] = [tenant.as_uuid(), &first, &last];
        let (lock, rows) = futures::try_join!(
            tx.query_one(sql!("usage/try_lock_days.sql"), &own),
            tx.query(sql!("usage/days.sql"), &days),
        )?;
        may_store = lock.try_get("taken")?;
        for row in &rows {
            stored.insert(row.try_get("day")?);
            summary.add(row)?;
        }
    }
    for bounds in unsummarised(period, &stored) {
        for (number, row) in read_events(tx, now, &bounds).await? {
            summary.add(&row)?;
            let day = number
                .checked_sub(1)
                .and_then(|before| bounds.get(before..=number))
                .and_then(whole_day);
            if let (true, Some(day)) = (may_store, day) {
                store(tx, day, &row).await?;
            }
        }
    }
    Ok(summary)
}

/// Stores the missing summaries of the last [`PREPARED_DAYS`] days, newest first, in transactions that `begin` starts: one for each
/// summary, so that none is long.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub async fn summarise_days<B, F>(begin: B, now: Timestamp) -> Result<(), DbError>
where
    B: Fn() -> F + Send + Sync,
    F: Future<Output = Result<TenantTx, DbError>> + Send,
{
    let today = utc_date(now);
    let mut tx = begin().await?;
    let Some(first) = today.checked_sub(PREPARED_DAYS.days()).ok() else {
        return tx.rollback().await;
    };
    let rows = tx
        .query(sql!("usage/stored_days.sql"), &[tx.tenant().as_uuid(), &first])
        .await?;
    let stored = rows
        .iter()
        .map(|row| row.try_get("day"))
        .collect::<Result<BTreeSet<Date>, _>>()?;
    let mut day = today;
    while day > first {
        day = day
            .yesterday()
            .map_err(|error| DbError::Corrupt(format!("no day is before {day}: {error}")))?;
        if stored.contains(&day) {
            continue;
        }
        let (Some(from), Some(until)) = (start_of(day), day.tomorrow().ok().and_then(start_of)) else {
            continue;
        };
        let summary = summarise(&tx, Period { from, until }, now).await?;
        if summary.calls() >= MIN_STORED_CALLS {
            tx.commit().await?;
            tx = begin().await?;
        }
    }
    tx.rollback().await
}

/// The first and the last day of a period that are whole.
fn whole_days(period: Period) -> Option<(Date, Date)> {
    let first = match utc_date(period.from) {
        day if start_of(day)? == period.from => day,
        day => day.tomorrow().ok()?,
    };
    let last = utc_date(period.until).yesterday().ok()?;
    (first <= last).then_some((first, last))
}

/// The times of a period without a summary, each as the bounds of consecutive days or parts of days.
fn unsummarised(period: Period, stored: &BTreeSet<Date>) -> Vec<Vec<Timestamp>> {
    let mut all = Vec::new();
    let mut bounds: Vec<Timestamp> = Vec::new();
    let mut at = period.from;
    while at < period.until {
        let day = utc_date(at);
        let next = day.tomorrow().ok().and_then(start_of).unwrap_or(period.until);
        let next = next.min(period.until);
        if stored.contains(&day) {
            all.extend((!bounds.is_empty()).then(|| std::mem::take(&mut bounds)));
        } else {
            if bounds.is_empty() {
                bounds.push(at);
            }
            bounds.push(next);
        }
        at = next;
    }
    all.extend((!bounds.is_empty()).then_some(bounds));
    all
}

/// The summaries between the bounds that have events, with their numbers, from 1.
async fn read_events(
    tx: &TenantTx,
    now: Timestamp,
    bounds: &[Timestamp],
) -> Result<BTreeMap<usize, Row>, DbError> {
    let (Some(from), Some(until)) = (bounds.first(), bounds.last()) else {
        return Ok(BTreeMap::new());
    };
    // A use may follow a search within half an hour; the searches of the last one are not settled.
    let uses_until = *until + FOLLOWED_WITHIN;
    let settled = (*until).min(now - FOLLOWED_WITHIN);
    let ids: Vec<Uuid> = bounds.iter().map(|bound| min_uuid_v7(*bound)).collect();
    let rows = tx
        .query(
            sql!("usage/summarise.sql"),
            &[
                tx.tenant().as_uuid(),
                &min_uuid_v7(*from),
                &min_uuid_v7(uses_until),
                &ids,
                &min_uuid_v7(settled),
            ],
        )
        .await?;
    rows.into_iter()
        .map(|row| {
            let number = usize::try_from(row.try_get::<_, i32>("period")?).unwrap_or(0);
            Ok((number, row))
        })
        .collect()
}

/// Stores the summary of a day. Too early for it, PostgreSQL stores nothing.
async fn store(tx: &TenantTx, day: Date, row: &Row) -> Result<(), DbError> {
    let calls: Vec<i32> = row.try_get("tool_calls")?;
    if calls.iter().copied().map(i64::from).sum::<i64>() < MIN_STORED_CALLS {
        return Ok(());
    }
    let texts = |name| row.try_get::<_, Vec<&str>>(name);
    let numbers = |name| row.try_get::<_, Vec<i32>>(name);
    let users = |name| row.try_get::<_, Vec<Uuid>>(name);
    let sql = sql!("usage/insert_day.sql");
    let tenant = tx.tenant();
    tx.execute(
        sql,
        &sql.row([
            ("tenant_id", tenant.as_uuid()),
            ("day", &day),
            ("tools", &texts("tools")?),
            ("outcomes", &texts("outcomes")?),
            ("tool_calls", &calls),
            ("durations", &numbers("durations")?),
            ("duration_calls", &numbers("duration_calls")?),
            ("pair_users", &users("pair_users")?),
            (
                "pair_skills",
                &row.try_get::<_, Vec<Option<Uuid>>>("pair_skills")?,
            ),
            ("pair_calls", &numbers("pair_calls")?),
            ("empty_queries", &texts("empty_queries")?),
            ("empty_filters", &texts("empty_filters")?),
            ("empty_weak", &row.try_get::<_, Vec<bool>>("empty_weak")?),
            ("empty_searches", &numbers("empty_searches")?),
            ("lost_queries", &texts("lost_queries")?),
            ("lost_users", &users("lost_users")?),
            ("lost_searches", &numbers("lost_searches")?),
        ]),
    )
    .await?;
    Ok(())
}

/// The day between two bounds, if it is whole.
fn whole_day(bounds: &[Timestamp]) -> Option<Date> {
    let [from, until] = bounds else {
        return None;
    };
    let day = utc_date(*from);
    let is_whole = start_of(day)? == *from && start_of(day.tomorrow().ok()?)? == *until;
    is_whole.then_some(day)
}

fn utc_date(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn start_of(day: Date) -> Option<Timestamp> {
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn times_without_summary_are_cut_at_midnight() {
        let period = Period {
            from: at("2026-05-01T10:00:00Z"),
            until: at("2026-05-06T09:00:00Z"),
        };
        assert_eq!(whole_days(period), Some((day("2026-05-02"), day("2026-05-05"))));
        let midnight = |text: &str| at(&format!("{text}T00:00:00Z"));
        let stored = BTreeSet::from([day("2026-05-02"), day("2026-05-04")]);
        assert_eq!(
            unsummarised(period, &stored),
            [
                vec![period.from, midnight("2026-05-02")],
                vec![midnight("2026-05-03"), midnight("2026-05-04")],
                vec![midnight("2026-05-05"), midnight("2026-05-06"), period.until],
            ]
        );
        let all = unsummarised(period, &BTreeSet::new()).remove(0);
        assert_eq!(all.len(), 7);
        let days: Vec<_> = all.windows(2).map(whole_day).collect();
        assert_eq!(days[0], None);
        assert_eq!(days[1], Some(day("2026-05-02")));
        assert_eq!(days[5], None);
    }

    #[test]
    fn short_period_has_no_whole_day() {
        let until = at("2026-05-02T00:00:00Z");
        let short = Period {
            from: at("2026-05-01T00:00:01Z"),
            until,
        };
        assert_eq!(whole_days(short), None);
        assert_eq!(unsummarised(short, &BTreeSet::new()), [vec![short.from, until]]);
        let whole = Period {
            from: at("2026-05-01T00:00:00Z"),
            until,
        };
        assert_eq!(whole_days(whole), Some((day("2026-05-01"), day("2026-05-01"))));
    }
}
