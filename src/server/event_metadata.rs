//! What a usage event holds of a request. Of the arguments only names and sizes are recorded, and the search text.
//! Contents and secrets are never recorded.

use ring::hmac;
use rmcp::model::JsonObject;
use serde_json::{Map, Value};

use crate::tenancy::{Principal, SearchText, split_at_prefix};

/// The transport of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// Standard input and output.
    Stdio,
    /// Streamable HTTP.
    Http,
    /// HTTP+SSE of protocol version 2024-11-05.
    Sse,
}

impl TransportKind {
    pub const ALL: [Self; 3] = [Self::Stdio, Self::Http, Self::Sse];

    /// The value of the column `transport`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::Sse => "sse",
        }
    }
}

/// What transport and protocol say about a request.
#[derive(Debug, Clone)]
pub struct RequestMetadata {
    pub transport: TransportKind,
    /// The protocol version that the client uses.
    pub protocol_version: Option<String>,
    /// The name of the client program.
    pub client_name: Option<String>,
    pub client_version: Option<String>,
    /// The id of the JSON-RPC request.
    pub request_id: Option<String>,
    /// The trace id of a W3C `traceparent`.
    pub trace_id: Option<String>,
}

impl RequestMetadata {
    /// The same, truncated to the lengths of the columns.
    pub(super) fn recordable(self) -> Self {
        let cut = |text: Option<String>, max| {
            text.map(|text| recordable(&text, max))
                .filter(|text| !text.is_empty())
        };
        Self {
            transport: self.transport,
            protocol_version: cut(self.protocol_version, 32),
            client_name: cut(self.client_name, 200),
            client_version: cut(self.client_version, 200),
            request_id: cut(self.request_id, 128),
            trace_id: cut(self.trace_id, 64),
        }
    }
}

/// The trace id in a `traceparent` header (W3C Trace Context, section 3.2), or `None` for one that is not well formed.
pub(super) fn trace_id(traceparent: &str) -> Option<String> {
    let mut parts = traceparent.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    let (parent, flags) = (parts.next()?, parts.next()?);
    // Later versions may add fields at the end.
    let ends = version != "00" || parts.next().is_none();
    let well_formed = is_hex(version, 2)
        && version != "ff"
        && is_hex(id, 32)
        && is_hex(parent, 16)
        && [id, parent].iter().all(|part| part.bytes().any(|b| b != b'0'))
        && is_hex(flags, 2)
        && ends;
    well_formed.then(|| id.to_owned())
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `text` without control characters and API keys, truncated to `max` characters: it must fit the column, must not corrupt
/// a log, and a key that was pasted into the wrong field must not be stored.
pub(super) fn recordable(text: &str, max: usize) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    without_keys(&clean).chars().take(max).collect()
}

/// The text with the rest of each API key hidden.
fn without_keys(text: &str) -> String {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some((before, prefix, after)) = split_at_prefix(rest) {
        shown.push_str(before);
        shown.push_str(prefix);
        shown.push_str("(hidden)");
        let next = split_at_prefix(after).map_or(after.len(), |(between, _, _)| between.len());
        let run = after.len()
            - after
                .trim_start_matches(|c: char| c.is_ascii_alphanumeric())
                .len();
        rest = after.get(next.min(run)..).unwrap_or_default();
    }
    shown.push_str(rest);
    shown
}

/// The tool's name as it is recorded and logged. A text that cannot be a tool's name is replaced.
pub(super) fn tool_name(name: &str) -> String {
    let is_valid = (1..=TOOL_NAME_BYTES).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        && split_at_prefix(name).is_none();
    if is_valid {
        name.to_owned()
    } else {
        INVALID_TOOL_NAME.to_owned()
    }
}

/// The longest name that the protocol recommends (2026-07-28, server/tools, tool names).
const TOOL_NAME_BYTES: usize = 128;
const INVALID_TOOL_NAME: &str = "(not a name)";

/// All names together. Longer than those of every tool, so that only made-up names are left out.
const NAME_BYTES: usize = 256;
const SEARCH_TEXT_CHARS: usize = 500;
const REFUSED_TEXT_BYTES: usize = 256;

/// The arguments as they are recorded: `{"sizes": {name: size}, "search_text": …}`. See also [`mark_weak`].
pub(super) fn redact(tool: &str, arguments: Option<&JsonObject>) -> Value {
    let mut recorded = Map::new();
    let Some(arguments) = arguments else {
        return Value::Object(recorded);
    };
    let mut sizes = Map::new();
    let (mut left, mut more) = (NAME_BYTES, 0_usize);
    for (name, value) in arguments {
        // Cut before it is cleaned: a name can have the length of the message.
        let name = recordable(
            name.get(..name.floor_char_boundary(NAME_BYTES))
                .unwrap_or_default(),
            NAME_BYTES,
        );
        if let Some(rest) = left.checked_sub(name.len()) {
            left = rest;
            sizes.insert(name, Value::from(size(value)));
        } else {
            more += 1;
        }
    }
    recorded.insert("sizes".to_owned(), Value::Object(sizes));
    if more > 0 {
        recorded.insert("more".to_owned(), Value::from(more));
    }
    if tool == "search_skills"
        && let Some(Value::String(query)) = arguments.get("query")
    {
        recorded.insert(
            "search_text".to_owned(),
            Value::from(recordable(query, SEARCH_TEXT_CHARS)),
        );
    }
    Value::Object(recorded)
}

/// Keeps, hashes or removes the search text, as the tenant has set.
pub(super) fn keep_search_text(mut arguments: Value, principal: &Principal) -> Value {
    let Some(fields) = arguments.as_object_mut() else {
        return arguments;
    };
    let Some(Value::String(text)) = fields.get("search_text") else {
        return arguments;
    };
    match principal.search_text {
        SearchText::Kept => {}
        SearchText::Hashed => {
            let hashed = hash_search_text(text, principal.cursor_secret.as_bytes());
            fields.insert("search_text".to_owned(), Value::from(hashed));
        }
        SearchText::Off => {
            fields.remove("search_text");
        }
    }
    arguments
}

/// Cuts the search text of a refused call: such calls cost their caller nothing, so their records are small.
pub(super) fn shorten_search_text(arguments: &mut Value) {
    if let Some(Value::String(text)) = arguments.get_mut("search_text") {
        text.truncate(text.floor_char_boundary(REFUSED_TEXT_BYTES));
    }
}

/// Adds `"weak": true` for a search whose hits have probably nothing to do with its text.
pub(super) fn mark_weak(mut arguments: Value, is_weak: bool) -> Value {
    if let (true, Some(fields)) = (is_weak, arguments.as_object_mut()) {
        fields.insert("weak".to_owned(), Value::from(true));
    }
    arguments
}

/// Equal for the same words in any case and spacing. Keyed, so that nobody can guess the text without the tenant's secret.
fn hash_search_text(text: &str, secret: &[u8]) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    // The prefix separates it from cursors, which are signed with the same secret.
    let sum = hmac::sign(&key, format!("search text:{}", words.join(" ")).as_bytes());
    let hex: String = sum
        .as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("hmac:{hex}")
}

/// The recorded size of an argument: characters of a string, members of an array or object, 1 for any other value.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::TenantId;
    use crate::tenancy::ApiKey;

    fn arguments(value: Value) -> JsonObject {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn contents_are_not_recorded() {
        let recorded = redact(
            "record_usage",
            Some(&arguments(json!({"skill": "pdf", "comment": "my secret"}))),
        );
        assert_eq!(recorded, json!({"sizes": {"skill": 3, "comment": 9}}));
    }

    #[test]
    fn api_keys_in_other_fields_are_hidden() {
        let key = ApiKey::generate(TenantId::new(), &mut rand::rng());
        let text = format!("use {} and {}, please", key.reveal(), key.reveal());
        assert_eq!(
            recordable(&text, 100),
            "use skeep_(hidden) and skeep_(hidden), please"
        );
        assert_eq!(recordable(&format!("a{}", key.reveal()), 5), "askee");
        assert_eq!(tool_name(key.reveal()), INVALID_TOOL_NAME);
    }

    #[test]
    fn invalid_tool_name_is_replaced() {
        assert_eq!(tool_name("search_skills"), "search_skills");
        assert_eq!(tool_name("vendor.tool_v2-x"), "vendor.tool_v2-x");
        for name in ["", "../x", "find my secret", "a\nb", "ü", &"x".repeat(129)] {
            assert_eq!(tool_name(name), INVALID_TOOL_NAME, "{name}");
        }
    }

    #[test]
    fn search_text_is_recorded_for_searches_only() {
        let query = arguments(json!({"query": "fill a pdf form"}));
        assert_eq!(
            redact("search_skills", Some(&query))["search_text"],
            "fill a pdf form"
        );
        assert_eq!(redact("get_skill", Some(&query)).get("search_text"), None);
    }

    #[test]
    fn hostile_arguments_are_truncated_and_cleaned() {
        let hostile = arguments(json!({"query": "a\u{0}b".repeat(1000), "x\u{0}\n": 1}));
        let recorded = redact("search_skills", Some(&hostile));
        assert_eq!(
            recorded["search_text"].as_str().unwrap().chars().count(),
            SEARCH_TEXT_CHARS
        );
        assert_eq!(recorded["sizes"]["x"], 1);
        assert!(!recorded.to_string().contains("\\u0000"));
    }

    #[test]
    fn invented_argument_names_are_recorded_up_to_256_bytes() {
        let many: JsonObject = (0..1_000)
            .map(|n| (format!("\u{1d56d}-{n:04}"), Value::from(1)))
            .collect();
        let long = arguments(json!({"\u{1d56d}".repeat(100_000): 1, "query": "pdf"}));
        for hostile in [many, long] {
            let recorded = redact("get_skill", Some(&hostile));
            let names: usize = recorded["sizes"]
                .as_object()
                .unwrap()
                .keys()
                .map(String::len)
                .sum();
            assert!(names <= NAME_BYTES, "{names}");
            let kept = recorded["sizes"].as_object().unwrap().len();
            let more = recorded.get("more").and_then(Value::as_u64).unwrap_or(0);
            assert_eq!(kept + usize::try_from(more).unwrap(), hostile.len());
            assert!(recorded.to_string().len() < 1_000, "{recorded}");
        }
    }

    #[test]
    fn trace_id_needs_a_well_formed_header() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(
            trace_id(&format!("00-{id}-b7ad6b7169203331-01")).as_deref(),
            Some(id)
        );
        for bad in [
            "",
            "00",
            "00-xyz-1-1",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
    }
}
