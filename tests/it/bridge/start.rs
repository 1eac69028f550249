//! Wrong arguments of the bridge, and lines that are not messages.

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::tenancy::ApiKey;

use super::BridgeClient;
use crate::command::{CommandOutput, program};

fn some_key() -> ApiKey {
    ApiKey::generate(TenantId::new(), &mut rand::rng())
}

fn rejected(arguments: &[&str], key: Option<&str>) -> String {
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
fn missing_or_malformed_key_is_rejected_at_start() {
    let url = "https://skills.example.com";
    for missing in [None, Some("")] {
        assert!(rejected(&[url], missing).contains("SKILLKEEP_API_KEY is not set"));
    }
    let key = some_key();
    let cut = &key.reveal()[..key.reveal().len() - 1];
    let message = rejected(&[url], Some(cut));
    assert!(message.contains("SKILLKEEP_API_KEY is not valid"), "{message}");
    assert!(!message.contains(&cut[30..50]), "{message}");
}

#[test]
fn unencrypted_or_invalid_address_is_rejected_at_start() {
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
        let message = rejected(arguments, Some(key.reveal()));
        assert!(message.contains(part), "{arguments:?}: {message}");
        assert!(!message.contains(&key.reveal()[30..50]), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_lines_are_answered_by_the_bridge_itself() {
    let key = some_key();
    let mut client = BridgeClient::start_at("http://127.0.0.1:1", key.reveal());
    let long = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "x".repeat(17 << 20)}});
    let batch = json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]);
    for (line, code, id) in [
        ("\n\n  \nhello".to_owned(), -32700, Value::Null),
        ("{\"jsonrpc\":\"2.0\",".to_owned(), -32700, Value::Null),
        (batch.to_string(), -32600, Value::Null),
        (long.to_string(), -32600, json!(1)),
        ("{\"a\":".repeat(1_000_000), -32700, Value::Null),
    ] {
        client.write(line.as_bytes()).await;
        client.write(b"\n").await;
        let answer = client.next().await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert_eq!(answer["id"], id);
    }
    client.write(b"\"\xff\"\n").await;
    assert_eq!(client.next().await["error"]["code"], -32700);
    let ended = client.end_well(&key).await;
    assert_eq!(ended.out.lines().count(), 6);
}
