//! Sends one message to the registry over Streamable HTTP, and reads the answer.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::error::{BridgeError, tls_cause};
use super::message::{Message, RequestId};
use super::remote::Remote;
use super::sse_decoder::{MAX_EVENT, SseDecoder};

/// The pause before the second attempt. Each further pause is twice as long.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// The longest `Retry-After` that is followed. With a longer one, the registry's error goes to the client.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);
/// The first protocol version whose HTTP headers repeat parts of the body.
pub(super) const FIRST_VERSION_WITH_MCP_HEADERS: &str = "2026-07-28";

/// What the client and the registry have agreed on, for messages that do not repeat it.
#[derive(Debug, Clone, Default)]
pub(super) struct NegotiatedProtocol {
    pub(super) version: Option<String>,
    /// The client as a product of a User-Agent header.
    pub(super) client: Option<String>,
}

/// Sends a request and returns its response. Messages that the registry sends before the response go to `out`.
pub(super) async fn request(
    remote: &Remote,
    message: &Message,
    id: &RequestId,
    protocol: &NegotiatedProtocol,
    out: &mpsc::Sender<Vec<u8>>,
) -> Result<Vec<u8>, BridgeError> {
    let response = post(remote, message, protocol).await?;
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"));
    if is_stream && response.status().is_success() {
        read_stream(remote, response, id, out).await
    } else {
        read_body(remote, response, id).await
    }
}

/// Sends a notification or a response, which have no answer.
pub(super) async fn notify(
    remote: &Remote,
    message: &Message,
    protocol: &NegotiatedProtocol,
) -> Result<(), BridgeError> {
    let status = post(remote, message, protocol).await?.status();
    if status.is_success() {
        return Ok(());
    }
    Err(BridgeError::from_status(&remote.host, status))
}

/// Posts the message. Tries again while that is safe and promising: after a failed connection, after a gateway error of
/// a read-only message, and once after `Retry-After`.
async fn post(
    remote: &Remote,
    message: &Message,
    protocol: &NegotiatedProtocol,
) -> Result<Response, BridgeError> {
    let headers = headers(message, protocol);
    let mut backoff = FIRST_BACKOFF;
    let start = Instant::now();
    let mut has_waited = false;
    loop {
        let sending = remote
            .client
            .post(remote.url.clone())
            .headers(headers.clone())
            .body(message.text.clone())
            .send();
        let Ok(outcome) = timeout(remote.timeouts.response, sending).await else {
            return Err(interrupted(remote, "no answer in time"));
        };
        if let Ok(response) = &outcome
            && !has_waited
            && let Some(wait) = retry_after(response)
        {
            has_waited = true;
            sleep(wait).await;
            continue;
        }
        let can_retry = match &outcome {
            // The message did not reach the registry, so any message can be sent again.
            Err(error) if error.is_connect() => tls_cause(error).is_none(),
            Err(_) => message.is_read_only(),
            Ok(response) => message.is_read_only() && is_gateway_error(response.status()),
        };
        if !can_retry || start.elapsed() + backoff > remote.timeouts.retry {
            return outcome.map_err(|error| BridgeError::from_request_error(&remote.host, &error));
        }
        tracing::info!(host = %remote.host, backoff_ms = backoff.as_millis(), "registry unreachable, trying again");
        sleep(backoff).await;
        backoff *= 2;
    }
}

fn headers(message: &Message, protocol: &NegotiatedProtocol) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| {
        // A value that no header can carry is left out. The body contains it too, and the registry validates it.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set("accept", "application/json, text/event-stream");
    set("content-type", "application/json");
    let bridge = concat!("skillkeep-bridge/", env!("CARGO_PKG_VERSION"));
    match message.client.as_ref().or(protocol.client.as_ref()) {
        Some(client) => set("user-agent", &format!("{client} {bridge}")),
        None => set("user-agent", bridge),
    }
    if let Some(traceparent) = &message.traceparent {
        set("traceparent", traceparent);
    }
    // The answer to `initialize` decides the version, so the request has none.
    let negotiated = protocol
        .version
        .as_ref()
        .filter(|_| message.method != "initialize");
    if let Some(version) = message.protocol_version.as_ref().or(negotiated) {
        set("mcp-protocol-version", version);
        // Versions are ISO dates, so their order is the order of the strings.
        if version.as_str() >= FIRST_VERSION_WITH_MCP_HEADERS && !message.method.is_empty() {
            set("mcp-method", &message.method);
            if let Some(name) = &message.name {
                set("mcp-name", name);
            }
        }
    }
    headers
}

fn is_gateway_error(status: StatusCode) -> bool {
    [
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ]
    .contains(&status)
}

/// The wait that a rate-limited registry asks for in seconds (RFC 9110, section 10.2.3), unless it is too long.
fn retry_after(response: &Response) -> Option<Duration> {
    if response.status() != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let wait = Duration::from_secs(seconds.trim().parse().ok()?);
    (wait <= MAX_RETRY_AFTER).then_some(wait)
}

/// Reads a response that is the whole body.
async fn read_body(remote: &Remote, mut response: Response, id: &RequestId) -> Result<Vec<u8>, BridgeError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = next_chunk(remote, &mut response, remote.timeouts.response).await? {
        if body.len() + chunk.len() > MAX_EVENT {
            return Err(too_long(remote, status));
        }
        body.extend_from_slice(&chunk);
    }
    match Reply::parse(body, id, status) {
        Some(Reply::Response(line)) => Ok(line),
        Some(Reply::Interim(_)) | None => Err(BridgeError::from_status(&remote.host, status)),
    }
}

/// Reads an event stream up to the response.
async fn read_stream(
    remote: &Remote,
    mut response: Response,
    id: &RequestId,
    out: &mpsc::Sender<Vec<u8>>,
) -> Result<Vec<u8>, BridgeError> {
    let status = response.status();
    let mut decoder = SseDecoder::default();
    let mut messages = Vec::new();
    while let Some(chunk) = next_chunk(remote, &mut response, remote.timeouts.stream_idle).await? {
        decoder
            .feed(&chunk, &mut messages)
            .map_err(|_| too_long(remote, status))?;
        for message in messages.drain(..) {
            match Reply::parse(message, id, status) {
                Some(Reply::Response(line)) => return Ok(line),
                // Sending fails when the client has closed its input; the bridge then ends soon.
                Some(Reply::Interim(line)) => drop(out.send(line).await),
                None => return Err(BridgeError::from_status(&remote.host, status)),
            }
        }
    }
    Err(interrupted(remote, "the event stream ended before the answer"))
}

pub(super) async fn next_chunk(
    remote: &Remote,
    response: &mut Response,
    idle_timeout: Duration,
) -> Result<Option<Bytes>, BridgeError> {
    match timeout(idle_timeout, response.chunk()).await {
        Ok(chunk) => chunk.map_err(|error| BridgeError::from_request_error(&remote.host, &error)),
        Err(_) => Err(interrupted(remote, "no more data in time")),
    }
}

pub(super) fn interrupted(remote: &Remote, reason: &str) -> BridgeError {
    BridgeError::Interrupted {
        host: remote.host.clone(),
        reason: reason.to_owned(),
    }
}

pub(super) fn too_long(remote: &Remote, status: StatusCode) -> BridgeError {
    BridgeError::NotMcp {
        host: remote.host.clone(),
        status,
        reason: "the answer is longer than 64 MiB",
    }
}

/// A message of the registry, on one line.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    /// The response to the bridge's request.
    Response(Vec<u8>),
    /// A notification or a request that comes before the response.
    Interim(Vec<u8>),
}

impl Reply {
    /// Returns `None` if the text is not a JSON-RPC message, or is the response to another request.
    fn parse(text: Vec<u8>, id: &RequestId, status: StatusCode) -> Option<Self> {
        let mut value: Value = serde_json::from_slice(&text).ok()?;
        if value.get("jsonrpc")?.as_str()? != "2.0" {
            return None;
        }
        if value.get("method").is_some_and(Value::is_string) {
            return Some(Self::Interim(one_line(text, &value)));
        }
        let error = value.get("error").filter(|error| error.is_object());
        if error.is_none() && (value.get("result").is_none() || !status.is_success()) {
            return None;
        }
        let reply_id = value.get("id").unwrap_or(&Value::Null);
        if reply_id == id.value() {
            return Some(Self::Response(one_line(text, &value)));
        }
        // A request that is rejected before its body is parsed gets an error without an id.
        if reply_id.is_null() && error.is_some() && !status.is_success() {
            value.as_object_mut()?.insert("id".to_owned(), id.value().clone());
            return Some(Self::Response(value.to_string().into_bytes()));
        }
        None
    }
}

/// Returns the text unchanged if it is on one line.
pub(super) fn one_line(text: Vec<u8>, value: &Value) -> Vec<u8> {
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
        Message::parse(value.to_string().into_bytes()).unwrap()
    }

    fn sent(value: &Value, protocol: &NegotiatedProtocol, name: &str) -> String {
        let headers = headers(&message(value), protocol);
        headers
            .get(name)
            .map_or("-", |value| value.to_str().unwrap())
            .to_owned()
    }

    #[test]
    fn headers_depend_on_the_protocol_version() {
        let old = NegotiatedProtocol {
            version: Some("2025-11-25".to_owned()),
            client: Some("old/1".to_owned()),
        };
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "größe"}});
        assert_eq!(sent(&call, &old, "mcp-protocol-version"), "2025-11-25");
        assert_eq!(sent(&call, &old, "mcp-method"), "-");
        let bridge = concat!("skillkeep-bridge/", env!("CARGO_PKG_VERSION"));
        assert_eq!(sent(&call, &old, "user-agent"), format!("old/1 {bridge}"));
        let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}});
        assert_eq!(sent(&initialize, &old, "mcp-protocol-version"), "-");

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
    fn reply_is_forwarded_unchanged_and_on_one_line() {
        let request = json!({"jsonrpc": "2.0", "id": "a", "method": "ping"});
        let super::super::message::Kind::Request(id) = message(&request).kind else {
            panic!("a request")
        };
        let parse = |text: &str, status| Reply::parse(text.as_bytes().to_vec(), &id, status);
        let response = |text: &str| Some(Reply::Response(text.as_bytes().to_vec()));
        let exact = "{\"jsonrpc\": \"2.0\",\"id\":\"a\", \"result\":{\"n\":1.50}}";
        assert_eq!(parse(exact, StatusCode::OK), response(exact));
        assert_eq!(
            parse(&exact.replace(", ", ",\n"), StatusCode::OK),
            response("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{\"n\":1.5}}").map(reordered)
        );
        let rejected = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-1,\"message\":\"no\"}}";
        assert!(matches!(
            parse(rejected, StatusCode::UNAUTHORIZED),
            Some(Reply::Response(_))
        ));
        for (text, status) in [
            (rejected, StatusCode::OK),
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
            assert_eq!(parse(text, status), None, "{text}");
        }
    }

    /// Orders the members of the object like the JSON library.
    fn reordered(reply: Reply) -> Reply {
        match reply {
            Reply::Response(text) | Reply::Interim(text) => {
                let value: Value = serde_json::from_slice(&text).unwrap();
                Reply::Response(value.to_string().into_bytes())
            }
        }
    }
}
