//! The channels between a session's HTTP requests and rmcp.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
    ServerNotification,
};
use rmcp::transport::Transport;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use crate::access::CallGuard;
use crate::tenancy::Share;

/// Messages to the client that may wait in the queue.
const OUTBOX: usize = 64;
/// How long a message waits for the queue. A client that reads nothing for 30 s loses its session.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Smaller answers are not counted as unread: 64 of them are 1 MiB.
const MAX_UNCOUNTED_BYTES: usize = 16 << 10;
/// JSON-RPC 2.0, section 5.1: an error of the server.
const UNREAD_CODE: i32 = -32_603;
const UNREAD: &str = "Too many bytes of earlier answers are not read yet. The call was made, but its answer was dropped. Read the others first.";
/// Messages of the client that may wait for rmcp.
const INBOX: usize = 64;

/// The client does not read its event stream.
#[derive(Debug, thiserror::Error)]
#[error("the event stream is not read")]
pub(super) struct StreamNotRead;

/// A message to the client, and what it holds until it is written.
pub(super) struct Outgoing {
    pub(super) text: String,
    pub(super) shares: (Option<Arc<CallGuard>>, Option<Share>),
}

/// A session's requests that have no response yet, each with its call's share of the limits.
#[derive(Clone, Default)]
pub(super) struct PendingRequests(Arc<Mutex<HashMap<RequestId, Option<Arc<CallGuard>>>>>);

/// Why a session accepts no further request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackError {
    /// The limit of pending requests is reached.
    TooManyInFlight,
    /// A pending request has the same id.
    DuplicateId,
}

impl PendingRequests {
    fn ids(&self) -> MutexGuard<'_, HashMap<RequestId, Option<Arc<CallGuard>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tracks a request of the client until its response is sent, or until the client cancels it, since a cancelled request
    /// gets no response. (A cancelled call that still runs counts against the tenant's limit of running calls.)
    pub(super) fn track(
        &self,
        message: &ClientJsonRpcMessage,
        guard: Option<Arc<CallGuard>>,
        limit: usize,
    ) -> Result<(), TrackError> {
        let mut ids = self.ids();
        match message {
            JsonRpcMessage::Request(request) => {
                if ids.contains_key(&request.id) {
                    return Err(TrackError::DuplicateId);
                }
                if ids.len() >= limit {
                    return Err(TrackError::TooManyInFlight);
                }
                ids.insert(request.id.clone(), guard);
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

    /// Forgets the request that this message answers, and returns its share of the limits.
    fn answered(&self, message: &ServerJsonRpcMessage) -> Option<Arc<CallGuard>> {
        let id = match message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
        };
        id.and_then(|id| self.ids().remove(id)).flatten()
    }
}

/// The message as it is sent. An answer that would exceed what its key may leave unread is replaced by an error.
fn outgoing(message: &ServerJsonRpcMessage, guard: Option<Arc<CallGuard>>) -> serde_json::Result<Outgoing> {
    let text = serde_json::to_string(message)?;
    let share = match &guard {
        Some(guard) if text.len() > MAX_UNCOUNTED_BYTES => guard.take_bytes(text.len()),
        Some(_) | None => {
            return Ok(Outgoing {
                text,
                shares: (guard, None),
            });
        }
    };
    Ok(match (share, message) {
        (Ok(share), _) => Outgoing {
            text,
            shares: (guard, Some(share)),
        },
        (Err(_), JsonRpcMessage::Response(response)) => Outgoing {
            text: json!({
                "jsonrpc": "2.0",
                "id": response.id,
                "error": {"code": UNREAD_CODE, "message": UNREAD},
            })
            .to_string(),
            shares: (guard, None),
        },
        (Err(_), JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) | JsonRpcMessage::Error(_)) => {
            Outgoing {
                text,
                shares: (guard, None),
            }
        }
    })
}

/// A session as a transport of rmcp.
pub(super) struct SseTransport {
    outbox: mpsc::Sender<Outgoing>,
    inbox: mpsc::Receiver<ClientJsonRpcMessage>,
    pending: PendingRequests,
    ended: CancellationToken,
}

/// The same session for the HTTP handlers.
pub(super) struct SessionHandles {
    pub(super) outbox: mpsc::Receiver<Outgoing>,
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
        let guard = self.pending.answered(&message);
        async move {
            let is_progress = matches!(
                &message,
                JsonRpcMessage::Notification(sent)
                    if matches!(sent.notification, ServerNotification::ProgressNotification(_))
            );
            let message = outgoing(&message, guard).map_err(|_unserializable| StreamNotRead)?;
            if is_progress {
                // Nothing may wait for a client that does not read. The next one says more anyway.
                return match outbox.try_send(message) {
                    Ok(()) | Err(TrySendError::Full(_)) => Ok(()),
                    Err(TrySendError::Closed(_)) => Err(StreamNotRead),
                };
            }
            let sent = outbox.send_timeout(message, SEND_TIMEOUT).await;
            sent.map_err(|_not_sent| StreamNotRead)
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        tokio::select! {
            biased;
            // Running calls are then recorded as `client_gone`, not as cancelled.
            () = self.ended.cancelled() => None,
            message = self.inbox.recv() => message,
        }
    }

    async fn close(&mut self) -> Result<(), StreamNotRead> {
        self.inbox.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: i64) -> ClientJsonRpcMessage {
        serde_json::from_value(json!({"jsonrpc": "2.0", "id": id, "method": "ping"})).unwrap()
    }

    fn cancel(id: i64) -> ClientJsonRpcMessage {
        let params = json!({"requestId": id});
        serde_json::from_value(
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}),
        )
        .unwrap()
    }

    #[test]
    fn request_with_pending_id_is_refused() {
        let pending = PendingRequests::default();
        assert_eq!(pending.track(&request(1), None, 2), Ok(()));
        assert_eq!(pending.track(&request(1), None, 2), Err(TrackError::DuplicateId));
        assert_eq!(pending.track(&request(2), None, 2), Ok(()));
        // Also when the limit is reached: the client must choose another id, waiting does not help.
        assert_eq!(pending.track(&request(1), None, 2), Err(TrackError::DuplicateId));
    }

    #[test]
    fn requests_above_limit_are_refused_but_notifications_are_not() {
        let pending = PendingRequests::default();
        assert_eq!(pending.track(&request(1), None, 2), Ok(()));
        assert_eq!(pending.track(&request(2), None, 2), Ok(()));
        assert_eq!(
            pending.track(&request(3), None, 2),
            Err(TrackError::TooManyInFlight)
        );
        assert_eq!(pending.ids().len(), 2, "a refused request is not tracked");
        assert_eq!(
            pending.track(&cancel(9), None, 2),
            Ok(()),
            "its id is not pending"
        );
        let response = serde_json::from_value(json!({"jsonrpc": "2.0", "id": 9, "result": {}})).unwrap();
        assert_eq!(pending.track(&response, None, 2), Ok(()));
        assert_eq!(pending.ids().len(), 2);
    }

    #[tokio::test]
    async fn request_is_pending_until_its_response_is_sent() {
        let (mut transport, mut handles) = channel(CancellationToken::new());
        for (id, message) in [
            (1, json!({"jsonrpc": "2.0", "id": 1, "result": {}})),
            (
                2,
                json!({"jsonrpc": "2.0", "id": 2, "error": {"code": -32_603, "message": "failed"}}),
            ),
        ] {
            assert_eq!(handles.pending.track(&request(id), None, 1), Ok(()));
            let notification = json!({"jsonrpc": "2.0", "method": "notifications/resources/list_changed"});
            transport
                .send(serde_json::from_value(notification).unwrap())
                .await
                .unwrap();
            assert_eq!(
                handles.pending.track(&request(3), None, 1),
                Err(TrackError::TooManyInFlight)
            );
            transport
                .send(serde_json::from_value(message).unwrap())
                .await
                .unwrap();
            assert!(handles.pending.ids().is_empty(), "request {id} is still pending");
            assert!(handles.outbox.recv().await.is_some());
            assert!(handles.outbox.recv().await.is_some());
        }
    }

    #[test]
    fn cancelled_request_is_not_pending() {
        let pending = PendingRequests::default();
        assert_eq!(pending.track(&request(1), None, 1), Ok(()));
        assert_eq!(pending.track(&cancel(1), None, 1), Ok(()));
        assert_eq!(pending.track(&request(1), None, 1), Ok(()));
    }

    #[test]
    fn untracked_request_is_not_pending() {
        let pending = PendingRequests::default();
        assert_eq!(pending.track(&request(1), None, 1), Ok(()));
        pending.untrack(&cancel(1));
        assert_eq!(
            pending.track(&request(2), None, 1),
            Err(TrackError::TooManyInFlight)
        );
        pending.untrack(&request(1));
        assert_eq!(pending.track(&request(2), None, 1), Ok(()));
    }
}
