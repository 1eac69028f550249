//! The two channels between a session's HTTP requests and the protocol.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
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

/// The requests of a session that have no answer yet.
#[derive(Clone, Default)]
pub(super) struct Unanswered(Arc<Mutex<HashSet<RequestId>>>);

impl Unanswered {
    /// Notes a message of the client; `false` where it is one request too many.
    pub(super) fn note(&self, message: &ClientJsonRpcMessage, most: usize) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match message {
            JsonRpcMessage::Request(request) => {
                if waiting.len() >= most {
                    return false;
                }
                waiting.insert(request.id.clone());
            }
            JsonRpcMessage::Notification(sent) => {
                // What is taken back gets no answer.
                if let ClientNotification::CancelledNotification(cancelled) = &sent.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    waiting.remove(id);
                }
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
        }
        true
    }

    /// Notes a message to the client.
    fn note_sent(&self, message: &ServerJsonRpcMessage) {
        let id = match message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
        };
        if let Some(id) = id {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        }
    }
}

/// The protocol's end of a session.
pub(super) struct Pipe {
    outbox: mpsc::Sender<ServerJsonRpcMessage>,
    inbox: mpsc::Receiver<ClientJsonRpcMessage>,
    unanswered: Unanswered,
    ended: CancellationToken,
}

/// HTTP's end of it.
pub(super) struct Ends {
    pub(super) outbox: mpsc::Receiver<ServerJsonRpcMessage>,
    pub(super) inbox: mpsc::Sender<ClientJsonRpcMessage>,
    pub(super) unanswered: Unanswered,
}

/// Both ends of a session, which to the protocol is over when `ended` says so.
pub(super) fn pipe(ended: CancellationToken) -> (Pipe, Ends) {
    let (outbox, sent) = mpsc::channel(OUTBOX);
    let (received, inbox) = mpsc::channel(INBOX);
    let unanswered = Unanswered::default();
    let pipe = Pipe {
        outbox,
        inbox,
        unanswered: unanswered.clone(),
        ended,
    };
    let ends = Ends {
        outbox: sent,
        inbox: received,
        unanswered,
    };
    (pipe, ends)
}

impl Transport<RoleServer> for Pipe {
    type Error = Unread;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Unread>> + Send + 'static {
        let outbox = self.outbox.clone();
        self.unanswered.note_sent(&message);
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
