//! `skillkeep call`: one tool call over each transport, its output and its exit codes.

mod sse_upstream;

use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::{Value, json};
use skillkeep::tenancy::{ApiKey, Scope};

use crate::command::{CommandOutput, program, program_as, say};
use crate::harness::TestDb;
use crate::http_server;

const TRANSPORTS: [&str; 3] = ["stdio", "http", "sse"];

/// A database with a skill, and a key that may read.
async fn registry() -> (TestDb, ApiKey) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let (_, key) = db.key(tenant, "ada@example.com", &[Scope::SkillsRead]).await;
    db.skill(tenant, "fill-pdf", "Fills in PDF forms.", &[]).await;
    (db, key)
}

/// Calls the registry in the database.
fn call_local(db: &TestDb, key: &ApiKey, arguments: &[&str]) -> CommandOutput {
    let mut command = program_as("skillkeep_app", db, &[&["call"], arguments].concat());
    let output = CommandOutput::of(command.env("SKILLKEEP_API_KEY", key.reveal()));
    assert_key_is_hidden(&output, key);
    output
}

/// Calls the registry at the address.
fn call_remote(at: SocketAddr, key: &ApiKey, arguments: &[&str]) -> CommandOutput {
    let url = format!("http://{at}");
    let mut command = program(&[&["call", "--url", &url], arguments].concat());
    let output = CommandOutput::of(command.env("SKILLKEEP_API_KEY", key.reveal()));
    assert_key_is_hidden(&output, key);
    output
}

fn assert_key_is_hidden(output: &CommandOutput, key: &ApiKey) {
    for text in [&output.out, &output.err] {
        assert!(!text.contains(&key.reveal()[30..]), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_prints_the_structured_result_over_every_transport() {
    let (db, key) = registry().await;
    let at = http_server::serve(&db.service()).await;
    let expected = call_local(&db, &key, &["get_skill", r#"{"skill": "fill-pdf"}"#]).json();
    assert_eq!(expected["skill"], "fill-pdf", "{expected}");
    for transport in TRANSPORTS {
        let arguments = ["get_skill", r#"{"skill": "fill-pdf"}"#, "--transport", transport];
        let local = call_local(&db, &key, &arguments);
        let remote = call_remote(at, &key, &arguments);
        for output in [local, remote] {
            assert_eq!(
                (output.code, output.err.as_str()),
                (0, ""),
                "{transport}: {output:?}"
            );
            assert_eq!(output.json(), expected, "{transport}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_code_says_how_the_call_ended_over_every_transport() {
    let (db, key) = registry().await;
    let at = http_server::serve(&db.service()).await;
    for transport in TRANSPORTS {
        for (tool, arguments, code, message) in [
            (
                "get_skill",
                r#"{"skill": "attic"}"#,
                3,
                "There is no skill \"attic\"",
            ),
            (
                "get_skill",
                r#"{"skill": "fill-pdf", "file": "attic.md"}"#,
                1,
                "has no file",
            ),
            ("get_skill", r#"{"slug": "fill-pdf"}"#, 2, "unknown field `slug`"),
            ("attic", "{}", 2, "Unknown tool"),
            ("get_skill", "fill-pdf", 2, "not valid JSON"),
            ("usage_report", "{}", 4, "lacks the scope usage:read"),
        ] {
            let output = call_remote(at, &key, &[tool, arguments, "--transport", transport]);
            assert_eq!(output.code, code, "{transport} {tool} {arguments}: {output:?}");
            assert!(output.err.starts_with("error: "), "{output:?}");
            assert!(output.err.contains(message), "{output:?}");
            assert_eq!(output.out, "");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_key_and_silent_address_have_their_exit_codes() {
    let (db, _) = registry().await;
    let at = http_server::serve(&db.service()).await;
    let unknown = {
        let other = TestDb::new().await;
        let tenant = other.tenant("other").await;
        other.full_key(tenant).await
    };
    for transport in TRANSPORTS {
        let arguments = ["whoami", "--transport", transport];
        for rejected in [
            call_local(&db, &unknown, &arguments),
            call_remote(at, &unknown, &arguments),
        ] {
            assert_eq!(rejected.code, 4, "{transport}: {rejected:?}");
            assert!(rejected.err.contains("API key"), "{transport}: {rejected:?}");
        }
        // Nothing listens on port 9 of the loopback interface.
        let silent = call_remote(SocketAddr::from(([127, 0, 0, 1], 9)), &unknown, &arguments);
        assert_eq!(silent.code, 5, "{transport}: {silent:?}");
        assert!(silent.err.contains("unreachable"), "{silent:?}");
        assert_eq!(
            silent.err.lines().count(),
            1,
            "the error is told once: {silent:?}"
        );
    }
    let without_key = CommandOutput::of(&mut program(&["call", "whoami"]));
    assert_eq!(without_key.code, 2);
    assert!(
        without_key.err.contains("skillkeep key create"),
        "{without_key:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_read_from_stdin() {
    let (db, key) = registry().await;
    let mut command = program_as("skillkeep_app", &db, &["call", "search_skills", "-"]);
    command
        .env("SKILLKEEP_API_KEY", key.reveal())
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    say(&mut child, br#"{"query": "pdf"}"#);
    drop(child.stdin.take());
    let output = CommandOutput::end(child);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.json()["hits"][0]["skill"], "fill-pdf");
}

#[tokio::test(flavor = "multi_thread")]
async fn list_shows_the_tools_with_their_arguments() {
    let (db, key) = registry().await;
    for transport in TRANSPORTS {
        let output = call_local(&db, &key, &["--list", "--transport", transport]);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(
            output.out.contains("\n  skill (string, required): "),
            "{}",
            output.out
        );
        let tools = call_local(&db, &key, &["--list", "--json", "--transport", transport]).json();
        let names: Vec<&Value> = tools
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| &tool["name"])
            .collect();
        assert!(names.contains(&&json!("search_skills")), "{names:?}");
    }
}
