//! What lists and searches show of a skill, fitted to what the database holds.

use serde_json::{Map, Value, json};

use super::NewVersion;
use agent_skills::Severity;

/// What lists and searches show of the skill, fitted to the columns.
pub(super) struct DisplayMetadata {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) category: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) author: Option<String>,
    pub(super) license: Option<String>,
    pub(super) conformant: bool,
    pub(super) notes: Value,
}

impl DisplayMetadata {
    pub(super) fn new(new: &NewVersion<'_>) -> Self {
        let document = new.document;
        let metadata = document.front_matter.get("metadata").and_then(Value::as_object);
        let author = text_of(&document.front_matter, "author").or_else(|| text_of(metadata?, "author"));
        let notes = document.notes.iter().chain(&new.folder.notes);
        Self {
            name: text_of(&document.front_matter, "name")
                .map_or_else(|| document.name.to_string(), |name| fit(&name, 200)),
            description: fit(&document.description, 1024),
            category: document.category.as_deref().map(|text| fit(text, 64)),
            tags: document.tags.iter().map(|tag| fit(tag, 64)).collect(),
            author: author.map(|text| fit(&text, 200)),
            license: document.license.as_deref().map(|text| fit(text, 200)),
            conformant: notes.clone().all(|note| note.severity() == Severity::Warning),
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

/// PostgreSQL's text holds no NUL, and its columns have limits.
pub(super) fn fit(text: &str, max: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(max).collect()
}

/// The front matter without NUL characters, which PostgreSQL's JSON does not hold; the file itself keeps them.
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
