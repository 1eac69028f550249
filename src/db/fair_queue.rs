//! Fair queueing of connection permits: tenants take turns, and no tenant can hold all permits.
//!
//! The connection pool alone serves requests in order of arrival, so the calls of one tenant could delay those of all others. Here
//! each tenant has its own queue, and the queues are served round-robin. Calls whose API key is not verified yet share one queue,
//! because the tenant that they name is only a claim.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::ids::TenantId;

/// A tenant can hold all permits except one in 4 (at least one, if there is more than one permit).
const RESERVED_FRACTION: usize = 4;

/// Unauthenticated callers together can hold one in 8 permits, and at least one.
const UNAUTHENTICATED_FRACTION: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum QueueId {
    Tenant(TenantId),
    /// Calls whose API key is not verified yet, whichever tenant it names.
    Unauthenticated,
}

/// Distributes the connection permits of one pool.
#[derive(Clone)]
pub(super) struct FairScheduler(Arc<Mutex<State>>);

struct State {
    free: usize,
    per_tenant: usize,
    unauthenticated: usize,
    held: HashMap<QueueId, usize>,
    waiting: HashMap<QueueId, VecDeque<oneshot::Sender<ConnectionPermit>>>,
    /// The queues with waiters, in the order in which they are served.
    order: VecDeque<QueueId>,
}

impl State {
    fn is_at_limit(&self, queue: QueueId) -> bool {
        let limit = match queue {
            QueueId::Tenant(_) => self.per_tenant,
            QueueId::Unauthenticated => self.unauthenticated,
        };
        self.held.get(&queue).is_some_and(|held| *held >= limit)
    }
}

/// The right to use one connection. Dropping it gives it to the next waiter.
pub(super) struct ConnectionPermit {
    queue: QueueId,
    /// `None` if the permit was never granted, because its waiter had stopped waiting.
    scheduler: Option<FairScheduler>,
}

impl FairScheduler {
    pub(super) fn new(permits: usize) -> Self {
        Self::with_tenant_limit(permits, usize::MAX)
    }

    /// As [`Self::new`], with a lower limit of the permits that a tenant can hold.
    pub(super) fn with_tenant_limit(permits: usize, per_tenant: usize) -> Self {
        let reserved = if permits > 1 {
            (permits / RESERVED_FRACTION).max(1)
        } else {
            0
        };
        Self(Arc::new(Mutex::new(State {
            free: permits,
            per_tenant: per_tenant.clamp(1, permits - reserved),
            unauthenticated: (permits / UNAUTHENTICATED_FRACTION).max(1),
            held: HashMap::new(),
            waiting: HashMap::new(),
            order: VecDeque::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a connection permit.
    ///
    /// # Cancel safety
    /// Dropping the future leaks no permit and does not affect other waiters.
    pub(super) async fn acquire(&self, queue: QueueId) -> ConnectionPermit {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.state();
            let waiting = state.waiting.entry(queue).or_default();
            waiting.push_back(sender);
            if waiting.len() == 1 {
                state.order.push_back(queue);
            }
            self.grant_next(&mut state);
        }
        match receiver.await {
            Ok(permit) => permit,
            // Cannot happen: the sender stays in `waiting` until it is used, and `self` keeps `waiting` alive.
            Err(_) => ConnectionPermit {
                queue,
                scheduler: None,
            },
        }
    }

    fn grant_next(&self, state: &mut State) {
        // How many queues at the end of `order` are at their limit.
        let mut skipped = 0;
        while state.free > 0 && skipped < state.order.len() {
            let Some(queue) = state.order.pop_front() else {
                return;
            };
            if state.is_at_limit(queue) {
                state.order.push_back(queue);
                skipped += 1;
                continue;
            }
            if self.grant_from(state, queue) {
                skipped = 0;
            }
            if state.waiting.contains_key(&queue) {
                state.order.push_back(queue);
            }
        }
    }

    /// Grants a permit to the first waiter of this queue that has not stopped waiting, and returns whether there was one.
    fn grant_from(&self, state: &mut State, queue: QueueId) -> bool {
        let waiting = state.waiting.entry(queue).or_default();
        let mut granted = false;
        while !granted && let Some(sender) = waiting.pop_front() {
            let permit = ConnectionPermit {
                queue,
                scheduler: Some(self.clone()),
            };
            match sender.send(permit) {
                Ok(()) => granted = true,
                // The waiter has stopped waiting. `None` keeps the dropped permit from being released.
                Err(mut permit) => permit.scheduler = None,
            }
        }
        if waiting.is_empty() {
            state.waiting.remove(&queue);
        }
        if granted {
            state.free -= 1;
            *state.held.entry(queue).or_default() += 1;
        }
        granted
    }

    fn release(&self, queue: QueueId) {
        let mut state = self.state();
        state.free += 1;
        if let Some(held) = state.held.get_mut(&queue) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                state.held.remove(&queue);
            }
        }
        self.grant_next(&mut state);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        if let Some(scheduler) = self.scheduler.take() {
            scheduler.release(self.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use proptest::prelude::*;

    use super::*;

    fn tenant() -> QueueId {
        QueueId::Tenant(TenantId::new())
    }

    fn try_acquire(scheduler: &FairScheduler, queue: QueueId) -> Option<ConnectionPermit> {
        scheduler.acquire(queue).now_or_never()
    }

    #[tokio::test]
    async fn tenant_cannot_hold_the_reserved_permits() {
        let scheduler = FairScheduler::new(8);
        let (greedy, other) = (tenant(), tenant());
        let held: Vec<ConnectionPermit> = std::iter::from_fn(|| try_acquire(&scheduler, greedy)).collect();
        assert_eq!(held.len(), 6);
        assert!(try_acquire(&scheduler, other).is_some());
        drop(held);
        assert_eq!(scheduler.state().free, 8);
        assert!(scheduler.state().held.is_empty());
    }

    #[tokio::test]
    async fn unauthenticated_callers_hold_one_in_eight_permits() {
        let scheduler = FairScheduler::new(16);
        let held: Vec<ConnectionPermit> =
            std::iter::from_fn(|| try_acquire(&scheduler, QueueId::Unauthenticated)).collect();
        assert_eq!(held.len(), 2);
        let held_by_tenant: Vec<ConnectionPermit> = {
            let tenant = tenant();
            std::iter::from_fn(|| try_acquire(&scheduler, tenant)).collect()
        };
        assert_eq!(held_by_tenant.len(), 12);
        assert!(try_acquire(&scheduler, tenant()).is_some());
    }

    #[tokio::test]
    async fn single_permit_is_available_to_every_tenant() {
        let scheduler = FairScheduler::new(1);
        let permit = try_acquire(&scheduler, tenant()).unwrap();
        assert!(try_acquire(&scheduler, tenant()).is_none());
        drop(permit);
        assert!(try_acquire(&scheduler, tenant()).is_some());
    }

    #[tokio::test]
    async fn second_tenant_is_not_starved_by_a_long_queue() {
        let scheduler = FairScheduler::new(1);
        let (greedy, other) = (tenant(), tenant());
        let first = try_acquire(&scheduler, greedy).unwrap();
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut tasks = Vec::new();
        for (tenant, name) in std::iter::repeat_n((greedy, "greedy"), 20).chain([(other, "other")]) {
            let (scheduler, order) = (scheduler.clone(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _place = scheduler.acquire(tenant).await;
                order.lock().unwrap().push(name);
            }));
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        let at = order
            .lock()
            .unwrap()
            .iter()
            .position(|name| *name == "other")
            .unwrap();
        assert!(at <= 1, "{at}");
    }

    #[tokio::test]
    async fn cancelled_waiter_leaks_no_permit() {
        let scheduler = FairScheduler::new(2);
        let (one, other) = (tenant(), tenant());
        let (first, second) = (scheduler.acquire(one).await, scheduler.acquire(other).await);
        for _ in 0..50 {
            let cancelled = tokio::time::timeout(Duration::from_millis(1), scheduler.acquire(one)).await;
            assert!(cancelled.is_err());
        }
        drop((first, second));
        assert_eq!(scheduler.state().free, 2);
        assert!(scheduler.state().waiting.is_empty() && scheduler.state().order.is_empty());
        assert!(try_acquire(&scheduler, one).is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_permit_is_lost_or_granted_twice_under_load() {
        let scheduler = FairScheduler::new(5);
        let tenants: Vec<QueueId> = (0..7).map(|_| tenant()).collect();
        let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let tasks: Vec<_> = (0..2_000)
            .map(|number| {
                let (scheduler, inside) = (scheduler.clone(), Arc::clone(&inside));
                let tenant = tenants[number % tenants.len()];
                tokio::spawn(async move {
                    let limit = Duration::from_millis(u64::try_from(number % 13).unwrap());
                    if let Ok(permit) = tokio::time::timeout(limit, scheduler.acquire(tenant)).await {
                        let now = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                        assert!(now <= 5, "{now}");
                        tokio::task::yield_now().await;
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(permit);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(scheduler.state().free, 5);
        assert!(scheduler.state().held.is_empty() && scheduler.state().waiting.is_empty());
    }

    #[tokio::test]
    async fn cancelled_waiters_do_not_block_waiters_behind_them() {
        let scheduler = FairScheduler::new(4);
        let (greedy, other) = (tenant(), tenant());
        let held: Vec<ConnectionPermit> = (0..3).filter_map(|_| try_acquire(&scheduler, greedy)).collect();
        let mut more = Box::pin(scheduler.acquire(greedy));
        assert!(more.as_mut().now_or_never().is_none());
        let last = try_acquire(&scheduler, other).unwrap();
        for _ in 0..100 {
            assert!(try_acquire(&scheduler, other).is_none());
        }
        let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(scheduler.acquire(other))).collect();
        for waiter in &mut waiters {
            assert!(waiter.as_mut().now_or_never().is_none());
        }
        drop(last);
        let mut served = 0;
        for mut waiter in waiters {
            served += usize::from(waiter.as_mut().now_or_never().is_some());
        }
        assert_eq!(served, 3, "each permit goes to the next waiter");
        assert_eq!((held.len(), scheduler.state().free), (3, 1));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// Wait in the queue with this index.
        Acquire(usize),
        /// Cancel the waiter with this index.
        Cancel(usize),
        /// Drop the permit with this index.
        Release(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..4_usize).prop_map(Step::Acquire),
            3 => any::<usize>().prop_map(Step::Cancel),
            2 => any::<usize>().prop_map(Step::Release),
        ];
        proptest::collection::vec(step, 0..300)
    }

    proptest! {
        #[test]
        fn no_free_permit_while_an_eligible_waiter_exists(permits in 1..9_usize, steps in steps()) {
            let scheduler = FairScheduler::new(permits);
            let per_tenant = scheduler.state().per_tenant;
            let unauthenticated = scheduler.state().unauthenticated;
            let limit = |queue: usize| if queue == 3 { unauthenticated } else { per_tenant };
            let mut queues: Vec<QueueId> = (0..3).map(|_| tenant()).collect();
            queues.push(QueueId::Unauthenticated);
            let mut waiting: Vec<(usize, BoxFuture<'_, ConnectionPermit>)> = Vec::new();
            let mut held: Vec<(usize, ConnectionPermit)> = Vec::new();
            for step in steps {
                match step {
                    Step::Acquire(queue) => waiting.push((queue, scheduler.acquire(queues[queue]).boxed())),
                    Step::Cancel(which) if !waiting.is_empty() => drop(waiting.swap_remove(which % waiting.len())),
                    Step::Release(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                    Step::Cancel(_) | Step::Release(_) => {}
                }
                let mut still_waiting = Vec::new();
                for (queue, mut acquiring) in waiting {
                    match acquiring.as_mut().now_or_never() {
                        Some(permit) => held.push((queue, permit)),
                        None => still_waiting.push((queue, acquiring)),
                    }
                }
                waiting = still_waiting;
                let held_by = |queue: usize| held.iter().filter(|(holder, _)| *holder == queue).count();
                prop_assert_eq!(scheduler.state().free + held.len(), permits);
                prop_assert!((0..4).all(|queue| held_by(queue) <= limit(queue)));
                if held.len() < permits {
                    prop_assert!(waiting.iter().all(|(queue, _)| held_by(*queue) >= limit(*queue)));
                }
            }
            drop((waiting, held));
            prop_assert_eq!(scheduler.state().free, permits);
            prop_assert!(scheduler.state().held.is_empty());
        }
    }
}
