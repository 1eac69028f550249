//! The real program over stdin and stdout, as an assistant starts it.

mod flood;

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
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "wire-test", "version": "9.1"}}});
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    [line(&hello), line(&ready)].concat()
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

/// Says everything, waits until this many lines came back, closes stdin, and returns all that was said.
fn converse(mut child: Child, said: &[u8], answers: usize) -> CommandOutput {
    say(&mut child, said);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    for _ in 0..answers {
        assert_ne!(out.read_line(&mut text).unwrap(), 0, "stdout ended after: {text}");
    }
    drop(child.stdin.take());
    std::io::Read::read_to_string(&mut out, &mut text).unwrap();
    let mut ran = CommandOutput::end(child);
    ran.out = text;
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_stdout_is_json_rpc_and_the_log_holds_no_secret() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    db.skill(acme, "fill-pdf", "Fills in PDF forms.", &[]).await;

    let said = [
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
    let ran = converse(start(&db, key.reveal(), "trace"), &said, 5);

    assert_eq!(ran.code, 0, "{ran:?}");
    let lines = ran.json_lines();
    assert!(lines.iter().all(|line| line["jsonrpc"] == "2.0"), "{lines:?}");
    for id in 1..=5 {
        let answers = lines.iter().filter(|line| line["id"] == id).count();
        assert_eq!(answers, 1, "id {id}: {lines:?}");
    }
    assert!(
        ran.err.contains("record_usage"),
        "nothing was logged: {}",
        ran.err
    );
    assert!(!ran.err.contains(key.reveal()), "the key is in the log");
    // The key's two secret parts, should the log cut it.
    assert!(
        !ran.err.contains(&key.reveal()[30..50]),
        "a part of the key is in the log"
    );
    for argument in ["marzipan-in-the-query", "marzipan-in-the-comment"] {
        assert!(
            !ran.err.contains(argument),
            "{argument} is in the log: {}",
            ran.err
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
async fn without_a_key_that_holds_there_is_one_sentence_on_stderr_and_nothing_on_stdout() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (_, key) = db.key(acme, "ada@example.com", &[Scope::SkillsRead]).await;
    let listed = admin(&db, &["key", "list", "--tenant", "acme", "--json"]).json();
    let id = listed[0]["id"].as_str().unwrap();
    admin(&db, &["key", "revoke", id, "--tenant", "acme"]);

    let cut = &key.reveal()[..key.reveal().len() - 1];
    for (sent, code, says) in [
        (None, 2, "SKILLKEEP_API_KEY is not set"),
        (Some(""), 2, "SKILLKEEP_API_KEY is not set"),
        (Some("hello"), 2, "SKILLKEEP_API_KEY is not valid"),
        (Some(cut), 2, "SKILLKEEP_API_KEY is not valid"),
        (Some(key.reveal()), 4, "SKILLKEEP_API_KEY was rejected"),
    ] {
        let mut command = program_as("skillkeep_app", &db, &["stdio"]);
        if let Some(sent) = sent {
            command.env("SKILLKEEP_API_KEY", sent);
        }
        let ran = CommandOutput::of(&mut command);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{sent:?}: {ran:?}");
        assert!(ran.err.contains(says), "{sent:?}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{sent:?}: {}", ran.err);
        let secret = sent.filter(|sent| sent.len() > 10);
        assert!(
            secret.is_none_or(|secret| !ran.err.contains(secret)),
            "{}",
            ran.err
        );
    }
    assert_eq!(db.events(acme).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_client_closed_its_end_at_once_is_recorded_once() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    db.skill(acme, "fill-pdf", "Fills in PDF forms.", &[]).await;

    // A write, which is brought to its end: its effect and its record are both there.
    let said = [
        initialize(),
        call(
            2,
            "record_usage",
            &json!({"skill": "fill-pdf", "outcome": "helped"}),
        ),
    ]
    .concat();
    let ran = converse(start(&db, key.reveal(), "warn"), &said, 0);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json_lines();
    assert_eq!(
        db.events(acme).await,
        [("record_usage".to_owned(), "ok".to_owned())]
    );
}
