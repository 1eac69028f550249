//! What the bridge refuses before it sends anything, and lines that are no messages.

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::tenancy::ApiKey;

use super::Laptop;
use crate::command::{CommandOutput, program};

fn some_key() -> ApiKey {
    ApiKey::generate(TenantId::new(), &mut rand::rng())
}

fn refused(arguments: &[&str], key: Option<&str>) -> String {
    let mut command = program(&[&["bridge"], arguments].concat());
    if let Some(key) = key {
        command.env("SKILLKEEP_API_KEY", key);
    }
    let ran = CommandOutput::of(&mut command);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(ran.out, "", "{ran:?}");
    ran.err
}

#[test]
fn without_a_well_formed_key_nothing_starts() {
    let url = "https://skills.example.com";
    for missing in [None, Some("")] {
        assert!(refused(&[url], missing).contains("SKILLKEEP_API_KEY is not set"));
    }
    let key = some_key();
    let cut = &key.reveal()[..key.reveal().len() - 1];
    let words = refused(&[url], Some(cut));
    assert!(words.contains("SKILLKEEP_API_KEY is refused"), "{words}");
    assert!(!words.contains(&cut[30..50]), "{words}");
}

#[test]
fn the_key_is_not_sent_in_the_clear_or_to_what_is_no_address() {
    let key = some_key();
    for (arguments, part) in [
        (["http://skills.example.com"].as_slice(), "--allow-http"),
        (&["skills.example.com"], "https://skills.example.com/mcp"),
        (&["ftp://skills.example.com"], "https:"),
        (&["https://skills.example.com/mcp?api_key=x"], "SKILLKEEP_API_KEY"),
        (
            &["https://skills.example.com", "--ca-file", "/no/such/file.pem"],
            "/no/such/file.pem",
        ),
        (
            &["https://skills.example.com", "--ca-file", "/dev/null"],
            "CERTIFICATE",
        ),
    ] {
        let words = refused(arguments, Some(key.reveal()));
        assert!(words.contains(part), "{arguments:?}: {words}");
        assert!(!words.contains(&key.reveal()[30..50]), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_no_messages_are_answered_here() {
    let key = some_key();
    let mut laptop = Laptop::start_at("http://127.0.0.1:1", key.reveal());
    let long = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "x".repeat(17 << 20)}});
    let batch = json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]);
    for (line, code) in [
        ("\n\n  \nhello".to_owned(), -32700),
        ("{\"jsonrpc\":\"2.0\",".to_owned(), -32700),
        (batch.to_string(), -32600),
        (long.to_string(), -32600),
        ("{\"a\":".repeat(1_000_000), -32700),
    ] {
        laptop.write(line.as_bytes()).await;
        laptop.write(b"\n").await;
        let answer = laptop.next().await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert_eq!(answer["id"], Value::Null);
    }
    laptop.write(b"\"\xff\"\n").await;
    assert_eq!(laptop.next().await["error"]["code"], -32700);
    let ended = laptop.end_well(&key).await;
    assert_eq!(ended.out.lines().count(), 6);
}
