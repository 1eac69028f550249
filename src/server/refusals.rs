//! How many usage events the calls leave that a limit refuses, over every transport.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::ids::ApiKeyId;

/// Usage events of refused calls, for each key and minute. Refused calls beyond are counted in the audit log alone, so that
/// refusing stays cheap.
const PER_MINUTE: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Keys that are kept before those of past minutes are removed.
const MAX_KEYS: usize = 10_000;
/// Refused calls that may wait to be recorded. Further ones are not recorded.
const MAX_WAITING: usize = 256;
/// Database connections for their events.
const WRITERS: usize = 1;

/// How many refused calls are recorded.
pub(super) struct RefusalRecorder {
    /// The start of a key's minute, and the events in it.
    recorded: Mutex<HashMap<ApiKeyId, (Instant, u32)>>,
    pub(super) waiting: Arc<Semaphore>,
    pub(super) writers: Semaphore,
}

impl Default for RefusalRecorder {
    fn default() -> Self {
        Self {
            recorded: Mutex::default(),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            writers: Semaphore::new(WRITERS),
        }
    }
}

impl RefusalRecorder {
    /// Whether a refused call of this key is to be recorded. Counts it.
    pub(super) fn takes(&self, key: ApiKeyId) -> bool {
        self.takes_at(key, Instant::now())
    }

    fn takes_at(&self, key: ApiKeyId, now: Instant) -> bool {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let is_past = |start: &Instant| now.saturating_duration_since(*start) >= MINUTE;
        if recorded.len() >= MAX_KEYS {
            recorded.retain(|_, (start, _)| !is_past(start));
        }
        if recorded.len() >= MAX_KEYS && !recorded.contains_key(&key) {
            return false;
        }
        let (start, count) = recorded.entry(key).or_insert((now, 0));
        if is_past(start) {
            (*start, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= PER_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_bounded_number_of_events_a_minute() {
        let (recorder, now) = (RefusalRecorder::default(), Instant::now());
        let (first, second) = (ApiKeyId::new(), ApiKeyId::new());
        let taken = |key, now| (0..100).filter(|_| recorder.takes_at(key, now)).count();
        assert_eq!(taken(first, now), 60);
        assert_eq!(taken(second, now), 60);
        assert_eq!(taken(first, now + MINUTE / 2), 0);
        assert_eq!(taken(first, now + MINUTE), 60);
    }

    #[test]
    fn number_of_keys_that_are_kept_is_bounded() {
        let (recorder, now) = (RefusalRecorder::default(), Instant::now());
        let taken = (0..MAX_KEYS + 100)
            .filter(|_| recorder.takes_at(ApiKeyId::new(), now))
            .count();
        assert_eq!(taken, MAX_KEYS);
        assert!(recorder.takes_at(ApiKeyId::new(), now + MINUTE));
        assert_eq!(recorder.recorded.lock().unwrap().len(), 1);
    }
}
