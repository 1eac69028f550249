//! Front matter that is not quite YAML, read line by line as a person would.

use serde_json::{Map, Value};

use super::text::cleaned;

/// The longest key that the line-by-line reading takes for one.
const MAX_KEY_BYTES: usize = 64;

/// One key with the lines that belong to it.
pub(super) struct Chunk<'a> {
    pub(super) key: &'a str,
    /// What stands after the colon.
    pub(super) inline: &'a str,
    /// The whole of it, as it is written.
    pub(super) source: &'a str,
}

pub(super) fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

pub(super) fn is_item(line: &str) -> bool {
    line.trim_end() == "-" || line.starts_with("- ")
}

/// `key: value` or `key:` at the beginning of a line.
pub(super) fn key_line(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let is_key_char = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_key = !key.is_empty()
        && key.len() <= MAX_KEY_BYTES
        && !key.starts_with('-')
        && key.chars().all(is_key_char);
    let separated = value.is_empty() || value.starts_with([' ', '\t', '\r', '\n']);
    (is_key && separated).then_some((key, value))
}

/// How many values a value is, with those inside it.
pub(super) fn count(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(count).sum::<usize>(),
    }
}

/// Cuts the front matter at its keys, and says where its keys end: after a blank line, a line that is not a key
/// and not indented is taken for the body's first.
pub(super) fn chunks(yaml: &str) -> (Vec<Chunk<'_>>, usize) {
    let mut starts: Vec<(usize, &str, &str)> = Vec::new();
    let (mut at, mut end, mut after_blank) = (0, yaml.len(), false);
    for line in yaml.split_inclusive('\n') {
        if let Some((key, value)) = key_line(line) {
            starts.push((at, key, value));
        } else if after_blank && !line.trim().is_empty() && !is_indented(line) && !is_item(line) {
            end = at;
            break;
        }
        after_blank = line.trim().is_empty();
        at += line.len();
    }
    let ends = starts.iter().skip(1).map(|(start, ..)| *start).chain([end]);
    let chunks = starts
        .iter()
        .zip(ends)
        .filter_map(|((start, key, inline), end)| {
            yaml.get(*start..end).map(|source| Chunk { key, inline, source })
        })
        .collect();
    (chunks, end)
}

/// A value that is not YAML, read as a person would.
pub(super) fn text_value(chunk: &Chunk<'_>) -> Value {
    let inline = chunk.inline.trim();
    let rest: Vec<&str> = chunk
        .source
        .lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .collect();
    let is_block = |sign: char| {
        inline
            .strip_prefix(sign)
            .is_some_and(|more| more.chars().all(|c| matches!(c, '+' | '-' | '0'..='9')))
    };
    if is_block('|') {
        return text_of(rest.iter().map(|line| line.trim()), "\n");
    }
    if is_block('>') {
        return text_of(rest.iter().map(|line| line.trim()), " ");
    }
    if inline.is_empty() && !rest.is_empty() {
        if rest.iter().all(|line| is_item(line.trim_start())) {
            let items = rest
                .iter()
                .map(|line| unquoted(line.trim_start().get(1..).unwrap_or("").trim()));
            return Value::Array(items.map(Value::String).collect());
        }
        let pairs: Option<Map<String, Value>> = rest
            .iter()
            .map(|line| key_line(line.trim_start()))
            .map(|pair| pair.map(|(key, value)| (key.to_owned(), Value::String(unquoted(value.trim())))))
            .collect();
        if let Some(pairs) = pairs {
            return Value::Object(pairs);
        }
    }
    let lines = [inline].into_iter().chain(rest.iter().map(|line| line.trim()));
    text_of(lines.filter(|line| !line.is_empty()), " ")
}

fn text_of<'a>(lines: impl Iterator<Item = &'a str>, separator: &str) -> Value {
    Value::String(unquoted(&cleaned(&lines.collect::<Vec<_>>().join(separator))))
}

/// `text` without the quotes around it, when it begins and ends with the same.
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
