//! JSON with comments: changed on its concrete syntax tree, so that comments, order and white space stay.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstRootNode};
use serde_json::{Map, Value};

use super::EditError;
use crate::entry::{ConfigValue, Entry, Input};

/// What editors accept in their settings: comments and trailing commas, and nothing else beyond JSON.
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
    CstRootNode::parse(text, &OPTIONS).map_err(|error| EditError::Broken {
        line: error.line_display(),
        reason: error.kind().to_string(),
    })
}

pub(super) fn read(text: &str) -> Result<Value, EditError> {
    let root = parse(text)?;
    if root.value().is_none() {
        return Ok(Value::Object(Map::new()));
    }
    root.to_serde_value().ok_or(EditError::Unsafe)
}

pub(super) fn put(text: &str, section: &str, name: &str, entry: &Entry) -> Result<String, EditError> {
    let root = parse(text)?;
    let not_a_map = |what: &str| EditError::NotAMap(what.to_owned());
    let object = root
        .object_value_or_create()
        .ok_or_else(|| not_a_map("the file"))?;
    let servers = object
        .object_value_or_create(section)
        .ok_or_else(|| not_a_map(&format!("\"{section}\"")))?;
    match servers.get(name) {
        Some(there) => there.set_value(input_value(&entry.node)),
        None => {
            servers.append(name, input_value(&entry.node));
        }
    }
    if !entry.inputs.is_empty() {
        let inputs = object
            .array_value_or_create("inputs")
            .ok_or_else(|| not_a_map("\"inputs\""))?;
        for input in &entry.inputs {
            let mut there = inputs
                .elements()
                .into_iter()
                .filter_map(|node| node.to_serde_value());
            if !there.any(|value| super::is_input(&value, *input)) {
                inputs.append(input_value(&input.node()));
            }
        }
    }
    let mut after = root.to_string();
    if text.trim().is_empty() && !after.ends_with('\n') {
        after.push('\n');
    }
    Ok(after)
}

pub(super) fn take(text: &str, section: &str, name: &str, inputs: &[Input]) -> Result<String, EditError> {
    let root = parse(text)?;
    let Some(object) = root.object_value() else {
        return Ok(text.to_owned());
    };
    if let Some(there) = object.object_value(section).and_then(|servers| servers.get(name)) {
        there.remove();
    }
    if let Some(list) = object.array_value("inputs") {
        for element in list.elements() {
            let value = element.to_serde_value().unwrap_or(Value::Null);
            if inputs.iter().any(|input| super::is_input(&value, *input)) {
                element.remove();
            }
        }
    }
    Ok(root.to_string())
}

fn input_value(node: &ConfigValue) -> CstInputValue {
    match node {
        ConfigValue::Null => CstInputValue::Null,
        ConfigValue::Flag(flag) => CstInputValue::Bool(*flag),
        ConfigValue::Number(digits) => CstInputValue::Number(digits.clone()),
        ConfigValue::Text(text) => CstInputValue::String(text.clone()),
        ConfigValue::List(nodes) => CstInputValue::Array(nodes.iter().map(input_value).collect()),
        ConfigValue::Map(fields) => CstInputValue::Object(
            fields
                .iter()
                .map(|(name, node)| (name.clone(), input_value(node)))
                .collect(),
        ),
    }
}
