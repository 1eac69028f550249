//! Reads the keys of a front matter that is not valid YAML, line by line.

use serde_json::{Map, Value};

use crate::text::cleaned;
use crate::yaml;

/// A longer run of characters before a colon is not a key.
const MAX_KEY_BYTES: usize = 64;

/// A key with the lines of its value.
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a str,
    /// The text after the colon, on the key's line.
    pub(crate) inline: &'a str,
    /// The key's line and the lines of its value.
    pub(crate) source: &'a str,
}

pub(crate) fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

pub(crate) fn is_list_item(line: &str) -> bool {
    line.trim_end() == "-" || line.starts_with("- ")
}

/// Splits a line that starts with `key: value` or `key:`. After `name` and `description`, the space may be missing.
pub(crate) fn key_line(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let is_key_char = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_key = !key.is_empty()
        && key.len() <= MAX_KEY_BYTES
        && !key.starts_with('-')
        && key.chars().all(is_key_char);
    let is_separated = value.is_empty()
        || value.starts_with([' ', '\t', '\r', '\n', '\u{A0}'])
        || (matches!(key, "name" | "description") && !value.starts_with([':', '/']));
    (is_key && is_separated).then_some((key, value))
}

/// Number of values in `value`, itself included.
pub(crate) fn count_values(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        Value::Array(items) => 1 + items.iter().map(count_values).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(count_values).sum::<usize>(),
    }
}

/// Splits the front matter at its keys. Also returns the byte offset at which the last entry ends: after a blank
/// line, a line that is neither indented nor a key nor a list item belongs to the body.
pub(crate) fn split_into_entries(yaml: &str) -> (Vec<Entry<'_>>, usize) {
    let mut starts: Vec<(usize, &str, &str)> = Vec::new();
    let (mut offset, mut end, mut is_after_blank) = (0, yaml.len(), false);
    for line in yaml.split_inclusive('\n') {
        if let Some((key, value)) = key_line(line) {
            starts.push((offset, key, value));
        } else if is_after_blank && !line.trim().is_empty() && !is_indented(line) && !is_list_item(line) {
            end = offset;
            break;
        }
        is_after_blank = line.trim().is_empty();
        offset += line.len();
    }
    let ends = starts.iter().skip(1).map(|(start, ..)| *start).chain([end]);
    let entries = starts
        .iter()
        .zip(ends)
        .filter_map(|((start, key, inline), end)| {
            yaml.get(*start..end).map(|source| Entry { key, inline, source })
        })
        .collect();
    (entries, end)
}

/// The value of an entry that is not valid YAML: a block scalar, a list, a mapping of texts, or else one text.
pub(crate) fn lenient_value(entry: &Entry<'_>) -> Value {
    let inline = entry.inline.trim();
    let rest: Vec<&str> = entry
        .source
        .lines()
        .skip(1)
        .map(str::trim_start)
        .filter(|line| !line.is_empty())
        .collect();
    let is_block_scalar = |indicator: char| {
        inline
            .strip_prefix(indicator)
            .is_some_and(|more| more.chars().all(|c| matches!(c, '+' | '-' | '0'..='9')))
    };
    if is_block_scalar('|') {
        return joined_text(rest, "\n");
    }
    if is_block_scalar('>') {
        return joined_text(rest, " ");
    }
    // A block scalar whose text starts on the key's line: `description: > Does it.`
    if let Some(first) = ["> ", "| ", ">- ", "|- ", ">+ ", "|+ "]
        .iter()
        .find_map(|start| inline.strip_prefix(start))
    {
        return joined_text([first].into_iter().chain(rest), " ");
    }
    if inline.is_empty() && !rest.is_empty() {
        if rest.iter().all(|line| is_list_item(line)) {
            let items = rest
                .iter()
                .map(|line| unquoted(line.get(1..).unwrap_or("").trim()));
            return Value::Array(items.map(Value::String).collect());
        }
        if let Some(pairs) = lenient_mapping(entry.source) {
            return Value::Object(pairs);
        }
    }
    let lines = [inline].into_iter().filter(|line| !line.is_empty()).chain(rest);
    joined_text(lines, " ")
}

/// The mapping below a key: each line at the first line's level is a key, and deeper lines belong to its value. `None`
/// if a line at that level is not a key.
fn lenient_mapping(source: &str) -> Option<Map<String, Value>> {
    let lines: Vec<&str> = source
        .lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("# "))
        .collect();
    let level = indentation(lines.first()?);
    let mut pairs: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in lines {
        match (key_line(line.trim_start()), pairs.last_mut()) {
            (Some((key, _)), _) if indentation(line) <= level => pairs.push((key, vec![line])),
            (_, Some((_, lines))) if indentation(line) > level => lines.push(line),
            (Some(_) | None, _) if line.trim_start().starts_with('#') => {}
            (Some(_) | None, _) => return None,
        }
    }
    let value = |key: &str, lines: &[&str]| match yaml::parse(&lines.join("\n")) {
        Ok(parsed) => parsed.map.get(key).cloned().unwrap_or_default(),
        Err(_) => {
            let inline = lines
                .first()
                .and_then(|line| key_line(line.trim_start()))
                .map_or("", |(_, inline)| inline);
            let further = lines.iter().skip(1).copied();
            joined_text(
                [inline]
                    .into_iter()
                    .chain(further)
                    .filter(|line| !line.trim().is_empty()),
                " ",
            )
        }
    };
    Some(
        pairs
            .into_iter()
            .map(|(key, lines)| (key.to_owned(), value(key, &lines)))
            .collect(),
    )
}

/// Number of blanks and tabs at the start of a line.
pub(crate) fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

fn joined_text<'a>(lines: impl IntoIterator<Item = &'a str>, separator: &str) -> Value {
    let lines: Vec<&str> = lines.into_iter().map(str::trim).collect();
    Value::String(unquoted(&cleaned(&lines.join(separator))))
}

/// Removes a pair of equal quotes around `text`.
fn unquoted(text: &str) -> String {
    let inside = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    if let Some(text) = inside('"') {
        text.replace("\\\"", "\"")
    } else if let Some(text) = inside('\'') {
        text.replace("''", "'")
    } else {
        text.to_owned()
    }
}
