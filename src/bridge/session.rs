//! The requests in progress between one client and the registry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batch::Batch;
use super::client_requests::ClientRequests;
use super::http_client::{self, NegotiatedProtocol};
use super::local_calls;
use super::message::{InvalidMessage, Kind, Message, RequestId, error_response};
use super::remote::Remote;
use crate::json_rpc::{self, Batches};
use crate::local_install::LocalTools;

/// Requests that are sent to the registry at the same time; more would only fill its queue.
const MAX_CONCURRENT_REQUESTS: usize = 32;
/// Messages that may wait to be sent. Beyond, the bridge stops reading from the client.
const MAX_PENDING_MESSAGES: usize = 1024;

/// The session of one client.
pub(super) struct Session {
    remote: Remote,
    /// Set if the bridge may write skills to its machine's disk.
    tools: Option<LocalTools>,
    out: mpsc::Sender<Vec<u8>>,
    client_requests: ClientRequests,
    in_flight: Mutex<InFlight>,
    state: watch::Sender<SessionState>,
    concurrent_requests: Semaphore,
    pending_messages: Arc<Semaphore>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

#[derive(Default)]
struct SessionState {
    protocol: NegotiatedProtocol,
    /// Whether the client can name its project folders.
    has_roots: bool,
    /// Number of `initialize` requests without an answer.
    initializing: usize,
}

#[derive(Default)]
struct InFlight {
    requests: HashMap<RequestId, InFlightRequest>,
    /// The batches of requests in `requests`.
    batches: Batches<RequestId>,
    last_number: u64,
}

/// One request in flight. Only the one who removes it from the map may end it, by an answer or by a cancellation.
struct InFlightRequest {
    /// Distinguishes requests with the same id.
    number: u64,
    is_subscription: bool,
    cancelled: CancellationToken,
}

impl Session {
    pub(super) fn new(remote: Remote, tools: Option<LocalTools>, out: mpsc::Sender<Vec<u8>>) -> Self {
        Self {
            remote,
            tools,
            out,
            client_requests: ClientRequests::new(),
            in_flight: Mutex::default(),
            state: watch::Sender::default(),
            concurrent_requests: Semaphore::new(MAX_CONCURRENT_REQUESTS),
            pending_messages: Arc::new(Semaphore::new(MAX_PENDING_MESSAGES)),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        }
    }

    /// Forwards a line of the client: a message or, if the protocol version has them, a batch.
    ///
    /// Returns before the registry has answered; only a batch waits until the registry has answered `initialize`.
    pub(super) async fn accept(self: &Arc<Self>, line: Vec<u8>) {
        if json_rpc::is_batch(&line) {
            return self.accept_batch(line).await;
        }
        match Message::parse(line) {
            Ok(message) => self.handle(message).await,
            Err(invalid) => self.send(invalid.response()).await,
        }
    }

    async fn accept_batch(self: &Arc<Self>, mut line: Vec<u8>) {
        json_rpc::repair_surrogates(&mut line);
        self.wait_until_initialized().await;
        let (messages, answer) = match self.open_batch(&line) {
            Ok((messages, answer)) => (messages, answer),
            Err(invalid) => (Vec::new(), Some(invalid.response())),
        };
        if let Some(answer) = answer {
            self.send(answer).await;
        }
        for message in messages {
            self.handle(message).await;
        }
    }

    /// Returns the messages of the batch, and its answer if none of them is a request.
    fn open_batch(&self, text: &[u8]) -> Result<(Vec<Message>, Option<Vec<u8>>), InvalidMessage> {
        let mut in_flight = self.in_flight();
        in_flight.batches.admit()?;
        let batch = Batch::read(text, |id| in_flight.requests.contains_key(id))?;
        let answer = in_flight.batches.open(batch.requests, batch.refusals);
        Ok((batch.messages, answer))
    }

    /// Forwards the message in a task. Returns before the registry has answered.
    async fn handle(self: &Arc<Self>, message: Message) {
        self.record_client(&message);
        match message.kind.clone() {
            Kind::Request(id) => self.start_request(id, message).await,
            Kind::Cancellation(id) => {
                if let Some(answer) = self.cancel(&id) {
                    self.send(answer).await;
                }
                // Since 2026-07-28, closing the response stream cancels the request.
                if self.is_legacy(&message) {
                    self.start_notification(message).await;
                }
            }
            Kind::Response(id) if self.client_requests.take_response(&id, &message.text) => {}
            Kind::Notification | Kind::Response(_) => self.start_notification(message).await,
        }
    }

    /// Sends a line to the client.
    pub(super) async fn send(&self, line: Vec<u8>) {
        // Sending fails when the client has closed its input; the bridge then ends.
        drop(self.out.send(line).await);
    }

    /// Waits at most `grace` for the requests in flight, then cancels the rest. Cancels subscriptions at once, because
    /// they have no end of their own.
    pub(super) async fn drain(&self, grace: Duration) {
        self.tasks.close();
        self.client_requests.close();
        for request in self.in_flight().requests.values() {
            if request.is_subscription {
                request.cancelled.cancel();
            }
        }
        let is_drained = tokio::select! {
            drained = tokio::time::timeout(grace, self.tasks.wait()) => drained.is_ok(),
            () = self.out.closed() => false,
        };
        if !is_drained {
            self.shutdown.cancel();
            self.tasks.wait().await;
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        // A panic cannot leave the map half changed: each change is one insertion or removal.
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the client's name, whether it has roots, and the protocol version, which later messages may omit.
    fn record_client(&self, message: &Message) {
        self.state.send_modify(|state| {
            if let Some(client) = &message.client {
                state.protocol.client = Some(client.clone());
            }
            if let Some(version) = &message.protocol_version {
                state.protocol.version = Some(version.clone());
            }
            if let Some(has_roots) = message.has_roots {
                state.has_roots = has_roots;
            }
        });
    }

    /// Whether the message belongs to a protocol version in which a notification cancels a request.
    fn is_legacy(&self, message: &Message) -> bool {
        let state = self.state.borrow();
        let version = message
            .protocol_version
            .as_ref()
            .or(state.protocol.version.as_ref());
        version.is_none_or(|version| version.as_str() < http_client::FIRST_VERSION_WITH_MCP_HEADERS)
    }

    async fn start_request(self: &Arc<Self>, id: RequestId, message: Message) {
        let cancelled = self.shutdown.child_token();
        let Some(number) = self.register(&id, &message, &cancelled) else {
            return self.send(InvalidMessage::id_in_flight().response()).await;
        };
        let is_initialize = message.method == "initialize";
        if is_initialize {
            self.state.send_modify(|state| state.initializing += 1);
        }
        let permit = self.pending_permit(&message).await;
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            let _permit = permit;
            let response = tokio::select! {
                biased;
                () = cancelled.cancelled() => None,
                response = this.forward_request(&id, &message) => Some(response),
            };
            let version = response
                .as_deref()
                .filter(|_| is_initialize)
                .and_then(agreed_version);
            if let Some(line) = this.finish(&id, number, response) {
                this.send(line).await;
            }
            // After the answer, because the client gets no request of the bridge before it.
            if is_initialize {
                this.record_version(version);
            }
        });
    }

    /// Returns the registry's response, or an error response of the bridge.
    async fn forward_request(&self, id: &RequestId, message: &Message) -> Vec<u8> {
        // Asked before the permit is taken, because the client may take long.
        let tools = match &self.tools {
            Some(tools) => Some((tools, self.with_projects(tools, message).await)),
            None => None,
        };
        let _permit = if message.is_subscription() {
            None
        } else {
            self.concurrent_requests.acquire().await.ok()
        };
        let Some((tools, with_projects)) = tools else {
            return self.exchange(id, message).await;
        };
        let response = match local_calls::prepare(&self.remote, &with_projects, message, id).await {
            Ok(None) => self.exchange(id, message).await,
            Ok(Some(call)) => {
                let response = self.exchange(id, &call.message).await;
                call.complete(&self.remote, id, response).await
            }
            Err(response) => response,
        };
        if message.method == "tools/call" {
            if tools.is_check_due() {
                tools.check_withdrawn(&self.remote).await;
            }
            if let Some(notice) = tools.take_notice() {
                return local_calls::with_notice(response, &notice);
            }
        }
        response
    }

    /// The tools with the project folders that the client names, if the call needs one and the client can be asked.
    async fn with_projects(&self, tools: &LocalTools, message: &Message) -> LocalTools {
        if !local_calls::needs_project(tools, message) || !self.can_ask_client(message).await {
            return tools.clone();
        }
        tools.or_projects(self.client_requests.roots(&self.out).await)
    }

    /// Whether the client answers `roots/list`. Since 2026-07-28, clients answer no requests.
    async fn can_ask_client(&self, message: &Message) -> bool {
        self.wait_until_initialized().await;
        let has_roots = self.state.borrow().has_roots;
        has_roots && self.is_legacy(message)
    }

    async fn exchange(&self, id: &RequestId, message: &Message) -> Vec<u8> {
        let protocol = self.negotiated_protocol(message).await;
        http_client::request(&self.remote, message, id, &protocol, &self.out)
            .await
            .unwrap_or_else(|error| {
                let error = if message.is_read_only() {
                    error.for_read_only()
                } else {
                    error
                };
                tracing::warn!(method = %message.method, %error, "request failed");
                error_response(Some(id), error.code(), &error.to_string())
            })
    }

    async fn start_notification(self: &Arc<Self>, message: Message) {
        let permit = self.pending_permit(&message).await;
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            let _permit = permit;
            let sending = async {
                let protocol = this.negotiated_protocol(&message).await;
                http_client::notify(&this.remote, &message, &protocol).await
            };
            let outcome = tokio::select! {
                () = this.shutdown.cancelled() => Ok(()),
                outcome = sending => outcome,
            };
            if let Err(error) = outcome {
                tracing::warn!(method = %message.method, %error, "notification failed");
            }
        });
    }

    /// Waits for a permit to be pending. Subscriptions need none, because they would hold it until the session ends.
    async fn pending_permit(&self, message: &Message) -> Option<OwnedSemaphorePermit> {
        if message.is_subscription() {
            return None;
        }
        Arc::clone(&self.pending_messages).acquire_owned().await.ok()
    }

    /// Waits for the answer to `initialize`, or until the client has closed its input.
    async fn wait_until_initialized(&self) {
        let mut state = self.state.subscribe();
        tokio::select! {
            _ready = state.wait_for(|state| state.initializing == 0) => {}
            () = self.out.closed() => {}
        }
    }

    /// Waits for the answer to `initialize` if the message depends on it: a client may send more messages before.
    async fn negotiated_protocol(&self, message: &Message) -> NegotiatedProtocol {
        let mut state = self.state.subscribe();
        let is_independent = message.protocol_version.is_some() || message.method == "initialize";
        // `self` owns the sender, so `wait_for` cannot fail.
        let ready = state
            .wait_for(|state| is_independent || state.initializing == 0)
            .await;
        ready.map(|state| state.protocol.clone()).unwrap_or_default()
    }

    /// Records the protocol version in the answer to `initialize`; `None` if it was refused or cancelled.
    fn record_version(&self, version: Option<String>) {
        if let Some(version) = &version {
            self.in_flight().batches.set_version(version);
        }
        self.state.send_modify(|state| {
            state.initializing = state.initializing.saturating_sub(1);
            state.has_roots &= version.is_some();
            state.protocol.version = version.or(state.protocol.version.take());
        });
    }

    /// Adds a request and returns its number; `None` if a request with the same id is in flight.
    fn register(&self, id: &RequestId, message: &Message, cancelled: &CancellationToken) -> Option<u64> {
        let mut in_flight = self.in_flight();
        if in_flight.requests.contains_key(id) {
            return None;
        }
        in_flight.last_number += 1;
        let number = in_flight.last_number;
        let request = InFlightRequest {
            number,
            is_subscription: message.is_subscription(),
            cancelled: cancelled.clone(),
        };
        in_flight.requests.insert(id.clone(), request);
        Some(number)
    }

    /// Removes the request. Returns the line for the client: the response, or the answers of its batch if it was the last.
    /// `None` if the request was cancelled, even if a newer one has the same id.
    fn finish(&self, id: &RequestId, number: u64, response: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let in_flight = &mut *self.in_flight();
        in_flight
            .requests
            .get(id)
            .filter(|request| request.number == number)?;
        in_flight.requests.remove(id);
        if !in_flight.batches.contains(id) {
            return response;
        }
        match response {
            Some(response) => in_flight.batches.answer(id, response),
            None => in_flight.batches.cancel(id),
        }
    }

    /// Returns the answers of the request's batch if it was the last without one.
    fn cancel(&self, id: &RequestId) -> Option<Vec<u8>> {
        let mut in_flight = self.in_flight();
        let request = in_flight.requests.remove(id)?;
        request.cancelled.cancel();
        in_flight.batches.cancel(id)
    }
}

/// The protocol version in the answer to `initialize`.
fn agreed_version(response: &[u8]) -> Option<String> {
    let response: Value = serde_json::from_slice(response).ok()?;
    Some(response.pointer("/result/protocolVersion")?.as_str()?.to_owned())
}
