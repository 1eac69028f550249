//! Text helpers. All input is untrusted.

use std::borrow::Cow;

use serde_json::Value;

use crate::path::is_hidden;

/// `text` in quotes for a message in a terminal: hidden and control characters escaped, cut at 80 characters.
pub(crate) fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    let mut quoted = String::from("\"");
    for c in text.chars().take(MAX_CHARS) {
        if is_hidden(c) || c.is_control() {
            quoted.extend(c.escape_unicode());
        } else {
            quoted.push(c);
        }
    }
    if text.chars().nth(MAX_CHARS).is_some() {
        quoted.push('…');
    }
    quoted.push('"');
    quoted
}

/// `text` with each lone carriage return, the line end of old systems, as a line feed. The length stays the same.
pub(crate) fn with_line_feeds(text: &str) -> Cow<'_, str> {
    if !text.contains('\r') {
        return Cow::Borrowed(text);
    }
    let mut chars = text.chars().peekable();
    let mut converted = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        converted.push(if c == '\r' && chars.peek() != Some(&'\n') {
            '\n'
        } else {
            c
        });
    }
    Cow::Owned(converted)
}

/// `text` without typographic quotation marks around it, which word processors put in place of `"`.
pub(crate) fn without_quotation_marks(text: &str) -> &str {
    [('“', '”'), ('„', '“'), ('‘', '’'), ('«', '»'), ('「', '」')]
        .iter()
        .find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close))
        .map_or(text, str::trim)
}

/// Trims `text` and replaces control characters, except line feeds and tabs, with spaces.
pub(crate) fn cleaned(text: &str) -> String {
    let is_kept = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.replace("\r\n", "\n")
        .replace(|c| !is_kept(c), " ")
        .trim()
        .to_owned()
}

/// `text` on one line: each run of white space and control characters becomes one space. Shortened to `max_chars`.
pub(crate) fn one_line(text: &str, max_chars: usize) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    shortened(&words.join(" "), max_chars)
}

/// Shortens `text` to at most `max_chars` characters, the last of which is `…`. Cuts after a word, unless that would
/// remove more than half of the text.
pub(crate) fn shortened(text: &str, max_chars: usize) -> String {
    if text.chars().nth(max_chars).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    let word_end = kept.rfind(char::is_whitespace).filter(|end| end * 2 > kept.len());
    let kept = word_end.and_then(|end| kept.get(..end)).unwrap_or(&kept);
    format!("{}…", kept.trim_end())
}

/// A front matter value as text: the items of a flat list separated by commas, nested values as JSON. `None` for null.
pub(crate) fn value_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Some(value.to_string()),
        Value::Array(items) => {
            let is_flat = items.iter().all(|item| !item.is_array() && !item.is_object());
            Some(if is_flat {
                joined(items, ", ")
            } else {
                value.to_string()
            })
        }
    }
}

/// The items of a list as text, without nulls.
pub(crate) fn joined(items: &[Value], separator: &str) -> String {
    let texts: Vec<String> = items.iter().filter_map(value_text).collect();
    texts.join(separator)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn long_text_is_cut_after_a_word() {
        assert_eq!(shortened("one two three", 10), "one two…");
        assert_eq!(shortened("one two", 7), "one two");
        assert_eq!(shortened("abcdefghij", 5), "abcd…");
    }

    #[test]
    fn value_text_joins_flat_lists_and_writes_json_otherwise() {
        assert_eq!(value_text(&json!(["a", 1, null, true])).unwrap(), "a, 1, true");
        assert_eq!(value_text(&json!({"a": ["b"]})).unwrap(), r#"{"a":["b"]}"#);
        assert_eq!(value_text(&json!(null)), None);
    }

    proptest! {
        #[test]
        fn shortened_text_is_within_limit(text in any::<String>(), max in 1_usize..64) {
            prop_assert!(shortened(&text, max).chars().count() <= max);
            prop_assert!(one_line(&text, max).chars().count() <= max);
        }
    }
}
