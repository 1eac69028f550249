//! YAML: no library keeps comments, so the lines of one entry are changed, and the outcome is read again.

use serde_json::Value;

use super::EditError;
use crate::entry::ConfigValue;

pub(super) fn read(text: &str) -> Result<Value, EditError> {
    agent_skills::yaml_value(text).map_err(|problem| EditError::Broken {
        line: problem.line,
        reason: problem.reason,
    })
}

/// Where a section and one of its entries are, in lines counted from 0.
#[derive(Debug)]
struct YamlSpan {
    /// The line that names the section.
    section: usize,
    /// The line after the section's last one.
    end: usize,
    /// How far the section's entries stand in.
    indent: usize,
    /// The entry's first line, and the line after its last one.
    entry: Option<(usize, usize)>,
    has_others: bool,
}

/// Blank, or nothing but a comment.
fn is_quiet(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// What follows `name:` on a line that begins with it, in plain letters or in quotes.
fn after_key<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let line = line.trim_start_matches(' ');
    let rest = [format!("{name}:"), format!("\"{name}\":"), format!("'{name}':")]
        .iter()
        .find_map(|key| line.strip_prefix(key.as_str()))?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then_some(rest)
}

/// The comment at the end of a section's own line, whose value holds no `#`.
fn comment_of(rest: &str) -> String {
    rest.find('#')
        .and_then(|begin| rest.get(begin..))
        .map(|comment| format!(" {comment}"))
        .unwrap_or_default()
}

/// Whether the section's own line leaves its entries to the lines below, or says that there are none.
fn is_open(rest: &str) -> bool {
    let value = rest.split(" #").next().unwrap_or_default().trim();
    value.starts_with('#') || matches!(value, "" | "{}" | "null" | "~")
}

fn find(lines: &[&str], section: &str, name: &str) -> Result<Option<YamlSpan>, EditError> {
    let named = lines
        .iter()
        .position(|line| indent_of(line) == 0 && after_key(line, section).is_some());
    let Some(number) = named else {
        return Ok(None);
    };
    let rest = lines.get(number).and_then(|line| after_key(line, section));
    if !rest.is_some_and(is_open) {
        return Err(EditError::OneLine(format!("\"{section}\"")));
    }
    let mut place = YamlSpan {
        section: number,
        end: number + 1,
        indent: 0,
        entry: None,
        has_others: false,
    };
    let mut is_inside = false;
    let below = lines.iter().enumerate().skip(number + 1);
    for (number, line) in below.filter(|(_, line)| !is_quiet(line)) {
        let indent = indent_of(line);
        if indent == 0 {
            break;
        }
        if place.indent == 0 {
            place.indent = indent;
        }
        if indent <= place.indent {
            is_inside = after_key(line, name).is_some();
            place.has_others |= !is_inside;
        }
        place.end = number + 1;
        if is_inside {
            let (begin, _) = place.entry.unwrap_or((number, number));
            place.entry = Some((begin, number + 1));
        }
    }
    if place.indent == 0 {
        place.indent = 2;
    }
    Ok(Some(place))
}

fn newline_of(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn copy<'a>(lines: &'a [&'a str], from: usize, to: usize) -> impl Iterator<Item = String> + 'a {
    lines.iter().take(to).skip(from).map(|line| (*line).to_owned())
}

pub(super) fn put(text: &str, section: &str, name: &str, node: &ConfigValue) -> Result<String, EditError> {
    let newline = newline_of(text);
    let lines: Vec<&str> = text.lines().collect();
    let mut after: Vec<String> = Vec::with_capacity(lines.len() + 16);
    match find(&lines, section, name)? {
        None => {
            after.extend(copy(&lines, 0, lines.len()));
            after.push(format!("{section}:"));
            write(&mut after, name, node, 2);
        }
        Some(place) => {
            let (from, to) = place.entry.unwrap_or((place.end, place.end));
            after.extend(copy(&lines, 0, place.section));
            let named = lines.get(place.section).copied().unwrap_or_default();
            after.push(match after_key(named, section) {
                Some(rest) if !rest.trim().is_empty() => format!("{section}:{}", comment_of(rest)),
                Some(_) | None => named.to_owned(),
            });
            after.extend(copy(&lines, place.section + 1, from));
            write(&mut after, name, node, place.indent);
            after.extend(copy(&lines, to, lines.len()));
        }
    }
    Ok(after.join(newline) + newline)
}

pub(super) fn take(text: &str, section: &str, name: &str) -> Result<String, EditError> {
    let newline = newline_of(text);
    let lines: Vec<&str> = text.lines().collect();
    let Some(place) = find(&lines, section, name)? else {
        return Ok(text.to_owned());
    };
    let Some((from, to)) = place.entry else {
        return Err(EditError::Unsafe);
    };
    let mut after: Vec<String> = Vec::with_capacity(lines.len());
    for (number, line) in lines.iter().enumerate() {
        if number == place.section && !place.has_others {
            // A key without a value would be null, which is no map.
            let comment = after_key(line, section).map(comment_of).unwrap_or_default();
            after.push(format!("{section}: {{}}{comment}"));
        } else if !(from..to).contains(&number) {
            after.push((*line).to_owned());
        }
    }
    let end = if text.ends_with('\n') { newline } else { "" };
    Ok(after.join(newline) + end)
}

fn write(lines: &mut Vec<String>, name: &str, node: &ConfigValue, indent: usize) {
    let margin = " ".repeat(indent);
    let key = key(name);
    match node {
        ConfigValue::Map(fields) if !fields.is_empty() => {
            lines.push(format!("{margin}{key}:"));
            for (name, node) in fields {
                write(lines, name, node, indent + 2);
            }
        }
        // JSON on one line is YAML (YAML 1.2, section 1.3).
        ConfigValue::Map(_)
        | ConfigValue::Null
        | ConfigValue::Flag(_)
        | ConfigValue::Number(_)
        | ConfigValue::Text(_)
        | ConfigValue::List(_) => {
            lines.push(format!("{margin}{key}: {}", node.to_json()));
        }
    }
}

fn key(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let is_word = matches!(
        name.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    if is_plain && !is_word {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}
