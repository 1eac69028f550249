//! Calls a minute: a bucket that fills evenly.

use std::time::Instant;

/// How many calls there may be at once, and how many there were.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenBucket {
    pub(super) limit: i32,
    pub(super) left: f64,
    at: Instant,
}

impl TokenBucket {
    /// A bucket from which so many calls were taken within the last minute.
    pub(super) fn new(limit: i32, taken: i32, now: Instant) -> Self {
        Self {
            limit,
            left: f64::from(limit.saturating_sub(taken).max(0)),
            at: now,
        }
    }

    fn a_second(&self) -> f64 {
        f64::from(self.limit) / 60.0
    }

    pub(super) fn fill(&mut self, limit: i32, now: Instant) {
        if limit != self.limit {
            *self = Self::new(limit, 0, now);
        }
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.a_second()).min(f64::from(limit));
        self.at = now;
    }

    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(self.limit, now);
        self.left >= f64::from(self.limit)
    }

    pub(super) fn seconds_until_next(&self) -> u32 {
        let seconds = ((1.0 - self.left) / self.a_second()).ceil();
        // Between 1 and 60, since the smallest limit is one a minute.
        if seconds >= 60.0 {
            60
        } else {
            (1..60).find(|n| f64::from(*n) >= seconds).unwrap_or(60)
        }
    }
}
