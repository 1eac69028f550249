//! Rewrites a front matter so that it conforms to the format.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::diagnostics::Diagnostic;
use crate::document::{KNOWN_KEYS, SkillDocument, read_document};
use crate::error::DocumentError;
use crate::limits::{MAX_COMPATIBILITY_CHARS, MAX_FRONT_MATTER_BYTES, MAX_SKILL_MD_BYTES};
use crate::name::repaired_name;
use crate::path::is_hidden;
use crate::text::{cleaned, joined, shortened, value_text};

/// Maximum length of a key in the output. YAML allows up to 1024 characters, escapes included.
const MAX_KEY_CHARS: usize = 64;

/// Rewrites the front matter of a `SKILL.md` so that it conforms to the format. The body stays unchanged. Returns
/// `None` if nothing needs a repair.
///
/// Moves unknown keys to `metadata` as text, shortens long texts, and drops comments in the front matter. The slug is
/// the one that [`read_document`] derives, and the name too, unless it has letters of another script, which are kept.
/// In a folder of that name the result has no diagnostics except [`Diagnostic::NameInOtherScript`].
///
/// # Errors
/// Returns the error of [`read_document`], or a [`DocumentError`] if the result would exceed a limit.
pub fn repair_document(bytes: &[u8], folder_name: &str) -> Result<Option<Vec<u8>>, DocumentError> {
    let document = read_document(bytes, folder_name)?;
    if !document.diagnostics.iter().any(Diagnostic::is_in_front_matter) {
        return Ok(None);
    }
    let front_matter = conformant_front_matter(&document);
    if front_matter.len() > MAX_FRONT_MATTER_BYTES {
        return Err(DocumentError::FrontMatterTooLarge);
    }
    let first_line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line_end = if first_line.ends_with(b"\r") { "\r\n" } else { "\n" };
    let repaired = front_matter.replace('\n', line_end) + &document.body;
    if repaired.len() > MAX_SKILL_MD_BYTES {
        return Err(DocumentError::TooLarge {
            bytes: repaired.len(),
        });
    }
    Ok(Some(repaired.into_bytes()))
}

fn conformant_front_matter(document: &SkillDocument) -> String {
    let map = &document.front_matter;
    let mut lines = format!("---\nname: {}\n", scalar(&repaired_name(map, &document.name)));
    let mut push = |key: &str, text: &str| {
        let text = cleaned(text);
        if !text.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{key}: {}", scalar(&text));
        }
    };
    push("description", &document.description);
    push("license", &text_at(map, "license"));
    push(
        "compatibility",
        &shortened(&cleaned(&text_at(map, "compatibility")), MAX_COMPATIBILITY_CHARS),
    );
    push("allowed-tools", &allowed_tools(map));
    let metadata = metadata(map);
    if !metadata.is_empty() {
        lines.push_str("metadata:\n");
    }
    for (key, text) in metadata {
        let _ = writeln!(lines, "  {}: {}", scalar(&key), scalar(&text));
    }
    lines.push_str("---\n");
    lines
}

fn text_at(map: &Map<String, Value>, key: &str) -> String {
    map.get(key).and_then(value_text).unwrap_or_default()
}

/// The format separates tools with spaces.
fn allowed_tools(map: &Map<String, Value>) -> String {
    match map.get("allowed-tools") {
        Some(Value::Array(items)) => joined(items, " "),
        _ => text_at(map, "allowed-tools"),
    }
}

/// `metadata` as a mapping of text to text, with the unknown keys of the front matter added. An unknown key that
/// `metadata` already contains gets a numeric suffix.
fn metadata(map: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    let mut add = |(key, value): (&String, &Value)| {
        let text = value_text(value).map(|text| cleaned(&text)).unwrap_or_default();
        if text.is_empty() {
            return;
        }
        let key = metadata_key(key);
        let unused = (1..)
            .map(|n| if n == 1 { key.clone() } else { format!("{key}-{n}") })
            .find(|key| !metadata.contains_key(key));
        if let Some(unused) = unused {
            metadata.insert(unused, text);
        }
    };
    match map.get("metadata") {
        Some(Value::Object(own)) => own.iter().for_each(&mut add),
        Some(other) => add((&"metadata".to_owned(), other)),
        None => {}
    }
    map.iter()
        .filter(|(key, _)| !KNOWN_KEYS.contains(&key.as_str()))
        .for_each(add);
    metadata
}

/// `key` on one line, cut to [`MAX_KEY_CHARS`], never empty.
fn metadata_key(key: &str) -> String {
    let key: String = cleaned(key)
        .replace(['\n', '\t'], " ")
        .chars()
        .take(MAX_KEY_CHARS)
        .collect();
    match key.trim() {
        "" => "unnamed".to_owned(),
        key => key.to_owned(),
    }
}

/// `text` as a YAML scalar: plain if every YAML parser reads it as the same text, else in double quotes.
fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // Non-printable characters and line ends of YAML, and characters that a reviewer would not see.
            c if c.is_control() || is_hidden(c) || matches!(c, '\u{FFFE}' | '\u{FFFF}') => {
                let code = u32::from(c);
                let _ = if code > 0xFFFF {
                    write!(quoted, "\\U{code:08X}")
                } else {
                    write!(quoted, "\\u{code:04X}")
                };
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    // The reference validator reads the first `---` anywhere as the end of the front matter.
    quoted.replace("---", "--\\x2D")
}

/// Whether `text` needs no quotes: it starts with a letter, contains only letters, digits and punctuation without a
/// meaning in YAML, and is not a word that YAML 1.1 or 1.2 reads as a boolean, null or number.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 10] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan"];
    let is_safe =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | ',' | '/' | '(' | ')');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(is_safe)
        && !text.contains("---")
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repaired(text: &str) -> String {
        String::from_utf8(repair_document(text.as_bytes(), "folder").unwrap().unwrap()).unwrap()
    }

    #[test]
    fn conformant_skill_needs_no_repair() {
        assert_eq!(
            repair_document(b"---\nname: folder\ndescription: d\n---\nBody", "folder"),
            Ok(None)
        );
        assert_eq!(
            repair_document(b"---\nname: another\ndescription: d\n---\nBody", "folder"),
            Ok(None)
        );
    }

    #[test]
    fn broken_front_matter_is_rewritten_and_body_kept() {
        let text = "\u{FEFF}---\nname: My Folder\ndescription: Use when: it breaks\nversion: 1.10\nallowed-tools: [Bash, Read]\nmetadata:\n  version: 2\n  env: {A: [b]}\ntags: [x, y]\n---\n\n# Body\r\n--- \n";
        assert_eq!(
            repaired(text),
            "---\nname: folder\ndescription: \"Use when: it breaks\"\nallowed-tools: Bash Read\nmetadata:\n  env: \"{\\\"A\\\":[\\\"b\\\"]}\"\n  tags: x, y\n  version: \"2\"\n  version-2: \"1.10\"\n---\n\n# Body\r\n--- \n"
        );
    }

    #[test]
    fn line_ends_are_kept() {
        let text = "---\r\nname: folder\r\ndescription: d\r\nextra: e\r\n---\r\nBody\r\n";
        assert_eq!(
            repaired(text),
            "---\r\nname: folder\r\ndescription: d\r\nmetadata:\r\n  extra: e\r\n---\r\nBody\r\n"
        );
    }

    #[test]
    fn hyphens_in_a_value_are_escaped() {
        let text = repaired("---\nname: folder\ndescription: a ------- b\n---\nBody");
        assert_eq!(text.matches("---").count(), 2, "{text}");
        assert_eq!(
            read_document(text.as_bytes(), "folder").unwrap().description,
            "a ------- b"
        );
    }

    proptest! {
        #[test]
        fn repaired_skill_is_conformant_and_needs_no_repair(
            lines in prop::collection::vec("(name|description|tags|metadata|license|compatibility|allowed-tools|[a-c]|  [a-z]+|- |#)?:? ?[\"'\\[{@&*!|>-]{0,3}.{0,12}", 0..8),
            closed in any::<bool>(),
            body in any::<String>(),
        ) {
            let end = if closed { "\n---\n" } else { "\n" };
            let text = format!("---\n{}{end}{body}", lines.join("\n"));
            if let Ok(Some(repaired)) = repair_document(text.as_bytes(), "a folder") {
                let before = read_document(text.as_bytes(), "a folder").unwrap();
                let name = before.name.as_str();
                let after = read_document(&repaired, name).unwrap();
                let is_expected = |note: &Diagnostic| matches!(note, Diagnostic::NameInOtherScript { .. });
                prop_assert!(after.diagnostics.iter().all(is_expected), "{:?}", after.diagnostics);
                let in_its_folder = read_document(&repaired, "a folder").unwrap();
                prop_assert_eq!(&in_its_folder.name, &before.name);
                prop_assert_eq!(&after.body, &before.body);
                prop_assert_eq!(&after.name, &before.name);
                prop_assert_eq!(&after.description, &before.description);
                prop_assert_eq!(repair_document(&repaired, name), Ok(None));
            }
        }

        #[test]
        fn any_text_round_trips_through_scalar(text in any::<String>()) {
            let text = text.replace('\0', "");
            let document = format!("---\nname: a\ndescription: d\nlicense: {}\n---\n", scalar(&text));
            let read = read_document(document.as_bytes(), "a").unwrap();
            prop_assert_eq!(read.front_matter.get("license"), Some(&Value::String(text)));
        }
    }
}
