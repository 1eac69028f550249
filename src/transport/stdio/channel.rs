//! stdin and stdout as a transport of rmcp.
//!
//! rmcp's own transport ignores lines that it cannot read, so the client would wait for their answers, and drops the last line if it
//! has no line feed.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage, ServerResult,
};
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::json_rpc::{self, Batches, INVALID_REQUEST, Line, LineReader, NOT_IN_BATCH, must_be_sent_alone};
use crate::server::InvalidParams;

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 16 << 20;
/// Lines that wait for the client to read them.
const OUTPUT_QUEUE: usize = 64;
/// Some programs write it at the beginning of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// stdout is closed.
#[derive(Debug, thiserror::Error)]
#[error("the client has closed its input")]
pub(super) struct Closed;

/// The connection as a transport of rmcp.
pub(super) struct StdioTransport<R> {
    lines: LineReader<R>,
    /// `None` after the connection was closed.
    out: Option<mpsc::Sender<Vec<u8>>>,
    /// Answers to lines that rmcp does not see.
    own_answers: VecDeque<Vec<u8>>,
    /// The messages of a batch that rmcp has not received yet.
    messages: VecDeque<ClientJsonRpcMessage>,
    /// Both directions use it.
    batches: Arc<Mutex<Batches<RequestId>>>,
}

/// The transport, and the task that writes its answers. The task ends when the transport is dropped.
pub(super) fn channel<R, W>(input: R, output: W) -> (StdioTransport<R>, JoinHandle<()>)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (out, queue) = mpsc::channel(OUTPUT_QUEUE);
    let transport = StdioTransport {
        lines: LineReader::new(input, MAX_MESSAGE),
        out: Some(out),
        own_answers: VecDeque::new(),
        messages: VecDeque::new(),
        batches: Arc::default(),
    };
    (transport, tokio::spawn(write(output, queue)))
}

/// Writes the lines to the client. The only writer, so lines do not mix, also if rmcp drops a future.
async fn write(mut output: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut line) = queue.recv().await {
        line.push(b'\n');
        let written = match output.write_all(&line).await {
            Ok(()) => output.flush().await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::info!(%error, "the client has closed its input");
            return;
        }
    }
}

fn lock(batches: &Mutex<Batches<RequestId>>) -> MutexGuard<'_, Batches<RequestId>> {
    batches.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R: AsyncRead + Send + Unpin + 'static> Transport<RoleServer> for StdioTransport<R> {
    type Error = Closed;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Closed>> + Send + 'static {
        let (out, batches) = (self.out.clone(), Arc::clone(&self.batches));
        async move {
            let Some(line) = outgoing(&message, &batches) else {
                return Ok(());
            };
            out.ok_or(Closed)?.send(line).await.map_err(|_closed| Closed)
        }
    }

    /// Cancel safety: dropping the future loses no line and no answer, as rmcp requires.
    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            while !self.own_answers.is_empty() {
                let place = self.out.as_ref()?.reserve().await.ok()?;
                if let Some(answer) = self.own_answers.pop_front() {
                    place.send(answer);
                }
            }
            if let Some(message) = self.messages.pop_front() {
                return Some(message);
            }
            match self.lines.next().await {
                Ok(Some(Line::Text(line))) => self.accept(line),
                Ok(Some(Line::TooLong(id))) => {
                    let text = format!("The message is longer than {} MiB.", MAX_MESSAGE >> 20);
                    self.refuse(id.as_ref(), INVALID_REQUEST, &text);
                }
                Ok(None) => return None,
                Err(error) => {
                    tracing::error!(%error, "cannot read from stdin");
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Closed> {
        self.out = None;
        Ok(())
    }
}

/// The line for a message of the server. `None` for the answer to a request of a batch that has others without one.
fn outgoing(message: &ServerJsonRpcMessage, batches: &Mutex<Batches<RequestId>>) -> Option<Vec<u8>> {
    let line = match serde_json::to_vec(message) {
        Ok(line) => line,
        Err(error) => {
            tracing::error!(%error, "a message could not be written as JSON");
            return None;
        }
    };
    let mut batches = lock(batches);
    let id = match message {
        JsonRpcMessage::Response(response) => {
            if let ServerResult::InitializeResult(initialized) = &response.result {
                batches.set_version(initialized.protocol_version.as_str());
            }
            Some(&response.id)
        }
        JsonRpcMessage::Error(error) => error.id.as_ref(),
        JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
    };
    match id {
        Some(id) if batches.contains(id) => batches.answer(id, line),
        Some(_) | None => Some(line),
    }
}

impl<R> StdioTransport<R> {
    /// Queues the messages of a line, and the answers to those that rmcp could not read.
    fn accept(&mut self, mut line: Vec<u8>) {
        json_rpc::repair_surrogates(&mut line);
        let text = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line);
        if json_rpc::is_batch(text) {
            return self.accept_batch(text);
        }
        match parse(text) {
            Ok(Some(message)) => {
                if let Some(id) = cancelled(&message) {
                    let complete = lock(&self.batches).cancel(&id);
                    self.own_answers.extend(complete);
                }
                self.messages.push_back(message);
            }
            Ok(None) => {}
            Err(answer) => self.own_answers.push_back(answer),
        }
    }

    fn accept_batch(&mut self, text: &[u8]) {
        let admitted = lock(&self.batches).admit();
        let messages = match admitted.and_then(|()| json_rpc::split_batch(text)) {
            Ok(messages) => messages,
            Err(refused) => return self.refuse(None, refused.code, refused.message),
        };
        let (mut pending, mut answers, mut cancellations) = (HashSet::new(), Vec::new(), Vec::new());
        for message in messages {
            match parse(message) {
                Ok(Some(message)) => match request(&message) {
                    Some((id, is_allowed)) if !is_allowed || pending.contains(id) => {
                        let id = id.clone().into_json_value();
                        answers.push(refusal(Some(&id), INVALID_REQUEST, NOT_IN_BATCH));
                    }
                    other => {
                        // A cancellation before its request has no effect, because no such request is known.
                        let known = |id: &RequestId| pending.contains(id) || lock(&self.batches).contains(id);
                        cancellations.extend(cancelled(&message).filter(known));
                        pending.extend(other.map(|(id, _)| id.clone()));
                        self.messages.push_back(message);
                    }
                },
                Ok(None) => {}
                Err(answer) => answers.push(answer),
            }
        }
        let mut batches = lock(&self.batches);
        self.own_answers.extend(batches.open(pending, answers));
        for id in cancellations {
            self.own_answers.extend(batches.cancel(&id));
        }
    }

    fn refuse(&mut self, id: Option<&Value>, code: i32, reason: &str) {
        self.own_answers.push_back(refusal(id, code, reason));
    }
}

/// The answer to a line or message that rmcp cannot read.
fn refusal(id: Option<&Value>, code: i32, reason: &str) -> Vec<u8> {
    // Without the content, which may hold secrets.
    tracing::warn!(code, reason, "a message on stdin was refused");
    json_rpc::error_response(id, code, reason)
        .to_string()
        .into_bytes()
}

/// The message, `None` for a notification that rmcp does not know, or the error response.
fn parse(text: &[u8]) -> Result<Option<ClientJsonRpcMessage>, Vec<u8>> {
    let form = json_rpc::check(text)
        .map_err(|malformed| refusal(malformed.id.as_ref(), malformed.code, malformed.message))?;
    match serde_json::from_slice::<ClientJsonRpcMessage>(text) {
        Ok(mut message) => {
            if let Some(name) = form.duplicate {
                message.insert_extension(InvalidParams::duplicate(&name));
            }
            Ok(Some(message))
        }
        Err(_) if form.id.is_none() => Ok(None),
        Err(_) => {
            let reason = "The line is not a message of the Model Context Protocol.";
            Err(refusal(form.id.as_ref(), INVALID_REQUEST, reason))
        }
    }
}

/// The id of a request, and whether it may be a part of a batch.
fn request(message: &ClientJsonRpcMessage) -> Option<(&RequestId, bool)> {
    match message {
        JsonRpcMessage::Request(request) => {
            let is_allowed = !must_be_sent_alone(request.request.method());
            Some((&request.id, is_allowed))
        }
        JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) | JsonRpcMessage::Notification(_) => None,
    }
}

/// The request that a notification cancels.
fn cancelled(message: &ClientJsonRpcMessage) -> Option<RequestId> {
    if let JsonRpcMessage::Notification(sent) = message
        && let ClientNotification::CancelledNotification(cancelled) = &sent.notification
    {
        return cancelled.params.request_id.clone();
    }
    None
}
