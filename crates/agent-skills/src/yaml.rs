//! The small part of YAML that front matter needs, as JSON values.
//!
//! Works on a parser's events rather than through serde, for three reasons: a version `1.10` and a date stay the
//! text that was written, an alias is never expanded (so no input is larger in memory than on disk), and every
//! limit is ours.

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// The most values in a front matter, keys not counted.
pub const MAX_VALUES: usize = 4096;
/// How deep lists and mappings may lie in one another.
pub const MAX_NESTING: usize = 16;

/// A front matter that is YAML.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) map: Map<String, Value>,
    /// Keys that were there before, in the same mapping.
    pub(super) duplicates: Vec<String>,
    /// Whether there are lists or mappings in brackets.
    pub(super) has_flow_style: bool,
}

/// Why a text is not the YAML that we take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum YamlError {
    /// Deeper than [`MAX_NESTING`].
    TooDeep,
    /// More than [`MAX_VALUES`].
    TooMany,
    /// Not YAML, or of YAML what we do not take.
    Syntax { line: usize, reason: String },
}

/// Parses a document that is one mapping with scalar keys. Nothing at all is an empty mapping.
///
/// Lines are counted from 1. Where a key is there twice the last value stays.
pub(super) fn parse(text: &str) -> Result<Parsed, YamlError> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    // The parser refuses by itself what our own count would refuse a level later, before it queues closing tokens.
    options.flow_nesting_limit = MAX_NESTING + 1;
    options.block_nesting_limit = MAX_NESTING + 1;
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
                YamlError::TooDeep
            } else {
                syntax(error.marker().line(), error.kind().to_string())
            }
        })?;
        builder.take(event, span.start.line())?;
    }
    builder.finish()
}

fn syntax(line: usize, reason: impl Into<String>) -> YamlError {
    YamlError::Syntax {
        line,
        reason: reason.into(),
    }
}

/// A list or mapping that is not yet closed.
enum Open {
    Map {
        map: Map<String, Value>,
        key: Option<String>,
    },
    List(Vec<Value>),
}

#[derive(Default)]
struct Builder {
    parsed: Parsed,
    open: Vec<Open>,
    root: Option<Value>,
    values: usize,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), YamlError> {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Comment(..) => Ok(()),
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    Err(syntax(line, "a second document begins"))
                } else {
                    Ok(())
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) | Event::Anchor(..) => Err(aliases(line)),
            Event::Scalar(text, style, anchor, tag) => {
                refuse_extras(anchor, tag.is_some(), line)?;
                self.scalar(&text, style, line)
            }
            Event::SequenceStart(style, anchor, tag) => {
                refuse_extras(anchor, tag.is_some(), line)?;
                self.begin(Open::List(Vec::new()), style, line)
            }
            Event::MappingStart(style, anchor, tag) => {
                refuse_extras(anchor, tag.is_some(), line)?;
                self.begin(
                    Open::Map {
                        map: Map::new(),
                        key: None,
                    },
                    style,
                    line,
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(line),
            _ => Err(syntax(line, "a kind of YAML that is not known here")),
        }
    }

    fn begin(
        &mut self,
        open: Open,
        style: granit_parser::StructureStyle,
        line: usize,
    ) -> Result<(), YamlError> {
        if matches!(self.open.last(), Some(Open::Map { key: None, .. })) {
            return Err(syntax(line, "a list or mapping stands where a key has to be"));
        }
        if self.open.len() >= MAX_NESTING {
            return Err(YamlError::TooDeep);
        }
        self.parsed.has_flow_style |= style == granit_parser::StructureStyle::Flow;
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self, line: usize) -> Result<(), YamlError> {
        let value = match self.open.pop() {
            Some(Open::Map { map, .. }) => Value::Object(map),
            Some(Open::List(items)) => Value::Array(items),
            None => return Err(syntax(line, "a list or mapping ends that never began")),
        };
        self.put(value)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, line: usize) -> Result<(), YamlError> {
        // PostgreSQL's text and jsonb hold every character but this one, which "\0" in YAML writes.
        let text = text.replace('\0', "\u{FFFD}");
        if let Some(Open::Map { map, key: key @ None }) = self.open.last_mut() {
            if map.contains_key(&text) {
                self.parsed.duplicates.push(text.clone());
            }
            *key = Some(text);
            return Ok(());
        }
        if self.open.is_empty() && !text.is_empty() {
            return Err(syntax(line, "it is not a mapping of keys to values"));
        }
        self.put(if style == ScalarStyle::Plain {
            resolved(text)
        } else {
            Value::String(text)
        })
    }

    fn put(&mut self, value: Value) -> Result<(), YamlError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(YamlError::TooMany);
        }
        match self.open.last_mut() {
            Some(Open::Map { map, key }) => {
                if let Some(key) = key.take() {
                    map.insert(key, value);
                }
            }
            Some(Open::List(items)) => items.push(value),
            None => self.root = Some(value),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Parsed, YamlError> {
        match self.root {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) => self.parsed.map = map,
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                return Err(syntax(1, "it is not a mapping of keys to values"));
            }
        }
        Ok(self.parsed)
    }
}

fn aliases(line: usize) -> YamlError {
    syntax(
        line,
        "anchors (&) and aliases (*) are not taken: put the text in quotes",
    )
}

fn refuse_extras(anchor: usize, has_tag: bool, line: usize) -> Result<(), YamlError> {
    if anchor != 0 {
        Err(aliases(line))
    } else if has_tag {
        Err(syntax(line, "tags (!) are not taken: put the text in quotes"))
    } else {
        Ok(())
    }
}

/// A plain scalar by YAML 1.2's core schema (section 10.3.2), as far as the value writes itself as it was written:
/// `1.10`, `0x1F`, `2026-01-31`, `yes` and `.inf` stay text.
pub(super) fn resolved(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let as_integer = text.parse::<i64>().ok().map(Value::from);
    let number = as_integer.or_else(|| text.parse::<f64>().ok().map(Value::from));
    let written = number.as_ref().map(Value::to_string);
    match number {
        Some(number) if written.as_deref() == Some(text.as_str()) => number,
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn map(text: &str) -> Value {
        Value::Object(parse(text).unwrap().map)
    }

    #[test]
    fn values_stay_what_was_written() {
        assert_eq!(
            map(
                "a: 2026-01-31\nb: 1.10\nc: 1.5\nd: yes\ne: 0x1F\nf: 7\ng:\nh: true\ni: '7'\nj: 1e3\nk: -0\nl: nan"
            ),
            json!({
                "a": "2026-01-31", "b": "1.10", "c": 1.5, "d": "yes", "e": "0x1F", "f": 7, "g": null,
                "h": true, "i": "7", "j": "1e3", "k": "-0", "l": "nan",
            })
        );
    }

    #[test]
    fn lists_and_mappings_nest() {
        assert_eq!(map("a:\n- b\n- {c: [d]}\n"), json!({"a": ["b", {"c": ["d"]}]}));
        assert_eq!(map("# only a comment\n"), json!({}));
    }

    #[test]
    fn the_last_of_two_equal_keys_stays_and_is_reported() {
        let parsed = parse("a: 1\nb: {c: 1, c: 2}\na: 2").unwrap();
        assert_eq!(Value::Object(parsed.map), json!({"a": 2, "b": {"c": 2}}));
        assert_eq!(parsed.duplicates, ["c", "a"]);
    }

    #[test]
    fn what_is_not_a_mapping_is_refused_with_its_line() {
        for (text, line) in [
            ("- a", 1),
            ("just text", 1),
            ("a: b: c", 1),
            ("a: 1\nb: @x", 2),
            ("a: 1\n--- \nb: 2", 2),
            ("a: [", 1),
        ] {
            let found = parse(text);
            assert!(
                matches!(found, Err(YamlError::Syntax { line: l, .. }) if l >= line),
                "{text:?}: {found:?}"
            );
        }
        for text in ["a: *b", "a: &b c", "a: !!str c", "? [a]\n: b", "[a]: b"] {
            assert!(matches!(parse(text), Err(YamlError::Syntax { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_nul_from_an_escape_becomes_a_character_that_databases_hold() {
        assert_eq!(map(r#""a\0": "\0b""#), json!({"a\u{FFFD}": "\u{FFFD}b"}));
    }

    #[test]
    fn bombs_are_refused_and_cost_no_time() {
        let started = Instant::now();
        let aliases: String = (1..30)
            .map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1))
            .collect();
        assert!(matches!(
            parse(&format!("a0: &a0 x\n{aliases}")),
            Err(YamlError::Syntax { .. })
        ));
        let depth = 30_000;
        for text in [
            format!("a: {}", "[".repeat(depth)),
            format!("a: {}", "{a: ".repeat(depth / 2)),
            format!("a:\n {}", "- ".repeat(depth)),
            (0..300).map(|n| format!("{}a:\n", " ".repeat(n))).collect(),
        ] {
            assert_eq!(parse(&text).unwrap_err(), YamlError::TooDeep);
        }
        assert_eq!(
            parse(&format!("a: [{}]", "x,".repeat(depth))).unwrap_err(),
            YamlError::TooMany
        );
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn text_of_yaml_signs_is_answered(text in "[-a:?,{}\\[\\]#&*!|>'\"%@`~<=\\\\ \t\n\r.0\u{85}\u{FEFF}]{0,80}") {
            let _ = parse(&text);
        }
    }
}
