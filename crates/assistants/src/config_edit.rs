//! Changing one entry of somebody else's file, and proving that nothing else changed.

mod jsonc;
mod toml;
mod yaml;

use serde_json::{Map, Value};

use super::entry::{ConfigValue, Entry, Input};

/// The language of a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigFormat {
    /// JSON with comments and trailing commas.
    Jsonc,
    Toml,
    Yaml,
}

/// Why a file is left as it is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("line {line} cannot be read: {reason}")]
    Broken { line: usize, reason: String },
    #[error("{0} is not a map of names to values")]
    NotAMap(String),
    #[error("{0} is written on one line; write it as an indented block, or add the entry by hand")]
    OneLine(String),
    #[error("it cannot be changed without changing something else as well; add the entry by hand")]
    Unsafe,
}

/// What the file says, as its client reads it.
///
/// # Errors
/// [`EditError::Broken`] names the line that cannot be read.
pub fn read(format: ConfigFormat, text: &str) -> Result<Value, EditError> {
    let value = match format {
        ConfigFormat::Jsonc => jsonc::read(text),
        ConfigFormat::Toml => toml::read(text),
        ConfigFormat::Yaml => yaml::read(text),
    }?;
    match value {
        Value::Object(_) => Ok(value),
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(EditError::NotAMap("the file".to_owned()))
        }
    }
}

/// The text with this entry under this name; everything else stays byte for byte.
pub fn put(
    format: ConfigFormat,
    text: &str,
    section: &str,
    name: &str,
    entry: &Entry,
) -> Result<String, EditError> {
    let mut wanted = read(format, text)?;
    let after = match format {
        ConfigFormat::Jsonc => jsonc::put(text, section, name, entry),
        ConfigFormat::Toml => toml::put(text, section, name, &entry.node),
        ConfigFormat::Yaml => yaml::put(text, section, name, &entry.node),
    }?;
    map_of(&mut wanted, section)?.insert(name.to_owned(), entry.node.to_json());
    for input in &entry.inputs {
        add_input(&mut wanted, *input)?;
    }
    proven(format, after, wanted, section)
}

/// The text without the entry of this name; the same text when there is none.
pub fn take(format: ConfigFormat, text: &str, section: &str, name: &str) -> Result<String, EditError> {
    let mut wanted = read(format, text)?;
    if super::entry::servers(&wanted, section).is_none_or(|servers| !servers.contains_key(name)) {
        return Ok(text.to_owned());
    }
    map_of(&mut wanted, section)?.remove(name);
    let unused = drop_inputs(&mut wanted, section);
    let after = match format {
        ConfigFormat::Jsonc => jsonc::take(text, section, name, &unused),
        ConfigFormat::Toml => toml::take(text, section, name),
        ConfigFormat::Yaml => yaml::take(text, section, name),
    }?;
    proven(format, after, wanted, section)
}

/// Only a text that reads as it was meant to is given to anybody.
fn proven(
    format: ConfigFormat,
    after: String,
    mut wanted: Value,
    section: &str,
) -> Result<String, EditError> {
    let mut reached = read(format, &after).map_err(|_| EditError::Unsafe)?;
    for value in [&mut wanted, &mut reached] {
        without_nothing(value, section);
        without_nothing(value, "inputs");
    }
    if reached == wanted {
        Ok(after)
    } else {
        Err(EditError::Unsafe)
    }
}

/// A section that holds nothing is the same as none.
fn without_nothing(document: &mut Value, section: &str) {
    let Some(fields) = document.as_object_mut() else {
        return;
    };
    let nothing = fields.get(section).is_some_and(|value| {
        value.is_null()
            || value.as_object().is_some_and(Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty)
    });
    if nothing {
        fields.remove(section);
    }
}

fn map_of<'a>(document: &'a mut Value, section: &str) -> Result<&'a mut Map<String, Value>, EditError> {
    let not_a_map = || EditError::NotAMap(format!("\"{section}\""));
    let fields = document.as_object_mut().ok_or_else(not_a_map)?;
    let servers = fields.entry(section).or_insert(Value::Null);
    if servers.is_null() {
        *servers = Value::Object(Map::new());
    }
    servers.as_object_mut().ok_or_else(not_a_map)
}

fn add_input(document: &mut Value, input: Input) -> Result<(), EditError> {
    let not_a_list = || EditError::NotAMap("\"inputs\"".to_owned());
    let fields = document.as_object_mut().ok_or_else(not_a_list)?;
    let inputs = fields.entry("inputs").or_insert_with(|| Value::Array(Vec::new()));
    let inputs = inputs.as_array_mut().ok_or_else(not_a_list)?;
    if !inputs.iter().any(|there| is_input(there, input)) {
        inputs.push(input.node().to_json());
    }
    Ok(())
}

/// Takes out what only the entry that just left asked for, and says what that was.
fn drop_inputs(document: &mut Value, section: &str) -> Vec<Input> {
    let left = document.get(section).map(Value::to_string).unwrap_or_default();
    let unused: Vec<Input> = Input::ALL
        .into_iter()
        .filter(|input| !left.contains(&input.reference()))
        .collect();
    if let Some(inputs) = document.get_mut("inputs").and_then(Value::as_array_mut) {
        inputs.retain(|there| !unused.iter().any(|input| is_input(there, *input)));
    }
    unused
}

fn is_input(value: &Value, input: Input) -> bool {
    value.get("id").and_then(Value::as_str) == Some(input.id)
}

/// The entry as a file of its own that holds nothing else.
pub fn alone(
    format: ConfigFormat,
    section: &str,
    name: &str,
    node: &ConfigValue,
) -> Result<String, EditError> {
    let entry = Entry {
        node: node.clone(),
        inputs: Vec::new(),
    };
    put(format, "", section, name, &entry)
}

/// The line, from 1, of this byte.
fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
