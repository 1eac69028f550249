//! Slows down whoever tries keys: after so many that do not hold, an address waits.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Keys that do not hold which one address may bring in a [`WINDOW`].
const MAX_STRIKES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);
const MAX_ADDRESSES: usize = 10_000;

/// How often keys from each address did not hold.
#[derive(Default)]
pub(super) struct Strikes(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Strikes {
    /// Seconds that this address has to wait; `None` where it may try a key.
    pub(super) fn must_wait(&self, address: IpAddr) -> Option<u32> {
        self.must_wait_at(address, Instant::now())
    }

    fn must_wait_at(&self, address: IpAddr, now: Instant) -> Option<u32> {
        let strikes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, since) = strikes.get(&network(address))?;
        let left = WINDOW.checked_sub(now.saturating_duration_since(*since))?;
        let seconds = u32::try_from(left.as_secs())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        (*count >= MAX_STRIKES).then_some(seconds)
    }

    /// Notes a key that did not hold.
    pub(super) fn note(&self, address: IpAddr) {
        self.note_at(address, Instant::now());
    }

    fn note_at(&self, address: IpAddr, now: Instant) {
        let is_old = |since: Instant| now.saturating_duration_since(since) >= WINDOW;
        let mut strikes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if strikes.len() >= MAX_ADDRESSES {
            strikes.retain(|_, (_, since)| !is_old(*since));
        }
        if strikes.len() >= MAX_ADDRESSES && !strikes.contains_key(&network(address)) {
            return;
        }
        let (count, since) = strikes.entry(network(address)).or_insert((0, now));
        if is_old(*since) {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        if *count == MAX_STRIKES {
            tracing::warn!(%address, "many keys that do not hold come from one address; it has to wait");
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
    use super::*;

    #[test]
    fn an_address_waits_after_so_many_and_is_then_free_again() {
        let strikes = Strikes::default();
        let (thief, other): (IpAddr, IpAddr) = ("192.0.2.7".parse().unwrap(), "192.0.2.8".parse().unwrap());
        let now = Instant::now();
        for _ in 0..MAX_STRIKES {
            assert_eq!(strikes.must_wait_at(thief, now), None);
            strikes.note_at(thief, now);
        }
        assert_eq!(strikes.must_wait_at(thief, now), Some(61));
        assert_eq!(
            strikes.must_wait_at(thief, now + Duration::from_secs(59)),
            Some(2)
        );
        assert_eq!(strikes.must_wait_at(other, now), None);
        let later = now + WINDOW + Duration::from_secs(1);
        assert_eq!(strikes.must_wait_at(thief, later), None);
        strikes.note_at(thief, later);
        assert_eq!(strikes.must_wait_at(thief, later), None);
    }

    #[test]
    fn addresses_of_one_network_count_as_one() {
        let same = ["2001:db8::1", "2001:db8::ffff:1"].map(|text| network(text.parse().unwrap()));
        assert_eq!(same[0], same[1]);
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(network(mapped), "192.0.2.7".parse::<IpAddr>().unwrap());
    }
}
