//! JSON-RPC messages as bytes, before the protocol library reads them: lines, the form of a message (JSON-RPC 2.0, section 4),
//! batches (section 6), escapes, and duplicate fields.

mod batch;
mod batches;
mod escapes;
mod fields;
mod id_scanner;
mod lines;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::{Value, json};

pub use self::batch::{MAX_BATCH, split_batch};
pub use self::batches::{BATCH_VERSION, Batches, NOT_IN_BATCH, must_be_sent_alone};
pub use self::escapes::repair_surrogates;
use self::fields::Fields;
pub use self::lines::{Line, LineReader};

/// JSON-RPC 2.0, section 5.1.
pub const PARSE_ERROR: i32 = -32_700;
/// JSON-RPC 2.0, section 5.1.
pub const INVALID_REQUEST: i32 = -32_600;
/// JSON-RPC 2.0, section 5.1.
pub const INVALID_PARAMS: i32 = -32_602;

/// Nested arrays and objects. The protocol's own messages have about ten levels.
const MAX_DEPTH: usize = 100;
const NOT_A_MESSAGE: &str = "This is not a JSON-RPC message in UTF-8.";

/// What a well-formed message is.
#[derive(Debug, PartialEq, Eq)]
pub struct Form {
    /// The id of a request or response, as it was sent.
    pub id: Option<Value>,
    /// `None` for a response.
    pub method: Option<String>,
    /// A field that occurs twice in one object of `params`, at any depth.
    pub duplicate: Option<String>,
}

/// Why a text is no message.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed {
    pub code: i32,
    pub message: &'static str,
    /// The request's id, where it can be read.
    pub id: Option<Value>,
}

impl Malformed {
    const fn new(code: i32, message: &'static str) -> Self {
        Self {
            code,
            message,
            id: None,
        }
    }

    /// The response to the sender.
    #[must_use]
    pub fn response(&self) -> Value {
        error_response(self.id.as_ref(), self.code, self.message)
    }
}

/// A JSON-RPC error response; with the id null for a request whose id is not known.
#[must_use]
pub fn error_response(id: Option<&Value>, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

/// The checked fields. The protocol library checks the others.
#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    jsonrpc: Option<Value>,
    /// `Some(Null)` for a null, which differs from a missing id.
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    #[serde(default)]
    method: Option<Value>,
    #[serde(default)]
    params: Fields,
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    error: Option<Value>,
}

/// The id of a message whose other fields hold a value that cannot be represented, such as the number `1e400`.
#[derive(Deserialize)]
struct Identity {
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
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

/// Whether the text is an array, which is a batch of messages.
#[must_use]
pub fn is_batch(text: &[u8]) -> bool {
    text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// Checks the form of one message. Takes linear time and, beyond the message, memory for the names of its fields.
///
/// # Errors
/// [`Malformed`]: what it lacks.
pub fn check(text: &[u8]) -> Result<Form, Malformed> {
    if std::str::from_utf8(text).is_err() {
        return Err(Malformed::new(PARSE_ERROR, NOT_A_MESSAGE));
    }
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        let is_json = serde_json::from_slice::<IgnoredAny>(text).is_ok();
        return Err(if is_json {
            Malformed::new(INVALID_REQUEST, "A JSON-RPC message must be an object.")
        } else {
            Malformed::new(PARSE_ERROR, NOT_A_MESSAGE)
        });
    }
    if is_too_deep(text) {
        let message = "The message is nested too deeply. The limit is 100 levels.";
        return Err(Malformed::new(INVALID_REQUEST, message));
    }
    let shape: Shape = serde_json::from_slice(text).map_err(|error| unparsed(&error, text))?;
    let malformed = |message| {
        let id = shape.id.clone().filter(|id| !id.is_null());
        Malformed {
            id,
            ..Malformed::new(INVALID_REQUEST, message)
        }
    };
    if shape.jsonrpc != Some(Value::from("2.0")) {
        return Err(malformed("The message must have \"jsonrpc\": \"2.0\"."));
    }
    if shape.id.as_ref().is_some_and(Value::is_null) {
        return Err(malformed("The id of a message must be a string or an integer."));
    }
    let method = match (&shape.method, shape.result.is_some() || shape.error.is_some()) {
        (Some(Value::String(method)), false) => Some(method.clone()),
        (None, true) => None,
        (Some(_) | None, _) => {
            return Err(malformed(
                "The message must have a \"method\", a string, or be a response with \"result\" or \"error\".",
            ));
        }
    };
    Ok(Form {
        id: shape.id,
        method,
        duplicate: shape.params.duplicate,
    })
}

/// Counts brackets outside strings, without recursion.
fn is_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
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

fn unparsed(error: &serde_json::Error, text: &[u8]) -> Malformed {
    match error.classify() {
        serde_json::error::Category::Data => {
            Malformed::new(INVALID_REQUEST, "Duplicate field in the JSON-RPC message.")
        }
        serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof
        | serde_json::error::Category::Io => match serde_json::from_slice(text) {
            Ok(Identity { id: Some(id) }) if !id.is_null() => Malformed {
                id: Some(id),
                ..Malformed::new(INVALID_PARAMS, "A number in the message is out of range.")
            },
            Ok(_) | Err(_) => Malformed::new(PARSE_ERROR, NOT_A_MESSAGE),
        },
    }
}

#[cfg(test)]
mod tests;
