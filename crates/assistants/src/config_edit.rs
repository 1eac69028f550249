//! Edits one entry in the text of a configuration file. Everything else stays byte for byte.

mod error;
mod jsonc;
mod toml;
mod yaml;

use serde_json::{Map, Value};

pub use self::error::EditError;

use crate::config_format::ConfigFormat;
use crate::config_value::ConfigValue;
use crate::entry::{self, Entry};
use crate::prompt::{PROMPTS, Prompt};

/// Parses a configuration file. An empty one is an empty map.
///
/// # Errors
/// [`EditError::Syntax`] with the first line that cannot be parsed, or [`EditError::NotAMap`].
pub fn parse(format: ConfigFormat, text: &str) -> Result<Value, EditError> {
    let value = match format {
        ConfigFormat::Jsonc => jsonc::parse_value(text),
        ConfigFormat::Toml => toml::parse_value(text),
        ConfigFormat::Yaml => yaml::parse_value(text),
    }?;
    match value {
        Value::Object(_) => Ok(value),
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(EditError::NotAMap("the file".to_owned()))
        }
    }
}

/// Inserts the entry `name` into `section`, or replaces it, and returns the new text.
///
/// # Errors
/// If the text cannot be parsed or edited, or if the edit would change anything else ([`EditError::Unsafe`]).
pub fn upsert_entry(
    format: ConfigFormat,
    text: &str,
    section: &str,
    name: &str,
    entry: &Entry,
) -> Result<String, EditError> {
    let mut expected = parse(format, text)?;
    let edited = match format {
        ConfigFormat::Jsonc => jsonc::upsert(text, section, name, entry),
        ConfigFormat::Toml => toml::upsert(text, section, name, &entry.value),
        ConfigFormat::Yaml => yaml::upsert(text, section, name, &entry.value),
    }?;
    section_mut(&mut expected, section)?.insert(name.to_owned(), entry.value.to_json());
    for prompt in &entry.prompts {
        add_prompt(&mut expected, *prompt)?;
    }
    verify_only_entry_changed(format, edited, expected, section)
}

/// Removes the entry `name` from `section`, and those of its `prompts` that no other entry refers to. Returns the same
/// text if there is no such entry.
///
/// # Errors
/// As for [`upsert_entry`].
pub fn remove_entry(
    format: ConfigFormat,
    text: &str,
    section: &str,
    name: &str,
    prompts: &[Prompt],
) -> Result<String, EditError> {
    let mut expected = parse(format, text)?;
    if entry::servers(&expected, section).is_none_or(|servers| !servers.contains_key(name)) {
        return Ok(text.to_owned());
    }
    section_mut(&mut expected, section)?.remove(name);
    let unused = remove_unused_prompts(&mut expected, section, prompts);
    let edited = match format {
        ConfigFormat::Jsonc => jsonc::remove(text, section, name, &unused),
        ConfigFormat::Toml => toml::remove(text, section, name),
        ConfigFormat::Yaml => yaml::remove(text, section, name),
    }?;
    verify_only_entry_changed(format, edited, expected, section)
}

/// Renders a configuration file that holds only this entry.
///
/// # Errors
/// As for [`upsert_entry`].
pub fn render_standalone(
    format: ConfigFormat,
    section: &str,
    name: &str,
    value: &ConfigValue,
) -> Result<String, EditError> {
    let entry = Entry {
        value: value.clone(),
        prompts: Vec::new(),
    };
    upsert_entry(format, "", section, name, &entry)
}

/// Parses the edited text again and compares it with the expected content.
fn verify_only_entry_changed(
    format: ConfigFormat,
    edited: String,
    mut expected: Value,
    section: &str,
) -> Result<String, EditError> {
    let mut actual = parse(format, &edited).map_err(|_| EditError::Unsafe)?;
    for document in [&mut expected, &mut actual] {
        remove_if_empty(document, section);
        remove_if_empty(document, PROMPTS);
    }
    if actual == expected {
        Ok(edited)
    } else {
        Err(EditError::Unsafe)
    }
}

/// Removes a field without content, because assistants treat an empty section like a missing one.
fn remove_if_empty(document: &mut Value, field: &str) {
    let Some(fields) = document.as_object_mut() else {
        return;
    };
    let is_empty = fields.get(field).is_some_and(|value| {
        value.is_null()
            || value.as_object().is_some_and(Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty)
    });
    if is_empty {
        fields.remove(field);
    }
}

fn section_mut<'a>(document: &'a mut Value, section: &str) -> Result<&'a mut Map<String, Value>, EditError> {
    let not_a_map = || EditError::NotAMap(format!("`{section}`"));
    let fields = document.as_object_mut().ok_or_else(not_a_map)?;
    let servers = fields.entry(section).or_insert(Value::Null);
    if servers.is_null() {
        *servers = Value::Object(Map::new());
    }
    servers.as_object_mut().ok_or_else(not_a_map)
}

fn add_prompt(document: &mut Value, prompt: Prompt) -> Result<(), EditError> {
    let not_a_list = || EditError::NotAList(format!("`{PROMPTS}`"));
    let fields = document.as_object_mut().ok_or_else(not_a_list)?;
    let prompts = fields.entry(PROMPTS).or_insert_with(|| Value::Array(Vec::new()));
    let prompts = prompts.as_array_mut().ok_or_else(not_a_list)?;
    if !prompts.iter().any(|element| prompt.is_defined_by(element)) {
        prompts.push(prompt.definition().to_json());
    }
    Ok(())
}

/// Removes the definitions of those prompts that no server of the section refers to, and returns these prompts.
fn remove_unused_prompts(document: &mut Value, section: &str, prompts: &[Prompt]) -> Vec<Prompt> {
    let servers = document.get(section).map(Value::to_string).unwrap_or_default();
    let unused: Vec<Prompt> = prompts
        .iter()
        .copied()
        .filter(|prompt| !servers.contains(&prompt.reference()))
        .collect();
    if let Some(elements) = document.get_mut(PROMPTS).and_then(Value::as_array_mut) {
        elements.retain(|element| !unused.iter().any(|prompt| prompt.is_defined_by(element)));
    }
    unused
}

#[cfg(test)]
mod tests;
