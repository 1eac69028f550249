//! Counts calls against what tenants and keys may make.
//!
//! Minutes are counted in this process alone, by a bucket that fills evenly: a server more is that much more allowance. Months
//! are counted from the recorded calls, so they hold across servers; between two counts each server adds its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::{Allowance, Principal};
use crate::db::{DbError, TenantTx};
use crate::ids::{ApiKeyId, TenantId};
use crate::sql;

/// How old a count of the month may be.
const COUNT_AGE: Duration = Duration::from_secs(30);
/// How old it may be where the limit seems to be reached, so that nobody is refused for an old count.
const CLOSE_COUNT_AGE: Duration = Duration::from_secs(1);
/// Meters that are kept before those that are full again are forgotten.
const MAX_METERS: usize = 10_000;

/// Whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    Tenant(TenantId),
    Key(ApiKeyId),
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{whose} may make {limit} calls a {period}, and has made them. {next}")]
pub struct OverLimit {
    whose: &'static str,
    limit: i64,
    period: &'static str,
    next: String,
    /// Seconds until trying again may help, at least 1.
    pub retry_after: u32,
}

/// How many calls there may be at once, and how many there were.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    limit: i32,
    left: f64,
    at: Instant,
}

impl Bucket {
    fn full(limit: i32, now: Instant) -> Self {
        Self {
            limit,
            left: f64::from(limit),
            at: now,
        }
    }

    fn a_second(&self) -> f64 {
        f64::from(self.limit) / 60.0
    }

    fn fill(&mut self, limit: i32, now: Instant) {
        if limit != self.limit {
            *self = Self::full(limit, now);
        }
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.a_second()).min(f64::from(limit));
        self.at = now;
    }

    fn seconds_until_next(&self) -> u32 {
        let seconds = ((1.0 - self.left) / self.a_second()).ceil();
        // Between 1 and 60, since the smallest limit is one a minute.
        if seconds >= 60.0 {
            60
        } else {
            (1..60).find(|n| f64::from(*n) >= seconds).unwrap_or(60)
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Month {
    begins: Timestamp,
    counted: i64,
    counted_at: Instant,
    since: i64,
}

#[derive(Default)]
struct Meters {
    minutes: HashMap<Whose, Bucket>,
    months: HashMap<Whose, Month>,
}

/// The meters of one process.
#[derive(Default)]
pub struct Meter(Mutex<Meters>);

impl Meter {
    /// Counts a call of this principal, unless that would be more than his key or his tenant may make.
    ///
    /// # Errors
    /// [`OverLimit`] with the limit that is reached; then nothing is counted.
    pub fn admit(&self, principal: &Principal) -> Result<(), OverLimit> {
        self.admit_at(principal, Instant::now(), Timestamp::now())
    }

    fn admit_at(&self, principal: &Principal, now: Instant, moment: Timestamp) -> Result<(), OverLimit> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = limits(principal);
        for (whose, allowance) in &limits {
            if let Some(limit) = allowance.calls_per_minute {
                let bucket = meters
                    .minutes
                    .entry(*whose)
                    .or_insert_with(|| Bucket::full(limit, now));
                bucket.fill(limit, now);
                if bucket.left < 1.0 {
                    return Err(over_minute(*whose, bucket));
                }
            }
            if let (Some(limit), Some(month)) = (allowance.calls_per_month, meters.months.get(whose)) {
                let used = month.counted.saturating_add(month.since);
                if month.begins == month_of(moment) && used >= limit {
                    return Err(over_month(*whose, limit, moment));
                }
            }
        }
        for (whose, allowance) in &limits {
            if allowance.calls_per_minute.is_some()
                && let Some(bucket) = meters.minutes.get_mut(whose)
            {
                bucket.left -= 1.0;
            }
            if let Some(month) = meters.months.get_mut(whose) {
                month.since = month.since.saturating_add(1);
            }
        }
        if meters.minutes.len() > MAX_METERS {
            meters.minutes.retain(|_, bucket| {
                bucket.fill(bucket.limit, now);
                bucket.left < f64::from(bucket.limit)
            });
        }
        if meters.months.len() > MAX_METERS {
            meters
                .months
                .retain(|_, month| now.saturating_duration_since(month.counted_at) < COUNT_AGE);
        }
        Ok(())
    }

    /// Whether the calls of the month must be counted anew before this principal can be judged.
    #[must_use]
    pub fn count_is_due(&self, principal: &Principal) -> bool {
        let meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limits(principal).iter().any(|(whose, allowance)| {
            let Some(limit) = allowance.calls_per_month else {
                return false;
            };
            meters.months.get(whose).is_none_or(|month| {
                let close = month.counted.saturating_add(month.since) >= limit;
                let max_age = if close { CLOSE_COUNT_AGE } else { COUNT_AGE };
                month.counted_at.elapsed() >= max_age || month.begins != month_of(Timestamp::now())
            })
        })
    }

    /// Counts the calls of the month in the principal's own transaction.
    ///
    /// # Errors
    /// When the database is away or refuses.
    pub async fn count(&self, tx: &TenantTx, principal: &Principal) -> Result<(), DbError> {
        let begins = month_of(Timestamp::now());
        let row = tx
            .query_one(
                sql!("usage/count_month.sql"),
                &[
                    tx.tenant().as_uuid(),
                    principal.api_key.as_uuid(),
                    &first_id(begins),
                ],
            )
            .await?;
        self.counted(
            principal,
            begins,
            row.try_get("of_tenant")?,
            row.try_get("of_key")?,
        );
        Ok(())
    }

    fn counted(&self, principal: &Principal, begins: Timestamp, of_tenant: i64, of_key: i64) {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (whose, counted) in [
            (Whose::Tenant(principal.tenant), of_tenant),
            (Whose::Key(principal.api_key), of_key),
        ] {
            let month = Month {
                begins,
                counted,
                counted_at: Instant::now(),
                since: 0,
            };
            meters.months.insert(whose, month);
        }
    }
}

fn limits(principal: &Principal) -> [(Whose, Allowance); 2] {
    [
        (Whose::Key(principal.api_key), principal.key_allowance),
        (Whose::Tenant(principal.tenant), principal.tenant_allowance),
    ]
}

fn subject(whose: Whose) -> &'static str {
    match whose {
        Whose::Tenant(_) => "Your organisation",
        Whose::Key(_) => "This API key",
    }
}

fn over_minute(whose: Whose, bucket: &Bucket) -> OverLimit {
    let retry_after = bucket.seconds_until_next();
    let seconds = if retry_after == 1 { "second" } else { "seconds" };
    OverLimit {
        whose: subject(whose),
        limit: bucket.limit.into(),
        period: "minute",
        next: format!("Try again in {retry_after} {seconds}."),
        retry_after,
    }
}

fn over_month(whose: Whose, limit: i64, moment: Timestamp) -> OverLimit {
    let next = next_month(moment);
    let seconds = next.duration_since(moment).as_secs();
    OverLimit {
        whose: subject(whose),
        limit,
        period: "month",
        next: format!(
            "The next month begins on {} (UTC). Your administrator can raise the limit.",
            next.to_zoned(TimeZone::UTC).date()
        ),
        retry_after: u32::try_from(seconds).unwrap_or(u32::MAX).max(1),
    }
}

/// The first moment of the calendar month, in UTC.
fn month_of(moment: Timestamp) -> Timestamp {
    let first = moment.to_zoned(TimeZone::UTC).date().first_of_month();
    // Midnight of a date in UTC exists for every date that a timestamp has.
    first
        .to_zoned(TimeZone::UTC)
        .map_or(moment, |zoned| zoned.timestamp())
}

fn next_month(moment: Timestamp) -> Timestamp {
    let last = moment.to_zoned(TimeZone::UTC).date().last_of_month();
    last.tomorrow()
        .and_then(|first| first.to_zoned(TimeZone::UTC))
        .map_or(moment, |zoned| zoned.timestamp())
}

/// The smallest event id of a moment: a UUIDv7 begins with its milliseconds.
fn first_id(moment: Timestamp) -> Uuid {
    let millis = u128::try_from(moment.as_millisecond()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::principal::tests::principal;

    fn limited(key: Allowance, tenant: Allowance) -> Principal {
        let mut principal = principal();
        principal.key_allowance = key;
        principal.tenant_allowance = tenant;
        principal
    }

    const NONE: Allowance = Allowance {
        calls_per_minute: None,
        calls_per_month: None,
    };

    fn a_minute(calls: i32) -> Allowance {
        Allowance {
            calls_per_minute: Some(calls),
            ..NONE
        }
    }

    fn a_month(calls: i64) -> Allowance {
        Allowance {
            calls_per_month: Some(calls),
            ..NONE
        }
    }

    #[test]
    fn a_minutes_calls_may_come_at_once_and_then_evenly() {
        let meter = Meter::default();
        let caller = limited(a_minute(30), NONE);
        let (start, moment) = (Instant::now(), Timestamp::now());
        for _ in 0..30 {
            assert_eq!(meter.admit_at(&caller, start, moment), Ok(()));
        }
        let over = meter.admit_at(&caller, start, moment).unwrap_err();
        assert_eq!(over.retry_after, 2);
        assert_eq!(
            over.to_string(),
            "This API key may make 30 calls a minute, and has made them. Try again in 2 seconds."
        );
        let later = start + Duration::from_secs(2);
        assert_eq!(meter.admit_at(&caller, later, moment), Ok(()));
        assert!(meter.admit_at(&caller, later, moment).is_err());
        let much_later = start + Duration::from_secs(3600);
        for _ in 0..30 {
            assert_eq!(meter.admit_at(&caller, much_later, moment), Ok(()));
        }
        assert!(meter.admit_at(&caller, much_later, moment).is_err());
    }

    #[test]
    fn the_keys_of_a_tenant_share_its_allowance_and_what_is_refused_costs_nothing() {
        let meter = Meter::default();
        let (now, moment) = (Instant::now(), Timestamp::now());
        let first = limited(a_minute(2), a_minute(3));
        let mut second = limited(a_minute(2), a_minute(3));
        second.tenant = first.tenant;
        let admitted = |caller: &Principal| meter.admit_at(caller, now, moment).is_ok();
        assert!(admitted(&first) && admitted(&first));
        // Refused for its own limit: nothing of the tenant's is used up.
        assert!(!admitted(&first));
        assert!(admitted(&second));
        let over = meter.admit_at(&second, now, moment).unwrap_err();
        assert!(
            over.to_string()
                .starts_with("Your organisation may make 3 calls a minute"),
            "{over}"
        );
        let stranger = limited(a_minute(2), a_minute(3));
        assert!(admitted(&stranger));
    }

    #[test]
    fn a_months_calls_are_those_that_were_counted_and_those_since() {
        let meter = Meter::default();
        let caller = limited(NONE, a_month(10));
        assert!(meter.count_is_due(&caller));
        let (now, moment) = (Instant::now(), Timestamp::now());
        meter.counted(&caller, month_of(moment), 8, 8);
        assert!(!meter.count_is_due(&caller));
        assert!(meter.admit_at(&caller, now, moment).is_ok());
        assert!(meter.admit_at(&caller, now, moment).is_ok());
        let over = meter.admit_at(&caller, now, moment).unwrap_err();
        assert!(over.to_string().contains("10 calls a month"), "{over}");
        let next = next_month(moment);
        assert_eq!(
            i64::from(over.retry_after),
            next.duration_since(moment).as_secs().max(1)
        );
        assert!(meter.admit_at(&caller, now, next).is_ok());
    }

    #[test]
    fn a_month_begins_at_midnight_of_its_first_day() {
        let moment: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        assert_eq!(month_of(moment).to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(next_month(moment).to_string(), "2026-12-01T00:00:00Z");
        let last: Timestamp = "2026-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(next_month(last).to_string(), "2027-01-01T00:00:00Z");
        assert_eq!(
            first_id(month_of(moment)).to_string(),
            "01a19467-e800-0000-0000-000000000000"
        );
    }

    #[test]
    fn who_has_no_limit_is_not_counted() {
        let meter = Meter::default();
        let caller = limited(NONE, NONE);
        assert!(!meter.count_is_due(&caller));
        for _ in 0..10_000 {
            assert!(meter.admit(&caller).is_ok());
        }
        assert_eq!(meter.0.lock().unwrap().minutes.len(), 0);
    }
}
