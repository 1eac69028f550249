//! Rewriting a front matter to the rules of the format.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::diagnostics::Diagnostic;
use super::document::{
    KNOWN_KEYS, MAX_COMPATIBILITY_CHARS, MAX_SKILL_MD_BYTES, SkillDocument, read_document,
};
use super::error::DocumentError;
use super::front_matter::MAX_FRONT_MATTER_BYTES;
use super::text::{cleaned, joined, shortened, value_text};

/// The longest key that is written. YAML takes keys of up to 1024 characters, escapes counted.
const MAX_KEY_CHARS: usize = 64;

/// A `SKILL.md` with its front matter rewritten to the rules and its body as it was, to the byte. `None` where
/// there is nothing to mend.
///
/// Unknown keys move to `metadata` as text, longer texts are cut at a word, comments in the front matter are lost.
/// The name is the one that [`read_document`] derives; the result is free of notes in a folder of that name.
///
/// # Errors
/// Those of [`read_document`], and where the rewritten file would pass a limit.
pub fn fix(bytes: &[u8], folder_name: &str) -> Result<Option<Vec<u8>>, DocumentError> {
    let document = read_document(bytes, folder_name)?;
    if !document.notes.iter().any(Diagnostic::is_in_front_matter) {
        return Ok(None);
    }
    let front_matter = rewritten(&document);
    if front_matter.len() > MAX_FRONT_MATTER_BYTES {
        return Err(DocumentError::FrontMatterTooLarge);
    }
    let first_line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line_end = if first_line.ends_with(b"\r") { "\r\n" } else { "\n" };
    let fixed = front_matter.replace('\n', line_end) + &document.body;
    if fixed.len() > MAX_SKILL_MD_BYTES {
        return Err(DocumentError::TooLarge { bytes: fixed.len() });
    }
    Ok(Some(fixed.into_bytes()))
}

fn rewritten(document: &SkillDocument) -> String {
    let map = &document.front_matter;
    let mut lines = format!("---\nname: {}\n", scalar(document.name.as_str()));
    let mut put = |key: &str, text: &str| {
        let text = cleaned(text);
        if !text.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{key}: {}", scalar(&text));
        }
    };
    put("description", &document.description);
    put("license", &text_at(map, "license"));
    put(
        "compatibility",
        &shortened(&cleaned(&text_at(map, "compatibility")), MAX_COMPATIBILITY_CHARS),
    );
    put("allowed-tools", &allowed_tools(map));
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

/// The format separates tools by spaces.
fn allowed_tools(map: &Map<String, Value>) -> String {
    match map.get("allowed-tools") {
        Some(Value::Array(items)) => joined(items, " "),
        _ => text_at(map, "allowed-tools"),
    }
}

/// `metadata` as text to text, with the keys that the format does not know beside it. Where both have a key, the
/// unknown one gets a number.
fn metadata(map: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    let mut taken = BTreeSet::new();
    match map.get("metadata") {
        Some(Value::Object(own)) => own.iter().for_each(|pair| add(&mut metadata, &mut taken, pair)),
        Some(other) => add(&mut metadata, &mut taken, (&"metadata".to_owned(), other)),
        None => {}
    }
    for pair in map.iter().filter(|(key, _)| !KNOWN_KEYS.contains(&key.as_str())) {
        add(&mut metadata, &mut taken, pair);
    }
    metadata
}

fn add(
    metadata: &mut BTreeMap<String, String>,
    taken: &mut BTreeSet<String>,
    (key, value): (&String, &Value),
) {
    let text = value_text(value).map(|text| cleaned(&text)).unwrap_or_default();
    if text.is_empty() {
        return;
    }
    let key: String = cleaned(key)
        .replace(['\n', '\t'], " ")
        .chars()
        .take(MAX_KEY_CHARS)
        .collect();
    let key = if key.trim().is_empty() {
        "unnamed".to_owned()
    } else {
        key.trim().to_owned()
    };
    let free = (1..)
        .map(|n| if n == 1 { key.clone() } else { format!("{key}-{n}") })
        .find(|key| !taken.contains(key));
    if let Some(free) = free {
        taken.insert(free.clone());
        metadata.insert(free, text);
    }
}

/// A text as YAML: bare where every YAML parser takes it for the same text, else in double quotes.
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
            // YAML's non-printable characters, its line ends, and what a reviewer would not see.
            c if c.is_control() || super::path::is_hidden(c) || matches!(c, '\u{FFFE}' | '\u{FFFF}') => {
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
    // The reference validator takes the first three hyphens anywhere for the end of the front matter.
    quoted.replace("---", "--\\x2D")
}

/// Letters, digits, and signs that mean nothing in YAML, beginning with a letter and not a word that YAML 1.1 or
/// 1.2 takes for something other than text.
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

    fn fixed(text: &str) -> String {
        String::from_utf8(fix(text.as_bytes(), "folder").unwrap().unwrap()).unwrap()
    }

    #[test]
    fn a_conformant_skill_is_left_alone() {
        assert_eq!(
            fix(b"---\nname: folder\ndescription: d\n---\nBody", "folder"),
            Ok(None)
        );
        assert_eq!(
            fix(b"---\nname: another\ndescription: d\n---\nBody", "folder"),
            Ok(None)
        );
    }

    #[test]
    fn a_broken_front_matter_is_written_anew_above_the_same_body() {
        let text = "\u{FEFF}---\nname: My Folder\ndescription: Use when: it breaks\nversion: 1.10\nallowed-tools: [Bash, Read]\nmetadata:\n  version: 2\n  env: {A: [b]}\ntags: [x, y]\n---\n\n# Body\r\n--- \n";
        assert_eq!(
            fixed(text),
            "---\nname: folder\ndescription: \"Use when: it breaks\"\nallowed-tools: Bash Read\nmetadata:\n  env: \"{\\\"A\\\":[\\\"b\\\"]}\"\n  tags: x, y\n  version: \"2\"\n  version-2: \"1.10\"\n---\n\n# Body\r\n--- \n"
        );
    }

    #[test]
    fn line_ends_stay_what_they_were() {
        let text = "---\r\nname: folder\r\ndescription: d\r\nextra: e\r\n---\r\nBody\r\n";
        assert_eq!(
            fixed(text),
            "---\r\nname: folder\r\ndescription: d\r\nmetadata:\r\n  extra: e\r\n---\r\nBody\r\n"
        );
    }

    #[test]
    fn hyphens_inside_a_value_do_not_end_the_front_matter() {
        let text = fixed("---\nname: folder\ndescription: a ------- b\n---\nBody");
        assert_eq!(text.matches("---").count(), 2, "{text}");
        assert_eq!(
            read_document(text.as_bytes(), "folder").unwrap().description,
            "a ------- b"
        );
    }

    proptest! {
        #[test]
        fn what_is_fixed_needs_no_second_fix(
            lines in prop::collection::vec("(name|description|tags|metadata|license|compatibility|allowed-tools|[a-c]|  [a-z]+|- |#)?:? ?[\"'\\[{@&*!|>-]{0,3}.{0,12}", 0..8),
            closed in any::<bool>(),
            body in any::<String>(),
        ) {
            let end = if closed { "\n---\n" } else { "\n" };
            let text = format!("---\n{}{end}{body}", lines.join("\n"));
            if let Ok(Some(fixed)) = fix(text.as_bytes(), "a folder") {
                let before = read_document(text.as_bytes(), "a folder").unwrap();
                let name = before.name.as_str();
                let after = read_document(&fixed, name).unwrap();
                prop_assert!(after.notes.is_empty(), "{:?}", after.notes);
                prop_assert_eq!(&after.body, &before.body);
                prop_assert_eq!(&after.name, &before.name);
                prop_assert_eq!(&after.description, &before.description);
                prop_assert_eq!(fix(&fixed, name), Ok(None));
            }
        }

        #[test]
        fn any_text_is_the_same_text_after_writing_and_reading(text in any::<String>()) {
            let text = text.replace('\0', "");
            let document = format!("---\nname: a\ndescription: d\nlicense: {}\n---\n", scalar(&text));
            let read = read_document(document.as_bytes(), "a").unwrap();
            prop_assert_eq!(read.front_matter.get("license"), Some(&Value::String(text)));
        }
    }
}
