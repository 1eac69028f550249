//! Calls per minute: a token bucket that refills evenly.

use std::time::Instant;

/// Tokens of one tenant or key; each call takes one.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenBucket {
    pub(super) limit: i32,
    pub(super) tokens: f64,
    refilled_at: Instant,
}

impl TokenBucket {
    /// A bucket from which `taken` calls were admitted within the last minute.
    pub(super) fn new(limit: i32, taken: i32, now: Instant) -> Self {
        Self {
            limit,
            tokens: f64::from(limit.saturating_sub(taken).max(0)),
            refilled_at: now,
        }
    }

    fn tokens_per_second(&self) -> f64 {
        f64::from(self.limit) / 60.0
    }

    pub(super) fn refill(&mut self, limit: i32, now: Instant) {
        if limit != self.limit {
            *self = Self::new(limit, 0, now);
        }
        let elapsed = now.saturating_duration_since(self.refilled_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.tokens_per_second()).min(f64::from(limit));
        self.refilled_at = now;
    }

    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(self.limit, now);
        self.tokens >= f64::from(self.limit)
    }

    pub(super) fn seconds_until_next(&self) -> u32 {
        let seconds = ((1.0 - self.tokens) / self.tokens_per_second()).ceil();
        // Between 1 and 60: the smallest limit is one call a minute.
        if seconds >= 60.0 {
            60
        } else {
            (1..60).find(|n| f64::from(*n) >= seconds).unwrap_or(60)
        }
    }
}
