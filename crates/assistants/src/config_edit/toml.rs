//! Edits TOML as a document that keeps comments and white space.

use serde_json::Value;
use toml_edit::{Array, DocumentMut, InlineTable, Item, RawString, Table, Value as TomlValue};

use super::error::EditError;
use crate::config_value::ConfigValue;

fn syntax_error(text: &str, message: &str, span: Option<std::ops::Range<usize>>) -> EditError {
    let start = span.map_or(0, |span| span.start);
    EditError::Syntax {
        line: text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1,
        reason: message.lines().next().unwrap_or_default().to_owned(),
    }
}

fn parse(text: &str) -> Result<DocumentMut, EditError> {
    text.parse()
        .map_err(|error: toml_edit::TomlError| syntax_error(text, error.message(), error.span()))
}

pub(super) fn parse_value(text: &str) -> Result<Value, EditError> {
    toml_edit::de::from_str(text).map_err(|error| syntax_error(text, error.message(), error.span()))
}

pub(super) fn upsert(
    text: &str,
    section: &str,
    name: &str,
    value: &ConfigValue,
) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let servers = document.entry(section).or_insert_with(|| {
        let mut table = Table::new();
        // `[mcp_servers.name]` needs no header `[mcp_servers]` above it.
        table.set_implicit(true);
        Item::Table(table)
    });
    let is_inline = servers.is_value();
    let servers = servers
        .as_table_like_mut()
        .ok_or_else(|| EditError::NotAMap(format!("`{section}`")))?;
    let item = match value {
        ConfigValue::Map(fields) if !is_inline => {
            let mut table = table(fields);
            if let Some(Item::Table(existing)) = servers.get(name) {
                *table.decor_mut() = existing.decor().clone();
                table.set_position(existing.position());
            } else if !text.trim().is_empty() {
                table.decor_mut().set_prefix("\n");
            }
            Item::Table(table)
        }
        ConfigValue::Map(_)
        | ConfigValue::Null
        | ConfigValue::Bool(_)
        | ConfigValue::Number(_)
        | ConfigValue::Text(_)
        | ConfigValue::List(_) => Item::Value(toml_value(value)),
    };
    servers.insert(name, item);
    Ok(document.to_string())
}

pub(super) fn remove(text: &str, section: &str, name: &str) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let Some(servers) = document.get_mut(section).and_then(Item::as_table_like_mut) else {
        return Ok(text.to_owned());
    };
    let removed = servers.remove(name);
    let is_empty = servers.is_empty();
    let is_implicit = document
        .get(section)
        .and_then(Item::as_table)
        .is_some_and(Table::is_implicit);
    if is_empty && is_implicit {
        document.remove(section);
    }
    // A comment above the entry was written by the user, so it moves to the end of the file.
    if let Some(Item::Table(removed)) = removed
        && let Some(above) = removed.decor().prefix().and_then(RawString::as_str)
        && above.contains('#')
    {
        let end = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing(format!("{above}{end}"));
    }
    Ok(document.to_string())
}

fn table(fields: &[(String, ConfigValue)]) -> Table {
    let mut table = Table::new();
    for (name, value) in fields {
        // TOML has no null, so the field is left out.
        if *value != ConfigValue::Null {
            table.insert(name, Item::Value(toml_value(value)));
        }
    }
    table
}

fn toml_value(value: &ConfigValue) -> TomlValue {
    match value {
        ConfigValue::Null => TomlValue::from(""),
        ConfigValue::Bool(flag) => TomlValue::from(*flag),
        ConfigValue::Number(digits) => digits
            .parse()
            .unwrap_or_else(|_| TomlValue::from(digits.as_str())),
        ConfigValue::Text(text) => TomlValue::from(text.as_str()),
        ConfigValue::List(values) => TomlValue::Array(values.iter().map(toml_value).collect::<Array>()),
        ConfigValue::Map(fields) => {
            let mut table = InlineTable::new();
            for (name, value) in fields {
                table.insert(name, toml_value(value));
            }
            TomlValue::InlineTable(table)
        }
    }
}
