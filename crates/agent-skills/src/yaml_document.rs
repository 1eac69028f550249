//! YAML outside of skills, by the same rules.

use serde_json::Value;

use super::yaml::{self, MAX_NESTING, MAX_VALUES, YamlError};

/// Where a text is not the YAML that is taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct YamlProblem {
    /// From 1.
    pub line: usize,
    /// In words.
    pub reason: String,
}

/// Reads a document that is one mapping; one that holds nothing is an empty mapping.
///
/// # Errors
/// When it is not YAML, or YAML of a kind that is not taken: anchors, tags, several documents, a key that is there
/// twice, more than [`MAX_VALUES`] values, deeper than [`MAX_NESTING`].
pub fn yaml_value(text: &str) -> Result<Value, YamlProblem> {
    let problem = |line, reason: String| YamlProblem { line, reason };
    let parsed = yaml::parse(text).map_err(|error| match error {
        YamlError::Syntax { line, reason } => problem(line, reason),
        YamlError::TooDeep => problem(1, format!("it is nested deeper than {MAX_NESTING} levels")),
        YamlError::TooMany => problem(1, format!("it holds more than {MAX_VALUES} values")),
    })?;
    match parsed.duplicates.first() {
        Some(key) => Err(problem(1, format!("the key \"{key}\" is there twice"))),
        None => Ok(Value::Object(parsed.map)),
    }
}
