//! What a line says, as far as the bridge must know to send it on.

use axum::body::Bytes;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The id of a request: a string or a number (JSON-RPC 2.0, section 4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RequestId(Value);

impl RequestId {
    fn read(value: &Value) -> Option<Self> {
        (value.is_string() || value.is_number()).then(|| Self(value.clone()))
    }

    pub(super) const fn value(&self) -> &Value {
        &self.0
    }
}

/// One message of the client.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The line as the client wrote it.
    pub(super) text: Bytes,
    pub(super) kind: Kind,
    /// The method; empty for a response.
    pub(super) method: String,
    /// What the header `Mcp-Name` says, encoded.
    pub(super) name: Option<String>,
    /// The protocol revision that the message itself names, as all do since 2026-07-28.
    pub(super) revision: Option<String>,
    /// The client's name and version, as the message itself tells them.
    pub(super) client: Option<String>,
    /// The trace that the message belongs to (W3C Trace Context).
    pub(super) traceparent: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Request(RequestId),
    Notification,
    /// A notification that the client gives up this request.
    Cancellation(RequestId),
    /// The client's answer to a request of the registry's.
    Response,
}

/// A line that is no message, with the words for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidMessage {
    code: i32,
    id: Option<RequestId>,
    words: &'static str,
}

impl InvalidMessage {
    pub(super) fn answer(&self) -> Vec<u8> {
        error_line(self.id.as_ref(), self.code, self.words)
    }
}

/// The answer to a line that was skipped.
pub(super) fn too_long(limit: usize) -> Vec<u8> {
    let words = format!("The message is longer than {} MiB.", limit >> 20);
    error_line(None, INVALID, &words)
}

/// A JSON-RPC error response, on one line.
pub(super) fn error_line(id: Option<&RequestId>, code: i32, words: &str) -> Vec<u8> {
    let id = id.map_or(&Value::Null, RequestId::value);
    let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": words}});
    error.to_string().into_bytes()
}

const UNREADABLE: i32 = -32_700;
const INVALID: i32 = -32_600;
const META: &str = "io.modelcontextprotocol/";

impl Message {
    pub(super) fn read(text: Vec<u8>) -> Result<Self, InvalidMessage> {
        let refuse = |code, id, words| Err(InvalidMessage { code, id, words });
        let Ok(value) = serde_json::from_slice::<Value>(&text) else {
            return refuse(UNREADABLE, None, "The line is not JSON in UTF-8.");
        };
        if value.is_array() {
            return refuse(
                INVALID,
                None,
                "Batches are not supported; send one message a line.",
            );
        }
        let id = value.get("id").and_then(RequestId::read);
        if value.get("jsonrpc") != Some(&Value::from("2.0")) {
            return refuse(INVALID, id, "The line is not a JSON-RPC 2.0 message.");
        }
        let method = value.get("method").and_then(Value::as_str);
        let kind = match (method, value.get("id"), id) {
            (Some(_), Some(_), Some(id)) => Kind::Request(id),
            (Some(method), None, _) => cancellation(method, &value).unwrap_or(Kind::Notification),
            (None, _, Some(_)) if value.get("result").is_some() || value.get("error").is_some() => {
                Kind::Response
            }
            (Some(_), Some(_), None) => {
                return refuse(INVALID, None, "The id of a request is a string or a number.");
            }
            (None, _, id) => return refuse(INVALID, id, "The message has neither a method nor a result."),
        };
        let params = value.get("params");
        let meta = params.and_then(|params| params.get("_meta"));
        let text_of = |key: &str| meta.and_then(|meta| meta.get(key)).and_then(Value::as_str);
        let method = method.unwrap_or_default().to_owned();
        let declared = if method == "initialize" {
            params.and_then(|params| params.get("clientInfo"))
        } else {
            meta.and_then(|meta| meta.get(format!("{META}clientInfo")))
        };
        Ok(Self {
            kind,
            name: name(&method, params),
            revision: text_of(&format!("{META}protocolVersion")).map(str::to_owned),
            client: declared.and_then(product),
            traceparent: text_of("traceparent").map(str::to_owned),
            method,
            text: Bytes::from(text),
        })
    }

    /// Whether the registry may get the message twice without harm.
    pub(super) fn is_repeatable(&self) -> bool {
        // Only a call of a tool may change something.
        self.method != "tools/call" && !self.method.is_empty()
    }

    /// Whether the reply goes on until somebody ends it.
    pub(super) fn is_subscription(&self) -> bool {
        self.method == "subscriptions/listen"
    }
}

fn cancellation(method: &str, value: &Value) -> Option<Kind> {
    if method != "notifications/cancelled" {
        return None;
    }
    let id = value.pointer("/params/requestId").and_then(RequestId::read)?;
    Some(Kind::Cancellation(id))
}

/// What `Mcp-Name` repeats of the body (2026-07-28, Streamable HTTP, standard request headers).
fn name(method: &str, params: Option<&Value>) -> Option<String> {
    let key = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    Some(header_text(params?.get(key)?.as_str()?))
}

const WRAP_START: &str = "=?base64?";
const WRAP_END: &str = "?=";

/// A text as a header can carry it: in Base64 where a header would change it, or could not hold it.
fn header_text(text: &str) -> String {
    let would_change = text.starts_with(' ') || text.ends_with(' ');
    let looks_wrapped = text.starts_with(WRAP_START) && text.ends_with(WRAP_END);
    let fits = text.chars().all(|c| matches!(c, ' '..='~'));
    if fits && !would_change && !looks_wrapped {
        text.to_owned()
    } else {
        format!("{WRAP_START}{}{WRAP_END}", BASE64_STANDARD.encode(text))
    }
}

/// The longest name or version that a User-Agent repeats, in characters.
const MAX_TOKEN: usize = 64;

/// `clientInfo` as a product of a User-Agent (RFC 9110, section 10.1.5).
fn product(client: &Value) -> Option<String> {
    let part = |key: &str| client.get(key).and_then(Value::as_str).and_then(token);
    let name = part("name")?;
    Some(match part("version") {
        Some(version) => format!("{name}/{version}"),
        None => name,
    })
}

/// The text with a hyphen for what may not stand in a token (RFC 9110, section 5.6.2); `None` when nothing is left.
fn token(text: &str) -> Option<String> {
    let token: String = text
        .chars()
        .take(MAX_TOKEN)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    let token = token.trim_matches('-');
    (!token.is_empty()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: &Value) -> Message {
        Message::read(value.to_string().into_bytes()).unwrap()
    }

    fn refused(text: &str) -> Value {
        serde_json::from_slice(&Message::read(text.as_bytes().to_vec()).unwrap_err().answer()).unwrap()
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_code_for_it() {
        let deep = "[".repeat(1_000_000);
        for (text, code, id) in [
            ("hello", -32700, Value::Null),
            (&deep, -32700, Value::Null),
            (
                "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]",
                -32600,
                Value::Null,
            ),
            ("7", -32600, Value::Null),
            ("{\"id\":1,\"method\":\"ping\"}", -32600, json!(1)),
            (
                "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}",
                -32600,
                Value::Null,
            ),
            ("{\"jsonrpc\":\"2.0\",\"id\":\"a\"}", -32600, json!("a")),
        ] {
            let answer = refused(text);
            assert_eq!(answer["error"]["code"], code, "{answer}");
            assert_eq!(answer["id"], id, "{answer}");
        }
    }

    #[test]
    fn a_message_is_known_by_what_it_has() {
        let kind = |value: Value| read(&value).kind;
        let id = |value: Value| RequestId(value);
        assert_eq!(
            kind(json!({"jsonrpc": "2.0", "id": "x", "method": "ping"})),
            Kind::Request(id(json!("x")))
        );
        assert_eq!(
            kind(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})),
            Kind::Notification
        );
        let cancelled =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4}});
        assert_eq!(kind(cancelled), Kind::Cancellation(id(json!(4))));
        assert_eq!(
            kind(json!({"jsonrpc": "2.0", "id": 4, "result": {}})),
            Kind::Response
        );
    }

    #[test]
    fn the_client_is_named_in_a_form_that_a_header_can_hold() {
        let client = |info: Value| {
            let params = json!({"clientInfo": info});
            read(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})).client
        };
        let named = |name: &str| client(json!({"name": name, "version": "1.2 (beta)"})).unwrap_or_default();
        assert_eq!(named("Claude Code"), "Claude-Code/1.2--beta");
        assert_eq!(named("a\r\nX-Evil: 1"), "a--X-Evil--1/1.2--beta");
        assert_eq!(named("ключ"), "");
        assert_eq!(named(&"n".repeat(1000)).len(), 64 + 10);
        assert_eq!(client(json!({"name": "solo"})), Some("solo".to_owned()));
        assert_eq!(client(json!(7)), None);
    }

    #[test]
    fn a_name_that_a_header_cannot_hold_is_wrapped() {
        assert_eq!(header_text("get_skill"), "get_skill");
        assert_eq!(header_text("a b"), "a b");
        assert_eq!(header_text("größe"), "=?base64?Z3LDtsOfZQ==?=");
        assert_eq!(header_text(" a"), "=?base64?IGE=?=");
        assert_eq!(header_text("a\nb"), "=?base64?YQpi?=");
        assert_eq!(header_text("=?base64?YQ==?="), "=?base64?PT9iYXNlNjQ/WVE9PT89?=");
    }

    proptest! {
        #[test]
        fn what_goes_into_headers_always_fits(name: String, version: String) {
            let params = json!({
                "name": name,
                "_meta": {"io.modelcontextprotocol/clientInfo": {"name": name, "version": version}},
            });
            let message = read(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}));
            let texts = [message.name, message.client];
            for text in texts.into_iter().flatten() {
                prop_assert!(http::HeaderValue::from_str(&text).is_ok(), "{:?}", text);
                prop_assert_eq!(text.trim(), &text);
            }
        }
    }
}
