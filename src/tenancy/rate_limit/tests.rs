use std::time::Duration;

use futures::FutureExt as _;

use super::*;
use crate::tenancy::principal::tests::principal;

fn refused(admitted: Result<CallPermit, OverLimit>) -> OverLimit {
    match admitted {
        Ok(_) => panic!("the call was admitted"),
        Err(over) => over,
    }
}

fn limited(key: CallLimits, tenant: CallLimits) -> Principal {
    let mut principal = principal();
    principal.api_key_limits = key;
    principal.tenant_limits = tenant;
    principal
}

const NONE: CallLimits = CallLimits {
    calls_per_minute: None,
    calls_per_month: None,
};

fn per_minute(calls: i32) -> CallLimits {
    CallLimits {
        calls_per_minute: Some(calls),
        ..NONE
    }
}

fn per_month(calls: i64) -> CallLimits {
    CallLimits {
        calls_per_month: Some(calls),
        ..NONE
    }
}

#[test]
fn bucket_allows_burst_then_steady_rate() {
    let limiter = CallLimiter::default();
    let caller = limited(per_minute(30), NONE);
    let (start, time) = (Instant::now(), Timestamp::now());
    for _ in 0..30 {
        assert!(limiter.admit_at(&caller, start, time).is_ok());
    }
    let over = refused(limiter.admit_at(&caller, start, time));
    assert_eq!(over.retry_after, 2);
    assert_eq!(
        over.to_string(),
        "This API key has reached its limit of 30 calls per minute. Try again in 2 seconds."
    );
    let later = start + Duration::from_secs(2);
    assert!(limiter.admit_at(&caller, later, time).is_ok());
    assert!(limiter.admit_at(&caller, later, time).is_err());
    let much_later = start + Duration::from_secs(3600);
    for _ in 0..30 {
        assert!(limiter.admit_at(&caller, much_later, time).is_ok());
    }
    assert!(limiter.admit_at(&caller, much_later, time).is_err());
}

#[test]
fn keys_share_tenant_limit_and_refused_calls_are_free() {
    let limiter = CallLimiter::default();
    let (now, time) = (Instant::now(), Timestamp::now());
    let first = limited(per_minute(2), per_minute(3));
    let mut second = limited(per_minute(2), per_minute(3));
    second.tenant = first.tenant;
    let admitted = |caller: &Principal| limiter.admit_at(caller, now, time).is_ok();
    assert!(admitted(&first) && admitted(&first));
    // Refused by the key's limit, so the tenant's bucket keeps its token.
    assert!(!admitted(&first));
    assert!(admitted(&second));
    let over = refused(limiter.admit_at(&second, now, time));
    assert!(
        over.to_string()
            .starts_with("Your organisation has reached its limit of 3 calls per minute"),
        "{over}"
    );
    let other_tenant = limited(per_minute(2), per_minute(3));
    assert!(admitted(&other_tenant));
}

/// Applies a count as if the database had this many calls of the key and of its tenant.
fn apply_count(limiter: &CallLimiter, caller: &Principal, of_key: i64, of_tenant: i64) {
    let (now, time) = (Instant::now(), Timestamp::now());
    let known = |subject| {
        let state = limiter.state();
        Count::of(state.months.get(&subject), settle_boundary(time), now, time)
    };
    let counts = [
        (known(LimitSubject::Key(caller.api_key)), (0, of_key)),
        (known(LimitSubject::Tenant(caller.tenant)), (0, of_tenant)),
    ];
    limiter.apply_count(caller, settle_boundary(time), counts);
}

#[test]
fn month_is_counted_calls_plus_admitted_since() {
    let limiter = CallLimiter::default();
    let caller = limited(NONE, per_month(10));
    assert!(limiter.needs_refresh(&caller));
    let (now, time) = (Instant::now(), Timestamp::now());
    apply_count(&limiter, &caller, 3, 8);
    assert!(!limiter.needs_refresh(&caller));
    let _first = limiter
        .admit_at(&caller, now, time)
        .unwrap_or_else(|over| panic!("{over}"));
    let _second = limiter
        .admit_at(&caller, now, time)
        .unwrap_or_else(|over| panic!("{over}"));
    let over = refused(limiter.admit_at(&caller, now, time));
    assert!(
        over.to_string()
            .starts_with("Your organisation has reached its limit of 10 calls per month"),
        "{over}"
    );
    let next = next_month(time);
    assert_eq!(
        i64::from(over.retry_after),
        next.duration_since(time).as_secs().max(1)
    );
    assert!(limiter.admit_at(&caller, now, next).is_ok());
}

#[test]
fn key_has_its_own_monthly_limit() {
    let limiter = CallLimiter::default();
    let caller = limited(per_month(4), per_month(100));
    apply_count(&limiter, &caller, 4, 9);
    let over = refused(limiter.admit(&caller));
    assert!(
        over.to_string()
            .starts_with("This API key has reached its limit of 4 calls per month"),
        "{over}"
    );
}

#[test]
fn running_calls_survive_count_that_misses_them() {
    let limiter = CallLimiter::default();
    let caller = limited(NONE, per_month(3));
    apply_count(&limiter, &caller, 0, 0);
    let running = [limiter.admit(&caller), limiter.admit(&caller)];
    assert!(running.iter().all(Result::is_ok));
    // The database has recorded neither.
    apply_count(&limiter, &caller, 0, 0);
    let third = limiter.admit(&caller);
    assert!(third.is_ok());
    refused(limiter.admit(&caller));
    drop(running);
    // One of the finished calls was recorded, the other failed.
    apply_count(&limiter, &caller, 1, 1);
    assert!(limiter.admit(&caller).is_ok());
    refused(limiter.admit(&caller));
}

#[tokio::test]
async fn one_refresh_at_a_time_per_tenant() {
    let limiter = CallLimiter::default();
    let (tenant, other) = (TenantId::new(), TenantId::new());
    let lock = limiter.refresh_lock(tenant).await;
    assert!(limiter.refresh_lock(tenant).now_or_never().is_none());
    assert!(limiter.refresh_lock(other).now_or_never().is_some());
    drop(lock);
    assert!(limiter.refresh_lock(tenant).now_or_never().is_some());
}

#[test]
fn principal_without_limits_is_not_counted() {
    let limiter = CallLimiter::default();
    let caller = limited(NONE, NONE);
    assert!(!limiter.needs_refresh(&caller));
    for _ in 0..10_000 {
        assert!(limiter.admit(&caller).is_ok());
    }
    assert_eq!(limiter.state().minutes.len(), 0);
}
