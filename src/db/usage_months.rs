//! The months that have a partition of usage events, as far as a process knows.
//!
//! The id of an event holds its time, by the server's clock, and is stored in the partition of its month. A server that runs for longer
//! than partitions were created ahead, or whose clock was changed, finds none. Then the partitions around the database's time are
//! created. If the server's month is not among them, its clock is wrong, and events get the database's time.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// How long the difference between the clocks is used.
const DIFFERENCE_AGE: Duration = Duration::from_secs(60);
/// How long a database that does not answer is not asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a process knows of the partitions.
#[derive(Default)]
pub(super) struct UsageMonths {
    known: Mutex<Known>,
    /// Held while the database is asked.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// The months with a partition, as in its name: `2026_11`.
    months: HashSet<String>,
    asked_at: Option<Instant>,
    /// The database's time minus the server's; `None` if the database did not answer.
    difference: Option<SignedDuration>,
}

impl Known {
    /// The time of an event that begins at `time`. `None` if the database must be asked first.
    fn event_time(&self, time: Timestamp, now: Instant) -> Option<Timestamp> {
        if self.months.contains(&month(time)) {
            return Some(time);
        }
        let age = now.saturating_duration_since(self.asked_at?);
        let Some(difference) = self.difference else {
            return (age < RETRY_AFTER).then_some(time);
        };
        // If that month has no partition either, a clock was changed since.
        let of_database = time.checked_add(difference).ok();
        of_database.filter(|time| age < DIFFERENCE_AGE && self.months.contains(&month(*time)))
    }
}

/// The month as in the name of its partition.
fn month(time: Timestamp) -> String {
    let date = time.to_zoned(TimeZone::UTC).date();
    format!("{:04}_{:02}", date.year(), date.month())
}

impl UsageMonths {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time of an event that begins now. `None` if the database must be asked first.
    pub(super) fn event_time(&self) -> Option<Timestamp> {
        self.known().event_time(Timestamp::now(), Instant::now())
    }

    /// Whether the server's month has a partition.
    pub(super) fn has_current(&self) -> bool {
        self.known().months.contains(&month(Timestamp::now()))
    }

    /// The right to ask the database.
    pub(super) async fn ask(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.asking.lock().await
    }

    /// Stores the database's answer.
    pub(super) fn store(&self, months: Vec<String>, clock: Timestamp) {
        *self.known() = Known {
            months: months.into_iter().collect(),
            asked_at: Some(Instant::now()),
            difference: Some(clock.duration_since(Timestamp::now())),
        };
    }

    /// The database did not answer.
    pub(super) fn store_failure(&self) {
        let mut known = self.known();
        known.asked_at = Some(Instant::now());
        known.difference = None;
    }

    pub(super) fn forget(&self) {
        *self.known() = Known::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn known(months: &[&str], difference: Option<SignedDuration>, asked_at: Instant) -> Known {
        Known {
            months: months.iter().copied().map(str::to_owned).collect(),
            asked_at: Some(asked_at),
            difference,
        }
    }

    #[test]
    fn event_has_the_servers_time_where_its_month_has_a_partition() {
        let now = Instant::now();
        let known = known(
            &["2026_11", "2026_12"],
            Some(SignedDuration::from_hours(-20)),
            now,
        );
        let much_later = now + Duration::from_secs(100_000);
        for at in ["2026-11-30T23:59:59.999Z", "2026-12-01T00:00:00Z"] {
            assert_eq!(known.event_time(time(at), much_later), Some(time(at)));
        }
    }

    #[test]
    fn event_has_the_databases_time_where_the_servers_month_has_no_partition() {
        let now = Instant::now();
        let (server, database) = (time("2031-03-05T10:00:00Z"), time("2026-11-30T10:00:00Z"));
        let known = known(
            &["2026_11", "2026_12"],
            Some(database.duration_since(server)),
            now,
        );
        for (server, stored) in [
            ("2031-03-05T10:00:00Z", "2026-11-30T10:00:00Z"),
            ("2031-03-06T10:00:00Z", "2026-12-01T10:00:00Z"),
            // The server's clock was set back by a second.
            ("2031-03-05T09:59:59Z", "2026-11-30T09:59:59Z"),
            // Its clock was corrected.
            ("2026-11-30T10:00:01Z", "2026-11-30T10:00:01Z"),
        ] {
            assert_eq!(
                known.event_time(time(server), now),
                Some(time(stored)),
                "{server}"
            );
        }
        // The clocks are compared again, because either may have been changed.
        assert_eq!(known.event_time(server, now + DIFFERENCE_AGE), None);
    }

    #[test]
    fn database_is_asked_at_first_and_after_it_did_not_answer() {
        let (now, at) = (Instant::now(), time("2026-11-30T10:00:00Z"));
        assert_eq!(Known::default().event_time(at, now), None);
        let silent = known(&[], None, now);
        assert_eq!(silent.event_time(at, now), Some(at));
        assert_eq!(silent.event_time(at, now + RETRY_AFTER), None);
        // The server's clock was set forward after the database was asked.
        let equal = known(&["2026_11"], Some(SignedDuration::ZERO), now);
        assert_eq!(equal.event_time(at, now), Some(at));
        assert_eq!(equal.event_time(time("2031-03-05T10:00:00Z"), now), None);
    }
}
