//! Small work on text that comes from strangers.

use serde_json::Value;

/// `text` in quotes, escaped and cut at 80 characters, for a sentence that people read in a terminal.
pub(super) fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    let mut shown: String = text.chars().take(MAX_CHARS).flat_map(escaped).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let hidden = super::path::is_hidden(c) || c.is_control();
    let (escape, plain) = if hidden {
        (Some(c.escape_unicode()), None)
    } else {
        (None, Some(c))
    };
    escape.into_iter().flatten().chain(plain)
}

/// `text` without white space around it and with spaces in place of control characters; line feeds and tabs stay.
pub(super) fn cleaned(text: &str) -> String {
    let spaced: String = text
        .replace("\r\n", "\n")
        .chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                ' '
            } else {
                c
            }
        })
        .collect();
    spaced.trim().to_owned()
}

/// `text` on one line, with a single space where there was white space, cut at `max_chars`.
pub(super) fn one_line(text: &str, max_chars: usize) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect();
    shortened(&words.join(" "), max_chars)
}

/// `text` with at most `max_chars` characters: cut after a whole word where there is one, and ended with `…`.
pub(super) fn shortened(text: &str, max_chars: usize) -> String {
    if text.chars().nth(max_chars).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    let word_end = kept.rfind(char::is_whitespace).filter(|end| end * 2 > kept.len());
    let kept = word_end.and_then(|end| kept.get(..end)).unwrap_or(&kept);
    format!("{}…", kept.trim_end())
}

/// A front matter value as text: a list of simple values with commas, anything deeper as JSON. `None` for nothing.
pub(super) fn value_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Some(value.to_string()),
        Value::Array(items) => {
            let simple = items.iter().all(|item| !item.is_array() && !item.is_object());
            Some(if simple {
                joined(items, ", ")
            } else {
                value.to_string()
            })
        }
    }
}

/// The items of a list as text, with `separator` between them.
pub(super) fn joined(items: &[Value], separator: &str) -> String {
    let texts: Vec<String> = items.iter().filter_map(value_text).collect();
    texts.join(separator)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_text_ends_after_a_word() {
        assert_eq!(shortened("one two three", 10), "one two…");
        assert_eq!(shortened("one two", 7), "one two");
        assert_eq!(shortened("abcdefghij", 5), "abcd…");
    }

    #[test]
    fn values_become_text() {
        assert_eq!(value_text(&json!(["a", 1, null, true])).unwrap(), "a, 1, true");
        assert_eq!(value_text(&json!({"a": ["b"]})).unwrap(), r#"{"a":["b"]}"#);
        assert_eq!(value_text(&json!(null)), None);
    }

    proptest! {
        #[test]
        fn a_shortened_text_fits(text in any::<String>(), max in 1_usize..64) {
            prop_assert!(shortened(&text, max).chars().count() <= max);
            prop_assert!(one_line(&text, max).chars().count() <= max);
        }
    }
}
