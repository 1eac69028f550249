//! Strict YAML for documents that are not skills, such as configuration files.

use serde_json::Value;

use crate::limits::{MAX_YAML_NESTING, MAX_YAML_VALUES};
use crate::yaml::{self, YamlError};

/// Where and why a text is not supported YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct YamlSyntaxError {
    /// Line number, from 1.
    pub line: usize,
    pub reason: String,
}

/// Parses a YAML document whose root is a mapping. An empty document is an empty mapping.
///
/// # Errors
/// Returns a [`YamlSyntaxError`] for invalid YAML, anchors, aliases, tags, several documents, duplicate keys, more than
/// [`MAX_YAML_VALUES`] values, or nesting deeper than [`MAX_YAML_NESTING`].
pub fn yaml_value(text: &str) -> Result<Value, YamlSyntaxError> {
    let error = |line, reason: String| YamlSyntaxError { line, reason };
    let parsed = yaml::parse(text).map_err(|problem| match problem {
        YamlError::Syntax { line, reason } => error(line, reason),
        YamlError::TooDeep => error(1, format!("nested more than {MAX_YAML_NESTING} levels deep")),
        YamlError::TooManyValues => error(1, format!("more than {MAX_YAML_VALUES} values")),
    })?;
    match parsed.duplicates.first() {
        Some(key) => Err(error(1, format!("duplicate key \"{key}\""))),
        None => Ok(Value::Object(parsed.map)),
    }
}
