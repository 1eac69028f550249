//! Reads a `SKILL.md`. Deviations from the format are tolerated where possible and reported as diagnostics.

use serde_json::{Map, Value};

use crate::body;
use crate::diagnostics::{Diagnostic, Severity};
use crate::error::DocumentError;
use crate::front_matter;
use crate::limits::{
    MAX_COMPATIBILITY_CHARS, MAX_DESCRIPTION_CHARS, MAX_LABEL_CHARS, MAX_LICENSE_CHARS, MAX_SKILL_MD_BYTES,
};
use crate::metadata::{label, metadata_label, tags_of};
use crate::name::name_of;
use crate::slug::Slug;
use crate::text::{cleaned, one_line, shortened, value_text, with_line_feeds};

/// The front matter keys that the specification defines.
pub(crate) const KNOWN_KEYS: [&str; 6] = [
    "name",
    "description",
    "license",
    "compatibility",
    "metadata",
    "allowed-tools",
];

/// A parsed `SKILL.md`.
///
/// # Examples
/// ```
/// let text = "---\nname: PDF Tools\ndescription: Extracts tables.\n---\n# Usage\n";
/// let document = agent_skills::read_document(text.as_bytes(), "pdf-tools")?;
/// assert_eq!(document.name.as_str(), "pdf-tools");
/// assert_eq!(document.headings, ["Usage"]);
/// assert!(!document.is_conformant());
/// assert_eq!(document.diagnostics[0].code(), "name_invalid");
/// # Ok::<(), agent_skills::DocumentError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SkillDocument {
    /// The front matter as written. Dates, and numbers that JSON would write differently (`1.10`), are strings.
    pub front_matter: Map<String, Value>,
    /// The front matter's `name` if it is valid, else a name derived from the folder's name or from `name`.
    pub name: Slug,
    /// 1 to [`MAX_DESCRIPTION_CHARS`] characters, without control characters except line feeds and tabs. Taken from
    /// the body if the front matter has none.
    pub description: String,
    /// From `tags`, `keywords`, `metadata.tags` and `metadata.keywords`: lowercase, without duplicates, in file order.
    pub tags: Vec<String>,
    /// `category` or `metadata.category`.
    pub category: Option<String>,
    pub license: Option<String>,
    /// `metadata.version` or `version`.
    pub version: Option<String>,
    /// The headings of the body without markup.
    pub headings: Vec<String>,
    /// Everything after the front matter, unchanged.
    pub body: String,
    /// Deviations from the format.
    pub diagnostics: Vec<Diagnostic>,
}

impl SkillDocument {
    /// Whether no rule of the format is broken. Warnings do not count.
    #[must_use]
    pub fn is_conformant(&self) -> bool {
        self.diagnostics
            .iter()
            .all(|diagnostic| diagnostic.severity() < Severity::Error)
    }
}

/// Parses the bytes of the `SKILL.md` in a folder called `folder_name`.
///
/// # Errors
/// Returns a [`DocumentError`] if a limit is exceeded, the bytes are not text, or there is neither a description nor
/// text to derive one from.
pub fn read_document(bytes: &[u8], folder_name: &str) -> Result<SkillDocument, DocumentError> {
    let text = text_of(bytes)?;
    let parsed = front_matter::read(text)?;
    let (mut map, mut diagnostics) = (parsed.map, parsed.diagnostics);
    correct_key_case(&mut map, &mut diagnostics);
    let written_name = text_at(&map, "name", &mut diagnostics).unwrap_or_default();
    let name = name_of(&written_name, folder_name, &mut diagnostics);
    let description = description_of(&map, parsed.body, &mut diagnostics)?;
    check_optional_keys(&map, &mut diagnostics);
    Ok(SkillDocument {
        name,
        description,
        tags: tags_of(&map),
        category: label(&map, "category", MAX_LABEL_CHARS).or_else(|| metadata_label(&map, "category")),
        license: label(&map, "license", MAX_LICENSE_CHARS),
        version: metadata_label(&map, "version").or_else(|| label(&map, "version", MAX_LABEL_CHARS)),
        headings: body::headings(&with_line_feeds(parsed.body)),
        body: parsed.body.to_owned(),
        front_matter: map,
        diagnostics,
    })
}

fn text_of(bytes: &[u8]) -> Result<&str, DocumentError> {
    if bytes.len() > MAX_SKILL_MD_BYTES {
        return Err(DocumentError::TooLarge { bytes: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| DocumentError::NotUtf8 {
        offset: error.valid_up_to(),
    })?;
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        return Err(DocumentError::Nul { offset });
    }
    if text
        .trim_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}')
        .is_empty()
    {
        return Err(DocumentError::Empty);
    }
    Ok(text)
}

/// Reads `Name` and `DESCRIPTION` as the keys of the format, unless these exist too.
fn correct_key_case(map: &mut Map<String, Value>, diagnostics: &mut Vec<Diagnostic>) {
    for key in KNOWN_KEYS {
        if map.contains_key(key) {
            continue;
        }
        let Some(found) = map.keys().find(|found| found.eq_ignore_ascii_case(key)).cloned() else {
            continue;
        };
        if let Some(value) = map.remove(&found) {
            map.insert(key.to_owned(), value);
            diagnostics.push(Diagnostic::KeyCase { found, key });
        }
    }
}

/// The value of a key that must be text. Numbers and booleans are accepted with a diagnostic.
fn text_at(map: &Map<String, Value>, key: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    let value = map.get(key)?;
    diagnostics.extend(check_is_text(key, value));
    match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => value_text(value),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn check_is_text(key: &str, value: &Value) -> Option<Diagnostic> {
    let key = key.to_owned();
    match value {
        Value::String(_) => None,
        Value::Number(_) | Value::Bool(_) => Some(Diagnostic::NumberForText { key }),
        Value::Null | Value::Array(_) | Value::Object(_) => Some(Diagnostic::NotText { key }),
    }
}

fn description_of(
    map: &Map<String, Value>,
    body: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<String, DocumentError> {
    let written = text_at(map, "description", diagnostics).unwrap_or_default();
    let text = cleaned(&written);
    if text.is_empty() {
        diagnostics.push(Diagnostic::DescriptionMissing);
        let summary = body::summary(body).ok_or(DocumentError::MissingDescription)?;
        return Ok(one_line(&summary, MAX_DESCRIPTION_CHARS));
    }
    let chars = written.chars().count();
    if chars > MAX_DESCRIPTION_CHARS {
        diagnostics.push(Diagnostic::DescriptionTooLong { chars });
    }
    Ok(shortened(&text, MAX_DESCRIPTION_CHARS))
}

fn check_optional_keys(map: &Map<String, Value>, diagnostics: &mut Vec<Diagnostic>) {
    for key in ["license", "compatibility", "allowed-tools"] {
        let chars = text_at(map, key, diagnostics).map_or(0, |text| text.chars().count());
        if key == "compatibility" && chars > MAX_COMPATIBILITY_CHARS {
            diagnostics.push(Diagnostic::CompatibilityTooLong { chars });
        }
    }
    match map.get("metadata") {
        None => {}
        Some(Value::Object(metadata)) => diagnostics.extend(
            metadata
                .iter()
                .filter_map(|(key, value)| check_is_text(&format!("metadata.{key}"), value)),
        ),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            diagnostics.push(Diagnostic::MetadataNotMapping);
        }
    }
    let mut keys: Vec<String> = map
        .keys()
        .filter(|key| !KNOWN_KEYS.contains(&key.as_str()))
        .cloned()
        .collect();
    if !keys.is_empty() {
        keys.sort();
        diagnostics.push(Diagnostic::UnknownKeys { keys });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::limits::MAX_TAGS;

    fn read(text: &str) -> SkillDocument {
        read_document(text.as_bytes(), "folder").unwrap()
    }

    fn codes(document: &SkillDocument) -> Vec<&'static str> {
        document.diagnostics.iter().map(Diagnostic::code).collect()
    }

    #[test]
    fn conformant_skill_has_no_diagnostics() {
        let document = read(
            "---\nname: folder\ndescription: Does it.\nlicense: MIT\nmetadata:\n  version: \"1.10\"\n  tags: A, b,a\n  category: ops\nallowed-tools: Bash Read\n---\n\n# Title\n",
        );
        assert!(document.is_conformant());
        assert!(document.diagnostics.is_empty(), "{:?}", document.diagnostics);
        assert_eq!(
            (document.name.as_str(), document.description.as_str()),
            ("folder", "Does it.")
        );
        assert_eq!(document.tags, ["a", "b"]);
        assert_eq!(document.category.as_deref(), Some("ops"));
        assert_eq!(document.license.as_deref(), Some("MIT"));
        assert_eq!(document.version.as_deref(), Some("1.10"));
        assert_eq!(
            (document.headings, document.body.as_str()),
            (vec!["Title".to_owned()], "\n# Title\n")
        );
    }

    #[test]
    fn date_is_kept_as_text() {
        let document =
            read("---\nname: folder\ndescription: d\ndate_added: 2026-02-27\nversion: 1.10\n---\n");
        assert_eq!(
            document.front_matter.get("date_added"),
            Some(&json!("2026-02-27"))
        );
        assert_eq!(document.version.as_deref(), Some("1.10"));
        assert_eq!(codes(&document), ["unknown_keys"]);
        assert!(document.is_conformant());
    }

    #[test]
    fn name_is_derived_from_front_matter_or_folder() {
        for (front_matter, folder, name, code) in [
            ("name: other", "folder", "other", "name_not_folder"),
            ("name: My Skill!", "folder", "folder", "name_invalid"),
            ("name: My Skill!", "My_Folder", "my-skill", "name_invalid"),
            ("name: 装修", "水电 Kit", "zhuang-xiu", "name_in_other_script"),
            ("license: MIT", "My_Folder", "my-folder", "name_missing"),
            ("name:\n- a", "folder", "folder", "not_text"),
            ("name: 2048", "2048", "2048", "number_for_text"),
        ] {
            let text = format!("---\n{front_matter}\ndescription: d\n---\n");
            let document = read_document(text.as_bytes(), folder).unwrap();
            assert_eq!(document.name.as_str(), name, "{front_matter:?}");
            assert_eq!(codes(&document)[0], code, "{front_matter:?}");
        }
        let nameless = read_document("装修".as_bytes(), "装修").unwrap();
        assert_eq!(nameless.name.as_str(), "zhuang-xiu");
    }

    #[test]
    fn description_is_shortened_or_taken_from_body() {
        let long = format!("---\nname: folder\ndescription: {}\n---\n", "word ".repeat(300));
        let document = read(&long);
        assert!(document.description.ends_with("word…") && document.description.chars().count() <= 1024);
        assert_eq!(codes(&document), ["description_too_long"]);
        assert!(!document.is_conformant());
        let missing = read("---\nname: folder\n---\n# T\n\nDoes this.\n\nMore.");
        assert_eq!(
            (missing.description.as_str(), codes(&missing)),
            ("Does this.", vec!["description_missing"])
        );
        let bare = read("# Title only\n");
        assert_eq!(bare.description, "Title only");
        assert_eq!(
            codes(&bare),
            ["no_front_matter", "name_missing", "description_missing"]
        );
    }

    #[test]
    fn values_of_wrong_type_are_reported() {
        let document = read(
            "---\nname: folder\ndescription: d\nallowed-tools:\n- Bash\nlicense: 2\nmetadata:\n  a: 1\n  b:\n  - c\n---\n",
        );
        let messages: Vec<String> = document.diagnostics.iter().map(Diagnostic::to_string).collect();
        assert_eq!(
            codes(&document),
            ["number_for_text", "not_text", "number_for_text", "not_text"]
        );
        assert!(messages[1].contains("\"allowed-tools\"") && messages[3].contains("\"metadata.b\""));
        assert_eq!(
            codes(&read("---\nname: folder\ndescription: d\nmetadata: x\n---\n")),
            ["metadata_not_mapping"]
        );
    }

    #[test]
    fn non_text_is_rejected_with_its_offset() {
        for (bytes, error) in [
            (&b""[..], DocumentError::Empty),
            (b"\xEF\xBB\xBF \n", DocumentError::Empty),
            (b"---\nname: \xFFx", DocumentError::NotUtf8 { offset: 10 }),
            (b"ab\0c", DocumentError::Nul { offset: 2 }),
            (b"---\nname: a\n---\n", DocumentError::MissingDescription),
        ] {
            assert_eq!(read_document(bytes, "a"), Err(error));
        }
        let large = vec![b'x'; MAX_SKILL_MD_BYTES + 1];
        assert_eq!(
            read_document(&large, "a"),
            Err(DocumentError::TooLarge {
                bytes: MAX_SKILL_MD_BYTES + 1
            })
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_accepted_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..200), folder in ".{0,8}") {
            let _ = read_document(&bytes, &folder);
        }

        #[test]
        fn parsed_document_is_within_limits(
            lines in prop::collection::vec("(name|description|tags|metadata|license|  [a-z]+|- |#)?:? ?[\"'\\[{@&*!|>]?.{0,12}", 0..8),
            body in any::<String>(),
        ) {
            let text = format!("---\n{}\n---\n{body}", lines.join("\n"));
            if let Ok(document) = read_document(text.as_bytes(), "a folder") {
                let chars = document.description.chars().count();
                prop_assert!((1..=MAX_DESCRIPTION_CHARS).contains(&chars));
                prop_assert!(document.tags.len() <= MAX_TAGS);
                prop_assert!(text.ends_with(&document.body));
                prop_assert!(!serde_json::to_string(&document.front_matter).unwrap().contains("\\u0000"));
            }
        }
    }
}
