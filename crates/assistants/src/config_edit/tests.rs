use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::assistant::Assistant;
use super::*;
use crate::entry::{Endpoint, Entry, KEY, Variable};

fn stdio(client: Assistant) -> Entry {
    Entry::new(
        client,
        &Endpoint::Program {
            command: "/opt/skill keep/bin/skillkeep".to_owned(),
            arguments: vec!["stdio".to_owned()],
            secrets: vec![Variable {
                name: KEY,
                text: None,
            }],
        },
    )
}

fn http(client: Assistant) -> Entry {
    Entry::new(client, &Endpoint::Http("https://skills.example/mcp".to_owned()))
}

/// Puts, puts again, takes, and looks at each step.
fn there_and_back(client: Assistant, text: &str, comments: &[String]) -> Result<(), EditError> {
    let (format, section) = (client.format(), client.section());
    let before = read(format, text)?;
    let entry = stdio(client);
    let once = put(format, text, section, "skillkeep", &entry)?;
    let document = read(format, &once)?;
    assert!(entry.is(&document[section]["skillkeep"]), "{once}");
    assert_eq!(put(format, &once, section, "skillkeep", &entry)?, once);
    let changed = put(format, &once, section, "skillkeep", &http(client))?;
    let mut after = read(format, &take(format, &changed, section, "skillkeep")?)?;
    let mut wanted = before;
    for value in [&mut wanted, &mut after] {
        without_nothing(value, section);
        without_nothing(value, "inputs");
    }
    assert_eq!(after, wanted, "{changed}");
    for text in [&once, &changed, &take(format, &changed, section, "skillkeep")?] {
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

/// The document as a person would have it: with comments between its lines and a trailing comma here and there.
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
    fn json_with_comments_comes_back(document in json_document(), marks in prop::collection::vec(any::<bool>(), 1..9)) {
        let (text, comments) = commented(&document, &marks);
        there_and_back(Assistant::Vscode, &text, &comments)?;
    }

    #[test]
    fn toml_comes_back((text, comments) in toml_document()) {
        there_and_back(Assistant::Codex, &text, &comments)?;
    }

    #[test]
    fn yaml_comes_back((text, comments) in yaml_document()) {
        there_and_back(Assistant::Goose, &text, &comments)?;
    }

    #[test]
    fn no_text_makes_an_editor_stumble(text in "\\PC{0,80}|[ a-z:{}\\[\\]\"#,\n-]{0,80}") {
        for client in [Assistant::Vscode, Assistant::Codex, Assistant::Goose] {
            if let Ok(after) = put(client.format(), &text, client.section(), "skillkeep", &stdio(client)) {
                let document = read(client.format(), &after)?;
                prop_assert!(stdio(client).is(&document[client.section()]["skillkeep"]));
            }
        }
    }
}

#[test]
fn a_section_of_another_kind_is_refused() {
    let refused = |client: Assistant, text: &str| {
        put(
            client.format(),
            text,
            client.section(),
            "skillkeep",
            &stdio(client),
        )
        .unwrap_err()
    };
    for (client, text) in [
        (Assistant::Cursor, "{\"mcpServers\": []}"),
        (Assistant::Cursor, "[]"),
        (Assistant::Codex, "mcp_servers = 1"),
        (Assistant::Goose, "extensions: 1"),
        (Assistant::Goose, "- 1"),
    ] {
        let error = refused(client, text);
        assert!(
            matches!(
                error,
                EditError::NotAMap(_) | EditError::Broken { .. } | EditError::OneLine(_)
            ),
            "{text}: {error}"
        );
    }
    assert_eq!(
        refused(Assistant::Goose, "extensions: {a: {b: c}}"),
        EditError::OneLine("\"extensions\"".to_owned())
    );
}

#[test]
fn the_line_of_a_mistake_is_named() {
    for (format, text) in [
        (ConfigFormat::Jsonc, "{\n  \"a\": 1,\n  \"b\" 2\n}"),
        (ConfigFormat::Toml, "a = 1\nb = 2\nc = = 3"),
        (ConfigFormat::Yaml, "a: 1\nb: 2\nc: [1"),
    ] {
        let error = read(format, text).unwrap_err();
        assert!(
            matches!(error, EditError::Broken { line: 3 | 4, .. }),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_key_that_is_there_twice_is_not_guessed_at() {
    let text = "{\"mcpServers\": {}, \"mcpServers\": {\"a\": {}}}";
    let entry = stdio(Assistant::Cursor);
    let outcome = put(ConfigFormat::Jsonc, text, "mcpServers", "skillkeep", &entry);
    assert_eq!(outcome, Err(EditError::Unsafe));
}

#[test]
fn settings_that_a_user_made_stay_and_another_way_goes() {
    let there = json!({"command": "old", "args": [], "trust": true, "timeout": 5});
    let entry = http(Assistant::Gemini);
    assert!(!entry.is(&there));
    let kept = entry.keeping(Some(&there)).node.to_json();
    assert_eq!(kept["trust"], true);
    assert_eq!(kept["timeout"], 5);
    assert_eq!(kept.get("command"), None);
    assert!(http(Assistant::Gemini).is(&kept));
}

#[test]
fn what_one_entry_asks_for_stays_while_another_needs_it() -> Result<(), EditError> {
    let entry = stdio(Assistant::Vscode);
    let one = put(ConfigFormat::Jsonc, "", "servers", "one", &entry)?;
    let two = put(ConfigFormat::Jsonc, &one, "servers", "two", &entry)?;
    let left = take(ConfigFormat::Jsonc, &two, "servers", "one")?;
    assert!(left.contains("promptString"), "{left}");
    let none = take(ConfigFormat::Jsonc, &left, "servers", "two")?;
    assert!(!none.contains("promptString"), "{none}");
    Ok(())
}
