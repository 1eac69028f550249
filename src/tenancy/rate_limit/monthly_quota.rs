//! Calls per calendar month (UTC): those that the database has recorded, plus those that this process admitted since.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub(super) use crate::ids::min_uuid_v7;

/// Maximum age of a count.
const COUNT_AGE: Duration = Duration::from_secs(30);
/// Maximum age of a count near the limit: other processes may use what is left, and no call is refused for an old count.
const LIMIT_COUNT_AGE: Duration = Duration::from_secs(1);
/// A limit is near if it leaves fewer calls.
const FEW_CALLS: i64 = 1_000;
/// The part of the calls that were left at a count, 1 in this number, that this process admits before it counts again. Other processes
/// admit calls too.
const PROCESSES: i64 = 16;
/// How often the whole month is counted. In between only calls younger than [`SETTLED_AFTER`] are.
const FULL_COUNT_AGE: Duration = Duration::from_secs(60 * 60);
/// A call older than this is recorded, if it ever will be: call and record take less than a minute.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// The calls of one tenant or key in a month.
#[derive(Debug, Clone, Copy)]
pub(super) struct MonthlyQuota {
    begins: Timestamp,
    settled: i64,
    settled_before: Timestamp,
    recent: i64,
    counted_at: Instant,
    full_count_at: Instant,
    /// Calls that this process admitted, ever.
    admitted: i64,
    /// Admitted calls that have not finished.
    pub(super) running: i64,
    /// Admitted calls that had finished when the count began: if they were recorded, the count has them.
    already_counted: i64,
}

/// A count that is about to be read from the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    begins: Timestamp,
    /// Calls that started earlier are settled.
    pub(super) from: Timestamp,
    settled: i64,
    already_counted: i64,
    counted_at: Instant,
    is_full: bool,
}

impl MonthlyQuota {
    /// The number of calls, at most.
    pub(super) const fn used(&self) -> i64 {
        self.counted_calls().saturating_add(self.admitted_since_count())
    }

    pub(super) fn covers(&self, time: Timestamp) -> bool {
        self.begins == month_start(time)
    }

    pub(super) fn is_out_of_date(&self, limit: i64, now: Instant, time: Timestamp) -> bool {
        let (left, admitted) = (
            limit.saturating_sub(self.counted_calls()),
            self.admitted_since_count(),
        );
        let max_age = if left < FEW_CALLS {
            LIMIT_COUNT_AGE
        } else {
            COUNT_AGE
        };
        // Refused calls do not count, so at the limit only time decides. Neither do calls that run cause a count: it would have those of
        // them that are recorded, which would then count twice.
        let has_share_left =
            self.used() >= limit || self.running > 0 || admitted == 0 || admitted < left / PROCESSES;
        !self.covers(time) || now.saturating_duration_since(self.counted_at) >= max_age || !has_share_left
    }

    /// The calls that the database had at the last count.
    const fn counted_calls(&self) -> i64 {
        self.settled.saturating_add(self.recent)
    }

    /// The calls of this process that the last count may not have.
    const fn admitted_since_count(&self) -> i64 {
        self.admitted.saturating_sub(self.already_counted)
    }

    pub(super) const fn start(&mut self) {
        self.admitted = self.admitted.saturating_add(1);
        self.running = self.running.saturating_add(1);
    }

    pub(super) const fn finish(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// Whether it can be evicted: nothing runs, and the next call counts anew.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.running == 0 && now.saturating_duration_since(self.counted_at) >= COUNT_AGE
    }

    /// The quota after a count, which found this many settled and recent calls.
    pub(super) fn counted(
        before: Option<&Self>,
        count: &Count,
        boundary: Timestamp,
        found: (i64, i64),
    ) -> Self {
        let (settled, recent) = found;
        Self {
            begins: count.begins,
            settled: count.settled.saturating_add(settled),
            settled_before: boundary.max(count.from),
            recent,
            counted_at: count.counted_at,
            full_count_at: match before {
                Some(before) if !count.is_full => before.full_count_at,
                Some(_) | None => count.counted_at,
            },
            admitted: before.map_or(0, |month| month.admitted),
            running: before.map_or(0, |month| month.running),
            already_counted: count.already_counted,
        }
    }
}

impl Count {
    /// The smallest count that updates `known`.
    pub(super) fn of(
        known: Option<&MonthlyQuota>,
        boundary: Timestamp,
        now: Instant,
        time: Timestamp,
    ) -> Self {
        let begins = month_start(time);
        let usable = known.filter(|month| {
            // After the clock was set back, new calls are older than settled ones.
            month.begins == begins
                && month.settled_before <= boundary
                && now.saturating_duration_since(month.full_count_at) < FULL_COUNT_AGE
        });
        Self {
            begins,
            from: usable.map_or(begins, |month| month.settled_before),
            settled: usable.map_or(0, |month| month.settled),
            already_counted: known.map_or(0, |month| month.admitted.saturating_sub(month.running)),
            counted_at: now,
            is_full: usable.is_none(),
        }
    }
}

/// Calls that started before this time have finished, and are counted once.
pub(super) fn settle_boundary(time: Timestamp) -> Timestamp {
    let settled = time.saturating_sub(SETTLED_AFTER).unwrap_or(time);
    settled.max(month_start(time))
}

/// Midnight of the first day of the calendar month, in UTC.
pub(super) fn month_start(time: Timestamp) -> Timestamp {
    let first = time.to_zoned(TimeZone::UTC).date().first_of_month();
    // In UTC every date of a timestamp has a midnight.
    first
        .to_zoned(TimeZone::UTC)
        .map_or(time, |zoned| zoned.timestamp())
}

pub(super) fn next_month(time: Timestamp) -> Timestamp {
    let last = time.to_zoned(TimeZone::UTC).date().last_of_month();
    last.tomorrow()
        .and_then(|first| first.to_zoned(TimeZone::UTC))
        .map_or(time, |zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "2026-11-24T12:00:00Z";

    fn counted(known: Option<&MonthlyQuota>, at: Timestamp, now: Instant, found: (i64, i64)) -> MonthlyQuota {
        let count = Count::of(known, settle_boundary(at), now, at);
        MonthlyQuota::counted(known, &count, settle_boundary(at), found)
    }

    #[test]
    fn month_starts_at_midnight_of_its_first_day() {
        let time: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        assert_eq!(month_start(time).to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(next_month(time).to_string(), "2026-12-01T00:00:00Z");
        let last: Timestamp = "2026-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(next_month(last).to_string(), "2027-01-01T00:00:00Z");
        assert_eq!(
            min_uuid_v7(month_start(time)).to_string(),
            "01a19467-e800-0000-0000-000000000000"
        );
    }

    #[test]
    fn settled_calls_are_not_counted_again() {
        let (at, now): (Timestamp, _) = (NOON.parse().unwrap(), Instant::now());
        let first = counted(None, at, now, (100, 7));
        assert_eq!(first.used(), 107);
        let later = at + SignedDuration::from_mins(10);
        let again = Count::of(Some(&first), settle_boundary(later), now, later);
        assert_eq!(again.from, settle_boundary(at));
        let second = MonthlyQuota::counted(Some(&first), &again, settle_boundary(later), (9, 3));
        assert_eq!(second.used(), 112);
        // After an hour the whole month is counted again, for calls that were recorded late.
        let full = Count::of(Some(&second), settle_boundary(later), now + FULL_COUNT_AGE, later);
        assert_eq!((full.from, full.settled), (month_start(later), 0));
    }

    #[test]
    fn clock_set_back_causes_full_count() {
        let (at, now): (Timestamp, _) = (NOON.parse().unwrap(), Instant::now());
        let known = counted(None, at, now, (100, 7));
        let back = at - SignedDuration::from_hours(1);
        assert_eq!(
            Count::of(Some(&known), settle_boundary(back), now, back).from,
            month_start(at)
        );
        let next = next_month(at);
        assert!(known.is_out_of_date(1_000, now, next));
        assert_eq!(counted(Some(&known), next, now, (0, 1)).used(), 1);
    }

    #[test]
    fn few_calls_that_are_left_are_counted_before_each() {
        let (at, now): (Timestamp, _) = (NOON.parse().unwrap(), Instant::now());
        let second = now + LIMIT_COUNT_AGE;
        // The limit, the calls counted, those admitted since, and whether a count is needed at once and after a second.
        for (limit, found, admitted, at_once, after_a_second) in [
            (10, 4, 0, false, true),
            (10, 4, 1, true, true),
            (10, 4, 6, false, true),
            (10, 10, 0, false, true),
            (2_000, 1_100, 55, false, true),
            (2_000, 1_100, 56, true, true),
            (20_000, 4_000, 999, false, false),
            (20_000, 4_000, 1_000, true, true),
        ] {
            let mut quota = counted(None, at, now, (0, found));
            for _ in 0..admitted {
                quota.start();
                quota.finish();
            }
            let case = format!("{admitted} since {found} of {limit}");
            assert_eq!(quota.is_out_of_date(limit, now, at), at_once, "{case}");
            assert_eq!(quota.is_out_of_date(limit, second, at), after_a_second, "{case}");
            quota.start();
            assert!(!quota.is_out_of_date(limit, now, at), "{case}, and one runs");
        }
    }

    #[test]
    fn calls_admitted_during_count_are_not_lost() {
        let (at, now): (Timestamp, _) = (NOON.parse().unwrap(), Instant::now());
        let mut known = counted(None, at, now, (0, 0));
        known.start();
        known.start();
        known.finish();
        let count = Count::of(Some(&known), settle_boundary(at), now, at);
        // Admitted while the database counts.
        known.start();
        // The count has the one that had finished.
        let after = MonthlyQuota::counted(Some(&known), &count, settle_boundary(at), (0, 1));
        assert_eq!(after.used(), 3);
    }
}
