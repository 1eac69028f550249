//! Locates the front matter of a `SKILL.md` and reads its keys, also if it is not valid YAML.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::diagnostics::Diagnostic;
use crate::error::DocumentError;
use crate::hash_text::{uncut_metadata, uncut_value};
use crate::lenient_parse::{
    Entry, count_values, is_indented, is_list_item, key_line, lenient_value, split_into_entries,
};
use crate::limits::{MAX_FRONT_MATTER_BYTES, MAX_YAML_VALUES};
use crate::text::with_line_feeds;
use crate::yaml::{self, YamlError};

#[derive(Debug)]
pub(crate) struct FrontMatter<'a> {
    pub(crate) map: Map<String, Value>,
    /// Everything after the front matter, unchanged.
    pub(crate) body: &'a str,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Parses the front matter as YAML, and key by key if that fails.
pub(crate) fn read(text: &str) -> Result<FrontMatter<'_>, DocumentError> {
    let lines = with_line_feeds(text);
    let mut read = read_lines(&lines)?;
    let body_start = text.len() - read.body.len();
    let has_lone_returns = lines.get(..body_start) != text.get(..body_start);
    if has_lone_returns {
        read.diagnostics.push(Diagnostic::CarriageReturns);
    }
    Ok(FrontMatter {
        map: read.map,
        body: text.get(body_start..).unwrap_or_default(),
        diagnostics: read.diagnostics,
    })
}

/// [`read`] for a text whose lines end with line feeds.
fn read_lines(text: &str) -> Result<FrontMatter<'_>, DocumentError> {
    let mut diagnostics = Vec::new();
    let Some(sections) = locate(text, &mut diagnostics)? else {
        return Ok(body_only(text));
    };
    match yaml::parse(sections.yaml) {
        Ok(parsed) => {
            diagnostics.extend(
                parsed
                    .duplicates
                    .into_iter()
                    .map(|key| Diagnostic::DuplicateKey { key }),
            );
            if parsed.has_flow_style {
                diagnostics.push(Diagnostic::FlowStyle);
            }
            if let Some(character) = sections.yaml.chars().find(|c| is_odd(*c)) {
                diagnostics.push(Diagnostic::OddCharacter { character });
            }
            if sections.yaml.contains("---") {
                diagnostics.push(Diagnostic::DashesInside);
            }
            let mut map = parsed.map;
            keep_hash_text(sections.yaml, &mut map, &mut diagnostics);
            Ok(FrontMatter {
                map,
                body: sections.body,
                diagnostics,
            })
        }
        Err(YamlError::TooDeep) => Err(DocumentError::TooDeep),
        Err(YamlError::TooManyValues) => Err(DocumentError::TooManyValues),
        Err(YamlError::Syntax { line, reason }) => {
            diagnostics.push(Diagnostic::NotYaml {
                line: line + sections.lines_before,
                reason,
            });
            read_leniently(text, &sections, diagnostics)
        }
    }
}

/// Replaces values that YAML cut at a `#` with the whole text, see [`uncut_value`].
fn keep_hash_text(yaml: &str, map: &mut Map<String, Value>, diagnostics: &mut Vec<Diagnostic>) {
    if !yaml.contains('#') {
        return;
    }
    let (entries, _) = split_into_entries(yaml);
    let mut seen = BTreeSet::new();
    // From the end, because the last value of a duplicate key counts.
    for entry in entries.iter().rev().filter(|entry| seen.insert(entry.key)) {
        if let Some(value) = map.get_mut(entry.key) {
            keep_hash_text_of(entry, value, diagnostics);
        }
    }
}

fn keep_hash_text_of(entry: &Entry<'_>, value: &mut Value, diagnostics: &mut Vec<Diagnostic>) {
    if let Some(uncut) = uncut_value(entry) {
        *value = uncut;
        diagnostics.push(Diagnostic::HashInText {
            key: entry.key.to_owned(),
        });
    } else if let ("metadata", Value::Object(metadata)) = (entry.key, value) {
        for (key, uncut) in uncut_metadata(entry) {
            diagnostics.push(Diagnostic::HashInText {
                key: format!("metadata.{key}"),
            });
            metadata.insert(key, uncut);
        }
    }
}

/// The result for a file without front matter.
fn body_only(text: &str) -> FrontMatter<'_> {
    let body = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let bom = (body.len() < text.len()).then_some(Diagnostic::ByteOrderMark);
    FrontMatter {
        map: Map::new(),
        body,
        diagnostics: bom.into_iter().chain([Diagnostic::NoFrontMatter]).collect(),
    }
}

/// The sections of a file with front matter.
struct Sections<'a> {
    yaml: &'a str,
    body: &'a str,
    /// `yaml`, the closing delimiter and `body`.
    yaml_to_end: &'a str,
    /// Number of lines before `yaml`.
    lines_before: usize,
}

/// Returns `None` if there is no front matter.
fn locate<'a>(
    text: &'a str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Option<Sections<'a>>, DocumentError> {
    let without_bom = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if without_bom.len() < text.len() {
        diagnostics.push(Diagnostic::ByteOrderMark);
    }
    let blank: usize = without_bom
        .split_inclusive('\n')
        .take_while(|line| line.trim().is_empty())
        .map(str::len)
        .sum();
    let (blank_lines, rest) = without_bom.split_at_checked(blank).unwrap_or((without_bom, ""));
    let mut lines_before = blank_lines.matches('\n').count();
    let first = rest.split_inclusive('\n').next().unwrap_or("");
    let is_opened = is_delimiter(first);
    let begins_with_key = matches!(key_line(first), Some(("name" | "description", _)));
    if !is_opened && !begins_with_key {
        return Ok(None);
    }
    let yaml_to_end = if is_opened {
        lines_before += 1;
        rest.get(first.len()..).unwrap_or("")
    } else {
        rest
    };
    let (yaml_end, body_start) = match closing_delimiter(yaml_to_end) {
        Some(found) => found,
        // Without any delimiter, `name: x` may as well be a sentence of the body.
        None if !is_opened => return Ok(None),
        None => {
            let end = end_of_keys(yaml_to_end);
            if end == 0 {
                return Ok(None);
            }
            if end > MAX_FRONT_MATTER_BYTES {
                return Err(DocumentError::FrontMatterTooLarge);
            }
            diagnostics.push(Diagnostic::FrontMatterUnclosed);
            (end, end)
        }
    };
    if !is_opened {
        diagnostics.push(Diagnostic::FrontMatterUnopened);
    }
    if blank > 0 {
        diagnostics.push(Diagnostic::LeadingBlankLines);
    }
    Ok(yaml_to_end
        .get(..yaml_end)
        .zip(yaml_to_end.get(body_start..))
        .map(|(yaml, body)| Sections {
            yaml,
            body,
            yaml_to_end,
            lines_before,
        }))
}

/// Byte offsets of the start and end of the first `---` line. `None` if there is none within
/// [`MAX_FRONT_MATTER_BYTES`].
fn closing_delimiter(text: &str) -> Option<(usize, usize)> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if offset > MAX_FRONT_MATTER_BYTES {
            return None;
        }
        if is_delimiter(line) {
            return Some((offset, offset + line.len()));
        }
        offset += line.len();
    }
    None
}

/// Byte offset at which the keys at the beginning of `text` end: at a blank line, or at a line that is neither a key
/// nor part of a key's value. 0 if there is no key.
fn end_of_keys(text: &str) -> usize {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let is_part = key_line(line).is_some() || (end > 0 && (is_indented(line) || is_list_item(line)));
        if line.trim().is_empty() || !is_part {
            break;
        }
        end += line.len();
    }
    end
}

/// Whether other YAML parsers may reject or misread `c`: YAML 1.1 treats U+0085, U+2028 and U+2029 as line ends, and
/// its parsers reject other control characters and many tabs.
fn is_odd(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r'))
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}')
}

fn is_delimiter(line: &str) -> bool {
    line.trim_end() == "---"
}

/// Reads each key on its own: as YAML if its lines are valid YAML, else as text. So a broken line costs one key, not
/// all of them.
///
/// The cost is linear in the length of the text, since each line is parsed once.
fn read_leniently<'a>(
    text: &'a str,
    sections: &Sections<'a>,
    mut diagnostics: Vec<Diagnostic>,
) -> Result<FrontMatter<'a>, DocumentError> {
    let (entries, end) = split_into_entries(sections.yaml);
    if entries.is_empty() {
        // Prose between two `---` lines: Markdown rules, so the whole file is the body.
        return Ok(body_only(text));
    }
    let mut map = Map::new();
    let mut values_left = MAX_YAML_VALUES;
    for entry in entries {
        let mut value = match yaml::parse(entry.source) {
            Ok(parsed) => parsed
                .map
                .into_iter()
                .next()
                .map_or(Value::Null, |(_, value)| value),
            Err(YamlError::TooDeep) => return Err(DocumentError::TooDeep),
            Err(YamlError::TooManyValues) => return Err(DocumentError::TooManyValues),
            Err(YamlError::Syntax { .. }) => lenient_value(&entry),
        };
        keep_hash_text_of(&entry, &mut value, &mut diagnostics);
        values_left = values_left
            .checked_sub(count_values(&value))
            .ok_or(DocumentError::TooManyValues)?;
        if map.insert(entry.key.to_owned(), value).is_some() {
            diagnostics.push(Diagnostic::DuplicateKey {
                key: entry.key.to_owned(),
            });
        }
    }
    let mut body = sections.body;
    if end < sections.yaml.len() {
        // The `---` line found belongs to the body; the front matter has no closing delimiter.
        diagnostics.push(Diagnostic::FrontMatterUnclosed);
        body = sections.yaml_to_end.get(end..).unwrap_or(sections.body);
    }
    Ok(FrontMatter {
        map,
        body,
        diagnostics,
    })
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
            read.diagnostics.iter().map(Diagnostic::code).collect(),
        )
    }

    #[test]
    fn well_formed_file_has_no_diagnostics() {
        let (map, body, diagnostics) = read_map("---\nname: a\nmetadata:\n  b: c\n---\n\n# Body\n---\nmore");
        assert_eq!(map, json!({"name": "a", "metadata": {"b": "c"}}));
        assert_eq!(body, "\n# Body\n---\nmore");
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
    }

    #[test]
    fn carriage_returns_are_not_reported() {
        let (map, body, diagnostics) = read_map("---\r\nname: a\r\ndescription: b\r\n---\r\nBody\r\n");
        assert_eq!(map, json!({"name": "a", "description": "b"}));
        assert_eq!(body, "Body\r\n");
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
    }

    #[test]
    fn lone_carriage_returns_end_lines_and_are_reported() {
        let (map, body, diagnostics) = read_map("---\rname: a\rdescription: b: c\r--- \r# Body\rText\r");
        assert_eq!(map, json!({"name": "a", "description": "b: c"}));
        assert_eq!(body, "# Body\rText\r");
        assert_eq!(diagnostics, ["not_yaml", "carriage_returns"]);
        let only_in_body = read_map("---\nname: a\n---\nprogress\rdone\n");
        assert_eq!(only_in_body.1, "progress\rdone\n");
        assert!(only_in_body.2.is_empty(), "{:?}", only_in_body.2);
    }

    #[test]
    fn block_scalar_that_starts_on_its_key_line_is_text() {
        for (line, text) in [
            ("d: > Does it.", "Does it."),
            ("d: | Does it.\n  And that.", "Does it. And that."),
            ("d: >- Does: it.", "Does: it."),
            ("d: >x", ">x"),
        ] {
            let (map, ..) = read_map(&format!("---\nname: a\n{line}\ne: 1\n---\n"));
            assert_eq!(map, json!({"name": "a", "d": text, "e": 1}), "{line:?}");
        }
    }

    #[test]
    fn name_without_space_after_the_colon_is_a_key() {
        let (map, ..) = read_map("---\nname:a\ndescription:Does it.\nlicense:\u{A0}MIT\n---\nBody");
        assert_eq!(
            map,
            json!({"name": "a", "description": "Does it.", "license": "MIT"})
        );
    }

    #[test]
    fn bom_and_blank_lines_before_front_matter_are_ignored() {
        let (map, body, diagnostics) = read_map("\u{FEFF}\n \n---\nname: a\n---\nBody");
        assert_eq!((map, body.as_str()), (json!({"name": "a"}), "Body"));
        assert_eq!(diagnostics, ["byte_order_mark", "leading_blank_lines"]);
    }

    #[test]
    fn missing_delimiter_is_tolerated() {
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
    fn markdown_rule_does_not_close_broken_front_matter() {
        let (map, body, diagnostics) =
            read_map("---\nname: a\ndescription: b: c\n\nHello there.\n\n---\nMore.\n");
        assert_eq!(map, json!({"name": "a", "description": "b: c"}));
        assert_eq!(body, "Hello there.\n\n---\nMore.\n");
        assert_eq!(diagnostics, ["not_yaml", "front_matter_unclosed"]);
    }

    #[test]
    fn file_without_front_matter_is_all_body() {
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
    fn text_with_yaml_indicators_is_read_as_text() {
        for (line, value) in [
            ("d: Use when: the sky falls", json!("Use when: the sky falls")),
            ("d: @team owns `this`", json!("@team owns `this`")),
            ("d: *important* words", json!("*important* words")),
            ("d: [brackets] first", json!("[brackets] first")),
            ("d: `code` first", json!("`code` first")),
            ("d: &anchor of text", json!("&anchor of text")),
            ("d: %d tides", json!("%d tides")),
            ("d: !important", json!("!important")),
            ("d: - a dash", json!("- a dash")),
            ("d: “smart”: quotes", json!("“smart”: quotes")),
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
            let (map, body, diagnostics) = read_map(&text);
            assert_eq!(
                map,
                json!({"before": 1, "d": value, "after": ["x", "y"]}),
                "{line:?}"
            );
            assert_eq!(
                (body.as_str(), diagnostics),
                ("Body", vec!["not_yaml"]),
                "{line:?}"
            );
        }
    }

    #[test]
    fn syntax_error_line_is_counted_from_file_start() {
        let read = read("\n---\nname: a\ndescription: @b\n---\n").unwrap();
        let message = read
            .diagnostics
            .iter()
            .map(Diagnostic::to_string)
            .find(|note| note.contains("not YAML"));
        assert!(
            message.is_some_and(|message| message.contains("at line 4 ")),
            "{:?}",
            read.diagnostics
        );
    }

    #[test]
    fn characters_that_other_parsers_reject_are_reported() {
        for (text, character) in [
            ("name: a\tb", "U+0009"),
            ("name: a\u{85}b", "U+0085"),
            ("name: a\u{2028}b", "U+2028"),
        ] {
            let text = format!("---\n{text}\n---\n");
            let read = read(&text).unwrap();
            assert!(
                read.diagnostics[0].to_string().contains(character),
                "{:?}",
                read.diagnostics
            );
        }
    }

    #[test]
    fn front_matter_over_a_limit_is_rejected() {
        let deep = format!("---\nname: a\nx: {}\n---\n", "[".repeat(1000));
        assert_eq!(read(&deep).unwrap_err(), DocumentError::TooDeep);
        let many = format!("---\nname: a: b\n{}---\n", "k: [1, 2, 3, 4, 5]\n".repeat(1000));
        assert_eq!(read(&many).unwrap_err(), DocumentError::TooManyValues);
        let long = format!("---\n{}", "k: v\n".repeat(MAX_FRONT_MATTER_BYTES / 4));
        assert_eq!(read(&long).unwrap_err(), DocumentError::FrontMatterTooLarge);
    }

    proptest! {
        #[test]
        fn body_is_a_suffix_of_the_file(text in "(---\n)?(([a-c]|name): ?[a\"\\[@:>|-]{0,3}\n|[ \t#a-]{0,3}\n){0,6}(---\n)?[ab\n-]{0,8}") {
            if let Ok(read) = read(&text) {
                prop_assert!(text.ends_with(read.body));
            }
        }
    }
}
