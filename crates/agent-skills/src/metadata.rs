//! The short values by which a catalog sorts skills.

use serde_json::{Map, Value};

use super::text::{one_line, value_text};

/// The most tags that the catalog keeps of a skill.
pub const MAX_TAGS: usize = 32;
/// The most characters of a tag, a category or a version in the catalog.
pub const MAX_LABEL_CHARS: usize = 64;
/// The most characters of a license in the catalog.
pub(super) const MAX_LICENSE_CHARS: usize = 256;

/// A simple value on one line.
pub(super) fn label(map: &Map<String, Value>, key: &str, max_chars: usize) -> Option<String> {
    match map.get(key)? {
        value @ (Value::String(_) | Value::Number(_) | Value::Bool(_)) => value_text(value)
            .map(|text| one_line(&text, max_chars))
            .filter(|text| !text.is_empty()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(super) fn metadata_label(map: &Map<String, Value>, key: &str) -> Option<String> {
    label(map.get("metadata")?.as_object()?, key, MAX_LABEL_CHARS)
}

pub(super) fn tags_of(map: &Map<String, Value>) -> Vec<String> {
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

/// The tags of a list, or of a text that separates them by commas.
fn split_tags(value: &Value) -> Vec<String> {
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
    fn tags_come_from_every_place_where_people_put_them() {
        let map = json!({
            "tags": "[One, \"two\"]",
            "keywords": ["three", "ONE", ["nested"]],
            "metadata": {"tags": ["four", 5], "keywords": "#six; two"},
        });
        assert_eq!(tags(map), ["one", "two", "four", "5", "three", "six"]);
    }

    #[test]
    fn tags_are_few_and_short() {
        let many: Vec<String> = (0..100).map(|n| format!("{n} {}", "x".repeat(100))).collect();
        let tags = tags(json!({ "tags": many }));
        assert_eq!(tags.len(), MAX_TAGS);
        assert!(tags.iter().all(|tag| tag.chars().count() <= MAX_LABEL_CHARS));
    }

    #[test]
    fn a_label_is_a_simple_value() {
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
