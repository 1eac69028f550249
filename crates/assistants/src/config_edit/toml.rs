//! TOML: changed as a document that remembers comments and white space.

use serde_json::Value;
use toml_edit::{Array, DocumentMut, InlineTable, Item, RawString, Table, Value as TomlValue};

use super::{EditError, line_of};
use crate::entry::ConfigValue;

fn broken(text: &str, message: &str, span: Option<std::ops::Range<usize>>) -> EditError {
    EditError::Broken {
        line: line_of(text, span.map_or(0, |span| span.start)),
        reason: message.lines().next().unwrap_or_default().to_owned(),
    }
}

fn parse(text: &str) -> Result<DocumentMut, EditError> {
    text.parse()
        .map_err(|error: toml_edit::TomlError| broken(text, error.message(), error.span()))
}

pub(super) fn read(text: &str) -> Result<Value, EditError> {
    toml_edit::de::from_str(text).map_err(|error| broken(text, error.message(), error.span()))
}

pub(super) fn put(text: &str, section: &str, name: &str, node: &ConfigValue) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let servers = document.entry(section).or_insert_with(|| {
        let mut table = Table::new();
        // No header of its own: [mcp_servers.name] says it all.
        table.set_implicit(true);
        Item::Table(table)
    });
    let is_on_one_line = servers.is_value();
    let servers = servers
        .as_table_like_mut()
        .ok_or_else(|| EditError::NotAMap(format!("\"{section}\"")))?;
    let item = match node {
        ConfigValue::Map(fields) if !is_on_one_line => {
            let mut table = table(fields);
            if let Some(Item::Table(there)) = servers.get(name) {
                *table.decor_mut() = there.decor().clone();
                table.set_position(there.position());
            } else if !text.trim().is_empty() {
                table.decor_mut().set_prefix("\n");
            }
            Item::Table(table)
        }
        ConfigValue::Map(_)
        | ConfigValue::Null
        | ConfigValue::Flag(_)
        | ConfigValue::Number(_)
        | ConfigValue::Text(_)
        | ConfigValue::List(_) => Item::Value(value(node)),
    };
    servers.insert(name, item);
    Ok(document.to_string())
}

pub(super) fn take(text: &str, section: &str, name: &str) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let Some(servers) = document.get_mut(section).and_then(Item::as_table_like_mut) else {
        return Ok(text.to_owned());
    };
    let gone = servers.remove(name);
    let is_empty = servers.is_empty();
    let is_implicit = document
        .get(section)
        .and_then(Item::as_table)
        .is_some_and(Table::is_implicit);
    if is_empty && is_implicit {
        document.remove(section);
    }
    // A comment above the entry is somebody's words: it moves to the end rather than away.
    if let Some(Item::Table(gone)) = gone
        && let Some(above) = gone.decor().prefix().and_then(RawString::as_str)
        && above.contains('#')
    {
        let end = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing(format!("{above}{end}"));
    }
    Ok(document.to_string())
}

fn table(fields: &[(String, ConfigValue)]) -> Table {
    let mut table = Table::new();
    for (name, node) in fields {
        // TOML has no null: a field without a value is no field.
        if *node != ConfigValue::Null {
            table.insert(name, Item::Value(value(node)));
        }
    }
    table
}

fn value(node: &ConfigValue) -> TomlValue {
    match node {
        ConfigValue::Null => TomlValue::from(""),
        ConfigValue::Flag(flag) => TomlValue::from(*flag),
        ConfigValue::Number(digits) => digits
            .parse()
            .unwrap_or_else(|_| TomlValue::from(digits.as_str())),
        ConfigValue::Text(text) => TomlValue::from(text.as_str()),
        ConfigValue::List(nodes) => TomlValue::Array(nodes.iter().map(value).collect::<Array>()),
        ConfigValue::Map(fields) => {
            let mut table = InlineTable::new();
            for (name, node) in fields {
                table.insert(name, value(node));
            }
            TomlValue::InlineTable(table)
        }
    }
}
