//! Forwards messages over HTTP+SSE, the transport of MCP 2024-11-05: answers come as events of one stream.

use std::collections::HashSet;

use axum::http::header;
use reqwest::{Response, Url};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::error::BridgeError;
use super::http_client::{interrupted, next_chunk, one_line, too_long};
use super::message::{self, Kind, Message, RequestId, error_response};
use super::remote::Remote;
use super::sse_decoder::SseDecoder;
use super::{MAX_MESSAGE, OUTPUT_QUEUE, write};
use crate::json_rpc::{Line, LineReader};

/// Forwards messages as [`run`](super::run) does, but over HTTP+SSE: one stream and one session, which are not opened again.
///
/// Every request gets a response: after the stream has failed, an error.
pub async fn run_over_sse<R, W>(remote: Remote, input: R, output: W)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (out, queue) = mpsc::channel(OUTPUT_QUEUE);
    let writer = tokio::spawn(write(output, queue));
    let mut lines = LineReader::new(input, MAX_MESSAGE);
    let mut session = SseSession::open(&remote).await;
    let mut pending = HashSet::new();
    let mut deadline = None;
    loop {
        if deadline.is_some() && pending.is_empty() {
            break;
        }
        tokio::select! {
            () = out.closed() => break,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => break,
            line = lines.next(), if deadline.is_none() => match line {
                Ok(Some(line)) => forward_line(&mut session, line, &mut pending, &out).await,
                Ok(None) | Err(_) => deadline = Some(Instant::now() + remote.timeouts.drain),
            },
            received = receive(&mut session), if session.is_ok() => {
                let failed = match received {
                    Ok(messages) => forward_messages(messages, &mut pending, &out).await,
                    Err(error) => Some(error),
                };
                if let Some(error) = failed {
                    for id in pending.drain() {
                        send_error(&out, Some(&id), &error).await;
                    }
                    session = Err(error);
                }
            }
        }
    }
    drop(out);
    if let Err(error) = writer.await {
        tracing::error!(%error, "the task that writes to stdout failed");
    }
}

/// An open event stream and the address for messages that it named.
struct SseSession<'a> {
    remote: &'a Remote,
    stream: Response,
    decoder: SseDecoder,
    endpoint: Url,
    /// Messages that came in one chunk with the endpoint.
    early: Vec<Vec<u8>>,
}

impl<'a> SseSession<'a> {
    /// Opens the stream and waits for its first event, `endpoint`.
    async fn open(remote: &'a Remote) -> Result<Self, BridgeError> {
        let url = remote.sse_url();
        let request = remote
            .client
            .get(url.clone())
            .header(header::ACCEPT, "text/event-stream");
        let Ok(sent) = timeout(remote.timeouts.response, request.send()).await else {
            return Err(interrupted(remote, "no answer in time"));
        };
        let mut stream = sent.map_err(|error| BridgeError::from_request_error(&remote.host, &error))?;
        let status = stream.status();
        if !status.is_success() {
            return Err(BridgeError::from_status(&remote.host, status));
        }
        let (mut decoder, mut early) = (SseDecoder::default(), Vec::new());
        while decoder.endpoint.is_none() {
            let chunk = next_chunk(remote, &mut stream, remote.timeouts.stream_idle).await?;
            let chunk =
                chunk.ok_or_else(|| interrupted(remote, "the event stream ended at its beginning"))?;
            decoder
                .feed(&chunk, &mut early)
                .map_err(|_| too_long(remote, status))?;
        }
        let endpoint = decoder
            .endpoint
            .as_deref()
            .and_then(|path| std::str::from_utf8(path).ok())
            .and_then(|path| url.join(path).ok())
            // The API key goes to this address, so it must be the same server.
            .filter(|endpoint| endpoint.origin() == url.origin())
            .ok_or_else(|| BridgeError::NotMcp {
                host: remote.host.clone(),
                status,
                reason: "its event stream names no address on the same server",
            })?;
        Ok(Self {
            remote,
            stream,
            decoder,
            endpoint,
            early,
        })
    }

    async fn post(&self, message: &Message) -> Result<(), BridgeError> {
        let remote = self.remote;
        let agent = concat!("skillkeep-bridge/", env!("CARGO_PKG_VERSION"));
        let request = remote
            .client
            .post(self.endpoint.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, agent)
            .body(message.text.clone());
        let Ok(sent) = timeout(remote.timeouts.response, request.send()).await else {
            return Err(interrupted(remote, "no answer in time"));
        };
        let response = sent.map_err(|error| BridgeError::from_request_error(&remote.host, &error))?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(BridgeError::from_status(&remote.host, response.status()))
        }
    }
}

/// The next messages of the stream.
///
/// # Cancel safety
/// Dropping the future loses no message: it waits for one chunk only.
async fn receive(session: &mut Result<SseSession<'_>, BridgeError>) -> Result<Vec<Vec<u8>>, BridgeError> {
    let Ok(session) = session else {
        return Ok(Vec::new());
    };
    if !session.early.is_empty() {
        return Ok(std::mem::take(&mut session.early));
    }
    let remote = session.remote;
    let chunk = next_chunk(remote, &mut session.stream, remote.timeouts.stream_idle).await?;
    let chunk = chunk.ok_or_else(|| interrupted(remote, "the event stream ended"))?;
    let mut messages = Vec::new();
    session
        .decoder
        .feed(&chunk, &mut messages)
        .map_err(|_| too_long(remote, session.stream.status()))?;
    Ok(messages)
}

/// Returns an error if a message is not JSON.
async fn forward_messages(
    messages: Vec<Vec<u8>>,
    pending: &mut HashSet<RequestId>,
    out: &mpsc::Sender<Vec<u8>>,
) -> Option<BridgeError> {
    for message in messages {
        let Ok(value) = serde_json::from_slice::<Value>(&message) else {
            return Some(BridgeError::NotMcp {
                host: "the event stream".to_owned(),
                status: reqwest::StatusCode::OK,
                reason: "an event is not a JSON-RPC message",
            });
        };
        if value.get("method").is_none()
            && let Some(id) = value.get("id").and_then(RequestId::parse)
        {
            pending.remove(&id);
        }
        // Sending fails when the client has closed its input; the loop then ends.
        drop(out.send(one_line(message, &value)).await);
    }
    None
}

async fn forward_line(
    session: &mut Result<SseSession<'_>, BridgeError>,
    line: Line,
    pending: &mut HashSet<RequestId>,
    out: &mpsc::Sender<Vec<u8>>,
) {
    let message = match line {
        Line::TooLong(id) => {
            let answer = message::too_long_response(id.as_ref(), MAX_MESSAGE);
            return drop(out.send(answer).await);
        }
        Line::Text(text) => match Message::parse(text) {
            Ok(message) => message,
            Err(invalid) => return drop(out.send(invalid.response()).await),
        },
    };
    let id = match &message.kind {
        Kind::Request(id) => Some(id.clone()),
        Kind::Notification | Kind::Cancellation(_) | Kind::Response(_) => None,
    };
    match session {
        Ok(session) => match session.post(&message).await {
            Ok(()) => pending.extend(id),
            Err(error) => send_error(out, id.as_ref(), &error).await,
        },
        Err(error) => send_error(out, id.as_ref(), error).await,
    }
}

/// Answers a request with the error. A notification has no answer.
async fn send_error(out: &mpsc::Sender<Vec<u8>>, id: Option<&RequestId>, error: &BridgeError) {
    tracing::warn!(%error, "HTTP+SSE failed");
    if id.is_some() {
        drop(
            out.send(error_response(id, error.code(), &error.to_string()))
                .await,
        );
    }
}
