//! Reads the arguments of a tool call and enforces the limits that the tool's input schema states.
//!
//! The schema is the only statement of a limit, so what callers see in `tools/list` is what is enforced.

use rmcp::model::JsonObject;
use serde_json::Value;

use super::error::{ArgumentError, Rejection};
use super::name::ToolName;
use super::tool::Tool;
use crate::shown_text::echoed;

/// Maximum length of the path of a known argument in characters, such as `files[511].is_executable`.
const MAX_PATH_CHARS: usize = 64;
/// The longest version label, in characters.
pub(crate) const MAX_VERSION_CHARS: usize = 64;

/// The schema keywords that [`check_limits`] enforces.
#[cfg(test)]
pub(super) const LIMIT_KEYWORDS: [&str; 6] = [
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
];

/// Parses the arguments of `tool`, whose input schema is `schema`.
///
/// # Errors
/// [`Rejection::InvalidArguments`] for a NUL character, a wrong type, an unknown argument, or a value outside its limits.
pub(super) fn read<T: Tool>(
    tool: ToolName,
    schema: &JsonObject,
    arguments: JsonObject,
) -> Result<T, Rejection> {
    let arguments = Value::Object(arguments);
    parse(schema, &arguments).map_err(|error| error.into_rejection(tool))
}

fn parse<T: Tool>(schema: &JsonObject, arguments: &Value) -> Result<T, ArgumentError> {
    // PostgreSQL cannot store NUL in text.
    if contains_nul(arguments) {
        return Err(ArgumentError::Nul);
    }
    // Limits first: a number too large for its Rust type gets the limit as its answer.
    check_limits(schema, arguments).map_err(|violation| ArgumentError::Limit {
        argument: violation.argument,
        rule: violation.rule,
    })?;
    let input = serde_path_to_error::deserialize(arguments).map_err(|error| {
        let message = error.inner().to_string();
        ArgumentError::Json(describe(&error.path().to_string(), &short(&message)))
    })?;
    let input: T = input;
    input.check()?;
    Ok(input)
}

/// The message of `serde_json` with at most 200 characters of the caller's text, which comes before what was expected.
fn short(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((given, expected)) => format!("{}, expected {expected}", echoed(given)),
        None => echoed(message).into_owned(),
    }
}

/// An error of `serde_json` in the terms of a caller, who knows JSON's types and not Rust's. `path` is `.` for all arguments.
fn describe(path: &str, message: &str) -> String {
    const WHOLE_NUMBERS: [&str; 6] = ["i32", "i64", "u32", "u64", "usize", "i128"];
    let mut message = message.to_owned();
    for rust_type in WHOLE_NUMBERS {
        message = message.replace(&format!("expected {rust_type}"), "expected a whole number");
    }
    let is_named = path == "." || message.contains(&format!("`{path}`"));
    // The path of an unknown argument is its name, which the message repeats already.
    let is_unknown = path.chars().count() > MAX_PATH_CHARS;
    if is_named || is_unknown {
        message
    } else {
        format!("`{path}`: {message}")
    }
}

fn contains_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(contains_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || contains_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

struct Violation {
    /// Such as `limit` or `files[3].path`.
    argument: String,
    /// Such as `must be between 1 and 50, got 99`.
    rule: String,
}

/// Checks a value of the right type against the lengths and ranges of its schema. Lengths count characters.
fn check_limits(schema: &JsonObject, value: &Value) -> Result<(), Violation> {
    match value {
        Value::String(text) => {
            let chars = i128::try_from(text.chars().count()).unwrap_or(i128::MAX);
            Range::of(schema, "minLength", "maxLength").check(chars, "have", " characters")
        }
        Value::Number(number) => match number
            .as_i64()
            .map(i128::from)
            .or(number.as_u64().map(i128::from))
        {
            Some(number) => Range::of(schema, "minimum", "maximum").check(number, "be", ""),
            None => Ok(()),
        },
        Value::Array(items) => {
            let count = i128::try_from(items.len()).unwrap_or(i128::MAX);
            Range::of(schema, "minItems", "maxItems").check(count, "have", " items")?;
            let Some(schema) = schema.get("items").and_then(Value::as_object) else {
                return Ok(());
            };
            items.iter().enumerate().try_for_each(|(index, item)| {
                check_limits(schema, item).map_err(|inner| inner.inside(&format!("[{index}]")))
            })
        }
        Value::Object(fields) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            fields.iter().try_for_each(|(name, value)| {
                match properties.and_then(|properties| properties.get(name)?.as_object()) {
                    Some(schema) => check_limits(schema, value).map_err(|inner| inner.inside(name)),
                    None => Ok(()),
                }
            })
        }
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

impl Violation {
    fn inside(self, outer: &str) -> Self {
        let argument = match self.argument.as_str() {
            "" => outer.to_owned(),
            index if index.starts_with('[') => format!("{outer}{index}"),
            name => format!("{outer}.{name}"),
        };
        Self { argument, ..self }
    }
}

struct Range {
    min: Option<i128>,
    max: Option<i128>,
}

impl Range {
    fn of(schema: &JsonObject, min: &str, max: &str) -> Self {
        let bound = |keyword| schema.get(keyword).and_then(Value::as_i64).map(i128::from);
        Self {
            min: bound(min),
            max: bound(max),
        }
    }

    fn check(&self, actual: i128, verb: &str, unit: &str) -> Result<(), Violation> {
        let is_inside = self.min.is_none_or(|min| min <= actual) && self.max.is_none_or(|max| actual <= max);
        if is_inside {
            return Ok(());
        }
        let bounds = match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => format!("exactly {min}"),
            (Some(min), Some(max)) => format!("between {min} and {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => return Ok(()),
        };
        Err(Violation {
            argument: String::new(),
            rule: format!("must {verb} {bounds}{unit}, got {actual}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn violation(schema: Value, value: Value) -> Option<String> {
        check_limits(schema.as_object().unwrap(), &value)
            .err()
            .map(|violation| format!("{} {}", violation.argument, violation.rule))
    }

    #[test]
    fn bounds_belong_to_the_range() {
        let schema = json!({"properties": {"limit": {"minimum": 1, "maximum": 50}}});
        assert_eq!(violation(schema.clone(), json!({"limit": 1})), None);
        assert_eq!(violation(schema.clone(), json!({"limit": 50})), None);
        assert_eq!(
            violation(schema.clone(), json!({"limit": 99})).unwrap(),
            "limit must be between 1 and 50, got 99"
        );
        let huge = violation(schema, json!({"limit": u64::MAX})).unwrap();
        assert!(huge.ends_with("got 18446744073709551615"), "{huge}");
    }

    #[test]
    fn text_is_measured_in_characters() {
        let schema = json!({"properties": {"query": {"minLength": 1, "maxLength": 4}}});
        assert_eq!(violation(schema.clone(), json!({"query": "ääää"})), None);
        assert!(violation(schema.clone(), json!({"query": ""})).is_some());
        assert!(violation(schema, json!({"query": "aaaaa"})).is_some());
    }

    #[test]
    fn wrong_type_names_argument_and_json_type() {
        assert_eq!(
            describe(
                "minutes_saved",
                "invalid type: floating point `1.5`, expected i32"
            ),
            "`minutes_saved`: invalid type: floating point `1.5`, expected a whole number"
        );
        let missing = "missing field `skill`";
        assert_eq!(describe(".", missing), missing);
        assert_eq!(describe("skill", missing), missing);
    }

    #[test]
    fn a_violation_inside_a_list_names_its_path() {
        let schema = json!({"properties": {"files": {"maxItems": 2, "items": {"properties": {
            "path": {"minLength": 1}}}}}});
        assert_eq!(
            violation(schema.clone(), json!({"files": [{"path": "a"}, {"path": ""}]})).unwrap(),
            "files[1].path must have at least 1 characters, got 0"
        );
        assert_eq!(
            violation(schema, json!({"files": [{}, {}, {}]})).unwrap(),
            "files must have at most 2 items, got 3"
        );
    }
}
