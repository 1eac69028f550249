//! A `SKILL.md`, read with patience: what can be taken is taken, and each deviation becomes a note.

use serde_json::{Map, Value};

use crate::{Digest, Slug};

use super::body;
use super::diagnostics::{Diagnostic, Severity};
use super::error::DocumentError;
use super::front_matter;
use super::metadata::{MAX_LABEL_CHARS, MAX_LICENSE_CHARS, label, metadata_label, tags_of};
use super::text::{cleaned, one_line, shortened, value_text};

/// The most bytes of a `SKILL.md`.
pub const MAX_SKILL_MD_BYTES: usize = 1024 * 1024;
/// The most characters of a description (Agent Skills specification, `description`).
pub const MAX_DESCRIPTION_CHARS: usize = 1024;
/// The most characters of a compatibility text (Agent Skills specification, `compatibility`).
pub const MAX_COMPATIBILITY_CHARS: usize = 500;
/// The keys that the format knows.
pub(super) const KNOWN_KEYS: [&str; 6] = [
    "name",
    "description",
    "license",
    "compatibility",
    "metadata",
    "allowed-tools",
];

/// What a `SKILL.md` says.
#[derive(Debug, Clone, PartialEq)]
pub struct SkillDocument {
    /// The front matter as it is written. Dates, and numbers that would print otherwise, are text.
    pub front_matter: Map<String, Value>,
    /// The name where it is valid, else one derived from the folder or from it.
    pub name: Slug,
    /// 1 to [`MAX_DESCRIPTION_CHARS`] characters, with no control characters but line feeds and tabs; taken from the body where missing.
    pub description: String,
    /// From `tags`, `keywords` and the same in `metadata`: lower case, each once, in the order of the file.
    pub tags: Vec<String>,
    /// `category` or `metadata.category`.
    pub category: Option<String>,
    /// `license`.
    pub license: Option<String>,
    /// `metadata.version`, or `version` beside it.
    pub version: Option<String>,
    /// The body's headings.
    pub headings: Vec<String>,
    /// The Markdown after the front matter, to the byte.
    pub body: String,
    /// Each deviation from the format.
    pub notes: Vec<Diagnostic>,
}

impl SkillDocument {
    /// Whether no rule of the format is broken. Warnings do not count.
    #[must_use]
    pub fn is_conformant(&self) -> bool {
        self.notes.iter().all(|note| note.severity() < Severity::Error)
    }
}

/// Reads the bytes of a `SKILL.md` that lies in a folder called `folder_name`.
///
/// # Errors
/// Only where nothing of use can be taken, or a limit is passed: see [`DocumentError`].
pub fn read_document(bytes: &[u8], folder_name: &str) -> Result<SkillDocument, DocumentError> {
    let text = text_of(bytes)?;
    let read = front_matter::read(text)?;
    let (map, mut notes) = (read.map, read.notes);
    let name = name_of(&map, folder_name, bytes, &mut notes);
    let description = description_of(&map, read.body, &mut notes)?;
    check_other_keys(&map, &mut notes);
    Ok(SkillDocument {
        name,
        description,
        tags: tags_of(&map),
        category: label(&map, "category", MAX_LABEL_CHARS).or_else(|| metadata_label(&map, "category")),
        license: label(&map, "license", MAX_LICENSE_CHARS),
        version: metadata_label(&map, "version").or_else(|| label(&map, "version", MAX_LABEL_CHARS)),
        headings: body::headings(read.body),
        body: read.body.to_owned(),
        front_matter: map,
        notes,
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

/// The value of a key that has to hold text. A number or truth value is taken with a note.
fn required_text(map: &Map<String, Value>, key: &str, notes: &mut Vec<Diagnostic>) -> Option<String> {
    match map.get(key)? {
        Value::String(text) => Some(text.clone()),
        value @ (Value::Number(_) | Value::Bool(_)) => {
            notes.push(Diagnostic::NumberForText { key: key.to_owned() });
            value_text(value)
        }
        Value::Null | Value::Array(_) | Value::Object(_) => {
            notes.push(Diagnostic::NotText { key: key.to_owned() });
            None
        }
    }
}

/// The author's name where it is valid: it travels with the file, while folders are renamed by whoever copies them.
fn name_of(map: &Map<String, Value>, folder_name: &str, bytes: &[u8], notes: &mut Vec<Diagnostic>) -> Slug {
    let written = required_text(map, "name", notes).unwrap_or_default();
    let written = written.trim();
    if let Ok(name) = written.parse::<Slug>() {
        if name.as_str() != folder_name {
            notes.push(Diagnostic::NameNotFolder {
                name: name.clone(),
                folder: folder_name.to_owned(),
            });
        }
        return name;
    }
    let derived = folder_name
        .parse()
        .ok()
        .or_else(|| Slug::derive(written))
        .or_else(|| Slug::derive(folder_name))
        .unwrap_or_else(|| name_of_last_resort(bytes));
    notes.push(if written.is_empty() {
        Diagnostic::NameMissing {
            derived: derived.clone(),
        }
    } else {
        Diagnostic::NameInvalid {
            name: written.to_owned(),
            derived: derived.clone(),
        }
    });
    derived
}

/// A name for a skill whose own name and folder have no Latin letter or digit: the same for the same bytes.
fn name_of_last_resort(bytes: &[u8]) -> Slug {
    let digest = Digest::of(bytes).to_string();
    let hex = digest.trim_start_matches("sha256:").get(..12).unwrap_or("");
    #[expect(
        clippy::expect_used,
        reason = "\"skill\" alone has letters, so a slug is left whatever follows"
    )]
    Slug::derive(&format!("skill-{hex}")).expect("a slug of letters")
}

fn description_of(
    map: &Map<String, Value>,
    body: &str,
    notes: &mut Vec<Diagnostic>,
) -> Result<String, DocumentError> {
    let written = required_text(map, "description", notes).unwrap_or_default();
    let text = cleaned(&written);
    if text.is_empty() {
        notes.push(Diagnostic::DescriptionMissing);
        let words = body::first_words(body).ok_or(DocumentError::MissingDescription)?;
        return Ok(one_line(&words, MAX_DESCRIPTION_CHARS));
    }
    let chars = written.chars().count();
    if chars > MAX_DESCRIPTION_CHARS {
        notes.push(Diagnostic::DescriptionTooLong { chars });
    }
    Ok(shortened(&text, MAX_DESCRIPTION_CHARS))
}

/// The rules for the keys that are not required.
fn check_other_keys(map: &Map<String, Value>, notes: &mut Vec<Diagnostic>) {
    for key in ["license", "compatibility", "allowed-tools"] {
        let chars = required_text(map, key, notes).map_or(0, |text| text.chars().count());
        if key == "compatibility" && chars > MAX_COMPATIBILITY_CHARS {
            notes.push(Diagnostic::CompatibilityTooLong { chars });
        }
    }
    match map.get("metadata") {
        None => {}
        Some(Value::Object(metadata)) => {
            for (key, value) in metadata {
                let key = format!("metadata.{key}");
                match value {
                    Value::String(_) => {}
                    Value::Number(_) | Value::Bool(_) => notes.push(Diagnostic::NumberForText { key }),
                    Value::Null | Value::Array(_) | Value::Object(_) => {
                        notes.push(Diagnostic::NotText { key })
                    }
                }
            }
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            notes.push(Diagnostic::MetadataNotMapping);
        }
    }
    let mut keys: Vec<String> = map
        .keys()
        .filter(|key| !KNOWN_KEYS.contains(&key.as_str()))
        .cloned()
        .collect();
    if !keys.is_empty() {
        keys.sort();
        notes.push(Diagnostic::UnknownKeys { keys });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::metadata::MAX_TAGS;
    use super::*;

    fn read(text: &str) -> SkillDocument {
        read_document(text.as_bytes(), "folder").unwrap()
    }

    fn codes(document: &SkillDocument) -> Vec<&'static str> {
        document.notes.iter().map(Diagnostic::code).collect()
    }

    #[test]
    fn a_conformant_skill_is_read_as_it_is() {
        let document = read(
            "---\nname: folder\ndescription: Does it.\nlicense: MIT\nmetadata:\n  version: \"1.10\"\n  tags: A, b,a\n  category: ops\nallowed-tools: Bash Read\n---\n\n# Title\n",
        );
        assert!(document.is_conformant());
        assert!(document.notes.is_empty(), "{:?}", document.notes);
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
    fn a_date_does_not_hurt_and_stays_a_date() {
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
    fn a_name_is_taken_from_where_there_is_one() {
        for (front_matter, folder, name, code) in [
            ("name: other", "folder", "other", "name_not_folder"),
            ("name: My Skill!", "folder", "folder", "name_invalid"),
            ("name: My Skill!", "My_Folder", "my-skill", "name_invalid"),
            ("name: 装修", "水电 Kit", "kit", "name_invalid"),
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
        assert!(
            nameless.name.as_str().starts_with("skill-"),
            "{:?}",
            nameless.name
        );
    }

    #[test]
    fn a_description_is_always_there_and_within_its_limit() {
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
    fn values_of_the_wrong_kind_are_named() {
        let document = read(
            "---\nname: folder\ndescription: d\nallowed-tools:\n- Bash\nlicense: 2\nmetadata:\n  a: 1\n  b:\n  - c\n---\n",
        );
        let sentences: Vec<String> = document.notes.iter().map(Diagnostic::to_string).collect();
        assert_eq!(
            codes(&document),
            ["number_for_text", "not_text", "number_for_text", "not_text"]
        );
        assert!(sentences[1].contains("\"allowed-tools\"") && sentences[3].contains("\"metadata.b\""));
        assert_eq!(
            codes(&read("---\nname: folder\ndescription: d\nmetadata: x\n---\n")),
            ["metadata_not_mapping"]
        );
    }

    #[test]
    fn what_is_no_text_is_refused_with_the_place() {
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
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), folder in ".{0,8}") {
            let _ = read_document(&bytes, &folder);
        }

        #[test]
        fn what_is_read_is_fit_for_the_catalogue(
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
