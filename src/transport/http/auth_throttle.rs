//! Slows down whoever tries keys: after so many that do not hold, an address waits.
//!
//! A try counts from its beginning, and is given back when the key was good: who tries a hundred keys at once is no better off
//! than who tries one after the other. Where all tries of an address are under way, the next one waits for one of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Keys that do not hold which one address may bring until it waits.
const MAX_FAILURES: u32 = 20;
const MAX_ADDRESSES: usize = 10_000;
/// How long a try waits for others of its address.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose tries are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AuthBucket {
    Network(IpAddr),
    /// All those who came when there were too many to tell apart.
    Others,
}

/// The tries of one window. A new window has a semaphore of its own.
struct Tries {
    bad: u32,
    /// When the first bad key came.
    since: Instant,
    /// A permit for each try that there may be; closed when there were as many bad keys as there may be.
    left: Arc<Semaphore>,
}

impl Tries {
    fn new(now: Instant) -> Self {
        Self {
            bad: 0,
            since: now,
            left: Arc::new(Semaphore::new(
                usize::try_from(MAX_FAILURES).unwrap_or(usize::MAX),
            )),
        }
    }
}

/// Why a key may not be tried now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RateLimited {
    /// So many bad ones came from there; seconds until the next may be tried.
    Wait(u32),
    /// As many as may be tried at once are being tried.
    Busy,
}

/// How often keys from each address did not hold.
#[derive(Clone)]
pub(super) struct FailedAuthLimiter {
    window: Duration,
    tries: Arc<Mutex<HashMap<AuthBucket, Tries>>>,
}

/// A key that is being tried; given back when it is dropped.
pub(super) struct AuthAttempt {
    failed_auth: FailedAuthLimiter,
    whose: AuthBucket,
    permit: Option<OwnedSemaphorePermit>,
}

impl FailedAuthLimiter {
    /// An address waits for so long after its first bad key, if many followed.
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            tries: Arc::default(),
        }
    }

    fn tries(&self) -> MutexGuard<'_, HashMap<AuthBucket, Tries>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to try a key that nobody knows to be good.
    pub(super) async fn begin(&self, address: IpAddr) -> Result<AuthAttempt, RateLimited> {
        self.begin_at(address, Instant::now()).await
    }

    async fn begin_at(&self, address: IpAddr, now: Instant) -> Result<AuthAttempt, RateLimited> {
        let (whose, left) = {
            let mut tries = self.tries();
            let whose = self.place_for(&mut tries, address, now);
            let of_his = self.current(&mut tries, whose, now);
            if let Some(seconds) = self.must_wait(of_his, now) {
                return Err(RateLimited::Wait(seconds));
            }
            (whose, Arc::clone(&of_his.left))
        };
        match tokio::time::timeout(PATIENCE, left.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(AuthAttempt {
                failed_auth: self.clone(),
                whose,
                permit: Some(permit),
            }),
            // Those before him were all bad.
            Ok(Err(_closed)) => {
                let tries = self.tries();
                let seconds = tries.get(&whose).and_then(|of_his| self.must_wait(of_his, now));
                Err(RateLimited::Wait(seconds.unwrap_or(1)))
            }
            Err(_) => Err(RateLimited::Busy),
        }
    }

    /// Notes a key that does not hold any more and was tried without being counted, since it was good a while ago.
    pub(super) fn note(&self, address: IpAddr) {
        self.note_at(address, Instant::now());
    }

    fn note_at(&self, address: IpAddr, now: Instant) {
        let mut tries = self.tries();
        let whose = self.place_for(&mut tries, address, now);
        let of_his = self.current(&mut tries, whose, now);
        of_his.left.forget_permits(1);
        strike(of_his, whose, now);
    }

    /// Where the tries of this address are counted. Only when all is full those of a new one are counted with others'.
    fn place_for(&self, tries: &mut HashMap<AuthBucket, Tries>, address: IpAddr, now: Instant) -> AuthBucket {
        let whose = AuthBucket::Network(network(address));
        if tries.len() >= MAX_ADDRESSES && !tries.contains_key(&whose) {
            let in_use = |of_his: &Tries| {
                let all = usize::try_from(MAX_FAILURES).unwrap_or(usize::MAX);
                // Without a bad key, all permits are there where no try is under way.
                (of_his.bad > 0 && !self.is_over(of_his, now))
                    || (of_his.bad == 0 && of_his.left.available_permits() < all)
            };
            tries.retain(|_, of_his| in_use(of_his));
            if tries.len() >= MAX_ADDRESSES {
                return AuthBucket::Others;
            }
        }
        whose
    }

    fn current<'a>(
        &self,
        tries: &'a mut HashMap<AuthBucket, Tries>,
        whose: AuthBucket,
        now: Instant,
    ) -> &'a mut Tries {
        let of_his = tries.entry(whose).or_insert_with(|| Tries::new(now));
        if of_his.bad > 0 && self.is_over(of_his, now) {
            *of_his = Tries::new(now);
        }
        of_his
    }

    fn is_over(&self, of_his: &Tries, now: Instant) -> bool {
        now.saturating_duration_since(of_his.since) >= self.window
    }

    fn must_wait(&self, of_his: &Tries, now: Instant) -> Option<u32> {
        if of_his.bad < MAX_FAILURES {
            return None;
        }
        let left = self
            .window
            .saturating_sub(now.saturating_duration_since(of_his.since));
        Some(
            u32::try_from(left.as_secs())
                .unwrap_or(u32::MAX)
                .saturating_add(1),
        )
    }

    fn spend_at(&self, whose: AuthBucket, permit: OwnedSemaphorePermit, now: Instant) {
        let mut tries = self.tries();
        let of_his = self.current(&mut tries, whose, now);
        if !Arc::ptr_eq(permit.semaphore(), &of_his.left) {
            // It was begun in a window that is over.
            of_his.left.forget_permits(1);
        }
        permit.forget();
        strike(of_his, whose, now);
    }
}

fn strike(of_his: &mut Tries, whose: AuthBucket, now: Instant) {
    if of_his.bad == 0 {
        of_his.since = now;
    }
    of_his.bad = of_his.bad.saturating_add(1);
    if of_his.bad == MAX_FAILURES {
        // Whoever waits to try another is told at once.
        of_his.left.close();
        tracing::warn!(
            ?whose,
            "many keys that do not hold come from one address; it has to wait"
        );
    }
}

impl AuthAttempt {
    /// The key did not hold.
    pub(super) fn was_bad(self) {
        self.was_bad_at(Instant::now());
    }

    fn was_bad_at(mut self, now: Instant) {
        if let Some(permit) = self.permit.take() {
            self.failed_auth.spend_at(self.whose, permit, now);
        }
    }
}

/// What one caller can have many of counts as one: of IPv6 the first 64 bits.
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
        failed_auth: &FailedAuthLimiter,
        address: IpAddr,
        now: Instant,
    ) -> Option<Result<AuthAttempt, RateLimited>> {
        failed_auth.begin_at(address, now).now_or_never()
    }

    fn waits(failed_auth: &FailedAuthLimiter, address: IpAddr, now: Instant) -> Option<u32> {
        match begin(failed_auth, address, now) {
            Some(Err(RateLimited::Wait(seconds))) => Some(seconds),
            Some(Ok(_)) => None,
            Some(Err(RateLimited::Busy)) | None => panic!("tries are under way"),
        }
    }

    #[tokio::test]
    async fn an_address_waits_after_so_many_and_is_then_free_again() {
        let failed_auth = FailedAuthLimiter::new(WINDOW);
        let (thief, other): (IpAddr, IpAddr) = ("192.0.2.7".parse().unwrap(), "192.0.2.8".parse().unwrap());
        let now = Instant::now();
        for _ in 0..MAX_FAILURES {
            let tried = begin(&failed_auth, thief, now).unwrap().unwrap();
            tried.was_bad_at(now);
        }
        assert_eq!(waits(&failed_auth, thief, now), Some(61));
        assert_eq!(waits(&failed_auth, thief, now + Duration::from_secs(59)), Some(2));
        assert_eq!(waits(&failed_auth, other, now), None);
        let later = now + WINDOW + Duration::from_secs(1);
        assert_eq!(waits(&failed_auth, thief, later), None);
        failed_auth.note_at(thief, later);
        assert_eq!(waits(&failed_auth, thief, later), None);
    }

    #[tokio::test]
    async fn tries_at_once_count_before_their_keys_are_known_and_good_ones_are_given_back() {
        let failed_auth = FailedAuthLimiter::new(WINDOW);
        let (address, now) = ("192.0.2.7".parse().unwrap(), Instant::now());
        let mut under_way: Vec<AuthAttempt> =
            std::iter::from_fn(|| begin(&failed_auth, address, now)?.ok()).collect();
        assert_eq!(under_way.len(), 20);
        // The next one waits for one of them to be judged, and gets the place of a good one.
        let mut next = Box::pin(failed_auth.begin_at(address, now));
        assert!(next.as_mut().now_or_never().is_none());
        drop(under_way.pop());
        let next = next.as_mut().now_or_never().unwrap();
        under_way.push(next.unwrap_or_else(|refused| panic!("{refused:?}")));
        let mut last = Box::pin(failed_auth.begin_at(address, now));
        assert!(last.as_mut().now_or_never().is_none());
        for tried in under_way {
            tried.was_bad_at(now);
        }
        let refused = last.as_mut().now_or_never().unwrap().err();
        assert_eq!(refused, Some(RateLimited::Wait(61)));
    }

    #[tokio::test]
    async fn a_key_that_held_once_and_is_tried_again_and_again_counts_as_well() {
        let failed_auth = FailedAuthLimiter::new(WINDOW);
        let (address, now) = ("192.0.2.7".parse().unwrap(), Instant::now());
        for _ in 0..MAX_FAILURES {
            assert_eq!(waits(&failed_auth, address, now), None);
            failed_auth.note_at(address, now);
        }
        assert_eq!(waits(&failed_auth, address, now), Some(61));
    }

    #[tokio::test]
    async fn a_try_that_ends_in_the_next_window_counts_there() {
        let failed_auth = FailedAuthLimiter::new(WINDOW);
        let (address, now) = ("192.0.2.7".parse().unwrap(), Instant::now());
        failed_auth.note_at(address, now);
        let slow = begin(&failed_auth, address, now).unwrap().unwrap();
        let later = now + WINDOW;
        slow.was_bad_at(later);
        for _ in 1..MAX_FAILURES {
            assert_eq!(waits(&failed_auth, address, later), None);
            failed_auth.note_at(address, later);
        }
        assert_eq!(waits(&failed_auth, address, later), Some(61));
    }

    #[tokio::test]
    async fn when_there_are_too_many_addresses_new_ones_count_together_and_not_for_nothing() {
        let failed_auth = FailedAuthLimiter::new(WINDOW);
        let now = Instant::now();
        let address = |number: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits(number));
        for number in 0..10_000 {
            failed_auth.note_at(address(number), now);
        }
        for number in 10_000..10_000 + MAX_FAILURES {
            assert_eq!(waits(&failed_auth, address(number), now), None);
            failed_auth.note_at(address(number), now);
        }
        assert_eq!(waits(&failed_auth, address(20_000), now), Some(61));
        assert_eq!(
            waits(&failed_auth, address(5), now),
            None,
            "he has a count of his own"
        );
        let later = now + WINDOW;
        assert_eq!(waits(&failed_auth, address(20_000), later), None);
        assert_eq!(
            failed_auth.tries().len(),
            1,
            "nobody is remembered for longer than needed"
        );
    }

    #[test]
    fn addresses_of_one_network_count_as_one() {
        let same = ["2001:db8::1", "2001:db8::ffff:1"].map(|text| network(text.parse().unwrap()));
        assert_eq!(same[0], same[1]);
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(network(mapped), "192.0.2.7".parse::<IpAddr>().unwrap());
    }
}
