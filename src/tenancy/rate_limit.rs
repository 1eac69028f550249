//! Counts calls against what tenants and keys may make.
//!
//! Minutes are counted in this process alone, by a bucket that fills evenly and begins with what the last minute's records leave
//! of it: a server more is that much more call_limits. Months are counted from the recorded calls, so they hold across servers; between two
//! counts each server adds its own.

mod monthly_quota;
mod token_bucket;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedMutexGuard;

use self::monthly_quota::{Count, MonthlyQuota, cut, min_uuid_v7, next_month};
use self::token_bucket::TokenBucket;
use super::{CallLimits, Principal};
use crate::db::{DbError, TenantTx};
use crate::ids::{ApiKeyId, TenantId};
use crate::sql;

/// Meters that are kept before those that are of no use are forgotten.
const MAX_SUBJECTS: usize = 10_000;
/// What the buckets hold.
const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// Whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum LimitSubject {
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

#[derive(Default)]
struct LimiterState {
    minutes: HashMap<LimitSubject, TokenBucket>,
    months: HashMap<LimitSubject, MonthlyQuota>,
    /// Held by whoever asks the database about a tenant's calls, so that its callers do not all do so at once.
    asking: HashMap<TenantId, Arc<tokio::sync::Mutex<()>>>,
}

/// The meters of one process. Cheap to share.
#[derive(Clone, Default)]
pub struct CallLimiter(Arc<Mutex<LimiterState>>);

/// A call that was let in. It counts as running until this is dropped.
#[must_use]
pub struct CallPermit {
    meter: CallLimiter,
    months: [Option<LimitSubject>; 2],
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let mut meters = self.meter.meters();
        for whose in self.months.iter().flatten() {
            if let Some(month) = meters.months.get_mut(whose) {
                month.finish();
            }
        }
    }
}

impl CallLimiter {
    fn meters(&self) -> MutexGuard<'_, LimiterState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call of this principal, unless that would be more than his key or his tenant may make.
    ///
    /// # Errors
    /// [`OverLimit`] with the limit that is reached; then nothing is counted.
    pub fn admit(&self, principal: &Principal) -> Result<CallPermit, OverLimit> {
        self.admit_at(principal, Instant::now(), Timestamp::now())
    }

    fn admit_at(
        &self,
        principal: &Principal,
        now: Instant,
        moment: Timestamp,
    ) -> Result<CallPermit, OverLimit> {
        let mut meters = self.meters();
        let limits = limits(principal);
        for (whose, call_limits) in &limits {
            if let Some(limit) = call_limits.calls_per_minute {
                let bucket = meters
                    .minutes
                    .entry(*whose)
                    .or_insert_with(|| TokenBucket::new(limit, 0, now));
                bucket.fill(limit, now);
                if bucket.left < 1.0 {
                    return Err(over_minute(*whose, bucket));
                }
            }
            if let (Some(limit), Some(month)) = (call_limits.calls_per_month, meters.months.get(whose))
                && month.is_of(moment)
                && month.used() >= limit
            {
                return Err(over_month(*whose, limit, moment));
            }
        }
        let months = limits.map(|(whose, call_limits)| {
            if call_limits.calls_per_minute.is_some()
                && let Some(bucket) = meters.minutes.get_mut(&whose)
            {
                bucket.left -= 1.0;
            }
            let month = meters.months.get_mut(&whose)?;
            month.start();
            Some(whose)
        });
        meters.evict_idle(now);
        Ok(CallPermit {
            meter: self.clone(),
            months,
        })
    }

    /// Whether the database must be asked before this principal can be judged.
    #[must_use]
    pub fn needs_refresh(&self, principal: &Principal) -> bool {
        let (now, moment) = (Instant::now(), Timestamp::now());
        let meters = self.meters();
        limits(principal).iter().any(|(whose, call_limits)| {
            let minute = call_limits.calls_per_minute.is_some() && !meters.minutes.contains_key(whose);
            let month = call_limits.calls_per_month.is_some_and(|limit| {
                let known = meters.months.get(whose);
                known.is_none_or(|month| month.is_out_of_date(limit, now, moment))
            });
            minute || month
        })
    }

    /// Waits until nobody else asks about this tenant, who may then have got the answer.
    pub async fn refresh_lock(&self, tenant: TenantId) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(self.meters().asking.entry(tenant).or_default());
        turn.lock_owned().await
    }

    /// Asks for the calls of the month and of the last minute, in the principal's own transaction.
    ///
    /// # Errors
    /// When the database is away or refuses.
    pub async fn refresh(&self, tx: &TenantTx, principal: &Principal) -> Result<(), DbError> {
        let limits = limits(principal);
        if limits.iter().any(|(_, limit)| limit.calls_per_minute.is_some()) {
            self.ask_for_the_minute(tx, principal).await?;
        }
        if limits.iter().any(|(_, limit)| limit.calls_per_month.is_some()) {
            self.ask_for_the_month(tx, principal).await?;
        }
        Ok(())
    }

    async fn ask_for_the_minute(&self, tx: &TenantTx, principal: &Principal) -> Result<(), DbError> {
        let since = min_uuid_v7(Timestamp::now().saturating_sub(MINUTE).unwrap_or_default());
        let row = tx
            .query_one(
                sql!("usage/count_minute.sql"),
                &[tx.tenant().as_uuid(), principal.api_key.as_uuid(), &since],
            )
            .await?;
        let taken: [i64; 2] = [row.try_get("of_key")?, row.try_get("of_tenant")?];
        let now = Instant::now();
        let mut meters = self.meters();
        for ((whose, call_limits), taken) in limits(principal).into_iter().zip(taken) {
            if let Some(limit) = call_limits.calls_per_minute {
                let taken = i32::try_from(taken).unwrap_or(i32::MAX);
                meters
                    .minutes
                    .entry(whose)
                    .or_insert_with(|| TokenBucket::new(limit, taken, now));
            }
        }
        Ok(())
    }

    async fn ask_for_the_month(&self, tx: &TenantTx, principal: &Principal) -> Result<(), DbError> {
        let (now, moment) = (Instant::now(), Timestamp::now());
        let cut = cut(moment);
        let [of_key, of_tenant] = {
            let meters = self.meters();
            limits(principal).map(|(whose, _)| Count::of(meters.months.get(&whose), cut, now, moment))
        };
        let row = tx
            .query_one(
                sql!("usage/count_month.sql"),
                &[
                    tx.tenant().as_uuid(),
                    principal.api_key.as_uuid(),
                    &min_uuid_v7(of_tenant.from),
                    &min_uuid_v7(of_key.from),
                    &min_uuid_v7(cut),
                ],
            )
            .await?;
        let tenants = (row.try_get("tenant_settled")?, row.try_get("tenant_recent")?);
        let keys = (row.try_get("key_settled")?, row.try_get("key_recent")?);
        self.counted(principal, cut, [(of_key, keys), (of_tenant, tenants)]);
        Ok(())
    }

    fn counted(&self, principal: &Principal, cut: Timestamp, found: [(Count, (i64, i64)); 2]) {
        let mut meters = self.meters();
        for ((whose, _), (count, found)) in limits(principal).into_iter().zip(found) {
            let month = MonthlyQuota::counted(meters.months.get(&whose), &count, cut, found);
            meters.months.insert(whose, month);
        }
    }
}

impl LimiterState {
    fn evict_idle(&mut self, now: Instant) {
        if self.minutes.len() > MAX_SUBJECTS {
            self.minutes.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.months.len() > MAX_SUBJECTS {
            self.months.retain(|_, month| !month.is_idle(now));
        }
        if self.asking.len() > MAX_SUBJECTS {
            self.asking.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
    }
}

/// Those of the key before those of the tenant.
fn limits(principal: &Principal) -> [(LimitSubject, CallLimits); 2] {
    [
        (LimitSubject::Key(principal.api_key), principal.key_allowance),
        (LimitSubject::Tenant(principal.tenant), principal.tenant_allowance),
    ]
}

fn subject(whose: LimitSubject) -> &'static str {
    match whose {
        LimitSubject::Tenant(_) => "Your organisation",
        LimitSubject::Key(_) => "This API key",
    }
}

fn over_minute(whose: LimitSubject, bucket: &TokenBucket) -> OverLimit {
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

fn over_month(whose: LimitSubject, limit: i64, moment: Timestamp) -> OverLimit {
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

#[cfg(test)]
mod tests;
