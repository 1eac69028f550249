//! What is under way between one client and the registry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::http_client::{self, NegotiatedProtocol};
use super::message::{Kind, Message, RequestId, error_line};
use super::remote::Remote;

/// Requests that are at the registry at once; more would only fill its queue.
const AT_ONCE: usize = 32;
/// Messages that may wait for their turn before no more are read.
const WAITING: usize = 1024;

/// A conversation of one client.
pub(super) struct Session {
    remote: Remote,
    out: mpsc::Sender<Vec<u8>>,
    in_flight: Mutex<InFlight>,
    spoken: watch::Sender<SessionState>,
    at_once: Semaphore,
    waiting: Arc<Semaphore>,
    tasks: TaskTracker,
    ended: CancellationToken,
}

#[derive(Default)]
struct SessionState {
    spoken: NegotiatedProtocol,
    /// Requests to `initialize` that are not answered yet.
    starting: usize,
}

#[derive(Default)]
struct InFlight {
    requests: HashMap<RequestId, InFlightRequest>,
    /// How many there ever were.
    count: u64,
}

/// One request in flight. Who removes it has the right to end it: with an answer, or by giving it up.
struct InFlightRequest {
    number: u64,
    is_subscription: bool,
    given_up: CancellationToken,
}

impl Session {
    pub(super) fn new(remote: Remote, out: mpsc::Sender<Vec<u8>>) -> Self {
        Self {
            remote,
            out,
            in_flight: Mutex::default(),
            spoken: watch::Sender::default(),
            at_once: Semaphore::new(AT_ONCE),
            waiting: Arc::new(Semaphore::new(WAITING)),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Sends the message on its way, and returns before it is answered.
    pub(super) async fn take(self: &Arc<Self>, message: Message) {
        self.learn(&message);
        match message.kind.clone() {
            Kind::Request(id) => self.start(id, message).await,
            Kind::Cancellation(id) => {
                self.give_up(&id);
                // Since 2026-07-28 the end of the stream is what tells the registry.
                if self.is_old(&message) {
                    self.pass(message).await;
                }
            }
            Kind::Notification | Kind::Response => self.pass(message).await,
        }
    }

    /// Says a line to the client.
    pub(super) async fn say(&self, line: Vec<u8>) {
        // It fails when the client reads no more, and then the bridge ends.
        drop(self.out.send(line).await);
    }

    /// Gives what is in flight this long to end, and ends the rest. Subscriptions would never end, so they do at once.
    pub(super) async fn end(&self, patience: Duration) {
        self.tasks.close();
        for flight in self.in_flight().requests.values() {
            if flight.is_subscription {
                flight.given_up.cancel();
            }
        }
        let ended = tokio::select! {
            ended = tokio::time::timeout(patience, self.tasks.wait()) => ended.is_ok(),
            () = self.out.closed() => false,
        };
        if !ended {
            self.ended.cancel();
            self.tasks.wait().await;
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        // A panic elsewhere leaves the map read_body: each change is one insertion or removal.
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers of a message what later ones may not repeat.
    fn learn(&self, message: &Message) {
        self.spoken.send_modify(|state| {
            if let Some(client) = &message.client {
                state.spoken.client = Some(client.clone());
            }
            if let Some(revision) = &message.revision {
                state.spoken.revision = Some(revision.clone());
            }
        });
    }

    /// Whether the client of this message has to tell the registry what it gives up.
    fn is_old(&self, message: &Message) -> bool {
        let state = self.spoken.borrow();
        let revision = message.revision.as_ref().or(state.spoken.revision.as_ref());
        revision.is_none_or(|revision| revision.as_str() < http_client::REPEATS_IN_HEADERS)
    }

    async fn start(self: &Arc<Self>, id: RequestId, message: Message) {
        let given_up = self.ended.child_token();
        let Some(number) = self.enter(&id, &message, &given_up) else {
            let words = "A request with the same id is still in flight.";
            return self.say(error_line(None, -32_600, words)).await;
        };
        let is_hello = message.method == "initialize";
        if is_hello {
            self.spoken.send_modify(|state| state.starting += 1);
        }
        let place = self.place(&message).await;
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            let _place = place;
            let answer = tokio::select! {
                biased;
                () = given_up.cancelled() => None,
                answer = this.ask(&id, &message) => Some(answer),
            };
            if is_hello {
                this.settle(answer.as_deref());
            }
            let is_ours = this.leave(&id, number);
            if let Some(answer) = answer.filter(|_| is_ours) {
                this.say(answer).await;
            }
        });
    }

    /// The answer to a request: the registry's, or one that says why there is none.
    async fn ask(&self, id: &RequestId, message: &Message) -> Vec<u8> {
        let _turn = if message.is_subscription() {
            None
        } else {
            self.at_once.acquire().await.ok()
        };
        let spoken = self.spoken_for(message).await;
        // Seam: the answers of install_skill pass here, on the machine on which their files belong. What will write them
        // there reads the answer at this point, and puts into it what it wrote.
        http_client::request(&self.remote, message, id, &spoken, &self.out)
            .await
            .unwrap_or_else(|trouble| {
                let trouble = if message.is_repeatable() { trouble.of_reading() } else { trouble };
                tracing::warn!(method = %message.method, %trouble, "a request has no answer of the registry's");
                error_line(Some(id), trouble.code(), &trouble.to_string())
            })
    }

    /// Sends what has no answer.
    async fn pass(self: &Arc<Self>, message: Message) {
        let place = self.place(&message).await;
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            let _place = place;
            let sent = async {
                let spoken = this.spoken_for(&message).await;
                http_client::notify(&this.remote, &message, &spoken).await
            };
            let outcome = tokio::select! {
                () = this.ended.cancelled() => Ok(()),
                outcome = sent => outcome,
            };
            if let Err(trouble) = outcome {
                tracing::warn!(method = %message.method, %trouble, "a notification was not taken");
            }
        });
    }

    /// A place among those that wait. Subscriptions have none: they would hold it for as long as they last.
    async fn place(&self, message: &Message) -> Option<OwnedSemaphorePermit> {
        if message.is_subscription() {
            return None;
        }
        Arc::clone(&self.waiting).acquire_owned().await.ok()
    }

    /// What the conversation has settled, once it has: a client may send more before `initialize` is answered.
    async fn spoken_for(&self, message: &Message) -> NegotiatedProtocol {
        let mut state = self.spoken.subscribe();
        let needs_none = message.revision.is_some() || message.method == "initialize";
        // The sender lives as long as we do, so the wait does not fail.
        let settled = state.wait_for(|state| needs_none || state.starting == 0).await;
        settled.map(|state| state.spoken.clone()).unwrap_or_default()
    }

    /// Takes the revision out of the answer to `initialize`.
    fn settle(&self, answer: Option<&[u8]>) {
        let answer: Option<Value> = answer.and_then(|answer| serde_json::from_slice(answer).ok());
        let revision = answer
            .as_ref()
            .and_then(|answer| answer.pointer("/result/protocolVersion"))
            .and_then(Value::as_str);
        self.spoken.send_modify(|state| {
            state.starting = state.starting.saturating_sub(1);
            if let Some(revision) = revision {
                state.spoken.revision = Some(revision.to_owned());
            }
        });
    }

    /// Puts a request on the list; `None` when one with its id is there.
    fn enter(&self, id: &RequestId, message: &Message, given_up: &CancellationToken) -> Option<u64> {
        let mut in_flight = self.in_flight();
        if in_flight.requests.contains_key(id) {
            return None;
        }
        in_flight.count += 1;
        let number = in_flight.count;
        let flight = InFlightRequest {
            number,
            is_subscription: message.is_subscription(),
            given_up: given_up.clone(),
        };
        in_flight.requests.insert(id.clone(), flight);
        Some(number)
    }

    /// Takes this very request off the list; false when it was given up.
    fn leave(&self, id: &RequestId, number: u64) -> bool {
        let mut in_flight = self.in_flight();
        let is_there = in_flight
            .requests
            .get(id)
            .is_some_and(|flight| flight.number == number);
        if is_there {
            in_flight.requests.remove(id);
        }
        is_there
    }

    fn give_up(&self, id: &RequestId) {
        if let Some(flight) = self.in_flight().requests.remove(id) {
            flight.given_up.cancel();
        }
    }
}
