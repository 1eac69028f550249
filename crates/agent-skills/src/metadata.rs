//! Short values of the front matter: tags, category, version, license.

use serde_json::{Map, Value};

use crate::limits::{MAX_LABEL_CHARS, MAX_TAGS};
use crate::text::{one_line, value_text, without_quotation_marks};

/// A scalar value on one line, shortened to `max_chars`. `None` if it is missing, empty, a list or a mapping.
pub(crate) fn label(map: &Map<String, Value>, key: &str, max_chars: usize) -> Option<String> {
    match map.get(key)? {
        value @ (Value::String(_) | Value::Number(_) | Value::Bool(_)) => value_text(value)
            .map(|text| one_line(without_quotation_marks(text.trim()), max_chars))
            .filter(|text| !text.is_empty()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(crate) fn metadata_label(map: &Map<String, Value>, key: &str) -> Option<String> {
    label(map.get("metadata")?.as_object()?, key, MAX_LABEL_CHARS)
}

pub(crate) fn tags_of(map: &Map<String, Value>) -> Vec<String> {
    let metadata = map.get("metadata").and_then(Value::as_object);
    let mut tags: Vec<String> = Vec::new();
    for value in ["tags", "keywords"].iter().flat_map(|key| {
        [map.get(*key), metadata.and_then(|metadata| metadata.get(*key))]
            .into_iter()
            .flatten()
    }) {
        for tag in split_tags(value) {
            let tag =
                one_line(tag.trim_matches(['[', ']', '"', '\'', '#', ' ']), MAX_LABEL_CHARS).to_lowercase();
            if !tag.is_empty() && !tags.contains(&tag) && tags.len() < MAX_TAGS {
                tags.push(tag);
            }
        }
    }
    tags
}

/// The scalar items of a list, or the parts of a text that commas, semicolons or line feeds separate.
pub(crate) fn split_tags(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text
            .split([',', ';', '\n'])
            .map(|tag| tag.trim().to_owned())
            .collect(),
        Value::Array(items) => items
            .iter()
            .filter(|item| !item.is_array() && !item.is_object())
            .filter_map(value_text)
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tags(value: Value) -> Vec<String> {
        tags_of(value.as_object().unwrap())
    }

    #[test]
    fn tags_are_collected_from_all_known_keys() {
        let map = json!({
            "tags": "[One, \"two\"]",
            "keywords": ["three", "ONE", ["nested"]],
            "metadata": {"tags": ["four", 5], "keywords": "#six; two"},
        });
        assert_eq!(tags(map), ["one", "two", "four", "5", "three", "six"]);
    }

    #[test]
    fn number_and_length_of_tags_are_limited() {
        let many: Vec<String> = (0..100).map(|n| format!("{n} {}", "x".repeat(100))).collect();
        let tags = tags(json!({ "tags": many }));
        assert_eq!(tags.len(), MAX_TAGS);
        assert!(tags.iter().all(|tag| tag.chars().count() <= MAX_LABEL_CHARS));
    }

    #[test]
    fn label_is_a_scalar_on_one_line() {
        let map = json!({"a": " x\ny ", "b": 1.5, "c": ["d"], "e": " ", "metadata": {"f": true}});
        let map = map.as_object().unwrap();
        assert_eq!(label(map, "a", 10).as_deref(), Some("x y"));
        assert_eq!(label(map, "b", 10).as_deref(), Some("1.5"));
        assert_eq!(
            (label(map, "c", 10), label(map, "e", 10), label(map, "g", 10)),
            (None, None, None)
        );
        assert_eq!(metadata_label(map, "f").as_deref(), Some("true"));
    }
}
