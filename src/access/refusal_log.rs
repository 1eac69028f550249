//! Log lines about refused requests: the first of an address and reason, then once a minute how many followed.
//!
//! A flood of refused requests must not fill the log, nor hide other lines in it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long refusals are counted before their number is logged.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses and reasons that are counted separately. Further addresses are counted together.
const MAX_KINDS: usize = 64;

/// What is counted together. `None` stands for addresses that are not known or too many to count separately.
type Kind = (Option<IpAddr>, &'static str);

struct Counted {
    since: Instant,
    unlogged: u64,
}

/// A line to log.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    kind: Kind,
    /// Refusals that were not logged one by one. 0 for the first.
    more: u64,
}

impl Line {
    fn log(&self) {
        let (address, why) = self.kind;
        let address = address.map_or_else(|| "several".to_owned(), |address| address.to_string());
        if self.more == 0 {
            tracing::warn!(address, why, "a request was refused");
        } else {
            tracing::warn!(address, why, count = self.more, "more requests were refused");
        }
    }
}

/// Counts and logs refused requests of one process.
#[derive(Default)]
pub(super) struct RefusalLog(Mutex<HashMap<Kind, Counted>>);

impl RefusalLog {
    pub(super) fn record(&self, address: Option<IpAddr>, why: &'static str) {
        if let Some(line) = self.count((address.map(network), why), Instant::now()) {
            line.log();
        }
    }

    /// Logs what was counted in the minutes that have ended; with `all`, everything.
    pub(super) fn flush(&self, all: bool) {
        for line in self.take_ended(all, Instant::now()) {
            line.log();
        }
    }

    fn count(&self, kind: Kind, now: Instant) -> Option<Line> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = kinds.len() >= MAX_KINDS && !kinds.contains_key(&kind);
        let kind = if is_full { (None, kind.1) } else { kind };
        match kinds.entry(kind) {
            Entry::Vacant(vacant) => {
                vacant.insert(Counted {
                    since: now,
                    unlogged: 0,
                });
                Some(Line { kind, more: 0 })
            }
            Entry::Occupied(mut counted) => {
                counted.get_mut().unlogged = counted.get().unlogged.saturating_add(1);
                None
            }
        }
    }

    fn take_ended(&self, all: bool, now: Instant) -> Vec<Line> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_ended = |counted: &Counted| all || now.duration_since(counted.since) >= WINDOW;
        kinds
            .extract_if(|_, counted| has_ended(counted))
            .filter(|(_, counted)| counted.unlogged > 0)
            .map(|(kind, counted)| Line {
                kind,
                more: counted.unlogged,
            })
            .collect()
    }
}

/// The address, or the /64 of an IPv6 address, which one customer of a provider has for itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(last: u8) -> Kind {
        (Some(IpAddr::from([192, 0, 2, last])), "revoked")
    }

    #[test]
    fn flood_of_one_address_is_two_lines() {
        let (log, start) = (RefusalLog::default(), Instant::now());
        assert_eq!(
            log.count(kind(7), start),
            Some(Line {
                kind: kind(7),
                more: 0
            })
        );
        for _ in 0..1000 {
            assert_eq!(log.count(kind(7), start), None);
        }
        assert_eq!(log.take_ended(false, start + WINDOW / 2), []);
        let after = start + WINDOW;
        assert_eq!(
            log.take_ended(false, after),
            [Line {
                kind: kind(7),
                more: 1000
            }]
        );
        assert_eq!(log.take_ended(true, after), []);
        assert!(log.count(kind(7), after).is_some());
    }

    #[test]
    fn flood_of_many_addresses_is_counted_together() {
        let (log, start) = (RefusalLog::default(), Instant::now());
        let lines = (0..=255).filter_map(|last| log.count(kind(last), start)).count();
        assert_eq!(lines, MAX_KINDS + 1);
        let ended = log.take_ended(true, start);
        let kind = (None, "revoked");
        let more = 255 - u64::try_from(MAX_KINDS).unwrap();
        assert_eq!(ended, [Line { kind, more }]);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3::4"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    }
}
