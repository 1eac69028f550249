//! Places on the database, handed out to the tenants in turn: one that asks for all of them leaves some to the others.
//!
//! The pool alone would serve whoever asked first, so a tenant with a thousand slow calls would make all others wait behind
//! them. Here each tenant has a queue of its own, and none may hold every place. Whoever comes with a key that nobody knows yet
//! waits with all the others of his kind: the tenant that he names is only a claim.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::ids::TenantId;

/// One in so many places is never given to a tenant that holds all the others.
const RESERVED_FRACTION: usize = 4;

/// One in so many places is the most that strangers hold.
const UNAUTHENTICATED_FRACTION: usize = 8;

/// Who waits together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum QueueId {
    /// The calls of a tenant.
    Tenant(TenantId),
    /// Those whose key has yet to be checked, whichever tenants they name.
    Unauthenticated,
}

/// The places of one pool.
#[derive(Clone)]
pub(super) struct FairScheduler(Arc<Mutex<State>>);

struct State {
    free: usize,
    per_tenant: usize,
    unauthenticated: usize,
    held: HashMap<QueueId, usize>,
    waiting: HashMap<QueueId, VecDeque<oneshot::Sender<ConnectionPermit>>>,
    /// The queues in which somebody waits, the next one in front.
    order: VecDeque<QueueId>,
}

impl State {
    /// Whether a queue holds all that it may.
    fn is_full(&self, queue: QueueId) -> bool {
        let most = match queue {
            QueueId::Tenant(_) => self.per_tenant,
            QueueId::Unauthenticated => self.unauthenticated,
        };
        self.held.get(&queue).is_some_and(|held| *held >= most)
    }
}

/// A place; given to the next one in turn when it is dropped.
pub(super) struct ConnectionPermit {
    queue: QueueId,
    /// `None` where it was never taken: its receiver was gone.
    turns: Option<FairScheduler>,
}

impl FairScheduler {
    pub(super) fn new(places: usize) -> Self {
        let spared = if places > 1 {
            (places / RESERVED_FRACTION).max(1)
        } else {
            0
        };
        Self(Arc::new(Mutex::new(State {
            free: places,
            per_tenant: places - spared,
            unauthenticated: (places / UNAUTHENTICATED_FRACTION).max(1),
            held: HashMap::new(),
            waiting: HashMap::new(),
            order: VecDeque::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place. Whoever stops waiting loses nothing to nobody.
    pub(super) async fn take(&self, queue: QueueId) -> ConnectionPermit {
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
            Ok(place) => place,
            // The sender is in the queue until it is used, and the queue is ours: this does not happen.
            Err(_) => ConnectionPermit { queue, turns: None },
        }
    }

    fn grant_next(&self, state: &mut State) {
        // Those at the end of the order that may have no more for now.
        let mut passed = 0;
        while state.free > 0 && passed < state.order.len() {
            let Some(queue) = state.order.pop_front() else {
                return;
            };
            if state.is_full(queue) {
                state.order.push_back(queue);
                passed += 1;
                continue;
            }
            if self.grant_from(state, queue) {
                passed = 0;
            }
            if state.waiting.contains_key(&queue) {
                state.order.push_back(queue);
            }
        }
    }

    /// Gives a place to the first in this queue who still waits; forgets those in front of him who gave up, since with them
    /// the turn would be over and nobody served.
    fn grant_from(&self, state: &mut State, queue: QueueId) -> bool {
        let waiting = state.waiting.entry(queue).or_default();
        let mut served = false;
        while !served && let Some(sender) = waiting.pop_front() {
            let place = ConnectionPermit {
                queue,
                turns: Some(self.clone()),
            };
            match sender.send(place) {
                Ok(()) => served = true,
                // He stopped waiting. Nothing was taken, so nothing is given back.
                Err(mut place) => place.turns = None,
            }
        }
        if waiting.is_empty() {
            state.waiting.remove(&queue);
        }
        if served {
            state.free -= 1;
            *state.held.entry(queue).or_default() += 1;
        }
        served
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
        if let Some(turns) = self.turns.take() {
            turns.release(self.queue);
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

    fn try_take(turns: &FairScheduler, queue: QueueId) -> Option<ConnectionPermit> {
        turns.take(queue).now_or_never()
    }

    #[tokio::test]
    async fn a_tenant_does_not_get_the_last_places() {
        let turns = FairScheduler::new(8);
        let (greedy, other) = (tenant(), tenant());
        let held: Vec<ConnectionPermit> = std::iter::from_fn(|| try_take(&turns, greedy)).collect();
        assert_eq!(held.len(), 6);
        assert!(try_take(&turns, other).is_some());
        drop(held);
        assert_eq!(turns.state().free, 8);
        assert!(turns.state().held.is_empty());
    }

    #[tokio::test]
    async fn strangers_hold_a_small_share_however_many_they_are() {
        let turns = FairScheduler::new(16);
        let held: Vec<ConnectionPermit> =
            std::iter::from_fn(|| try_take(&turns, QueueId::Unauthenticated)).collect();
        assert_eq!(held.len(), 2);
        let of_a_tenant: Vec<ConnectionPermit> = {
            let tenant = tenant();
            std::iter::from_fn(|| try_take(&turns, tenant)).collect()
        };
        assert_eq!(of_a_tenant.len(), 12);
        assert!(try_take(&turns, tenant()).is_some());
    }

    #[tokio::test]
    async fn a_single_place_is_everybodys() {
        let turns = FairScheduler::new(1);
        let place = try_take(&turns, tenant()).unwrap();
        assert!(try_take(&turns, tenant()).is_none());
        drop(place);
        assert!(try_take(&turns, tenant()).is_some());
    }

    #[tokio::test]
    async fn who_came_last_of_another_tenant_is_served_before_the_rest_of_a_long_queue() {
        let turns = FairScheduler::new(1);
        let (greedy, other) = (tenant(), tenant());
        let first = try_take(&turns, greedy).unwrap();
        let order: Arc<Mutex<Vec<&str>>> = Arc::default();
        let mut tasks = Vec::new();
        for (tenant, name) in std::iter::repeat_n((greedy, "greedy"), 20).chain([(other, "other")]) {
            let (turns, order) = (turns.clone(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _place = turns.take(tenant).await;
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
    async fn who_stops_waiting_leaves_the_places_to_the_others() {
        let turns = FairScheduler::new(2);
        let (mine, theirs) = (tenant(), tenant());
        let (first, second) = (turns.take(mine).await, turns.take(theirs).await);
        for _ in 0..50 {
            let impatient = tokio::time::timeout(Duration::from_millis(1), turns.take(mine)).await;
            assert!(impatient.is_err());
        }
        drop((first, second));
        assert_eq!(turns.state().free, 2);
        assert!(turns.state().waiting.is_empty() && turns.state().order.is_empty());
        assert!(try_take(&turns, mine).is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn under_load_no_place_is_lost_and_none_is_given_twice() {
        let turns = FairScheduler::new(5);
        let tenants: Vec<QueueId> = (0..7).map(|_| tenant()).collect();
        let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let tasks: Vec<_> = (0..2_000)
            .map(|number| {
                let (turns, inside) = (turns.clone(), Arc::clone(&inside));
                let tenant = tenants[number % tenants.len()];
                tokio::spawn(async move {
                    let patience = Duration::from_millis(u64::try_from(number % 13).unwrap());
                    if let Ok(place) = tokio::time::timeout(patience, turns.take(tenant)).await {
                        let now = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                        assert!(now <= 5, "{now}");
                        tokio::task::yield_now().await;
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(place);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(turns.state().free, 5);
        assert!(turns.state().held.is_empty() && turns.state().waiting.is_empty());
    }

    #[tokio::test]
    async fn those_who_gave_up_do_not_keep_a_free_place_from_those_behind_them() {
        let turns = FairScheduler::new(4);
        let (greedy, other) = (tenant(), tenant());
        let held: Vec<ConnectionPermit> = (0..3).filter_map(|_| try_take(&turns, greedy)).collect();
        let mut more = Box::pin(turns.take(greedy));
        assert!(more.as_mut().now_or_never().is_none());
        let last = try_take(&turns, other).unwrap();
        for _ in 0..100 {
            assert!(try_take(&turns, other).is_none());
        }
        let mut patient: Vec<_> = (0..3).map(|_| Box::pin(turns.take(other))).collect();
        for waiting in &mut patient {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        drop(last);
        let mut served = 0;
        for mut waiting in patient {
            served += usize::from(waiting.as_mut().now_or_never().is_some());
        }
        assert_eq!(served, 3, "each gave his place back to the next");
        assert_eq!((held.len(), turns.state().free), (3, 1));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// In this queue.
        Take(usize),
        /// The one with this number, of those who wait or who hold.
        GiveUp(usize),
        Release(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..4_usize).prop_map(Step::Take),
            3 => any::<usize>().prop_map(Step::GiveUp),
            2 => any::<usize>().prop_map(Step::Release),
        ];
        proptest::collection::vec(step, 0..300)
    }

    proptest! {
        #[test]
        fn whatever_happens_no_place_is_free_that_somebody_who_may_have_it_waits_for(places in 1..9_usize, steps in steps()) {
            let turns = FairScheduler::new(places);
            let per_tenant = turns.state().per_tenant;
            let unauthenticated = turns.state().unauthenticated;
            let most = |who: usize| if who == 3 { unauthenticated } else { per_tenant };
            let mut queues: Vec<QueueId> = (0..3).map(|_| tenant()).collect();
            queues.push(QueueId::Unauthenticated);
            let mut waiting: Vec<(usize, BoxFuture<'_, ConnectionPermit>)> = Vec::new();
            let mut held: Vec<(usize, ConnectionPermit)> = Vec::new();
            for step in steps {
                match step {
                    Step::Take(who) => waiting.push((who, turns.take(queues[who]).boxed())),
                    Step::GiveUp(which) if !waiting.is_empty() => drop(waiting.swap_remove(which % waiting.len())),
                    Step::Release(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                    Step::GiveUp(_) | Step::Release(_) => {}
                }
                let mut still = Vec::new();
                for (who, mut taking) in waiting {
                    match taking.as_mut().now_or_never() {
                        Some(place) => held.push((who, place)),
                        None => still.push((who, taking)),
                    }
                }
                waiting = still;
                let of = |who: usize| held.iter().filter(|(holder, _)| *holder == who).count();
                prop_assert_eq!(turns.state().free + held.len(), places);
                prop_assert!((0..4).all(|who| of(who) <= most(who)));
                if held.len() < places {
                    prop_assert!(waiting.iter().all(|(who, _)| of(*who) >= most(*who)));
                }
            }
            drop((waiting, held));
            prop_assert_eq!(turns.state().free, places);
            prop_assert!(turns.state().held.is_empty());
        }
    }
}
