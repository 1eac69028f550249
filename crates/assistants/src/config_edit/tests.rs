use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::assistant::Assistant;
use crate::entry::{Endpoint, SecretVariable, Server};

const PROMPT: Prompt = Prompt {
    id: "example-token",
    description: "The token of the example",
};

fn token() -> SecretVariable {
    SecretVariable {
        name: "EXAMPLE_TOKEN",
        prompt: PROMPT,
        value: None,
    }
}

fn entry(assistant: Assistant, endpoint: Endpoint) -> Entry {
    let server = Server {
        name: "example",
        description: "An example",
        endpoint,
    };
    Entry::new(assistant, &server)
}

fn stdio(assistant: Assistant) -> Entry {
    let endpoint = Endpoint::Program {
        command: "/opt/exam ple/bin/example".to_owned(),
        arguments: vec!["stdio".to_owned()],
        secrets: vec![token()],
    };
    entry(assistant, endpoint)
}

fn http(assistant: Assistant) -> Entry {
    let endpoint = Endpoint::Http {
        url: "https://server.example/mcp".to_owned(),
        token: token(),
    };
    entry(assistant, endpoint)
}

/// Inserts an entry, inserts it again, replaces it, removes it, and checks the text after each step.
fn check_round_trip(assistant: Assistant, text: &str, comments: &[String]) -> Result<(), EditError> {
    let (format, section) = (assistant.format(), assistant.section());
    let before = parse(format, text)?;
    let entry = stdio(assistant);
    let inserted = upsert_entry(format, text, section, "example", &entry)?;
    let document = parse(format, &inserted)?;
    assert!(entry.matches(&document[section]["example"]), "{inserted}");
    assert_eq!(
        upsert_entry(format, &inserted, section, "example", &entry)?,
        inserted
    );
    let replaced = upsert_entry(format, &inserted, section, "example", &http(assistant))?;
    let removed = remove_entry(format, &replaced, section, "example", &[PROMPT])?;
    let mut after = parse(format, &removed)?;
    let mut expected = before;
    for document in [&mut expected, &mut after] {
        remove_if_empty(document, section);
        remove_if_empty(document, PROMPTS);
    }
    assert_eq!(after, expected, "{replaced}");
    for text in [&inserted, &replaced, &removed] {
        for comment in comments {
            assert!(text.contains(comment.as_str()), "{comment} is lost in {text}");
        }
    }
    Ok(())
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z \"#/:\\\\{}-]{0,12}".prop_map(Value::from),
    ]
}

fn json_document() -> impl Strategy<Value = Value> {
    let tree = leaf().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z\"/ ]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let map = |tree| {
        prop::collection::hash_map("[a-z\"/]{1,6}", tree, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    };
    (map(tree.clone().boxed()), prop::option::of(map(tree.boxed()))).prop_map(|(mut document, servers)| {
        if let Some(servers) = servers {
            document["servers"] = servers;
        }
        document
    })
}

/// The document as text, with a comment on the marked lines and trailing commas.
fn commented(document: &Value, marks: &[bool]) -> (String, Vec<String>) {
    let mut comments = Vec::new();
    let mut text = String::new();
    let pretty = format!("{document:#}");
    let lines: Vec<&str> = pretty.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        text.push_str(line);
        let next = lines
            .get(number + 1)
            .map(|line| line.trim_start())
            .unwrap_or_default();
        let ends_value = !line.ends_with([',', '{', '[']);
        let marked = marks
            .get(number % marks.len().max(1))
            .copied()
            .unwrap_or_default();
        if marked && ends_value && next.starts_with(['}', ']']) {
            text.push(',');
        }
        if marked {
            let comment = format!("// note {number}.");
            text.push_str(&format!(" {comment}"));
            comments.push(comment);
        }
        text.push('\n');
    }
    (text, comments)
}

fn toml_document() -> impl Strategy<Value = (String, Vec<String>)> {
    let line = ("[a-z]{1,5}", "[a-z #=]{0,8}", any::<bool>());
    let table = (any::<bool>(), prop::collection::vec(line, 0..4));
    prop::collection::vec(table, 0..4).prop_map(|tables| {
        let (mut text, mut comments) = (String::new(), Vec::new());
        for (t, (is_server, lines)) in tables.into_iter().enumerate() {
            let comment = format!("# table {t}.");
            text.push_str(&format!("{comment}\n"));
            comments.push(comment);
            let section = if is_server { "mcp_servers." } else { "" };
            text.push_str(&format!("[{section}t{t}]\n"));
            for (n, (key, value, is_marked)) in lines.into_iter().enumerate() {
                text.push_str(&format!("{key}{n} = \"{value}\""));
                if is_marked {
                    let comment = format!("# line {t} {n}.");
                    text.push_str(&format!(" {comment}"));
                    comments.push(comment);
                }
                text.push('\n');
            }
        }
        (text, comments)
    })
}

fn yaml_document() -> impl Strategy<Value = (String, Vec<String>)> {
    let entry = ("[a-z]{1,5}", "[a-z #:{}'-]{0,10}", any::<bool>());
    let entries = prop::collection::vec(entry, 0..4);
    (
        entries.clone(),
        prop::option::of(entries),
        1..5_usize,
        any::<bool>(),
    )
        .prop_map(|(top, extensions, indent, is_first)| {
            let mut comments = Vec::new();
            let mut lines = Vec::new();
            let margin = " ".repeat(indent);
            let section = |lines: &mut Vec<String>, comments: &mut Vec<String>| {
                let Some(entries) = &extensions else { return };
                lines.push("extensions: # what can be used.".to_owned());
                comments.push("# what can be used.".to_owned());
                for (n, (key, value, is_marked)) in entries.iter().enumerate() {
                    lines.push(format!("{margin}{key}{n}:"));
                    lines.push(format!("{margin}{margin}value: {}", Value::from(value.as_str())));
                    lines.push(format!("{margin}{margin}long: |"));
                    lines.push(format!("{margin}{margin}  extensions:"));
                    if *is_marked {
                        lines.push(format!("{margin}# entry {n}."));
                        comments.push(format!("# entry {n}."));
                    }
                }
            };
            if is_first {
                section(&mut lines, &mut comments);
            }
            for (n, (key, value, is_marked)) in top.iter().enumerate() {
                lines.push(format!(
                    "{}{n}: {}",
                    key.to_uppercase(),
                    Value::from(value.as_str())
                ));
                if *is_marked {
                    lines.push(format!("# top {n}."));
                    comments.push(format!("# top {n}."));
                }
            }
            if !is_first {
                section(&mut lines, &mut comments);
            }
            (lines.join("\n"), comments)
        })
}

proptest! {
    #[test]
    fn jsonc_survives_insert_replace_and_remove(document in json_document(), marks in prop::collection::vec(any::<bool>(), 1..9)) {
        let (text, comments) = commented(&document, &marks);
        check_round_trip(Assistant::Vscode, &text, &comments)?;
    }

    #[test]
    fn toml_survives_insert_replace_and_remove((text, comments) in toml_document()) {
        check_round_trip(Assistant::Codex, &text, &comments)?;
    }

    #[test]
    fn yaml_survives_insert_replace_and_remove((text, comments) in yaml_document()) {
        check_round_trip(Assistant::Goose, &text, &comments)?;
    }

    #[test]
    fn arbitrary_text_is_edited_correctly_or_rejected(
        text in "\\PC{0,80}|[ a-z:{}\\[\\]\"#,\n-]{0,80}",
    ) {
        for assistant in [Assistant::Vscode, Assistant::Codex, Assistant::Goose] {
            let (format, section) = (assistant.format(), assistant.section());
            let entry = stdio(assistant);
            if let Ok(edited) = upsert_entry(format, &text, section, "example", &entry) {
                let document = parse(format, &edited)?;
                prop_assert!(entry.matches(&document[section]["example"]));
            }
        }
    }
}

#[test]
fn section_of_another_type_is_rejected() {
    let rejected = |assistant: Assistant, text: &str| {
        upsert_entry(
            assistant.format(),
            text,
            assistant.section(),
            "example",
            &stdio(assistant),
        )
        .unwrap_err()
    };
    for (assistant, text) in [
        (Assistant::Cursor, "{\"mcpServers\": []}"),
        (Assistant::Cursor, "[]"),
        (Assistant::Codex, "mcp_servers = 1"),
        (Assistant::Goose, "extensions: 1"),
        (Assistant::Goose, "- 1"),
    ] {
        let error = rejected(assistant, text);
        assert!(
            matches!(
                error,
                EditError::NotAMap(_) | EditError::Syntax { .. } | EditError::InlineSection(_)
            ),
            "{text}: {error}"
        );
    }
    assert_eq!(
        rejected(Assistant::Goose, "extensions: {a: {b: c}}"),
        EditError::InlineSection("`extensions`".to_owned())
    );
}

#[test]
fn syntax_error_names_the_line() {
    for (format, text) in [
        (ConfigFormat::Jsonc, "{\n  \"a\": 1,\n  \"b\" 2\n}"),
        (ConfigFormat::Toml, "a = 1\nb = 2\nc = = 3"),
        (ConfigFormat::Yaml, "a: 1\nb: 2\nc: [1"),
    ] {
        let error = parse(format, text).unwrap_err();
        assert!(
            matches!(error, EditError::Syntax { line: 3 | 4, .. }),
            "{text}: {error}"
        );
    }
}

#[test]
fn duplicate_section_is_rejected() {
    let text = "{\"mcpServers\": {}, \"mcpServers\": {\"a\": {}}}";
    let entry = stdio(Assistant::Cursor);
    let outcome = upsert_entry(ConfigFormat::Jsonc, text, "mcpServers", "example", &entry);
    assert_eq!(outcome, Err(EditError::Unsafe));
}

#[test]
fn user_settings_stay_and_old_connection_fields_go() {
    let existing = json!({"command": "old", "args": [], "trust": true, "timeout": 5});
    let entry = http(Assistant::Gemini);
    assert!(!entry.matches(&existing));
    let merged = entry.with_settings_of(Some(&existing)).value.to_json();
    assert_eq!(merged["trust"], true);
    assert_eq!(merged["timeout"], 5);
    assert_eq!(merged.get("command"), None);
    assert!(http(Assistant::Gemini).matches(&merged));
}

#[test]
fn prompt_stays_while_another_entry_refers_to_it() -> Result<(), EditError> {
    let entry = stdio(Assistant::Vscode);
    let remove = |text: &str, name| remove_entry(ConfigFormat::Jsonc, text, "servers", name, &[PROMPT]);
    let one = upsert_entry(ConfigFormat::Jsonc, "", "servers", "one", &entry)?;
    let two = upsert_entry(ConfigFormat::Jsonc, &one, "servers", "two", &entry)?;
    let without_one = remove(&two, "one")?;
    assert!(without_one.contains("promptString"), "{without_one}");
    let without_both = remove(&without_one, "two")?;
    assert!(!without_both.contains("promptString"), "{without_both}");
    Ok(())
}
