//! Parses the subset of YAML that a front matter needs into JSON values.
//!
//! Uses the events of a YAML parser instead of serde, for three reasons: a version `1.10` and a date keep their text,
//! aliases are rejected (so no input expands in memory), and the limits apply while parsing.

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

use crate::limits::{MAX_YAML_NESTING, MAX_YAML_VALUES};

#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) map: Map<String, Value>,
    /// Keys that occur more than once in the same mapping.
    pub(crate) duplicates: Vec<String>,
    /// Whether there are lists or mappings in brackets (YAML's flow style).
    pub(crate) has_flow_style: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum YamlError {
    /// Deeper than [`MAX_YAML_NESTING`].
    TooDeep,
    /// More than [`MAX_YAML_VALUES`].
    TooManyValues,
    /// Invalid YAML, or YAML outside of the supported subset.
    Syntax { line: usize, reason: String },
}

/// Parses one document whose root is a mapping with scalar keys. An empty document is an empty mapping.
///
/// Line numbers start at 1. The last value of a duplicate key is kept.
pub(crate) fn parse(text: &str) -> Result<Parsed, YamlError> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    // The builder rejects MAX_YAML_NESTING + 1 levels. The parser's own limit is needed too: it applies before the
    // parser queues a closing token for each level.
    options.flow_nesting_limit = MAX_YAML_NESTING + 1;
    options.block_nesting_limit = MAX_YAML_NESTING + 1;
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
                YamlError::TooDeep
            } else {
                syntax(error.marker().line(), error.kind().to_string())
            }
        })?;
        builder.handle(event, span.start.line())?;
    }
    builder.finish()
}

fn syntax(line: usize, reason: impl Into<String>) -> YamlError {
    YamlError::Syntax {
        line,
        reason: reason.into(),
    }
}

/// A list or mapping whose end was not reached yet.
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
    fn handle(&mut self, event: Event<'_>, line: usize) -> Result<(), YamlError> {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Comment(..) => Ok(()),
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    Err(syntax(line, "a second document starts here"))
                } else {
                    Ok(())
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) | Event::Anchor(..) => Err(alias_error(line)),
            Event::Scalar(text, style, anchor, tag) => {
                reject_anchor_and_tag(anchor, tag.is_some(), line)?;
                self.scalar(&text, style, line)
            }
            Event::SequenceStart(style, anchor, tag) => {
                reject_anchor_and_tag(anchor, tag.is_some(), line)?;
                self.begin(Open::List(Vec::new()), style, line)
            }
            Event::MappingStart(style, anchor, tag) => {
                reject_anchor_and_tag(anchor, tag.is_some(), line)?;
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
            _ => Err(syntax(line, "unsupported YAML")),
        }
    }

    fn begin(
        &mut self,
        open: Open,
        style: granit_parser::StructureStyle,
        line: usize,
    ) -> Result<(), YamlError> {
        if matches!(self.open.last(), Some(Open::Map { key: None, .. })) {
            return Err(syntax(line, "a list or mapping is used as a key"));
        }
        if self.open.len() >= MAX_YAML_NESTING {
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
            None => return Err(syntax(line, "unexpected end of a list or mapping")),
        };
        self.put(value)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, line: usize) -> Result<(), YamlError> {
        // "\0" in YAML gives a NUL, the only character that PostgreSQL's text and jsonb cannot store.
        let text = text.replace('\0', "\u{FFFD}");
        if let Some(Open::Map { map, key: key @ None }) = self.open.last_mut() {
            if map.contains_key(&text) {
                self.parsed.duplicates.push(text.clone());
            }
            *key = Some(text);
            return Ok(());
        }
        if self.open.is_empty() && !text.is_empty() {
            return Err(syntax(line, "the document is not a mapping of keys to values"));
        }
        self.put(if style == ScalarStyle::Plain {
            resolve(text)
        } else {
            Value::String(text)
        })
    }

    fn put(&mut self, value: Value) -> Result<(), YamlError> {
        self.values += 1;
        if self.values > MAX_YAML_VALUES {
            return Err(YamlError::TooManyValues);
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
                return Err(syntax(1, "the document is not a mapping of keys to values"));
            }
        }
        Ok(self.parsed)
    }
}

fn alias_error(line: usize) -> YamlError {
    syntax(
        line,
        "anchors (&) and aliases (*) are not supported: put the text in quotes",
    )
}

fn reject_anchor_and_tag(anchor: usize, has_tag: bool, line: usize) -> Result<(), YamlError> {
    if anchor != 0 {
        Err(alias_error(line))
    } else if has_tag {
        Err(syntax(line, "tags (!) are not supported: put the text in quotes"))
    } else {
        Ok(())
    }
}

/// Resolves a plain scalar by YAML 1.2's core schema (section 10.3.2). A number that would be written differently
/// stays text: `1.10`, `0x1F`. So do `2026-01-31`, `yes` and `.inf`.
fn resolve(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let integer = text.parse::<i64>().ok().map(Value::from);
    let number = integer.or_else(|| text.parse::<f64>().ok().map(Value::from));
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
    fn scalars_keep_their_written_form() {
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
    fn lists_and_mappings_are_nested() {
        assert_eq!(map("a:\n- b\n- {c: [d]}\n"), json!({"a": ["b", {"c": ["d"]}]}));
        assert_eq!(map("# only a comment\n"), json!({}));
    }

    #[test]
    fn last_value_of_duplicate_key_is_kept_and_reported() {
        let parsed = parse("a: 1\nb: {c: 1, c: 2}\na: 2").unwrap();
        assert_eq!(Value::Object(parsed.map), json!({"a": 2, "b": {"c": 2}}));
        assert_eq!(parsed.duplicates, ["c", "a"]);
    }

    #[test]
    fn unsupported_yaml_is_rejected_with_its_line() {
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
    fn escaped_nul_becomes_replacement_character() {
        assert_eq!(map(r#""a\0": "\0b""#), json!({"a\u{FFFD}": "\u{FFFD}b"}));
    }

    #[test]
    fn alias_and_nesting_bombs_are_rejected_quickly() {
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
            YamlError::TooManyValues
        );
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
    }

    proptest! {
        #[test]
        fn any_text_is_accepted_or_rejected(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn text_of_yaml_indicators_is_accepted_or_rejected(text in "[-a:?,{}\\[\\]#&*!|>'\"%@`~<=\\\\ \t\n\r.0\u{85}\u{FEFF}]{0,80}") {
            let _ = parse(&text);
        }
    }
}
