//! Where the front matter of a `SKILL.md` begins and ends, and its keys, also where it is not quite YAML.

use serde_json::{Map, Value};

use super::diagnostics::Diagnostic;
use super::error::DocumentError;
use super::lenient_parse::{chunks, count, is_indented, is_item, key_line, text_value};
use super::yaml::{self, MAX_VALUES, YamlError};

/// The most bytes of front matter.
pub const MAX_FRONT_MATTER_BYTES: usize = 64 * 1024;

/// A file taken apart.
#[derive(Debug)]
pub(super) struct FrontMatter<'a> {
    pub(super) map: Map<String, Value>,
    /// Everything after the front matter, to the byte.
    pub(super) body: &'a str,
    pub(super) notes: Vec<Diagnostic>,
}

/// Reads the front matter strictly, and where that fails key by key.
pub(super) fn read(text: &str) -> Result<FrontMatter<'_>, DocumentError> {
    let mut notes = Vec::new();
    let Some(split) = split(text, &mut notes)? else {
        return Ok(without(text));
    };
    match yaml::parse(split.yaml) {
        Ok(parsed) => {
            notes.extend(
                parsed
                    .duplicates
                    .into_iter()
                    .map(|key| Diagnostic::DuplicateKey { key }),
            );
            if parsed.has_flow_style {
                notes.push(Diagnostic::FlowStyle);
            }
            if let Some(character) = split.yaml.chars().find(|c| is_odd(*c)) {
                notes.push(Diagnostic::OddCharacter { character });
            }
            if split.yaml.contains("---") {
                notes.push(Diagnostic::DashesInside);
            }
            Ok(FrontMatter {
                map: parsed.map,
                body: split.body,
                notes,
            })
        }
        Err(YamlError::TooDeep) => Err(DocumentError::TooDeep),
        Err(YamlError::TooMany) => Err(DocumentError::TooManyValues),
        Err(YamlError::Syntax { line, reason }) => {
            notes.push(Diagnostic::NotYaml {
                line: line + split.lines_above,
                reason,
            });
            recover(text, &split, notes)
        }
    }
}

/// A file that is all body.
fn without(text: &str) -> FrontMatter<'_> {
    let body = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let bom = (body.len() < text.len()).then_some(Diagnostic::ByteOrderMark);
    let notes = bom.into_iter().chain([Diagnostic::NoFrontMatter]).collect();
    FrontMatter {
        map: Map::new(),
        body,
        notes,
    }
}

struct Split<'a> {
    yaml: &'a str,
    body: &'a str,
    /// Both, and the line between them.
    rest: &'a str,
    /// How many lines of the file come before the YAML.
    lines_above: usize,
}

/// Finds the front matter. `None` where there is none.
fn split<'a>(text: &'a str, notes: &mut Vec<Diagnostic>) -> Result<Option<Split<'a>>, DocumentError> {
    let rest = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if rest.len() < text.len() {
        notes.push(Diagnostic::ByteOrderMark);
    }
    let blank: usize = rest
        .split_inclusive('\n')
        .take_while(|line| line.trim().is_empty())
        .map(str::len)
        .sum();
    let (above, rest) = rest.split_at_checked(blank).unwrap_or((rest, ""));
    let mut lines_above = above.matches('\n').count();
    let first = rest.split_inclusive('\n').next().unwrap_or("");
    let opened = is_dashes(first);
    let begins_with_key = matches!(key_line(first), Some(("name" | "description", _)));
    if !opened && !begins_with_key {
        return Ok(None);
    }
    let yaml_and_body = if opened {
        lines_above += 1;
        rest.get(first.len()..).unwrap_or("")
    } else {
        rest
    };
    let (end, body_start) = match closing_line(yaml_and_body) {
        Some(found) => found,
        // Without either line nothing tells a key from a sentence of the body.
        None if !opened => return Ok(None),
        None => {
            let end = end_of_keys(yaml_and_body);
            if end == 0 {
                return Ok(None);
            }
            if end > MAX_FRONT_MATTER_BYTES {
                return Err(DocumentError::FrontMatterTooLarge);
            }
            notes.push(Diagnostic::Unclosed);
            (end, end)
        }
    };
    if !opened {
        notes.push(Diagnostic::Unopened);
    }
    if blank > 0 {
        notes.push(Diagnostic::LeadingBlankLines);
    }
    Ok(yaml_and_body
        .get(..end)
        .zip(yaml_and_body.get(body_start..))
        .map(|(yaml, body)| Split {
            yaml,
            body,
            rest: yaml_and_body,
            lines_above,
        }))
}

/// Where the first `---` line begins and ends, when the front matter above it is within its limit.
fn closing_line(text: &str) -> Option<(usize, usize)> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if at > MAX_FRONT_MATTER_BYTES {
            return None;
        }
        if is_dashes(line) {
            return Some((at, at + line.len()));
        }
        at += line.len();
    }
    None
}

/// Where the keys at the beginning of `text` end, in bytes: at a blank line, or at one that is neither a key nor
/// a part of a key's value. Zero where there is no key.
fn end_of_keys(text: &str) -> usize {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let belongs = key_line(line).is_some() || (end > 0 && (is_indented(line) || is_item(line)));
        if line.trim().is_empty() || !belongs {
            break;
        }
        end += line.len();
    }
    end
}

/// YAML 1.1 ends lines at U+0085, U+2028 and U+2029, and its readers refuse other control characters and many tabs.
fn is_odd(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r'))
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}')
}

fn is_dashes(line: &str) -> bool {
    line.trim_end() == "---"
}

/// Reads each key for itself: as YAML where it is, as text where it is not.
///
/// A broken line costs one key, not the others. The work grows with the length of the text, since every chunk is
/// parsed once.
fn recover<'a>(
    text: &'a str,
    split: &Split<'a>,
    mut notes: Vec<Diagnostic>,
) -> Result<FrontMatter<'a>, DocumentError> {
    let (chunks, end) = chunks(split.yaml);
    if chunks.is_empty() {
        // Two `---` lines with prose between them are Markdown, and all of it is the body.
        return Ok(without(text));
    }
    let mut map = Map::new();
    let mut budget = MAX_VALUES;
    for chunk in chunks {
        let value = match yaml::parse(chunk.source) {
            Ok(parsed) => parsed
                .map
                .into_iter()
                .next()
                .map_or(Value::Null, |(_, value)| value),
            Err(YamlError::TooDeep) => return Err(DocumentError::TooDeep),
            Err(YamlError::TooMany) => return Err(DocumentError::TooManyValues),
            Err(YamlError::Syntax { .. }) => text_value(&chunk),
        };
        budget = budget
            .checked_sub(count(&value))
            .ok_or(DocumentError::TooManyValues)?;
        if map.insert(chunk.key.to_owned(), value).is_some() {
            notes.push(Diagnostic::DuplicateKey {
                key: chunk.key.to_owned(),
            });
        }
    }
    let mut body = split.body;
    if end < split.yaml.len() {
        // A `---` line far below, of the body, was taken for the end: the front matter was never closed.
        notes.push(Diagnostic::Unclosed);
        body = split.rest.get(end..).unwrap_or(split.body);
    }
    Ok(FrontMatter { map, body, notes })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read_map(text: &str) -> (Value, String, Vec<&'static str>) {
        let read = read(text).unwrap();
        (
            Value::Object(read.map),
            read.body.to_owned(),
            read.notes.iter().map(Diagnostic::code).collect(),
        )
    }

    #[test]
    fn a_well_formed_file_needs_no_note() {
        let (map, body, notes) = read_map("---\nname: a\nmetadata:\n  b: c\n---\n\n# Body\n---\nmore");
        assert_eq!(map, json!({"name": "a", "metadata": {"b": "c"}}));
        assert_eq!(body, "\n# Body\n---\nmore");
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn carriage_returns_are_no_deviation() {
        let (map, body, notes) = read_map("---\r\nname: a\r\ndescription: b\r\n---\r\nBody\r\n");
        assert_eq!(map, json!({"name": "a", "description": "b"}));
        assert_eq!(body, "Body\r\n");
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn what_comes_before_the_front_matter_is_passed_over() {
        let (map, body, notes) = read_map("\u{FEFF}\n \n---\nname: a\n---\nBody");
        assert_eq!((map, body.as_str()), (json!({"name": "a"}), "Body"));
        assert_eq!(notes, ["byte_order_mark", "leading_blank_lines"]);
    }

    #[test]
    fn a_missing_line_of_dashes_is_supplied() {
        let keys = json!({"name": "a", "tags": ["b"]});
        let unclosed = read_map("---\nname: a\ntags:\n- b\n\n# Body\n");
        assert_eq!(
            unclosed,
            (
                keys.clone(),
                "\n# Body\n".to_owned(),
                vec!["front_matter_unclosed"]
            )
        );
        let heading = read_map("---\nname: a\ntags: \n  - b\n# Body\n");
        assert_eq!(
            heading,
            (keys.clone(), "# Body\n".to_owned(), vec!["front_matter_unclosed"])
        );
        let unopened = read_map("name: a\ntags:\n- b\n---\n# Body\n");
        assert_eq!(
            unopened,
            (keys, "# Body\n".to_owned(), vec!["front_matter_unopened"])
        );
    }

    #[test]
    fn a_rule_of_the_body_is_not_the_end_of_a_broken_front_matter() {
        let (map, body, notes) = read_map("---\nname: a\ndescription: b: c\n\nHello there.\n\n---\nMore.\n");
        assert_eq!(map, json!({"name": "a", "description": "b: c"}));
        assert_eq!(body, "Hello there.\n\n---\nMore.\n");
        assert_eq!(notes, ["not_yaml", "front_matter_unclosed"]);
    }

    #[test]
    fn a_file_without_front_matter_is_all_body() {
        for text in [
            "# Title\n\nText",
            "",
            "---\n# Title\n",
            "---\nprose, not keys\n---\nmore",
            "note: this\n",
            "name: a\n",
        ] {
            assert_eq!(
                read_map(text),
                (json!({}), text.to_owned(), vec!["no_front_matter"]),
                "{text:?}"
            );
        }
    }

    #[test]
    fn text_that_yaml_takes_for_signs_is_still_read() {
        for (line, value) in [
            ("d: Use when: the sky falls", json!("Use when: the sky falls")),
            ("d: @team owns `this`", json!("@team owns `this`")),
            ("d: *important* words", json!("*important* words")),
            ("d: [brackets] first", json!("[brackets] first")),
            ("d: `code` first", json!("`code` first")),
            ("d: \"quoted\" then not", json!("\"quoted\" then not")),
            ("d: 'it's fine'", json!("it's fine")),
            ("d: > \n  a: b\n c", json!("a: b c")),
            (
                "d: first: line\n  and the next",
                json!("first: line and the next"),
            ),
            ("d:\n  - a: b: c\n  - @d", json!(["a: b: c", "@d"])),
            ("d:\n\ta: b\n\tc: @d", json!({"a": "b", "c": "@d"})),
            ("d: one: two\nrunning on\n", json!("one: two running on")),
        ] {
            let text = format!("---\nbefore: 1\n{line}\nafter: [x, y]\n---\nBody");
            let (map, body, notes) = read_map(&text);
            assert_eq!(
                map,
                json!({"before": 1, "d": value, "after": ["x", "y"]}),
                "{line:?}"
            );
            assert_eq!((body.as_str(), notes), ("Body", vec!["not_yaml"]), "{line:?}");
        }
    }

    #[test]
    fn the_line_that_is_not_yaml_is_counted_in_the_file() {
        let read = read("\n---\nname: a\ndescription: @b\n---\n").unwrap();
        let sentence = read
            .notes
            .iter()
            .map(Diagnostic::to_string)
            .find(|note| note.contains("not YAML"));
        assert!(
            sentence.is_some_and(|sentence| sentence.contains("at line 4 ")),
            "{:?}",
            read.notes
        );
    }

    #[test]
    fn characters_that_other_readers_stumble_over_are_warned_of() {
        for (text, character) in [
            ("name: a\tb", "U+0009"),
            ("name: a\u{85}b", "U+0085"),
            ("name: a\u{2028}b", "U+2028"),
        ] {
            let text = format!("---\n{text}\n---\n");
            let read = read(&text).unwrap();
            assert!(read.notes[0].to_string().contains(character), "{:?}", read.notes);
        }
    }

    #[test]
    fn a_bomb_is_refused_whole() {
        let deep = format!("---\nname: a\nx: {}\n---\n", "[".repeat(1000));
        assert_eq!(read(&deep).unwrap_err(), DocumentError::TooDeep);
        let many = format!("---\nname: a: b\n{}---\n", "k: [1, 2, 3, 4, 5]\n".repeat(1000));
        assert_eq!(read(&many).unwrap_err(), DocumentError::TooManyValues);
        let long = format!("---\n{}", "k: v\n".repeat(MAX_FRONT_MATTER_BYTES / 4));
        assert_eq!(read(&long).unwrap_err(), DocumentError::FrontMatterTooLarge);
    }

    proptest! {
        #[test]
        fn the_body_is_the_end_of_the_file(text in "(---\n)?(([a-c]|name): ?[a\"\\[@:>|-]{0,3}\n|[ \t#a-]{0,3}\n){0,6}(---\n)?[ab\n-]{0,8}") {
            if let Ok(read) = read(&text) {
                prop_assert!(text.ends_with(read.body));
            }
        }
    }
}
