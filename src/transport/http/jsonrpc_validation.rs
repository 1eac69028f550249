//! Looks at a message before the protocol layer does: its size, the time it takes to arrive, and whether it is a JSON-RPC
//! message at all (JSON-RPC 2.0, section 4). What is not gets a JSON-RPC error that says what is wrong.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::Value;

use super::error_response::json_rpc_error;
use crate::server::CallGuard;

/// The largest message, in bytes.
pub(in crate::transport) const MAX_BODY_BYTES: usize = 4 << 20;

/// In every request's extensions: how long its message may take to arrive.
#[derive(Clone, Copy)]
pub(in crate::transport) struct BodyTimeout(pub(super) Duration);

/// Levels of lists and objects in each other. The protocol's own messages have about ten.
const MAX_DEPTH: usize = 100;

const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;

/// What is looked at; everything else is the protocol layer's.
#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    jsonrpc: Option<Value>,
    /// `Some(Null)` where it was sent as null, which is not the same as leaving it out.
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    #[serde(default)]
    method: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    error: Option<Value>,
}

/// Large or deep values are not kept: that a field is there is all that is asked.
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

/// For `/mcp`: lets well-formed messages through, and makes every refusal of the protocol layer a JSON-RPC error.
pub(super) async fn validate_jsonrpc(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        let mut response = json_rpc_error(
            StatusCode::METHOD_NOT_ALLOWED,
            INVALID_REQUEST,
            "Send messages here with POST. There are no sessions to open or to end, and no stream to listen to but that of \
             subscriptions/listen.",
        );
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let (mut parts, body) = request.into_parts();
    let (bytes, is_subscription) = match read(&parts, body).await {
        Ok(message) => message,
        Err(refusal) => return refusal,
    };
    accept_both(&mut parts.headers);
    // The size may have come in chunks; now it is known.
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    if is_subscription {
        // Subscriptions are counted by themselves: they would leave no place for calls.
        parts.extensions.remove::<CallGuard>();
    }
    in_json(next.run(Request::from_parts(parts, Body::from(bytes))).await).await
}

/// Reads a message and checks its shape. The second part tells whether its answer may last for days.
pub(in crate::transport) async fn read(parts: &Parts, body: Body) -> Result<(Bytes, bool), Response> {
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
    let patience = parts
        .extensions
        .get()
        .map_or(Duration::ZERO, |BodyTimeout(time)| *time);
    let bytes = match tokio::time::timeout(patience, axum::body::to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(unread(&error)),
        Err(_) => {
            return Err(json_rpc_error(
                StatusCode::REQUEST_TIMEOUT,
                INVALID_REQUEST,
                &format!("The message did not arrive in {} seconds.", patience.as_secs()),
            ));
        }
    };
    let is_subscription =
        check(&bytes).map_err(|(code, words)| json_rpc_error(StatusCode::BAD_REQUEST, code, words))?;
    Ok((bytes, is_subscription))
}

fn unread(error: &axum::Error) -> Response {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            let words = format!("The message is larger than {} MiB.", MAX_BODY_BYTES >> 20);
            return json_rpc_error(StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, &words);
        }
        cause = error.source();
    }
    json_rpc_error(
        StatusCode::BAD_REQUEST,
        PARSE_ERROR,
        "The message broke off before its end.",
    )
}

/// Whether the message is one, and whether its answer may last for days; else the code and the words of the error.
fn check(bytes: &[u8]) -> Result<bool, (i32, &'static str)> {
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
                "Batches are no part of the protocol since revision 2025-06-18. Send each message by itself.",
            ));
        }
        Some(b'{') => {}
        Some(_) | None => {
            let is_json = serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
            return Err(if is_json {
                (INVALID_REQUEST, "A JSON-RPC message is an object.")
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
            "The message is nested too deeply: at most 100 levels are read.",
        ));
    }
    let shape: Shape = serde_json::from_slice(bytes).map_err(|error| unparsed(&error))?;
    if shape.jsonrpc != Some(Value::from("2.0")) {
        return Err((INVALID_REQUEST, "The message needs \"jsonrpc\": \"2.0\"."));
    }
    if shape.id.as_ref().is_some_and(Value::is_null) {
        return Err((
            INVALID_REQUEST,
            "The id of a message is a text or a whole number.",
        ));
    }
    match (&shape.method, shape.result.is_some() || shape.error.is_some()) {
        (Some(Value::String(method)), false) => Ok(method == "subscriptions/listen"),
        (None, true) => Ok(false),
        (Some(_) | None, _) => Err((
            INVALID_REQUEST,
            "The message needs a \"method\", a text, or is the answer to a request with its \"result\" or \"error\".",
        )),
    }
}

/// Counts brackets outside of texts: no recursion, whatever is sent.
fn is_too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
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
        serde_json::error::Category::Data => (INVALID_REQUEST, "A part of the message is there twice."),
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => (
            PARSE_ERROR,
            "The request's body is not a JSON-RPC message in UTF-8.",
        ),
    }
}

/// A client that says nothing of what it accepts, or accepts everything, accepts what the protocol has.
fn accept_both(headers: &mut HeaderMap) {
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

/// The protocol layer refuses some requests in plain text.
async fn in_json(response: Response) -> Response {
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"));
    if is_json || !response.status().is_client_error() {
        return response;
    }
    let status = response.status();
    let words = axum::body::to_bytes(response.into_body(), 4096)
        .await
        .unwrap_or_default();
    json_rpc_error(status, INVALID_REQUEST, &String::from_utf8_lossy(&words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_from_what_is_none() {
        for good in [
            r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#,
            r#"{"jsonrpc": "2.0", "id": "a", "method": "ping"}"#,
            r#"{"jsonrpc": "2.0", "method": "notifications/initialized", "params": {"a": [1.5, null]}}"#,
            r#"{"jsonrpc": "2.0", "id": 1, "result": {}}"#,
        ] {
            assert_eq!(check(good.as_bytes()), Ok(false), "{good}");
        }
        let listen = br#"{"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen"}"#;
        assert_eq!(check(listen), Ok(true));
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
    fn what_is_nested_a_million_deep_is_refused_wherever_it_stands() {
        let deep = "[".repeat(1_000_000);
        for place in ["params", "id", "jsonrpc", "method", "result", "other"] {
            let message = format!(r#"{{"jsonrpc": "2.0", "{place}": {deep}"#);
            let refusal = check(message.as_bytes()).map_err(|(code, words)| (code, words.contains("nested")));
            assert_eq!(refusal, Err((INVALID_REQUEST, true)), "{place}");
        }
        let brackets_in_a_text = format!(r#"{{"jsonrpc": "2.0", "method": "\\\"{deep}"}}"#);
        assert_eq!(check(brackets_in_a_text.as_bytes()), Ok(false));
    }
}
