//! Texts with ` #`: what YAML reads as a comment and the author meant as text.
//!
//! YAML starts a comment at a `#` after white space, so `description: Posts to #harbour` is `Posts to` for a parser.
//! The rule here, per key:
//!
//! - In the values of [`PROSE_KEYS`] ` #` is text, except `# ` (number sign and white space) at the start of a value or
//!   of a further line, which is a comment.
//! - In the values of [`TAG_KEYS`] a `#` directly before a letter, digit or underscore is text: `#harbour` is a tag.
//! - In the values of all other keys it is a comment: `license: MIT # see LICENSE`.
//!
//! Quoted texts, block scalars and values in brackets are read as YAML reads them.

use serde_json::Value;

use crate::lenient_parse::{Entry, indentation, is_list_item, key_line};
use crate::text::cleaned;

/// Keys whose values are sentences, also below `metadata`.
const PROSE_KEYS: [&str; 9] = [
    "description",
    "short-description",
    "short_description",
    "summary",
    "when_to_use",
    "when-to-use",
    "compatibility",
    "argument-hint",
    "title",
];

/// Keys whose values are tags, also below `metadata`.
const TAG_KEYS: [&str; 2] = ["tags", "keywords"];

/// The value of an entry that YAML would cut at a `#`, with the whole text. `None` if nothing would be cut.
pub(crate) fn uncut_value(entry: &Entry<'_>) -> Option<Value> {
    uncut(entry.key, entry.inline, entry.source.lines().skip(1), 0)
}

/// `level` is the indentation of the key.
fn uncut<'a>(
    key: &str,
    inline: &'a str,
    further_lines: impl Iterator<Item = &'a str>,
    level: usize,
) -> Option<Value> {
    // A line that starts with `#` at the key's own level is a comment, often a key that was taken out.
    let lines = further_lines
        .filter(|line| indentation(line) > level || !line.trim_start().starts_with('#'))
        .map(str::trim)
        .filter(|line| !line.is_empty() && !is_comment_line(line));
    if PROSE_KEYS.contains(&key) {
        uncut_prose(inline.trim(), lines).map(Value::String)
    } else if TAG_KEYS.contains(&key) {
        uncut_tags(inline.trim(), lines)
    } else {
        None
    }
}

/// The values below `metadata` that YAML would cut, with their keys. Reads one level of block style.
pub(crate) fn uncut_metadata(entry: &Entry<'_>) -> Vec<(String, Value)> {
    let lines: Vec<&str> = entry.source.lines().skip(1).collect();
    if !entry.inline.trim().is_empty() {
        return Vec::new();
    }
    let level = lines
        .iter()
        .find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map_or(0, |line| indentation(line));
    let starts: Vec<usize> = (0..lines.len())
        .filter(|at| {
            lines
                .get(*at)
                .is_some_and(|line| indentation(line) == level && key_line(line.trim_start()).is_some())
        })
        .collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    let mut values = Vec::new();
    for (start, end) in starts.iter().copied().zip(ends) {
        let Some((key, inline)) = lines.get(start).and_then(|line| key_line(line.trim_start())) else {
            continue;
        };
        let further_lines = lines.get(start + 1..end).unwrap_or_default().iter().copied();
        let value = uncut(key, inline, further_lines, level);
        values.extend(value.map(|value| (key.to_owned(), value)));
    }
    values
}

/// Whether a value is a plain scalar, which ends at a comment.
fn is_plain(value: &str) -> bool {
    !value.starts_with(['"', '\'', '|', '>', '[', '{', '&', '*', '!'])
}

fn uncut_prose<'a>(first: &'a str, lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut is_cut = false;
    let mut text = String::new();
    for line in [first]
        .into_iter()
        .filter(|line| !is_comment_line(line))
        .chain(lines)
    {
        // A block scalar, a quoted text or brackets, also on the line after the key.
        if text.is_empty() && !is_plain(line) {
            return None;
        }
        is_cut |= hash_after_space(line).is_some();
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line);
    }
    is_cut.then(|| cleaned(&text))
}

/// `# ` at the start of a line, or `#` alone.
fn is_comment_line(line: &str) -> bool {
    line.strip_prefix('#')
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '#']))
}

/// The first `#` that starts a comment in YAML.
fn hash_after_space(line: &str) -> Option<usize> {
    line.match_indices('#').map(|(at, _)| at).find(|at| {
        line.get(..*at)
            .is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t']))
    })
}

fn uncut_tags<'a>(first: &'a str, lines: impl Iterator<Item = &'a str>) -> Option<Value> {
    if !first.is_empty() {
        return (is_plain(first) && has_hash_tag(first))
            .then(|| Value::String(without_comment(first).to_owned()));
    }
    let lines: Vec<&str> = lines.collect();
    if !lines.iter().all(|line| is_list_item(line)) || !lines.iter().any(|line| has_hash_tag(line)) {
        return None;
    }
    let items = lines
        .iter()
        .map(|line| without_comment(line.get(1..).unwrap_or("").trim()));
    Some(
        items
            .map(|item| Value::String(item.trim_matches(['"', '\'']).to_owned()))
            .collect(),
    )
}

/// Whether the line has a `#` that YAML reads as a comment directly before a word.
fn has_hash_tag(line: &str) -> bool {
    hash_after_space(line).is_some_and(|at| line.get(at + 1..).is_some_and(starts_with_word))
}

fn starts_with_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The line up to a `#` after white space that is not directly before a word.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices('#').map(|(at, _)| at).find(|at| {
        line.get(..*at)
            .is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t']))
            && !line.get(at + 1..).is_some_and(starts_with_word)
    });
    comment.and_then(|at| line.get(..at)).unwrap_or(line).trim_end()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::read_document;

    fn value_of(lines: &str, key: &str) -> (Value, usize) {
        let text = format!("---\nbefore: 1\n{lines}\nafter: 2\n---\nText of the body.");
        let document = read_document(text.as_bytes(), "folder").unwrap();
        assert_eq!(document.front_matter["after"], 2, "{lines}");
        let notes = document
            .diagnostics
            .iter()
            .filter(|note| note.code() == "hash_in_text")
            .count();
        (document.front_matter.get(key).cloned().unwrap_or_default(), notes)
    }

    #[test]
    fn hash_in_prose_is_text() {
        for (lines, value) in [
            (
                "description: Posts to the #harbour channel when a ferry is late",
                "Posts to the #harbour channel when a ferry is late",
            ),
            ("description: Closes issue # 12", "Closes issue # 12"),
            ("description: #harbour alerts", "#harbour alerts"),
            (
                "description:\n  Posts to\n  #harbour and #quay",
                "Posts to #harbour and #quay",
            ),
            ("description: Posts to\t#harbour", "Posts to\t#harbour"),
            (
                "description: Use when: a #tag is given",
                "Use when: a #tag is given",
            ),
            (
                "description: First.\n  Then #2.\n# note\n#license: MIT",
                "First. Then #2.",
            ),
        ] {
            assert_eq!(value_of(lines, "description"), (json!(value), 1), "{lines}");
        }
    }

    #[test]
    fn values_that_yaml_does_not_cut_are_unchanged() {
        for (lines, key, value) in [
            (
                "description: \"Posts\" # a comment",
                "description",
                json!("Posts"),
            ),
            (
                "description: 'Posts to #a' # a comment",
                "description",
                json!("Posts to #a"),
            ),
            (
                "description: # a comment\n  Posts.",
                "description",
                json!("Posts."),
            ),
            (
                "description: >-\n  Posts to #a\n  and #b",
                "description",
                json!("Posts to #a and #b"),
            ),
            (
                "description: Helps with C# and F#",
                "description",
                json!("Helps with C# and F#"),
            ),
            ("description: Posts.\n#tags: a", "description", json!("Posts.")),
            ("license: MIT # see LICENSE", "license", json!("MIT")),
            ("license: MIT #see LICENSE", "license", json!("MIT")),
            ("version: 1.2 # of the format", "version", json!(1.2)),
            ("name: folder # as the folder", "name", json!("folder")),
            ("tags: a, b # the best", "tags", json!("a, b")),
            ("tags: # the best\n- a", "tags", json!(["a"])),
            ("tags: [a, b] # the best", "tags", json!(["a", "b"])),
        ] {
            assert_eq!(value_of(lines, key), (value, 0), "{lines}");
        }
    }

    #[test]
    fn tags_may_start_with_a_hash() {
        for (lines, value) in [
            ("tags: #ferry, #harbour", json!("#ferry, #harbour")),
            ("tags: ferry, #harbour # two", json!("ferry, #harbour")),
            (
                "tags:\n  - #ferry\n  - quay # the long one\n  # none\n  - \"b\"",
                json!(["#ferry", "quay", "b"]),
            ),
        ] {
            assert_eq!(value_of(lines, "tags"), (value, 1), "{lines}");
        }
    }

    #[test]
    fn values_below_metadata_follow_the_same_rule() {
        let lines = "metadata:\n  short-description: Posts to #harbour\n    and #quay\n  author: Ada # of the quay\n  #version: 2\n  tags: #ferry";
        assert_eq!(
            value_of(lines, "metadata"),
            (
                json!({"short-description": "Posts to #harbour and #quay", "author": "Ada", "tags": "#ferry"}),
                2
            )
        );
    }

    #[test]
    fn repaired_hash_text_needs_no_repair() {
        let text = "---\nname: folder\ndescription: Posts to #harbour\n---\nBody";
        let fixed = crate::repair_document(text.as_bytes(), "folder")
            .unwrap()
            .unwrap();
        let document = read_document(&fixed, "folder").unwrap();
        assert_eq!(document.description, "Posts to #harbour");
        assert!(document.diagnostics.is_empty(), "{:?}", document.diagnostics);
    }
}
