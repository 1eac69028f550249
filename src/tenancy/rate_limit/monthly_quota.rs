//! Calls a month: those that the database has recorded, and those that this process has let in since it was asked.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub(super) use crate::ids::min_uuid_v7;

/// How old a count may be.
const COUNT_AGE: Duration = Duration::from_secs(30);
/// How old it may be where the limit seems to be reached, so that nobody is refused for an old count.
const CLOSE_COUNT_AGE: Duration = Duration::from_secs(1);
/// How often all of the month is counted. In between only what is younger than [`SETTLED_AFTER`] is.
const WHOLE_AGE: Duration = Duration::from_secs(60 * 60);
/// A call that began so long ago has been recorded, if it ever will be: it may take half a minute.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// What is known of one tenant's or key's calls in a month.
#[derive(Debug, Clone, Copy)]
pub(super) struct MonthlyQuota {
    begins: Timestamp,
    settled: i64,
    settled_before: Timestamp,
    recent: i64,
    counted_at: Instant,
    whole_at: Instant,
    /// Calls that this process ever let in, and those of them that have not finish yet.
    start: i64,
    pub(super) running: i64,
    /// Of `start`, those that had finish when the count began: if they were recorded, it has seen them.
    seen: i64,
}

/// A count that is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    begins: Timestamp,
    /// Calls that began before are known already.
    pub(super) from: Timestamp,
    settled: i64,
    seen: i64,
    began: Instant,
    is_whole: bool,
}

impl MonthlyQuota {
    /// How many calls there were, at most.
    pub(super) const fn used(&self) -> i64 {
        self.settled
            .saturating_add(self.recent)
            .saturating_add(self.start.saturating_sub(self.seen))
    }

    pub(super) fn is_of(&self, moment: Timestamp) -> bool {
        self.begins == month_of(moment)
    }

    pub(super) fn is_out_of_date(&self, limit: i64, now: Instant, moment: Timestamp) -> bool {
        let max_age = if self.used() >= limit {
            CLOSE_COUNT_AGE
        } else {
            COUNT_AGE
        };
        !self.is_of(moment) || now.saturating_duration_since(self.counted_at) >= max_age
    }

    pub(super) const fn start(&mut self) {
        self.start = self.start.saturating_add(1);
        self.running = self.running.saturating_add(1);
    }

    pub(super) const fn finish(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// Whether nothing is lost by forgetting it.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.running == 0 && now.saturating_duration_since(self.counted_at) >= COUNT_AGE
    }

    /// What is known after a count.
    pub(super) fn counted(before: Option<&Self>, count: &Count, cut: Timestamp, found: (i64, i64)) -> Self {
        let (settled, recent) = found;
        Self {
            begins: count.begins,
            settled: count.settled.saturating_add(settled),
            settled_before: cut.max(count.from),
            recent,
            counted_at: count.began,
            whole_at: match before {
                Some(before) if !count.is_whole => before.whole_at,
                Some(_) | None => count.began,
            },
            start: before.map_or(0, |month| month.start),
            running: before.map_or(0, |month| month.running),
            seen: count.seen,
        }
    }
}

impl Count {
    /// The count that brings what is known up to date.
    pub(super) fn of(known: Option<&MonthlyQuota>, cut: Timestamp, now: Instant, moment: Timestamp) -> Self {
        let begins = month_of(moment);
        let usable = known.filter(|month| {
            // Where the clock went back, calls come before what was settled.
            month.begins == begins
                && month.settled_before <= cut
                && now.saturating_duration_since(month.whole_at) < WHOLE_AGE
        });
        Self {
            begins,
            from: usable.map_or(begins, |month| month.settled_before),
            settled: usable.map_or(0, |month| month.settled),
            seen: known.map_or(0, |month| month.start.saturating_sub(month.running)),
            began: now,
            is_whole: usable.is_none(),
        }
    }
}

/// What began before it has finish by now, and is counted once.
pub(super) fn cut(moment: Timestamp) -> Timestamp {
    let settled = moment.saturating_sub(SETTLED_AFTER).unwrap_or(moment);
    settled.max(month_of(moment))
}

/// The first moment of the calendar month, in UTC.
pub(super) fn month_of(moment: Timestamp) -> Timestamp {
    let first = moment.to_zoned(TimeZone::UTC).date().first_of_month();
    // Midnight of a date in UTC exists for every date that a timestamp has.
    first
        .to_zoned(TimeZone::UTC)
        .map_or(moment, |zoned| zoned.timestamp())
}

pub(super) fn next_month(moment: Timestamp) -> Timestamp {
    let last = moment.to_zoned(TimeZone::UTC).date().last_of_month();
    last.tomorrow()
        .and_then(|first| first.to_zoned(TimeZone::UTC))
        .map_or(moment, |zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "2026-11-24T12:00:00Z";

    fn counted(known: Option<&MonthlyQuota>, at: Timestamp, now: Instant, found: (i64, i64)) -> MonthlyQuota {
        let count = Count::of(known, cut(at), now, at);
        MonthlyQuota::counted(known, &count, cut(at), found)
    }

    #[test]
    fn a_month_begins_at_midnight_of_its_first_day() {
        let moment: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        assert_eq!(month_of(moment).to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(next_month(moment).to_string(), "2026-12-01T00:00:00Z");
        let last: Timestamp = "2026-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(next_month(last).to_string(), "2027-01-01T00:00:00Z");
        assert_eq!(
            min_uuid_v7(month_of(moment)).to_string(),
            "01a19467-e800-0000-0000-000000000000"
        );
    }

    #[test]
    fn what_is_settled_is_not_counted_again() {
        let (at, now): (Timestamp, _) = (NOON.parse().unwrap(), Instant::now());
        let first = counted(None, at, now, (100, 7));
        assert_eq!(first.used(), 107);
        let later = at + SignedDuration::from_mins(10);
        let again = Count::of(Some(&first), cut(later), now, later);
        assert_eq!(again.from, cut(at));
        let second = MonthlyQuota::counted(Some(&first), &again, cut(later), (9, 3));
        assert_eq!(second.used(), 112);
        // An hour later all of it is, in case something was recorded late after all.
        let whole = Count::of(Some(&second), cut(later), now + WHOLE_AGE, later);
        assert_eq!((whole.from, whole.settled), (month_of(later), 0));
    }

    #[test]
    fn a_clock_that_goes_back_makes_all_be_counted() {
        let (at, now): (Timestamp, _) = (NOON.parse().unwrap(), Instant::now());
        let known = counted(None, at, now, (100, 7));
        let back = at - SignedDuration::from_hours(1);
        assert_eq!(Count::of(Some(&known), cut(back), now, back).from, month_of(at));
        let next = next_month(at);
        assert!(known.is_out_of_date(1_000, now, next));
        assert_eq!(counted(Some(&known), next, now, (0, 1)).used(), 1);
    }

    #[test]
    fn what_runs_while_it_is_counted_is_not_forgotten() {
        let (at, now): (Timestamp, _) = (NOON.parse().unwrap(), Instant::now());
        let mut known = counted(None, at, now, (0, 0));
        known.start();
        known.start();
        known.finish();
        let count = Count::of(Some(&known), cut(at), now, at);
        // Let in while the database counts.
        known.start();
        // It has seen the one that had finish.
        let after = MonthlyQuota::counted(Some(&known), &count, cut(at), (0, 1));
        assert_eq!(after.used(), 3);
    }
}
