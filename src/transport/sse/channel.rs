//! The channels between a session's HTTP requests and rmcp.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Messages to the client that may wait in the queue.
const OUTBOX: usize = 64;
/// How long a message waits for the queue. A client that reads nothing for so long loses its session.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Messages of the client that may wait for rmcp.
const INBOX: usize = 64;

/// The client does not read its event stream.
#[derive(Debug, thiserror::Error)]
#[error("the event stream is not read")]
pub(super) struct StreamNotRead;

/// The ids of a session's requests that have no response yet.
#[derive(Clone, Default)]
pub(super) struct PendingRequests(Arc<Mutex<HashSet<RequestId>>>);

/// Why a session accepts no further request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackError {
    /// The limit of pending requests is reached.
    TooManyInFlight,
    /// A pending request has the same id.
    DuplicateId,
}

impl PendingRequests {
    fn ids(&self) -> MutexGuard<'_, HashSet<RequestId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tracks a request of the client until its response is sent, or until the client cancels it, since a cancelled request
    /// gets no response. (A cancelled call that still runs counts against the tenant's limit of running calls.)
    pub(super) fn track(&self, message: &ClientJsonRpcMessage, limit: usize) -> Result<(), TrackError> {
        let mut ids = self.ids();
        match message {
            JsonRpcMessage::Request(request) => {
                if ids.contains(&request.id) {
                    return Err(TrackError::DuplicateId);
                }
                if ids.len() >= limit {
                    return Err(TrackError::TooManyInFlight);
                }
                ids.insert(request.id.clone());
            }
            JsonRpcMessage::Notification(sent) => {
                if let ClientNotification::CancelledNotification(cancelled) = &sent.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    ids.remove(id);
                }
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
        }
        Ok(())
    }

    /// Undoes [`Self::track`] for a message that could not be queued.
    pub(super) fn untrack(&self, message: &ClientJsonRpcMessage) {
        if let JsonRpcMessage::Request(request) = message {
            self.ids().remove(&request.id);
        }
    }

    fn sent(&self, message: &ServerJsonRpcMessage) {
        let id = match message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
        };
        if let Some(id) = id {
            self.ids().remove(id);
        }
    }
}

/// A session as a transport of rmcp.
pub(super) struct SseTransport {
    outbox: mpsc::Sender<ServerJsonRpcMessage>,
    inbox: mpsc::Receiver<ClientJsonRpcMessage>,
    pending: PendingRequests,
    ended: CancellationToken,
}

/// The same session for the HTTP handlers.
pub(super) struct SessionHandles {
    pub(super) outbox: mpsc::Receiver<ServerJsonRpcMessage>,
    pub(super) inbox: mpsc::Sender<ClientJsonRpcMessage>,
    pub(super) pending: PendingRequests,
}

/// Both ends of a session. For rmcp the session ends when `ended` is cancelled.
pub(super) fn channel(ended: CancellationToken) -> (SseTransport, SessionHandles) {
    let (to_client, outbox) = mpsc::channel(OUTBOX);
    let (inbox, from_client) = mpsc::channel(INBOX);
    let pending = PendingRequests::default();
    let transport = SseTransport {
        outbox: to_client,
        inbox: from_client,
        pending: pending.clone(),
        ended,
    };
    let handles = SessionHandles {
        outbox,
        inbox,
        pending,
    };
    (transport, handles)
}

impl Transport<RoleServer> for SseTransport {
    type Error = StreamNotRead;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), StreamNotRead>> + Send + 'static {
        let outbox = self.outbox.clone();
        self.pending.sent(&message);
        async move {
            let sent = outbox.send_timeout(message, SEND_TIMEOUT).await;
            sent.map_err(|_not_sent| StreamNotRead)
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        tokio::select! {
            biased;
            // Calls in flight are then recorded as `client_gone`, not as cancelled.
            () = self.ended.cancelled() => None,
            message = self.inbox.recv() => message,
        }
    }

    async fn close(&mut self) -> Result<(), StreamNotRead> {
        self.inbox.close();
        Ok(())
    }
}
