//! The two channels between a session's HTTP requests and the protocol.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Messages that may wait for a client to read them. A client that reads none for a while loses its session.
const OUTBOX: usize = 64;
/// How long one may wait for a place among them.
const PATIENCE: Duration = Duration::from_secs(30);
/// Messages that may wait for the protocol.
const INBOX: usize = 64;

/// The client does not take what is sent to it.
#[derive(Debug, thiserror::Error)]
#[error("the event stream is not read")]
pub(super) struct Unread;

/// A request without an answer.
#[derive(Clone, Copy)]
enum Waiting {
    /// It is done, or will be.
    Running,
    /// Taken back by the client, and still done: what changes something is brought to its end.
    TakenBack,
    /// Done; its answer is under way.
    Done,
}

/// The requests of a session that have no answer yet.
#[derive(Clone, Default)]
pub(super) struct PendingRequests(Arc<Mutex<HashMap<RequestId, Waiting>>>);

/// Why a session takes no more requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackError {
    /// As many as may be are without an answer.
    TooManyInFlight,
    /// One with the same id is.
    DuplicateId,
}

/// A request that is being done; no longer so when this is dropped.
pub(super) struct InFlightGuard {
    id: RequestId,
    pending: PendingRequests,
}

impl PendingRequests {
    fn waiting(&self) -> MutexGuard<'_, HashMap<RequestId, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a message of the client; of a request, what must live for as long as it is being done.
    pub(super) fn note(
        &self,
        message: &ClientJsonRpcMessage,
        most: usize,
    ) -> Result<Option<InFlightGuard>, TrackError> {
        let mut waiting = self.waiting();
        match message {
            JsonRpcMessage::Request(request) => {
                if waiting.contains_key(&request.id) {
                    return Err(TrackError::DuplicateId);
                }
                if waiting.len() >= most {
                    return Err(TrackError::TooManyInFlight);
                }
                waiting.insert(request.id.clone(), Waiting::Running);
                Ok(Some(InFlightGuard {
                    id: request.id.clone(),
                    pending: self.clone(),
                }))
            }
            JsonRpcMessage::Notification(sent) => {
                // What is taken back gets no answer.
                if let ClientNotification::CancelledNotification(cancelled) = &sent.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    match waiting.get_mut(id) {
                        Some(state @ (Waiting::Running | Waiting::TakenBack)) => *state = Waiting::TakenBack,
                        Some(Waiting::Done) => drop(waiting.remove(id)),
                        None => {}
                    }
                }
                Ok(None)
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => Ok(None),
        }
    }

    /// Takes back what was noted of a message that went no further.
    pub(super) fn forget(&self, message: &ClientJsonRpcMessage) {
        if let JsonRpcMessage::Request(request) = message {
            self.waiting().remove(&request.id);
        }
    }

    /// Notes a message to the client.
    fn note_sent(&self, message: &ServerJsonRpcMessage) {
        let id = match message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
        };
        if let Some(id) = id {
            self.waiting().remove(id);
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut waiting = self.pending.waiting();
        match waiting.get_mut(&self.id) {
            Some(state @ (Waiting::Running | Waiting::Done)) => *state = Waiting::Done,
            Some(Waiting::TakenBack) => drop(waiting.remove(&self.id)),
            // Answered without having been done.
            None => {}
        }
    }
}

/// The protocol's end of a session.
pub(super) struct SseTransport {
    outbox: mpsc::Sender<ServerJsonRpcMessage>,
    inbox: mpsc::Receiver<ClientJsonRpcMessage>,
    pending: PendingRequests,
    ended: CancellationToken,
}

/// HTTP's end of it.
pub(super) struct SessionHandles {
    pub(super) outbox: mpsc::Receiver<ServerJsonRpcMessage>,
    pub(super) inbox: mpsc::Sender<ClientJsonRpcMessage>,
    pub(super) pending: PendingRequests,
}

/// Both ends of a session, which to the protocol is over when `ended` says so.
pub(super) fn pipe(ended: CancellationToken) -> (SseTransport, SessionHandles) {
    let (outbox, sent) = mpsc::channel(OUTBOX);
    let (received, inbox) = mpsc::channel(INBOX);
    let pending = PendingRequests::default();
    let pipe = SseTransport {
        outbox,
        inbox,
        pending: pending.clone(),
        ended,
    };
    let ends = SessionHandles {
        outbox: sent,
        inbox: received,
        pending,
    };
    (pipe, ends)
}

impl Transport<RoleServer> for SseTransport {
    type Error = Unread;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Unread>> + Send + 'static {
        let outbox = self.outbox.clone();
        self.pending.note_sent(&message);
        async move { outbox.send_timeout(message, PATIENCE).await.map_err(|_| Unread) }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        tokio::select! {
            biased;
            // As when a client closes its pipe: what is in flight is ended because nobody is there, not taken back.
            () = self.ended.cancelled() => None,
            message = self.inbox.recv() => message,
        }
    }

    async fn close(&mut self) -> Result<(), Unread> {
        self.inbox.close();
        Ok(())
    }
}
