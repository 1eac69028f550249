//! Throttles addresses that send invalid API keys (OWASP, "login throttling").
//!
//! An attempt takes one of an address's permits before its key is checked, so that concurrent guesses count as much as
//! guesses in sequence. A valid key returns its permit; an invalid one consumes it until the window ends.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Invalid keys that one address may send in a window.
const MAX_FAILURES: usize = 20;
const MAX_ADDRESSES: usize = 10_000;
/// How long an attempt waits for others of its address.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// The bucket of all addresses that come when there are too many to count separately.
const OVERFLOW: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The attempts of one address, or of one IPv6 /64, in one window.
struct Bucket {
    failures: usize,
    /// When the first invalid key came.
    since: Instant,
    /// One permit for each invalid key that may still come. Closed after the last one.
    permits: Arc<Semaphore>,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self {
            failures: 0,
            since: now,
            permits: Arc::new(Semaphore::new(MAX_FAILURES)),
        }
    }
}

/// Why a key is not checked now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Throttled {
    /// The address sent too many invalid keys. Seconds until the next one is checked.
    Wait(u32),
    /// The address has too many keys being checked.
    Busy,
}

/// Counts the invalid keys of each address.
#[derive(Clone)]
pub(super) struct FailedAuthLimiter {
    window: Duration,
    buckets: Arc<Mutex<HashMap<IpAddr, Bucket>>>,
}

/// A key that is being checked. Dropping it returns its permit: the key was valid, or could not be checked.
pub(super) struct AuthAttempt {
    limiter: FailedAuthLimiter,
    address: IpAddr,
    permit: OwnedSemaphorePermit,
}

impl FailedAuthLimiter {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            buckets: Arc::default(),
        }
    }

    fn buckets(&self) -> MutexGuard<'_, HashMap<IpAddr, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to check a key that is not known to be valid.
    pub(super) async fn begin(&self, address: IpAddr) -> Result<AuthAttempt, Throttled> {
        self.begin_at(address, Instant::now()).await
    }

    async fn begin_at(&self, address: IpAddr, now: Instant) -> Result<AuthAttempt, Throttled> {
        let (address, permits) = {
            let mut buckets = self.buckets();
            let (address, bucket) = self.bucket(&mut buckets, address, now);
            if bucket.failures >= MAX_FAILURES {
                return Err(Throttled::Wait(self.seconds_left(bucket, now)));
            }
            (address, Arc::clone(&bucket.permits))
        };
        match tokio::time::timeout(PERMIT_TIMEOUT, permits.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(AuthAttempt {
                limiter: self.clone(),
                address,
                permit,
            }),
            // Every attempt before this one failed.
            Ok(Err(_closed)) => {
                let buckets = self.buckets();
                let seconds = buckets.get(&address).map(|bucket| self.seconds_left(bucket, now));
                Err(Throttled::Wait(seconds.unwrap_or(1)))
            }
            Err(_elapsed) => Err(Throttled::Busy),
        }
    }

    /// Records an invalid key that was checked without an attempt, because it was valid within the hour.
    pub(super) fn record_failure(&self, address: IpAddr) {
        self.record_failure_at(address, None, Instant::now());
    }

    fn record_failure_at(&self, address: IpAddr, permit: Option<OwnedSemaphorePermit>, now: Instant) {
        let mut buckets = self.buckets();
        let (address, bucket) = self.bucket(&mut buckets, address, now);
        match permit {
            Some(permit) if Arc::ptr_eq(permit.semaphore(), &bucket.permits) => permit.forget(),
            // Without a permit, or with one of a window that has ended.
            Some(_) | None => drop(bucket.permits.forget_permits(1)),
        }
        if bucket.failures == 0 {
            bucket.since = now;
        }
        bucket.failures += 1;
        if bucket.failures == MAX_FAILURES {
            bucket.permits.close();
            tracing::warn!(%address, "many invalid API keys from one address; it is throttled");
        }
    }

    /// The bucket of an address, reset when its window has ended.
    fn bucket<'a>(
        &self,
        buckets: &'a mut HashMap<IpAddr, Bucket>,
        address: IpAddr,
        now: Instant,
    ) -> (IpAddr, &'a mut Bucket) {
        let mut address = network(address);
        if buckets.len() >= MAX_ADDRESSES && !buckets.contains_key(&address) {
            buckets.retain(|_, bucket| match bucket.failures {
                0 => bucket.permits.available_permits() < MAX_FAILURES,
                _ => !self.has_ended(bucket, now),
            });
            if buckets.len() >= MAX_ADDRESSES {
                address = OVERFLOW;
            }
        }
        let bucket = buckets.entry(address).or_insert_with(|| Bucket::new(now));
        if self.has_ended(bucket, now) {
            *bucket = Bucket::new(now);
        }
        (address, bucket)
    }

    fn has_ended(&self, bucket: &Bucket, now: Instant) -> bool {
        bucket.failures > 0 && now.saturating_duration_since(bucket.since) >= self.window
    }

    fn seconds_left(&self, bucket: &Bucket, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(bucket.since);
        let left = self.window.saturating_sub(elapsed).as_secs();
        u32::try_from(left).unwrap_or(u32::MAX).saturating_add(1)
    }
}

impl AuthAttempt {
    /// The key was invalid.
    pub(super) fn failed(self) {
        self.failed_at(Instant::now());
    }

    fn failed_at(self, now: Instant) {
        self.limiter
            .record_failure_at(self.address, Some(self.permit), now);
    }
}

/// The address, or the /64 of an IPv6 address: one host can use all addresses of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn begin(
        limiter: &FailedAuthLimiter,
        address: IpAddr,
        now: Instant,
    ) -> Option<Result<AuthAttempt, Throttled>> {
        limiter.begin_at(address, now).now_or_never()
    }

    fn waits(limiter: &FailedAuthLimiter, address: IpAddr, now: Instant) -> Option<u32> {
        match begin(limiter, address, now) {
            Some(Err(Throttled::Wait(seconds))) => Some(seconds),
            Some(Ok(_)) => None,
            Some(Err(Throttled::Busy)) | None => panic!("attempts are in progress"),
        }
    }

    #[tokio::test]
    async fn address_is_throttled_after_20_failures_until_window_ends() {
        let limiter = FailedAuthLimiter::new(WINDOW);
        let (abuser, other): (IpAddr, IpAddr) = ("192.0.2.7".parse().unwrap(), "192.0.2.8".parse().unwrap());
        let now = Instant::now();
        for _ in 0..MAX_FAILURES {
            let attempt = begin(&limiter, abuser, now).unwrap().unwrap();
            attempt.failed_at(now);
        }
        assert_eq!(waits(&limiter, abuser, now), Some(61));
        assert_eq!(waits(&limiter, abuser, now + Duration::from_secs(59)), Some(2));
        assert_eq!(waits(&limiter, other, now), None);
        let later = now + WINDOW + Duration::from_secs(1);
        assert_eq!(waits(&limiter, abuser, later), None);
        limiter.record_failure_at(abuser, None, later);
        assert_eq!(waits(&limiter, abuser, later), None);
    }

    #[tokio::test]
    async fn concurrent_attempts_count_at_once_and_valid_keys_return_permits() {
        let limiter = FailedAuthLimiter::new(WINDOW);
        let (address, now) = ("192.0.2.7".parse().unwrap(), Instant::now());
        let mut in_progress: Vec<AuthAttempt> =
            std::iter::from_fn(|| begin(&limiter, address, now)?.ok()).collect();
        assert_eq!(in_progress.len(), 20);
        // The next one waits for a result and gets the permit of a valid key.
        let mut next = Box::pin(limiter.begin_at(address, now));
        assert!(next.as_mut().now_or_never().is_none());
        drop(in_progress.pop());
        let next = next.as_mut().now_or_never().unwrap();
        in_progress.push(next.unwrap_or_else(|refused| panic!("{refused:?}")));
        let mut last = Box::pin(limiter.begin_at(address, now));
        assert!(last.as_mut().now_or_never().is_none());
        for attempt in in_progress {
            attempt.failed_at(now);
        }
        let refused = last.as_mut().now_or_never().unwrap().err();
        assert_eq!(refused, Some(Throttled::Wait(61)));
    }

    #[tokio::test]
    async fn revoked_known_key_counts_as_failure() {
        let limiter = FailedAuthLimiter::new(WINDOW);
        let (address, now) = ("192.0.2.7".parse().unwrap(), Instant::now());
        for _ in 0..MAX_FAILURES {
            assert_eq!(waits(&limiter, address, now), None);
            limiter.record_failure_at(address, None, now);
        }
        assert_eq!(waits(&limiter, address, now), Some(61));
    }

    #[tokio::test]
    async fn attempt_that_fails_in_next_window_counts_there() {
        let limiter = FailedAuthLimiter::new(WINDOW);
        let (address, now) = ("192.0.2.7".parse().unwrap(), Instant::now());
        limiter.record_failure_at(address, None, now);
        let slow = begin(&limiter, address, now).unwrap().unwrap();
        let later = now + WINDOW;
        slow.failed_at(later);
        for _ in 1..MAX_FAILURES {
            assert_eq!(waits(&limiter, address, later), None);
            limiter.record_failure_at(address, None, later);
        }
        assert_eq!(waits(&limiter, address, later), Some(61));
    }

    #[tokio::test]
    async fn excess_addresses_share_one_bucket() {
        let limiter = FailedAuthLimiter::new(WINDOW);
        let now = Instant::now();
        let address = |number: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits(number));
        for number in 0..10_000 {
            limiter.record_failure_at(address(number), None, now);
        }
        for number in 10_000..10_000 + u32::try_from(MAX_FAILURES).unwrap() {
            assert_eq!(waits(&limiter, address(number), now), None);
            limiter.record_failure_at(address(number), None, now);
        }
        assert_eq!(waits(&limiter, address(20_000), now), Some(61));
        assert_eq!(
            waits(&limiter, address(5), now),
            None,
            "it has a bucket of its own"
        );
        let later = now + WINDOW;
        assert_eq!(waits(&limiter, address(20_000), later), None);
        assert_eq!(limiter.buckets().len(), 1, "ended windows are removed");
    }

    #[test]
    fn addresses_of_one_ipv6_64_share_a_bucket() {
        let same = ["2001:db8::1", "2001:db8::ffff:1"].map(|text| network(text.parse().unwrap()));
        assert_eq!(same[0], same[1]);
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(network(mapped), "192.0.2.7".parse::<IpAddr>().unwrap());
    }
}
