//! Concurrency limits per tenant in one process, so that one tenant cannot use up what all share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::TenantId;

/// A semaphore with the same number of permits for each tenant.
#[derive(Clone)]
pub struct TenantSemaphore {
    per_tenant: usize,
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
}

/// A permit, released when it is dropped.
pub struct TenantPermit {
    tenant: TenantId,
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
}

impl TenantSemaphore {
    /// A semaphore with `per_tenant` permits for each tenant.
    #[must_use]
    pub fn new(per_tenant: usize) -> Self {
        Self {
            per_tenant,
            taken: Arc::default(),
        }
    }

    /// The number of permits of each tenant.
    #[must_use]
    pub const fn per_tenant(&self) -> usize {
        self.per_tenant
    }

    /// Takes a permit of this tenant; `None` when all are taken.
    #[must_use]
    pub fn take(&self, tenant: TenantId) -> Option<TenantPermit> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(tenant).or_default();
        if *count >= self.per_tenant {
            return None;
        }
        *count += 1;
        Some(TenantPermit {
            tenant,
            taken: Arc::clone(&self.taken),
        })
    }
}

impl Drop for TenantPermit {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_takes_its_own_permits_only() {
        let semaphore = TenantSemaphore::new(3);
        let (tenant, other) = (TenantId::new(), TenantId::new());
        let mut permits: Vec<TenantPermit> = (0..3).map(|_| semaphore.take(tenant).unwrap()).collect();
        assert!(semaphore.take(tenant).is_none());
        assert!(semaphore.take(other).is_some());
        permits.pop();
        let again = semaphore.take(tenant);
        assert!(again.is_some());
        drop((permits, again));
        assert!(semaphore.taken.lock().unwrap().is_empty());
    }
}
