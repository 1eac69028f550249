//! Edits YAML line by line, because no YAML library keeps comments. The caller parses the result again to verify it.

use serde_json::Value;

use super::error::EditError;
use crate::config_value::ConfigValue;

/// The indentation of a new section's entries, and of the fields below an entry, in spaces.
const INDENT: usize = 2;

pub(super) fn parse_value(text: &str) -> Result<Value, EditError> {
    agent_skills::yaml_value(text).map_err(|problem| EditError::Syntax {
        line: problem.line,
        reason: problem.reason,
    })
}

/// The position of a section and of one of its entries, in lines counted from 0. Ends are exclusive.
#[derive(Debug)]
struct YamlSpan {
    /// The line with the section's key.
    section: usize,
    end: usize,
    /// The indentation of the section's entries.
    indent: usize,
    /// First line and end of the entry.
    entry: Option<(usize, usize)>,
    has_other_entries: bool,
}

fn is_blank_or_comment(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The text after `name:` on a line that begins with this key, plain or quoted.
fn after_key<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let line = line.trim_start_matches(' ');
    let rest = [format!("{name}:"), format!("\"{name}\":"), format!("'{name}':")]
        .iter()
        .find_map(|key| line.strip_prefix(key.as_str()))?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then_some(rest)
}

/// The comment at the end of the section's line. `rest` follows the key, and its value contains no `#`.
fn comment_of(rest: &str) -> String {
    rest.find('#')
        .and_then(|begin| rest.get(begin..))
        .map(|comment| format!(" {comment}"))
        .unwrap_or_default()
}

/// Whether the section's line has no value of its own, or an empty one.
fn is_block_or_empty(rest: &str) -> bool {
    let value = rest.split(" #").next().unwrap_or_default().trim();
    value.starts_with('#') || matches!(value, "" | "{}" | "null" | "~")
}

fn find(lines: &[&str], section: &str, name: &str) -> Result<Option<YamlSpan>, EditError> {
    let position = lines
        .iter()
        .position(|line| indent_of(line) == 0 && after_key(line, section).is_some());
    let Some(number) = position else {
        return Ok(None);
    };
    let rest = lines.get(number).and_then(|line| after_key(line, section));
    if !rest.is_some_and(is_block_or_empty) {
        return Err(EditError::InlineSection(format!("`{section}`")));
    }
    let mut span = YamlSpan {
        section: number,
        end: number + 1,
        indent: 0,
        entry: None,
        has_other_entries: false,
    };
    let mut is_inside = false;
    let below = lines.iter().enumerate().skip(number + 1);
    for (number, line) in below.filter(|(_, line)| !is_blank_or_comment(line)) {
        let indent = indent_of(line);
        if indent == 0 {
            break;
        }
        if span.indent == 0 {
            span.indent = indent;
        }
        if indent <= span.indent {
            is_inside = after_key(line, name).is_some();
            span.has_other_entries |= !is_inside;
        }
        span.end = number + 1;
        if is_inside {
            let (begin, _) = span.entry.unwrap_or((number, number));
            span.entry = Some((begin, number + 1));
        }
    }
    if span.indent == 0 {
        span.indent = INDENT;
    }
    Ok(Some(span))
}

fn newline_of(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn copy<'a>(lines: &'a [&'a str], from: usize, to: usize) -> impl Iterator<Item = String> + 'a {
    lines.iter().take(to).skip(from).map(|line| (*line).to_owned())
}

pub(super) fn upsert(
    text: &str,
    section: &str,
    name: &str,
    value: &ConfigValue,
) -> Result<String, EditError> {
    let newline = newline_of(text);
    let lines: Vec<&str> = text.lines().collect();
    let mut edited: Vec<String> = Vec::with_capacity(lines.len() + 16);
    match find(&lines, section, name)? {
        None => {
            edited.extend(copy(&lines, 0, lines.len()));
            edited.push(format!("{section}:"));
            write(&mut edited, name, value, INDENT);
        }
        Some(span) => {
            let (from, to) = span.entry.unwrap_or((span.end, span.end));
            edited.extend(copy(&lines, 0, span.section));
            let section_line = lines.get(span.section).copied().unwrap_or_default();
            edited.push(match after_key(section_line, section) {
                Some(rest) if !rest.trim().is_empty() => format!("{section}:{}", comment_of(rest)),
                Some(_) | None => section_line.to_owned(),
            });
            edited.extend(copy(&lines, span.section + 1, from));
            write(&mut edited, name, value, span.indent);
            edited.extend(copy(&lines, to, lines.len()));
        }
    }
    Ok(edited.join(newline) + newline)
}

pub(super) fn remove(text: &str, section: &str, name: &str) -> Result<String, EditError> {
    let newline = newline_of(text);
    let lines: Vec<&str> = text.lines().collect();
    let Some(span) = find(&lines, section, name)? else {
        return Ok(text.to_owned());
    };
    let Some((from, to)) = span.entry else {
        return Err(EditError::Unsafe);
    };
    let mut edited: Vec<String> = Vec::with_capacity(lines.len());
    for (number, line) in lines.iter().enumerate() {
        if number == span.section && !span.has_other_entries {
            // A key without a value would be null, which is not a map.
            let comment = after_key(line, section).map(comment_of).unwrap_or_default();
            edited.push(format!("{section}: {{}}{comment}"));
        } else if !(from..to).contains(&number) {
            edited.push((*line).to_owned());
        }
    }
    let end = if text.ends_with('\n') { newline } else { "" };
    Ok(edited.join(newline) + end)
}

fn write(lines: &mut Vec<String>, name: &str, value: &ConfigValue, indent: usize) {
    let margin = " ".repeat(indent);
    let key = quoted_if_needed(name);
    match value {
        ConfigValue::Map(fields) if !fields.is_empty() => {
            lines.push(format!("{margin}{key}:"));
            for (name, value) in fields {
                write(lines, name, value, indent + INDENT);
            }
        }
        // JSON on one line is YAML (YAML 1.2, section 1.3).
        ConfigValue::Map(_)
        | ConfigValue::Null
        | ConfigValue::Bool(_)
        | ConfigValue::Number(_)
        | ConfigValue::Text(_)
        | ConfigValue::List(_) => {
            lines.push(format!("{margin}{key}: {}", value.to_json()));
        }
    }
}

fn quoted_if_needed(key: &str) -> String {
    let is_plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    // YAML 1.1 reads these as booleans or null.
    let is_reserved = matches!(
        key.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    if is_plain && !is_reserved {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}
