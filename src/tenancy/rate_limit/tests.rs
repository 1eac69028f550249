use std::time::Duration;

use futures::FutureExt as _;

use super::*;
use crate::tenancy::principal::tests::principal;

fn refused(admitted: Result<CallPermit, OverLimit>) -> OverLimit {
    match admitted {
        Ok(_) => panic!("it was let in"),
        Err(over) => over,
    }
}

fn limited(key: CallLimits, tenant: CallLimits) -> Principal {
    let mut principal = principal();
    principal.key_allowance = key;
    principal.tenant_allowance = tenant;
    principal
}

const NONE: CallLimits = CallLimits {
    calls_per_minute: None,
    calls_per_month: None,
};

fn a_minute(calls: i32) -> CallLimits {
    CallLimits {
        calls_per_minute: Some(calls),
        ..NONE
    }
}

fn a_month(calls: i64) -> CallLimits {
    CallLimits {
        calls_per_month: Some(calls),
        ..NONE
    }
}

#[test]
fn a_minutes_calls_may_come_at_once_and_then_evenly() {
    let meter = CallLimiter::default();
    let caller = limited(a_minute(30), NONE);
    let (start, moment) = (Instant::now(), Timestamp::now());
    for _ in 0..30 {
        assert!(meter.admit_at(&caller, start, moment).is_ok());
    }
    let over = refused(meter.admit_at(&caller, start, moment));
    assert_eq!(over.retry_after, 2);
    assert_eq!(
        over.to_string(),
        "This API key may make 30 calls a minute, and has made them. Try again in 2 seconds."
    );
    let later = start + Duration::from_secs(2);
    assert!(meter.admit_at(&caller, later, moment).is_ok());
    assert!(meter.admit_at(&caller, later, moment).is_err());
    let much_later = start + Duration::from_secs(3600);
    for _ in 0..30 {
        assert!(meter.admit_at(&caller, much_later, moment).is_ok());
    }
    assert!(meter.admit_at(&caller, much_later, moment).is_err());
}

#[test]
fn the_keys_of_a_tenant_share_its_allowance_and_what_is_refused_costs_nothing() {
    let meter = CallLimiter::default();
    let (now, moment) = (Instant::now(), Timestamp::now());
    let first = limited(a_minute(2), a_minute(3));
    let mut second = limited(a_minute(2), a_minute(3));
    second.tenant = first.tenant;
    let admitted = |caller: &Principal| meter.admit_at(caller, now, moment).is_ok();
    assert!(admitted(&first) && admitted(&first));
    // RejectedKey for its own limit: nothing of the tenant's is used up.
    assert!(!admitted(&first));
    assert!(admitted(&second));
    let over = refused(meter.admit_at(&second, now, moment));
    assert!(
        over.to_string()
            .starts_with("Your organisation may make 3 calls a minute"),
        "{over}"
    );
    let stranger = limited(a_minute(2), a_minute(3));
    assert!(admitted(&stranger));
}

/// As if the database had told of so many calls of the key and of its tenant.
fn told(meter: &CallLimiter, caller: &Principal, of_key: i64, of_tenant: i64) {
    let (now, moment) = (Instant::now(), Timestamp::now());
    let known = |whose| {
        let meters = meter.meters();
        Count::of(meters.months.get(&whose), cut(moment), now, moment)
    };
    let counts = [
        (known(LimitSubject::Key(caller.api_key)), (0, of_key)),
        (known(LimitSubject::Tenant(caller.tenant)), (0, of_tenant)),
    ];
    meter.counted(caller, cut(moment), counts);
}

#[test]
fn a_months_calls_are_those_that_were_counted_and_those_since() {
    let meter = CallLimiter::default();
    let caller = limited(NONE, a_month(10));
    assert!(meter.needs_refresh(&caller));
    let (now, moment) = (Instant::now(), Timestamp::now());
    told(&meter, &caller, 3, 8);
    assert!(!meter.needs_refresh(&caller));
    let _first = meter
        .admit_at(&caller, now, moment)
        .unwrap_or_else(|over| panic!("{over}"));
    let _second = meter
        .admit_at(&caller, now, moment)
        .unwrap_or_else(|over| panic!("{over}"));
    let over = refused(meter.admit_at(&caller, now, moment));
    assert!(
        over.to_string()
            .starts_with("Your organisation may make 10 calls a month"),
        "{over}"
    );
    let next = next_month(moment);
    assert_eq!(
        i64::from(over.retry_after),
        next.duration_since(moment).as_secs().max(1)
    );
    assert!(meter.admit_at(&caller, now, next).is_ok());
}

#[test]
fn a_keys_month_is_its_own() {
    let meter = CallLimiter::default();
    let caller = limited(a_month(4), a_month(100));
    told(&meter, &caller, 4, 9);
    let over = refused(meter.admit(&caller));
    assert!(
        over.to_string()
            .starts_with("This API key may make 4 calls a month"),
        "{over}"
    );
}

#[test]
fn calls_that_still_run_are_not_forgotten_by_a_count_that_has_not_seen_them() {
    let meter = CallLimiter::default();
    let caller = limited(NONE, a_month(3));
    told(&meter, &caller, 0, 0);
    let running = [meter.admit(&caller), meter.admit(&caller)];
    assert!(running.iter().all(Result::is_ok));
    // The database knows of none of them.
    told(&meter, &caller, 0, 0);
    let third = meter.admit(&caller);
    assert!(third.is_ok());
    refused(meter.admit(&caller));
    drop(running);
    // One of those that finish was recorded, the other failed.
    told(&meter, &caller, 1, 1);
    assert!(meter.admit(&caller).is_ok());
    refused(meter.admit(&caller));
}

#[tokio::test]
async fn one_at_a_time_asks_about_a_tenant() {
    let meter = CallLimiter::default();
    let (mine, theirs) = (TenantId::new(), TenantId::new());
    let turn = meter.refresh_lock(mine).await;
    assert!(meter.refresh_lock(mine).now_or_never().is_none());
    assert!(meter.refresh_lock(theirs).now_or_never().is_some());
    drop(turn);
    assert!(meter.refresh_lock(mine).now_or_never().is_some());
}

#[test]
fn who_has_no_limit_is_not_counted() {
    let meter = CallLimiter::default();
    let caller = limited(NONE, NONE);
    assert!(!meter.needs_refresh(&caller));
    for _ in 0..10_000 {
        assert!(meter.admit(&caller).is_ok());
    }
    assert_eq!(meter.meters().minutes.len(), 0);
}
