//! The program over stdin and stdout, as an assistant starts it.

mod flood;
mod unreadable;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use skillkeep::tenancy::Scope;

use crate::command::{CommandOutput, admin, program_as, say};
use crate::harness::TestDb;

fn line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

fn initialize() -> Vec<u8> {
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "wire-test", "version": "9.1"}}});
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    [line(&initialize), line(&initialized)].concat()
}

fn call(id: u32, tool: &str, arguments: &Value) -> Vec<u8> {
    line(
        &json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}),
    )
}

fn start(db: &TestDb, key: &str, log: &str) -> Child {
    let mut command = program_as("skillkeep_app", db, &["stdio"]);
    command.env("SKILLKEEP_API_KEY", key).env("SKILLKEEP_LOG", log);
    command.stdin(Stdio::piped()).spawn().unwrap()
}

/// Sends the input, waits for this many lines of output, closes stdin, and returns the whole output.
fn exchange(mut child: Child, input: &[u8], lines: usize) -> CommandOutput {
    say(&mut child, input);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    for _ in 0..lines {
        assert_ne!(
            stdout.read_line(&mut text).unwrap(),
            0,
            "stdout ended after: {text}"
        );
    }
    drop(child.stdin.take());
    std::io::Read::read_to_string(&mut stdout, &mut text).unwrap();
    let mut output = CommandOutput::end(child);
    output.out = text;
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn stdout_is_json_rpc_only_and_log_holds_no_secrets() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    db.skill(acme, "fill-pdf", "Fills in PDF forms.", &[]).await;

    let input = [
        initialize(),
        b"this is no JSON\n{\"jsonrpc\": \n\n".to_vec(),
        call(2, "search_skills", &json!({"query": "marzipan-in-the-query"})),
        call(
            3,
            "record_usage",
            &json!({"skill": "fill-pdf", "outcome": "helped", "comment": "marzipan-in-the-comment"}),
        ),
        call(4, "marzipan-of-a-tool", &json!({})),
        line(&json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"arguments": 7}})),
    ]
    .concat();
    // Five responses, and an error for each line that is not JSON.
    let output = exchange(start(&db, key.reveal(), "trace"), &input, 7);

    assert_eq!(output.code, 0, "{output:?}");
    let lines = output.json_lines();
    assert!(lines.iter().all(|line| line["jsonrpc"] == "2.0"), "{lines:?}");
    for id in 1..=5 {
        let responses = lines.iter().filter(|line| line["id"] == id).count();
        assert_eq!(responses, 1, "id {id}: {lines:?}");
    }
    assert!(
        output.err.contains("record_usage"),
        "nothing was logged: {}",
        output.err
    );
    assert!(!output.err.contains(key.reveal()), "the key is in the log");
    // The log could hold a part of the key.
    assert!(
        !output.err.contains(&key.reveal()[30..50]),
        "a part of the key is in the log"
    );
    for argument in ["marzipan-in-the-query", "marzipan-in-the-comment"] {
        assert!(
            !output.err.contains(argument),
            "{argument} is in the log: {}",
            output.err
        );
    }
    let mut outcomes: Vec<String> = db
        .events(acme)
        .await
        .into_iter()
        .map(|(_, outcome)| outcome)
        .collect();
    outcomes.sort();
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
    assert!(outcomes.contains(&"unknown_tool".to_owned()) && outcomes.contains(&"malformed".to_owned()));
    let client: String = db
        .value("SELECT DISTINCT concat_ws(' ', transport, protocol_version, client_name, client_version) FROM usage_events")
        .await;
    assert_eq!(client, "stdio 2025-11-25 wire-test 9.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_key_prints_one_line_to_stderr_only() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (_, key) = db.key(acme, "ada@example.com", &[Scope::SkillsRead]).await;
    let keys = admin(&db, &["key", "list", "--tenant", "acme", "--json"]).json();
    let id = keys[0]["id"].as_str().unwrap();
    admin(&db, &["key", "revoke", id, "--tenant", "acme"]);

    let truncated = &key.reveal()[..key.reveal().len() - 1];
    for (sent_key, code, message) in [
        (None, 2, "SKILLKEEP_API_KEY is not set"),
        (Some(""), 2, "SKILLKEEP_API_KEY is not set"),
        (Some("hello"), 2, "SKILLKEEP_API_KEY is not valid"),
        (Some(truncated), 2, "SKILLKEEP_API_KEY is not valid"),
        (Some(key.reveal()), 4, "SKILLKEEP_API_KEY was rejected"),
    ] {
        let mut command = program_as("skillkeep_app", &db, &["stdio"]);
        if let Some(key) = sent_key {
            command.env("SKILLKEEP_API_KEY", key);
        }
        let output = CommandOutput::of(&mut command);
        assert_eq!(
            (output.code, output.out.as_str()),
            (code, ""),
            "{sent_key:?}: {output:?}"
        );
        assert!(output.err.contains(message), "{sent_key:?}: {}", output.err);
        assert_eq!(output.err.lines().count(), 1, "{sent_key:?}: {}", output.err);
        let secret = sent_key.filter(|key| key.len() > 10);
        assert!(
            secret.is_none_or(|secret| !output.err.contains(secret)),
            "{}",
            output.err
        );
    }
    assert_eq!(db.events(acme).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn call_is_recorded_once_when_stdin_closes_at_once() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    db.skill(acme, "fill-pdf", "Fills in PDF forms.", &[]).await;

    // A call with side effects runs to its end when the client is gone.
    let input = [
        initialize(),
        call(
            2,
            "record_usage",
            &json!({"skill": "fill-pdf", "outcome": "helped"}),
        ),
    ]
    .concat();
    let output = exchange(start(&db, key.reveal(), "warn"), &input, 0);
    assert_eq!(output.code, 0, "{output:?}");
    output.json_lines();
    assert_eq!(
        db.events(acme).await,
        [("record_usage".to_owned(), "ok".to_owned())]
    );
}
