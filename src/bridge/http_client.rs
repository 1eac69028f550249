//! One message there, and what comes back.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::error::{BridgeError, tls_cause};
use super::message::{Message, RequestId};
use super::remote::Remote;
use super::sse_decoder::{MAX_EVENT, SseDecoder};

/// The first pause before another try; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest wait that a busy registry may ask for; with more, its words go to the client.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// The revision from which on headers repeat what the body says.
pub(super) const REPEATS_IN_HEADERS: &str = "2026-07-28";

/// What all messages of a conversation share.
#[derive(Debug, Clone, Default)]
pub(super) struct NegotiatedProtocol {
    /// The revision of messages that name none.
    pub(super) revision: Option<String>,
    /// The client, as a product of a User-Agent.
    pub(super) client: Option<String>,
}

/// Sends a request; the messages that come before its answer go to `out`, the answer is returned.
pub(super) async fn request(
    remote: &Remote,
    message: &Message,
    id: &RequestId,
    spoken: &NegotiatedProtocol,
    out: &mpsc::Sender<Vec<u8>>,
) -> Result<Vec<u8>, BridgeError> {
    let response = post(remote, message, spoken).await?;
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"));
    if is_stream && response.status().is_success() {
        stream(remote, response, id, out).await
    } else {
        read_body(remote, response, id).await
    }
}

/// Sends what is not answered.
pub(super) async fn notify(
    remote: &Remote,
    message: &Message,
    spoken: &NegotiatedProtocol,
) -> Result<(), BridgeError> {
    let status = post(remote, message, spoken).await?.status();
    if status.is_success() {
        return Ok(());
    }
    Err(BridgeError::of_status(&remote.host, status))
}

/// Sends until something that is worth reading comes back.
async fn post(
    remote: &Remote,
    message: &Message,
    spoken: &NegotiatedProtocol,
) -> Result<Response, BridgeError> {
    let headers = headers(message, spoken);
    let mut pause = FIRST_PAUSE;
    let began = Instant::now();
    let mut has_waited = false;
    loop {
        let sent = remote
            .client
            .post(remote.url.clone())
            .headers(headers.clone())
            .body(message.text.clone())
            .send();
        let Ok(outcome) = timeout(remote.patience.reply, sent).await else {
            return Err(BridgeError::Interrupted {
                host: remote.host.clone(),
                why: "it did not answer in time".to_owned(),
            });
        };
        if let Ok(response) = &outcome
            && !has_waited
            && let Some(wait) = retry_after(response)
        {
            has_waited = true;
            sleep(wait).await;
            continue;
        }
        let again = match &outcome {
            // What never reached the registry can be sent again, whatever it is.
            Err(error) if error.is_connect() => tls_cause(error).is_none(),
            Err(_) => message.is_repeatable(),
            Ok(response) => message.is_repeatable() && is_gone(response.status()),
        };
        if !again || began.elapsed() + pause > remote.patience.away {
            return outcome.map_err(|error| BridgeError::of_error(&remote.host, &error));
        }
        tracing::info!(host = %remote.host, pause_ms = pause.as_millis(), "the registry is away, trying again");
        sleep(pause).await;
        pause *= 2;
    }
}

fn headers(message: &Message, spoken: &NegotiatedProtocol) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| {
        // What no header can hold is left out; the body says it as well, and the registry judges.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set("accept", "application/json, text/event-stream");
    set("content-type", "application/json");
    let bridge = concat!("skillkeep-bridge/", env!("CARGO_PKG_VERSION"));
    match message.client.as_ref().or(spoken.client.as_ref()) {
        Some(client) => set("user-agent", &format!("{client} {bridge}")),
        None => set("user-agent", bridge),
    }
    if let Some(traceparent) = &message.traceparent {
        set("traceparent", traceparent);
    }
    // Which revision is spoken is only settled by the answer to `initialize`.
    let shared = spoken
        .revision
        .as_ref()
        .filter(|_| message.method != "initialize");
    if let Some(revision) = message.revision.as_ref().or(shared) {
        set("mcp-protocol-version", revision);
        // Revisions are dates, so their order is that of the texts.
        if revision.as_str() >= REPEATS_IN_HEADERS && !message.method.is_empty() {
            set("mcp-method", &message.method);
            if let Some(name) = &message.name {
                set("mcp-name", name);
            }
        }
    }
    headers
}

fn is_gone(status: StatusCode) -> bool {
    [
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ]
    .contains(&status)
}

/// How long a busy registry wants us to wait (RFC 9110, section 10.2.3), if it says so and it is not too long.
fn retry_after(response: &Response) -> Option<Duration> {
    if response.status() != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let wait = Duration::from_secs(seconds.trim().parse().ok()?);
    (wait <= MAX_WAIT).then_some(wait)
}

/// The answer in a body of its own.
async fn read_body(remote: &Remote, mut response: Response, id: &RequestId) -> Result<Vec<u8>, BridgeError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = next_chunk(remote, &mut response, remote.patience.reply).await? {
        if body.len() + chunk.len() > MAX_EVENT {
            return Err(foreign(remote, status, "its answer has no end"));
        }
        body.extend_from_slice(&chunk);
    }
    match Reply::read(body, id, status) {
        Some(Reply::Answer(line)) => Ok(line),
        Some(Reply::Before(_)) | None => Err(BridgeError::of_status(&remote.host, status)),
    }
}

/// The answer at the end of a stream of events.
async fn stream(
    remote: &Remote,
    mut response: Response,
    id: &RequestId,
    out: &mpsc::Sender<Vec<u8>>,
) -> Result<Vec<u8>, BridgeError> {
    let status = response.status();
    let mut events = SseDecoder::default();
    let mut messages = Vec::new();
    while let Some(chunk) = next_chunk(remote, &mut response, remote.patience.stream).await? {
        events
            .feed(&chunk, &mut messages)
            .map_err(|_| foreign(remote, status, "its answer has no end"))?;
        for message in messages.drain(..) {
            match Reply::read(message, id, status) {
                Some(Reply::Answer(line)) => return Ok(line),
                // Nobody reads any more when this fails, and the conversation is about to end.
                Some(Reply::Before(line)) => drop(out.send(line).await),
                None => return Err(BridgeError::of_status(&remote.host, status)),
            }
        }
    }
    Err(BridgeError::Interrupted {
        host: remote.host.clone(),
        why: "its stream of events ended early".to_owned(),
    })
}

async fn next_chunk(
    remote: &Remote,
    response: &mut Response,
    patience: Duration,
) -> Result<Option<axum::body::Bytes>, BridgeError> {
    match timeout(patience, response.chunk()).await {
        Ok(chunk) => chunk.map_err(|error| BridgeError::of_error(&remote.host, &error)),
        Err(_) => Err(BridgeError::Interrupted {
            host: remote.host.clone(),
            why: "it fell silent".to_owned(),
        }),
    }
}

fn foreign(remote: &Remote, status: StatusCode, why: &'static str) -> BridgeError {
    BridgeError::NotMcp {
        host: remote.host.clone(),
        status,
        why,
    }
}

/// A message of the registry's, on one line.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    /// The answer to our request.
    Answer(Vec<u8>),
    /// A notification or a request of the registry's.
    Before(Vec<u8>),
}

impl Reply {
    /// `None` for what is no JSON-RPC message, or answers another request than ours.
    fn read(text: Vec<u8>, id: &RequestId, status: StatusCode) -> Option<Self> {
        let mut value: Value = serde_json::from_slice(&text).ok()?;
        if value.get("jsonrpc")?.as_str()? != "2.0" {
            return None;
        }
        if value.get("method").is_some_and(Value::is_string) {
            return Some(Self::Before(one_line(text, &value)));
        }
        let error = value.get("error").filter(|error| error.is_object());
        if error.is_none() && (value.get("result").is_none() || !status.is_success()) {
            return None;
        }
        let answered = value.get("id").unwrap_or(&Value::Null);
        if answered == id.value() {
            return Some(Self::Answer(one_line(text, &value)));
        }
        // What is refused before it is read is answered without an id.
        if answered.is_null() && error.is_some() && !status.is_success() {
            value.as_object_mut()?.insert("id".to_owned(), id.value().clone());
            return Some(Self::Answer(value.to_string().into_bytes()));
        }
        None
    }
}

/// The text as it came, unless it spreads over several lines.
fn one_line(text: Vec<u8>, value: &Value) -> Vec<u8> {
    if text.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        value.to_string().into_bytes()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(value: &Value) -> Message {
        Message::read(value.to_string().into_bytes()).unwrap()
    }

    fn sent(value: &Value, spoken: &NegotiatedProtocol, name: &str) -> String {
        let headers = headers(&message(value), spoken);
        headers
            .get(name)
            .map_or("-", |value| value.to_str().unwrap())
            .to_owned()
    }

    #[test]
    fn each_revision_gets_its_headers() {
        let old = NegotiatedProtocol {
            revision: Some("2025-11-25".to_owned()),
            client: Some("old/1".to_owned()),
        };
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "größe"}});
        assert_eq!(sent(&call, &old, "mcp-protocol-version"), "2025-11-25");
        assert_eq!(sent(&call, &old, "mcp-method"), "-");
        let bridge = concat!("skillkeep-bridge/", env!("CARGO_PKG_VERSION"));
        assert_eq!(sent(&call, &old, "user-agent"), format!("old/1 {bridge}"));
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}});
        assert_eq!(sent(&hello, &old, "mcp-protocol-version"), "-");

        let mut new = call;
        new["params"]["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        });
        let none = NegotiatedProtocol::default();
        assert_eq!(sent(&new, &none, "mcp-protocol-version"), "2026-07-28");
        assert_eq!(sent(&new, &none, "mcp-method"), "tools/call");
        assert_eq!(sent(&new, &none, "mcp-name"), "=?base64?Z3LDtsOfZQ==?=");
        assert_eq!(sent(&new, &none, "user-agent"), bridge);
        assert!(sent(&new, &none, "traceparent").starts_with("00-0af7"));
    }

    #[test]
    fn a_reply_is_passed_on_as_it_came_and_on_one_line() {
        let request = json!({"jsonrpc": "2.0", "id": "a", "method": "ping"});
        let super::super::message::Kind::Request(id) = message(&request).kind else {
            panic!("a request")
        };
        let read = |text: &str, status| Reply::read(text.as_bytes().to_vec(), &id, status);
        let answer = |text: &str| Some(Reply::Answer(text.as_bytes().to_vec()));
        let exact = "{\"jsonrpc\": \"2.0\",\"id\":\"a\", \"result\":{\"n\":1.50}}";
        assert_eq!(read(exact, StatusCode::OK), answer(exact));
        assert_eq!(
            read(&exact.replace(", ", ",\n"), StatusCode::OK),
            answer("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{\"n\":1.5}}").map(reordered)
        );
        let refused = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-1,\"message\":\"no\"}}";
        assert!(matches!(
            read(refused, StatusCode::UNAUTHORIZED),
            Some(Reply::Answer(_))
        ));
        for (text, status) in [
            (refused, StatusCode::OK),
            ("<html>", StatusCode::OK),
            ("{}", StatusCode::OK),
            ("[]", StatusCode::OK),
            ("{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"result\":{}}", StatusCode::OK),
            ("{\"jsonrpc\":\"2.0\",\"id\":\"a\"}", StatusCode::OK),
            (
                "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}",
                StatusCode::BAD_GATEWAY,
            ),
        ] {
            assert_eq!(read(text, status), None, "{text}");
        }
    }

    /// As the JSON library orders the members of an object.
    fn reordered(reply: Reply) -> Reply {
        match reply {
            Reply::Answer(text) | Reply::Before(text) => {
                let value: Value = serde_json::from_slice(&text).unwrap();
                Reply::Answer(value.to_string().into_bytes())
            }
        }
    }
}
