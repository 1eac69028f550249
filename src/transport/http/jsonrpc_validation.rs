//! Checks the body of each message before the protocol layer: its size, the time it takes to arrive, and whether it is a
//! JSON-RPC message (JSON-RPC 2.0, section 4). Then counts a call against the limits of its key and tenant.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::Value;

use super::error_response::{access_denied, json_rpc_error};
use super::head_validation::origin;
use super::held_body;
use crate::access::{AccessControl, CallGuard};
use crate::server::is_call;
use crate::tenancy::{ApiKey, Principal};

/// The largest message, in bytes.
pub(in crate::transport) const MAX_BODY_BYTES: usize = 4 << 20;

/// How long a body may take to arrive. In the extensions of every request.
#[derive(Clone, Copy)]
pub(in crate::transport) struct BodyTimeout(pub(super) Duration);

/// Nested arrays and objects. The protocol's own messages have about ten levels.
const MAX_DEPTH: usize = 100;

const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;

/// The checked fields. rmcp checks the others.
#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    jsonrpc: Option<Value>,
    /// `Some(Null)` for a null, which differs from a missing id.
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    #[serde(default)]
    method: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    error: Option<Value>,
}

/// Large or deep values are not kept: only the presence of the field is checked.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Small {
        Text(String),
        Whole(i64),
        Unsigned(u64),
        Other(IgnoredAny),
    }
    Ok(Some(match Small::deserialize(deserializer)? {
        Small::Text(text) => Value::String(text),
        Small::Whole(number) => number.into(),
        Small::Unsigned(number) => number.into(),
        Small::Other(_) => Value::Null,
    }))
}

/// A message that was checked.
pub(in crate::transport) struct Message {
    pub(in crate::transport) bytes: Bytes,
    /// `None` for a response of the client.
    method: Option<String>,
}

/// For `/mcp`: passes well-formed messages on, and turns every error of the protocol layer into a JSON-RPC error.
pub(super) async fn validate_jsonrpc(
    State(access): State<Arc<AccessControl>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        let mut response = json_rpc_error(
            StatusCode::METHOD_NOT_ALLOWED,
            INVALID_REQUEST,
            "Send messages to this path with POST. It has no sessions, and no stream but that of subscriptions/listen.",
        );
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let (mut parts, body) = request.into_parts();
    let message = match read(&parts, body).await {
        Ok(message) => message,
        Err(refusal) => return refusal,
    };
    let guard = match admit(&access, &parts, &message).await {
        Ok(guard) => guard.map(Arc::new),
        Err(refusal) => return refusal,
    };
    if let Some(guard) = &guard {
        parts.extensions.insert(Arc::clone(guard));
    }
    let bytes = message.bytes;
    normalize_accept(&mut parts.headers);
    // The body may have come in chunks; now its size is known.
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    let response = as_json_rpc(next.run(Request::from_parts(parts, Body::from(bytes))).await).await;
    held_body::hold(response, guard)
}

/// Counts a call against its limits. Other messages need no permit: pings, notifications, and subscriptions, which have a
/// limit of their own.
pub(in crate::transport) async fn admit(
    access: &Arc<AccessControl>,
    parts: &Parts,
    message: &Message,
) -> Result<Option<CallGuard>, Response> {
    let (Some(method), Some(key), Some(principal)) = (
        message.method.as_deref(),
        parts.extensions.get::<ApiKey>(),
        parts.extensions.get::<Arc<Principal>>(),
    ) else {
        return Ok(None);
    };
    if !is_call(method) {
        return Ok(None);
    }
    let source = origin(&parts.extensions).source;
    match access.admit(key, principal, &source).await {
        Ok(guard) => Ok(Some(guard)),
        Err(error) => Err(access_denied(&error)),
    }
}

/// Reads a message and checks its form.
pub(in crate::transport) async fn read(parts: &Parts, body: Body) -> Result<Message, Response> {
    let is_json = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(json_rpc_error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            INVALID_REQUEST,
            "Send the message with Content-Type: application/json.",
        ));
    }
    let body_timeout = parts
        .extensions
        .get()
        .map_or(Duration::ZERO, |BodyTimeout(time)| *time);
    let bytes = match tokio::time::timeout(body_timeout, axum::body::to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(unread(&error)),
        Err(_) => {
            return Err(json_rpc_error(
                StatusCode::REQUEST_TIMEOUT,
                INVALID_REQUEST,
                &format!(
                    "The request body did not arrive within {} seconds.",
                    body_timeout.as_secs()
                ),
            ));
        }
    };
    let method =
        check(&bytes).map_err(|(code, message)| json_rpc_error(StatusCode::BAD_REQUEST, code, message))?;
    Ok(Message { bytes, method })
}

fn unread(error: &axum::Error) -> Response {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            let message = format!("The request body is larger than {} MiB.", MAX_BODY_BYTES >> 20);
            return json_rpc_error(StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, &message);
        }
        cause = error.source();
    }
    json_rpc_error(
        StatusCode::BAD_REQUEST,
        PARSE_ERROR,
        "The request body ended unexpectedly.",
    )
}

/// The method of a message, `None` for a response; or code and message of the error.
fn check(bytes: &[u8]) -> Result<Option<String>, (i32, &'static str)> {
    if std::str::from_utf8(bytes).is_err() {
        return Err((
            PARSE_ERROR,
            "The request's body is not a JSON-RPC message in UTF-8.",
        ));
    }
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => {
            return Err((
                INVALID_REQUEST,
                "Batches are not supported: the protocol has none since version 2025-06-18. Send each message in its own request.",
            ));
        }
        Some(b'{') => {}
        Some(_) | None => {
            let is_json = serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
            return Err(if is_json {
                (INVALID_REQUEST, "A JSON-RPC message must be an object.")
            } else {
                (
                    PARSE_ERROR,
                    "The request's body is not a JSON-RPC message in UTF-8.",
                )
            });
        }
    }
    if is_too_deep(bytes) {
        return Err((
            INVALID_REQUEST,
            "The message is nested too deeply. The limit is 100 levels.",
        ));
    }
    let shape: Shape = serde_json::from_slice(bytes).map_err(|error| unparsed(&error))?;
    if shape.jsonrpc != Some(Value::from("2.0")) {
        return Err((INVALID_REQUEST, "The message must have \"jsonrpc\": \"2.0\"."));
    }
    if shape.id.as_ref().is_some_and(Value::is_null) {
        return Err((
            INVALID_REQUEST,
            "The id of a message must be a string or an integer.",
        ));
    }
    match (shape.method, shape.result.is_some() || shape.error.is_some()) {
        (Some(Value::String(method)), false) => Ok(Some(method)),
        (None, true) => Ok(None),
        (Some(_) | None, _) => Err((
            INVALID_REQUEST,
            "The message must have a \"method\", a string, or be a response with \"result\" or \"error\".",
        )),
    }
}

/// Counts brackets outside strings, without recursion.
fn is_too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

fn unparsed(error: &serde_json::Error) -> (i32, &'static str) {
    match error.classify() {
        serde_json::error::Category::Data => (INVALID_REQUEST, "Duplicate field in the JSON-RPC message."),
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => (
            PARSE_ERROR,
            "The request's body is not a JSON-RPC message in UTF-8.",
        ),
    }
}

/// A client that sends no `Accept`, or `*/*`, accepts both content types of the protocol.
fn normalize_accept(headers: &mut HeaderMap) {
    let accepts_all = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains("*/*")));
    if accepts_all || !headers.contains_key(header::ACCEPT) {
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
    }
}

/// rmcp refuses some requests in plain text.
async fn as_json_rpc(response: Response) -> Response {
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"));
    if is_json || !response.status().is_client_error() {
        return response;
    }
    let status = response.status();
    let message = axum::body::to_bytes(response.into_body(), 4096)
        .await
        .unwrap_or_default();
    json_rpc_error(status, INVALID_REQUEST, &String::from_utf8_lossy(&message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_rpc_messages_pass() {
        for (good, method) in [
            (r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#, Some("ping")),
            (r#"{"jsonrpc": "2.0", "id": "a", "method": "ping"}"#, Some("ping")),
            (
                r#"{"jsonrpc": "2.0", "method": "notifications/initialized", "params": {"a": [1.5, null]}}"#,
                Some("notifications/initialized"),
            ),
            (r#"{"jsonrpc": "2.0", "id": 1, "result": {}}"#, None),
        ] {
            assert_eq!(check(good.as_bytes()), Ok(method.map(str::to_owned)), "{good}");
        }
        for (bad, code) in [
            ("", PARSE_ERROR),
            ("{", PARSE_ERROR),
            ("\u{feff}{}", PARSE_ERROR),
            ("7", INVALID_REQUEST),
            (
                r#"[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]"#,
                INVALID_REQUEST,
            ),
            (r#"{"id": 1, "method": "ping"}"#, INVALID_REQUEST),
            (
                r#"{"jsonrpc": "1.0", "id": 1, "method": "ping"}"#,
                INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc": "2.0", "id": null, "method": "ping"}"#,
                INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}"#,
                INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc": "2.0", "id": {}, "method": "ping"}"#,
                INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc": "2.0", "id": true, "method": "ping"}"#,
                INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "ping"}"#,
                INVALID_REQUEST,
            ),
            (r#"{"jsonrpc": "2.0", "id": 1, "method": 7}"#, INVALID_REQUEST),
            (r#"{"jsonrpc": "2.0", "id": 1}"#, INVALID_REQUEST),
        ] {
            assert_eq!(
                check(bad.as_bytes()).map_err(|(code, _)| code),
                Err(code),
                "{bad}"
            );
        }
        assert_eq!(check(&[0xff, 0xfe]).map_err(|(code, _)| code), Err(PARSE_ERROR));
    }

    #[test]
    fn deep_nesting_is_refused_in_every_field() {
        let deep = "[".repeat(1_000_000);
        for field in ["params", "id", "jsonrpc", "method", "result", "other"] {
            let message = format!(r#"{{"jsonrpc": "2.0", "{field}": {deep}"#);
            let refusal =
                check(message.as_bytes()).map_err(|(code, message)| (code, message.contains("nested")));
            assert_eq!(refusal, Err((INVALID_REQUEST, true)), "{field}");
        }
        let brackets_in_a_string = format!(r#"{{"jsonrpc": "2.0", "method": "\\\"{deep}"}}"#);
        assert!(check(brackets_in_a_string.as_bytes()).is_ok());
    }
}
