//! Parses a line of the client as far as the bridge must know it to forward it.

use axum::body::Bytes;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::json_rpc::{self, INVALID_REQUEST, Malformed, NOT_IN_BATCH, PARSE_ERROR};

/// The prefix of MCP's own keys in `_meta`.
const META: &str = "io.modelcontextprotocol/";

/// The id of a request: a string or a number (JSON-RPC 2.0, section 4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RequestId(Value);

impl RequestId {
    pub(super) fn parse(value: &Value) -> Option<Self> {
        (value.is_string() || value.is_number()).then(|| Self(value.clone()))
    }

    pub(super) const fn value(&self) -> &Value {
        &self.0
    }
}

/// A JSON-RPC message of the client.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The line as the client wrote it, but for halves of surrogate pairs.
    pub(super) text: Bytes,
    pub(super) kind: Kind,
    /// Empty for a response.
    pub(super) method: String,
    /// The value of the header `Mcp-Name`, encoded.
    pub(super) name: Option<String>,
    /// The protocol version in the message's `_meta`, which is required since 2026-07-28.
    pub(super) protocol_version: Option<String>,
    /// The client's name and version as a product of a User-Agent header.
    pub(super) client: Option<String>,
    /// Whether the client can name its project folders, which it says in `initialize`. `None` for other messages.
    pub(super) has_roots: Option<bool>,
    /// W3C Trace Context
    pub(super) traceparent: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Request(RequestId),
    Notification,
    /// A notification that the client cancels this request.
    Cancellation(RequestId),
    /// The client's response to a request of the registry or of the bridge.
    Response(RequestId),
}

/// A line, or a message of a batch, that the bridge does not forward.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidMessage {
    code: i32,
    id: Option<RequestId>,
    reason: &'static str,
}

impl InvalidMessage {
    /// The JSON-RPC error response for the client, on one line.
    pub(super) fn response(&self) -> Vec<u8> {
        // Without the content, which may hold secrets.
        tracing::warn!(
            code = self.code,
            reason = self.reason,
            "a line of the client was not forwarded"
        );
        error_response(self.id.as_ref(), self.code, self.reason)
    }

    /// Without its id: the client would take the error for the answer to the request in flight.
    pub(super) const fn id_in_flight() -> Self {
        Self {
            code: INVALID_REQUEST,
            id: None,
            reason: "A request with the same id is still in flight.",
        }
    }

    /// A request that its batch cannot have.
    pub(super) const fn not_in_batch(id: RequestId) -> Self {
        Self {
            code: INVALID_REQUEST,
            id: Some(id),
            reason: NOT_IN_BATCH,
        }
    }

    /// A line that is not JSON, or a request with a number that cannot be represented.
    fn unreadable(text: &[u8]) -> Self {
        let refused = json_rpc::check(text)
            .err()
            .filter(|malformed| malformed.id.is_some());
        refused.map_or(
            Self {
                code: PARSE_ERROR,
                id: None,
                reason: "The line is not JSON in UTF-8.",
            },
            Self::from,
        )
    }
}

impl From<Malformed> for InvalidMessage {
    fn from(malformed: Malformed) -> Self {
        Self {
            code: malformed.code,
            id: malformed.id.as_ref().and_then(RequestId::parse),
            reason: malformed.message,
        }
    }
}

/// The response to a line longer than `limit` bytes. `id` is that of its request.
pub(super) fn too_long_response(id: Option<&Value>, limit: usize) -> Vec<u8> {
    let reason = format!("The message is longer than {} MiB.", limit >> 20);
    let id = id.and_then(RequestId::parse);
    error_response(id.as_ref(), INVALID_REQUEST, &reason)
}

/// A JSON-RPC error response, on one line.
pub(super) fn error_response(id: Option<&RequestId>, code: i32, message: &str) -> Vec<u8> {
    let id = id.map(RequestId::value);
    json_rpc::error_response(id, code, message)
        .to_string()
        .into_bytes()
}

impl Message {
    /// Reads the line. Half a surrogate pair in a string is replaced by U+FFFD, since no registry could read the message.
    pub(super) fn parse(mut text: Vec<u8>) -> Result<Self, InvalidMessage> {
        let invalid = |code, id, reason| Err(InvalidMessage { code, id, reason });
        json_rpc::repair_surrogates(&mut text);
        let Ok(value) = serde_json::from_slice::<Value>(&text) else {
            return Err(InvalidMessage::unreadable(&text));
        };
        if value.is_array() {
            let reason = "Batches are not supported; send one message on each line.";
            return invalid(INVALID_REQUEST, None, reason);
        }
        let id = value.get("id").and_then(RequestId::parse);
        if value.get("jsonrpc") != Some(&Value::from("2.0")) {
            return invalid(INVALID_REQUEST, id, "The line is not a JSON-RPC 2.0 message.");
        }
        let method = value.get("method").and_then(Value::as_str);
        let kind = match (method, value.get("id"), id) {
            (Some(_), Some(_), Some(id)) => Kind::Request(id),
            (Some(method), None, _) => cancellation(method, &value).unwrap_or(Kind::Notification),
            (None, _, Some(id)) if value.get("result").is_some() || value.get("error").is_some() => {
                Kind::Response(id)
            }
            (Some(_), Some(_), None) => {
                let reason = "The id of a request must be a string or a number.";
                return invalid(INVALID_REQUEST, None, reason);
            }
            (None, _, id) => {
                return invalid(
                    INVALID_REQUEST,
                    id,
                    "The message has neither a method nor a result.",
                );
            }
        };
        let params = value.get("params");
        let meta = params.and_then(|params| params.get("_meta"));
        let meta_text = |key: &str| meta.and_then(|meta| meta.get(key)).and_then(Value::as_str);
        let method = method.unwrap_or_default().to_owned();
        let is_initialize = method == "initialize";
        let client_info = if is_initialize {
            params.and_then(|params| params.get("clientInfo"))
        } else {
            meta.and_then(|meta| meta.get(format!("{META}clientInfo")))
        };
        let roots = value.pointer("/params/capabilities/roots");
        Ok(Self {
            kind,
            name: mcp_name(&method, params),
            protocol_version: meta_text(&format!("{META}protocolVersion")).map(str::to_owned),
            client: client_info.and_then(user_agent_product),
            has_roots: is_initialize.then(|| roots.is_some_and(Value::is_object)),
            traceparent: meta_text("traceparent").map(str::to_owned),
            method,
            text: Bytes::from(text),
        })
    }

    /// Whether the message changes nothing, so that it can be sent again. Only a tool call may change something.
    pub(super) fn is_read_only(&self) -> bool {
        self.method != "tools/call" && !self.method.is_empty()
    }

    /// Whether the answer is a stream without an end.
    pub(super) fn is_subscription(&self) -> bool {
        self.method == "subscriptions/listen"
    }
}

fn cancellation(method: &str, value: &Value) -> Option<Kind> {
    if method != "notifications/cancelled" {
        return None;
    }
    let id = value.pointer("/params/requestId").and_then(RequestId::parse)?;
    Some(Kind::Cancellation(id))
}

/// The value of the header `Mcp-Name`, which repeats a part of the body (MCP 2026-07-28, Streamable HTTP, standard
/// request headers).
fn mcp_name(method: &str, params: Option<&Value>) -> Option<String> {
    let key = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    Some(header_value(params?.get(key)?.as_str()?))
}

const BASE64_PREFIX: &str = "=?base64?";
const BASE64_SUFFIX: &str = "?=";

/// Encodes the text in Base64 if a header could not carry it unchanged.
fn header_value(text: &str) -> String {
    let would_be_trimmed = text.starts_with(' ') || text.ends_with(' ');
    let looks_encoded = text.starts_with(BASE64_PREFIX) && text.ends_with(BASE64_SUFFIX);
    let is_printable_ascii = text.chars().all(|c| matches!(c, ' '..='~'));
    if is_printable_ascii && !would_be_trimmed && !looks_encoded {
        text.to_owned()
    } else {
        format!("{BASE64_PREFIX}{}{BASE64_SUFFIX}", BASE64_STANDARD.encode(text))
    }
}

/// The longest client name or version in a User-Agent, in characters.
const MAX_TOKEN: usize = 64;

/// `clientInfo` as a product of a User-Agent (RFC 9110, section 10.1.5).
fn user_agent_product(client_info: &Value) -> Option<String> {
    let part = |key: &str| client_info.get(key).and_then(Value::as_str).and_then(token);
    let name = part("name")?;
    Some(match part("version") {
        Some(version) => format!("{name}/{version}"),
        None => name,
    })
}

/// Replaces each character that a token may not contain by a hyphen (RFC 9110, section 5.6.2). Returns `None` if nothing
/// else is left.
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
    use serde_json::json;

    use super::*;

    fn parse(value: &Value) -> Message {
        Message::parse(value.to_string().into_bytes()).unwrap()
    }

    fn rejected(text: &str) -> Value {
        serde_json::from_slice(&Message::parse(text.as_bytes().to_vec()).unwrap_err().response()).unwrap()
    }

    #[test]
    fn invalid_message_is_rejected_with_the_right_code() {
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
            (
                "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\",\"params\":[1e400]}",
                -32602,
                json!(2),
            ),
        ] {
            let answer = rejected(text);
            assert_eq!(answer["error"]["code"], code, "{answer}");
            assert_eq!(answer["id"], id, "{answer}");
        }
    }

    #[test]
    fn kind_of_message_follows_from_its_fields() {
        let kind = |value: Value| parse(&value).kind;
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
            Kind::Response(id(json!(4)))
        );
    }

    #[test]
    fn client_info_becomes_a_valid_user_agent_product() {
        let client = |info: Value| {
            let params = json!({"clientInfo": info});
            parse(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})).client
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
    fn only_initialize_says_whether_the_client_has_roots() {
        let has_roots = |method: &str, capabilities: Value| {
            let params = json!({"capabilities": capabilities});
            parse(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).has_roots
        };
        assert_eq!(has_roots("initialize", json!({"roots": {}})), Some(true));
        assert_eq!(
            has_roots("initialize", json!({"roots": {"listChanged": true}})),
            Some(true)
        );
        for none in [
            json!({}),
            json!({"roots": null}),
            json!({"roots": true}),
            json!(7),
        ] {
            assert_eq!(has_roots("initialize", none), Some(false));
        }
        assert_eq!(has_roots("ping", json!({"roots": {}})), None);
    }

    #[test]
    fn name_that_no_header_can_carry_is_encoded() {
        assert_eq!(header_value("get_skill"), "get_skill");
        assert_eq!(header_value("a b"), "a b");
        assert_eq!(header_value("größe"), "=?base64?Z3LDtsOfZQ==?=");
        assert_eq!(header_value(" a"), "=?base64?IGE=?=");
        assert_eq!(header_value("a\nb"), "=?base64?YQpi?=");
        assert_eq!(header_value("=?base64?YQ==?="), "=?base64?PT9iYXNlNjQ/WVE9PT89?=");
    }

    proptest! {
        #[test]
        fn header_values_are_always_valid(name: String, version: String) {
            let params = json!({
                "name": name,
                "_meta": {"io.modelcontextprotocol/clientInfo": {"name": name, "version": version}},
            });
            let message = parse(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}));
            let texts = [message.name, message.client];
            for text in texts.into_iter().flatten() {
                prop_assert!(http::HeaderValue::from_str(&text).is_ok(), "{:?}", text);
                prop_assert_eq!(text.trim(), &text);
            }
        }
    }
}
