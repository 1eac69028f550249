//! Limits of what one API key, one tenant and all of them together may hold at once in one process: running calls, event
//! streams, subscriptions, bytes of answers. So that one key cannot use up what all share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::ids::{Digest, TenantId};

/// The largest amounts that may be held at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareLimits {
    pub per_key: usize,
    pub per_tenant: usize,
    /// Of all tenants together.
    pub total: usize,
}

impl ShareLimits {
    /// A limit of each tenant, of which one key gets at most half.
    #[must_use]
    pub const fn of_tenant(per_tenant: usize) -> Self {
        Self {
            per_key: per_tenant.div_ceil(2),
            per_tenant,
            total: usize::MAX,
        }
    }
}

/// The limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareExceeded {
    Key(usize),
    Tenant(usize),
    Total,
}

/// Hands out shares within [`ShareLimits`]. Clones share their counts.
#[derive(Clone)]
pub struct ShareLimiter {
    limits: ShareLimits,
    taken: Arc<Mutex<Taken>>,
    given_back: Arc<Notify>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    tenants: HashMap<TenantId, usize>,
    keys: HashMap<Digest, usize>,
}

/// An amount that is held until this value is dropped.
pub struct Share {
    tenant: TenantId,
    key: Digest,
    amount: usize,
    taken: Arc<Mutex<Taken>>,
    given_back: Arc<Notify>,
}

impl ShareLimiter {
    #[must_use]
    pub fn new(limits: ShareLimits) -> Self {
        Self {
            limits,
            taken: Arc::default(),
            given_back: Arc::default(),
        }
    }

    #[must_use]
    pub const fn limits(&self) -> ShareLimits {
        self.limits
    }

    /// Takes `amount` for an API key, which is named by its hash, of a tenant.
    ///
    /// # Errors
    /// [`ShareExceeded`]: the first limit that does not allow it. Nothing is taken then.
    pub fn take(&self, tenant: TenantId, key: Digest, amount: usize) -> Result<Share, ShareExceeded> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |held: usize, limit: usize| held.saturating_add(amount) <= limit;
        let of_key = taken.keys.get(&key).copied().unwrap_or_default();
        if !fits(of_key, self.limits.per_key) {
            return Err(ShareExceeded::Key(self.limits.per_key));
        }
        let of_tenant = taken.tenants.get(&tenant).copied().unwrap_or_default();
        if !fits(of_tenant, self.limits.per_tenant) {
            return Err(ShareExceeded::Tenant(self.limits.per_tenant));
        }
        if !fits(taken.total, self.limits.total) {
            return Err(ShareExceeded::Total);
        }
        taken.total = taken.total.saturating_add(amount);
        taken.tenants.insert(tenant, of_tenant.saturating_add(amount));
        taken.keys.insert(key, of_key.saturating_add(amount));
        Ok(Share {
            tenant,
            key,
            amount,
            taken: Arc::clone(&self.taken),
            given_back: Arc::clone(&self.given_back),
        })
    }

    /// As [`Self::take`], but waits until the limits allow it.
    pub async fn take_when_free(&self, tenant: TenantId, key: Digest, amount: usize) -> Share {
        loop {
            let given_back = self.given_back.notified();
            tokio::pin!(given_back);
            // Registered before the attempt, so that nothing given back in between is missed.
            given_back.as_mut().enable();
            if let Ok(share) = self.take(tenant, key, amount) {
                return share;
            }
            given_back.await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(self.amount);
        give_back(&mut taken.tenants, self.tenant, self.amount);
        give_back(&mut taken.keys, self.key, self.amount);
        drop(taken);
        self.given_back.notify_waiters();
    }
}

fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, usize>, holder: K, amount: usize) {
    if let std::collections::hash_map::Entry::Occupied(mut held) = counts.entry(holder) {
        *held.get_mut() = held.get().saturating_sub(amount);
        if *held.get() == 0 {
            held.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ShareLimits = ShareLimits {
        per_key: 2,
        per_tenant: 3,
        total: 4,
    };

    fn key(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    #[test]
    fn key_tenant_and_total_have_limits_of_their_own() {
        let limiter = ShareLimiter::new(LIMITS);
        let (tenant, other) = (TenantId::new(), TenantId::new());
        let first = limiter.take(tenant, key("a"), 2).ok().unwrap();
        assert_eq!(
            limiter.take(tenant, key("a"), 1).err(),
            Some(ShareExceeded::Key(2))
        );
        let second = limiter.take(tenant, key("b"), 1).ok().unwrap();
        assert_eq!(
            limiter.take(tenant, key("b"), 1).err(),
            Some(ShareExceeded::Tenant(3))
        );
        let third = limiter.take(other, key("c"), 1).ok().unwrap();
        assert_eq!(limiter.take(other, key("c"), 1).err(), Some(ShareExceeded::Total));
        drop(first);
        assert!(limiter.take(tenant, key("a"), 2).is_ok());
        drop((second, third));
        let taken = limiter.taken.lock().unwrap();
        assert!(taken.total == 0 && taken.tenants.is_empty() && taken.keys.is_empty());
    }

    #[tokio::test]
    async fn waiting_caller_gets_what_another_gives_back() {
        let limiter = ShareLimiter::new(LIMITS);
        let tenant = TenantId::new();
        let held = limiter.take(tenant, key("a"), 2).ok().unwrap();
        let waiting = limiter.take_when_free(tenant, key("a"), 1);
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(held);
        let _share = waiting.await;
    }

    #[test]
    fn share_larger_than_every_limit_is_refused() {
        let limiter = ShareLimiter::new(LIMITS);
        let taken = limiter.take(TenantId::new(), key("a"), usize::MAX);
        assert_eq!(taken.err(), Some(ShareExceeded::Key(2)));
    }
}
