//! The metadata that lists and searches show of a skill, cut to the lengths of its columns.

use serde_json::{Map, Value, json};

use crate::registry::skills::SkillMetadata;
use crate::shown_text::cleaned;
use agent_skills::{Diagnostic, Severity, SkillDocument};

// The CHECK constraints of the table `skills`, in characters.
const MAX_NAME: usize = 200;
const MAX_DESCRIPTION: usize = 1024;
const MAX_LABEL: usize = 64;
const MAX_AUTHOR: usize = 200;
const MAX_LICENSE: usize = 200;

pub(super) struct DisplayMetadata {
    pub(super) metadata: SkillMetadata,
    /// Deviations from the format: a list of objects with `code` and `message`.
    pub(super) notes: Value,
}

impl DisplayMetadata {
    /// `left_out` are the diagnostics of the folder that `document` was read from.
    pub(super) fn new(document: &SkillDocument, left_out: &[Diagnostic]) -> Self {
        let front_matter = &document.front_matter;
        let author = text_of(front_matter, "author").or_else(|| {
            let metadata = front_matter.get("metadata").and_then(Value::as_object);
            text_of(metadata?, "author")
        });
        let notes = document.diagnostics.iter().chain(left_out);
        Self {
            metadata: SkillMetadata {
                name: text_of(front_matter, "name")
                    .map_or_else(|| document.name.to_string(), |name| fit(&name, MAX_NAME)),
                description: fit_lines(&document.description, MAX_DESCRIPTION),
                category: document.category.as_deref().map(|text| fit(text, MAX_LABEL)),
                tags: document.tags.iter().map(|tag| fit(tag, MAX_LABEL)).collect(),
                author: author.map(|text| fit(&text, MAX_AUTHOR)),
                license: document.license.as_deref().map(|text| fit(text, MAX_LICENSE)),
                conformant: notes.clone().all(|note| note.severity() == Severity::Warning),
            },
            notes: notes
                .map(|note| json!({"code": note.code(), "message": note.to_string()}))
                .collect(),
        }
    }
}

fn text_of(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields
        .get(name)?
        .as_str()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// The first `max_chars` characters without those that control a terminal or hide.
fn fit(text: &str, max_chars: usize) -> String {
    cleaned(text).chars().take(max_chars).collect()
}

/// As [`fit`], of a text with several lines.
fn fit_lines(text: &str, max_chars: usize) -> String {
    let lines: Vec<String> = text.lines().map(cleaned).collect();
    lines.join("\n").chars().take(max_chars).collect()
}

/// The value without NUL characters, which PostgreSQL cannot store in JSON. The stored file keeps them.
pub(super) fn without_nul(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "")),
        Value::Array(items) => items.iter().map(without_nul).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.replace('\0', ""), without_nul(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
