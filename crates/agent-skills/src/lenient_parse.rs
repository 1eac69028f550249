//! Reads the keys of a front matter that is not valid YAML, line by line.

use serde_json::{Map, Value};

use crate::text::cleaned;

/// A longer run of characters before a colon is not a key.
const MAX_KEY_BYTES: usize = 64;

/// A key with the lines of its value.
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a str,
    /// The text after the colon, on the key's line.
    inline: &'a str,
    /// The key's line and the lines of its value.
    pub(crate) source: &'a str,
}

pub(crate) fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

pub(crate) fn is_list_item(line: &str) -> bool {
    line.trim_end() == "-" || line.starts_with("- ")
}

/// Splits a line that starts with `key: value` or `key:`.
pub(crate) fn key_line(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let is_key_char = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_key = !key.is_empty()
        && key.len() <= MAX_KEY_BYTES
        && !key.starts_with('-')
        && key.chars().all(is_key_char);
    let is_separated = value.is_empty() || value.starts_with([' ', '\t', '\r', '\n']);
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
    if inline.is_empty() && !rest.is_empty() {
        if rest.iter().all(|line| is_list_item(line)) {
            let items = rest
                .iter()
                .map(|line| unquoted(line.get(1..).unwrap_or("").trim()));
            return Value::Array(items.map(Value::String).collect());
        }
        let pairs: Option<Map<String, Value>> = rest
            .iter()
            .map(|line| key_line(line))
            .map(|pair| pair.map(|(key, value)| (key.to_owned(), Value::String(unquoted(value.trim())))))
            .collect();
        if let Some(pairs) = pairs {
            return Value::Object(pairs);
        }
    }
    let lines = [inline].into_iter().filter(|line| !line.is_empty()).chain(rest);
    joined_text(lines, " ")
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
