//! Limits of calls per minute and per month, of API keys and of tenants.
//!
//! Calls per minute are counted in this process alone, by a token bucket that starts with what the last minute's records
//! leave of it: each server has the whole limit. Calls per month are counted from the recorded calls, so the limit holds
//! across servers; between two counts each server adds the calls that it admitted. The fewer calls are left, the more often they are
//! counted; the last ones before each call.

mod monthly_quota;
mod token_bucket;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedMutexGuard;

use self::monthly_quota::{Count, MonthlyQuota, min_uuid_v7, next_month, settle_boundary};
use self::token_bucket::TokenBucket;
use super::{CallLimits, Principal};
use crate::db::{DbError, TenantTx};
use crate::ids::{ApiKeyId, TenantId};
use crate::sql;

/// Subjects that are kept before idle ones are evicted.
const MAX_SUBJECTS: usize = 10_000;
const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// The key or tenant whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum LimitSubject {
    Tenant(TenantId),
    Key(ApiKeyId),
}

/// A limit is reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject} has reached its limit of {limit} calls per {period}. {next}")]
pub struct OverLimit {
    subject: &'static str,
    limit: i64,
    period: &'static str,
    next: String,
    /// Seconds until the next call may be admitted, at least 1.
    pub retry_after: u32,
}

#[derive(Default)]
struct LimiterState {
    minutes: HashMap<LimitSubject, TokenBucket>,
    months: HashMap<LimitSubject, MonthlyQuota>,
    /// One lock for each tenant, held while its calls are counted in the database.
    refresh_locks: HashMap<TenantId, Arc<tokio::sync::Mutex<()>>>,
}

/// Counts the calls of one process. Cheap to clone.
#[derive(Clone, Default)]
pub struct CallLimiter(Arc<Mutex<LimiterState>>);

/// An admitted call. It counts as running until this is dropped.
#[must_use]
pub struct CallPermit {
    limiter: CallLimiter,
    months: [Option<LimitSubject>; 2],
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let mut state = self.limiter.state();
        for subject in self.months.iter().flatten() {
            if let Some(month) = state.months.get_mut(subject) {
                month.finish();
            }
        }
    }
}

impl CallLimiter {
    fn state(&self) -> MutexGuard<'_, LimiterState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call of this principal, unless the key or the tenant has reached a limit.
    ///
    /// # Errors
    /// [`OverLimit`]; then nothing is counted.
    pub fn admit(&self, principal: &Principal) -> Result<CallPermit, OverLimit> {
        self.admit_at(principal, Instant::now(), Timestamp::now())
    }

    fn admit_at(
        &self,
        principal: &Principal,
        now: Instant,
        time: Timestamp,
    ) -> Result<CallPermit, OverLimit> {
        let mut state = self.state();
        let limits = limits(principal);
        for (subject, call_limits) in &limits {
            if let Some(limit) = call_limits.calls_per_minute {
                let bucket = state
                    .minutes
                    .entry(*subject)
                    .or_insert_with(|| TokenBucket::new(limit, 0, now));
                bucket.refill(limit, now);
                if bucket.tokens < 1.0 {
                    return Err(over_minute(*subject, bucket));
                }
            }
            if let (Some(limit), Some(month)) = (call_limits.calls_per_month, state.months.get(subject))
                && month.covers(time)
                && month.used() >= limit
            {
                return Err(over_month(*subject, limit, time));
            }
        }
        let months = limits.map(|(subject, call_limits)| {
            if call_limits.calls_per_minute.is_some()
                && let Some(bucket) = state.minutes.get_mut(&subject)
            {
                bucket.tokens -= 1.0;
            }
            let month = state.months.get_mut(&subject)?;
            month.start();
            Some(subject)
        });
        state.evict_idle(now);
        Ok(CallPermit {
            limiter: self.clone(),
            months,
        })
    }

    /// Whether [`Self::refresh`] is needed before [`Self::admit`].
    #[must_use]
    pub fn needs_refresh(&self, principal: &Principal) -> bool {
        let (now, time) = (Instant::now(), Timestamp::now());
        let state = self.state();
        limits(principal).iter().any(|(subject, call_limits)| {
            let minute = call_limits.calls_per_minute.is_some() && !state.minutes.contains_key(subject);
            let month = call_limits.calls_per_month.is_some_and(|limit| {
                let known = state.months.get(subject);
                known.is_none_or(|month| month.is_out_of_date(limit, now, time))
            });
            minute || month
        })
    }

    /// The lock around refreshing the counts of a tenant. Check [`Self::needs_refresh`] again after acquiring it.
    pub async fn refresh_lock(&self, tenant: TenantId) -> OwnedMutexGuard<()> {
        let lock = Arc::clone(self.state().refresh_locks.entry(tenant).or_default());
        lock.lock_owned().await
    }

    /// Counts the calls of the month and of the last minute in the principal's own transaction.
    ///
    /// # Errors
    /// [`DbError`] of the query.
    pub async fn refresh(&self, tx: &TenantTx, principal: &Principal) -> Result<(), DbError> {
        let limits = limits(principal);
        if limits.iter().any(|(_, limit)| limit.calls_per_minute.is_some()) {
            self.count_minute(tx, principal).await?;
        }
        if limits.iter().any(|(_, limit)| limit.calls_per_month.is_some()) {
            self.count_month(tx, principal).await?;
        }
        Ok(())
    }

    async fn count_minute(&self, tx: &TenantTx, principal: &Principal) -> Result<(), DbError> {
        let since = min_uuid_v7(Timestamp::now().saturating_sub(MINUTE).unwrap_or_default());
        let row = tx
            .query_one(
                sql!("usage/count_minute.sql"),
                &[tx.tenant().as_uuid(), principal.api_key.as_uuid(), &since],
            )
            .await?;
        let taken: [i64; 2] = [row.try_get("of_key")?, row.try_get("of_tenant")?];
        let now = Instant::now();
        let mut state = self.state();
        for ((subject, call_limits), taken) in limits(principal).into_iter().zip(taken) {
            if let Some(limit) = call_limits.calls_per_minute {
                let taken = i32::try_from(taken).unwrap_or(i32::MAX);
                state
                    .minutes
                    .entry(subject)
                    .or_insert_with(|| TokenBucket::new(limit, taken, now));
            }
        }
        Ok(())
    }

    async fn count_month(&self, tx: &TenantTx, principal: &Principal) -> Result<(), DbError> {
        let (now, time) = (Instant::now(), Timestamp::now());
        let boundary = settle_boundary(time);
        let [of_key, of_tenant] = {
            let state = self.state();
            limits(principal).map(|(subject, _)| Count::of(state.months.get(&subject), boundary, now, time))
        };
        let row = tx
            .query_one(
                sql!("usage/count_month.sql"),
                &[
                    tx.tenant().as_uuid(),
                    principal.api_key.as_uuid(),
                    &min_uuid_v7(of_tenant.from),
                    &min_uuid_v7(of_key.from),
                    &min_uuid_v7(boundary),
                    &min_uuid_v7(next_month(time)),
                ],
            )
            .await?;
        let tenants = (row.try_get("tenant_settled")?, row.try_get("tenant_recent")?);
        let keys = (row.try_get("key_settled")?, row.try_get("key_recent")?);
        self.apply_count(principal, boundary, [(of_key, keys), (of_tenant, tenants)]);
        Ok(())
    }

    fn apply_count(&self, principal: &Principal, boundary: Timestamp, found: [(Count, (i64, i64)); 2]) {
        let mut state = self.state();
        for ((subject, _), (count, found)) in limits(principal).into_iter().zip(found) {
            let month = MonthlyQuota::counted(state.months.get(&subject), &count, boundary, found);
            state.months.insert(subject, month);
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
        if self.refresh_locks.len() > MAX_SUBJECTS {
            self.refresh_locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
    }
}

/// The limits of the key, then those of the tenant.
fn limits(principal: &Principal) -> [(LimitSubject, CallLimits); 2] {
    [
        (LimitSubject::Key(principal.api_key), principal.api_key_limits),
        (LimitSubject::Tenant(principal.tenant), principal.tenant_limits),
    ]
}

fn describe(subject: LimitSubject) -> &'static str {
    match subject {
        LimitSubject::Tenant(_) => "Your organisation",
        LimitSubject::Key(_) => "This API key",
    }
}

fn over_minute(subject: LimitSubject, bucket: &TokenBucket) -> OverLimit {
    let retry_after = bucket.seconds_until_next();
    let seconds = if retry_after == 1 { "second" } else { "seconds" };
    OverLimit {
        subject: describe(subject),
        limit: bucket.limit.into(),
        period: "minute",
        next: format!("Try again in {retry_after} {seconds}."),
        retry_after,
    }
}

fn over_month(subject: LimitSubject, limit: i64, time: Timestamp) -> OverLimit {
    let next = next_month(time);
    let seconds = next.duration_since(time).as_secs();
    OverLimit {
        subject: describe(subject),
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
