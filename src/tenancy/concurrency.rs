//! How many of something each tenant may have at once in one process, so that none takes what belongs to all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::TenantId;

/// Places of which each tenant may take so many.
#[derive(Clone)]
pub struct TenantSemaphore {
    per_tenant: usize,
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
}

/// A place that was taken; given back when it is dropped.
pub struct TenantPermit {
    tenant: TenantId,
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
}

impl TenantSemaphore {
    /// So many places for each tenant.
    #[must_use]
    pub fn new(per_tenant: usize) -> Self {
        Self {
            per_tenant,
            taken: Arc::default(),
        }
    }

    /// How many each tenant may take.
    #[must_use]
    pub const fn per_tenant(&self) -> usize {
        self.per_tenant
    }

    /// A place for this tenant; `None` when it has all that it may have.
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
    fn a_tenant_takes_so_many_places_and_none_of_anothers() {
        let quota = TenantSemaphore::new(3);
        let (mine, theirs) = (TenantId::new(), TenantId::new());
        let mut places: Vec<TenantPermit> = (0..3).map(|_| quota.take(mine).unwrap()).collect();
        assert!(quota.take(mine).is_none());
        assert!(quota.take(theirs).is_some());
        places.pop();
        let again = quota.take(mine);
        assert!(again.is_some());
        drop((places, again));
        assert!(quota.taken.lock().unwrap().is_empty());
    }
}
