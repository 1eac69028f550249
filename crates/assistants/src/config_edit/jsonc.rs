//! Edits JSON with comments on its concrete syntax tree, which keeps comments, order and white space.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstRootNode};
use serde_json::{Map, Value};

use super::error::EditError;
use crate::config_value::ConfigValue;
use crate::entry::Entry;
use crate::prompt::{PROMPTS, Prompt};

/// Comments and trailing commas, which editors accept in their settings, but no other extension of JSON.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

fn parse(text: &str) -> Result<CstRootNode, EditError> {
    CstRootNode::parse(text, &OPTIONS).map_err(|error| EditError::Syntax {
        line: error.line_display(),
        reason: error.kind().to_string(),
    })
}

pub(super) fn parse_value(text: &str) -> Result<Value, EditError> {
    let root = parse(text)?;
    if root.value().is_none() {
        return Ok(Value::Object(Map::new()));
    }
    root.to_serde_value().ok_or(EditError::Unsafe)
}

pub(super) fn upsert(text: &str, section: &str, name: &str, entry: &Entry) -> Result<String, EditError> {
    let root = parse(text)?;
    let not_a_map = |what: &str| EditError::NotAMap(what.to_owned());
    let object = root
        .object_value_or_create()
        .ok_or_else(|| not_a_map("the file"))?;
    let servers = object
        .object_value_or_create(section)
        .ok_or_else(|| not_a_map(&format!("`{section}`")))?;
    match servers.get(name) {
        Some(existing) => existing.set_value(input_value(&entry.value)),
        None => {
            servers.append(name, input_value(&entry.value));
        }
    }
    if !entry.prompts.is_empty() {
        let prompts = object
            .array_value_or_create(PROMPTS)
            .ok_or_else(|| EditError::NotAList(format!("`{PROMPTS}`")))?;
        for prompt in &entry.prompts {
            let mut existing = prompts
                .elements()
                .into_iter()
                .filter_map(|node| node.to_serde_value());
            if !existing.any(|element| prompt.is_defined_by(&element)) {
                prompts.append(input_value(&prompt.definition()));
            }
        }
    }
    let mut edited = root.to_string();
    if text.trim().is_empty() && !edited.ends_with('\n') {
        edited.push('\n');
    }
    Ok(edited)
}

pub(super) fn remove(text: &str, section: &str, name: &str, prompts: &[Prompt]) -> Result<String, EditError> {
    let root = parse(text)?;
    let Some(object) = root.object_value() else {
        return Ok(text.to_owned());
    };
    if let Some(entry) = object.object_value(section).and_then(|servers| servers.get(name)) {
        entry.remove();
    }
    if let Some(list) = object.array_value(PROMPTS) {
        for element in list.elements() {
            let value = element.to_serde_value().unwrap_or(Value::Null);
            if prompts.iter().any(|prompt| prompt.is_defined_by(&value)) {
                element.remove();
            }
        }
    }
    Ok(root.to_string())
}

fn input_value(value: &ConfigValue) -> CstInputValue {
    match value {
        ConfigValue::Null => CstInputValue::Null,
        ConfigValue::Bool(flag) => CstInputValue::Bool(*flag),
        ConfigValue::Number(digits) => CstInputValue::Number(digits.clone()),
        ConfigValue::Text(text) => CstInputValue::String(text.clone()),
        ConfigValue::List(values) => CstInputValue::Array(values.iter().map(input_value).collect()),
        ConfigValue::Map(fields) => CstInputValue::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), input_value(value)))
                .collect(),
        ),
    }
}
