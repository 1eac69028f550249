//! Lines that the bridge or the registry could not read, and addresses with a slash at the end.

use serde_json::{Value, json};

use super::{BridgeClient, Registry, initialize, legacy, set_up, whoami};

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_line_is_answered_and_reported_without_its_content() {
    let (db, key) = set_up().await;
    let registry = Registry::start(&db.service()).await;
    let mut client = BridgeClient::start(registry.address, &key);
    client.ask(&initialize(1)).await;
    for (line, code, id) in [
        ("{not marzipan\n", -32_700, Value::Null),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"marzipan\",\"params\":[1e400]}\n",
            -32_602,
            json!(2),
        ),
    ] {
        client.write(line.as_bytes()).await;
        let answer = client.next().await;
        assert_eq!(
            (&answer["error"]["code"], &answer["id"]),
            (&json!(code), &id),
            "{answer}"
        );
    }
    let ended = client.end_well(&key).await;
    assert!(
        ended.err.contains("-32700") && ended.err.contains("-32602"),
        "{}",
        ended.err
    );
    assert!(!ended.err.contains("marzipan"), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_surrogate_pair_is_answered_as_the_replacement_character() {
    let (db, key) = set_up().await;
    let registry = Registry::start(&db.service()).await;
    let mut client = BridgeClient::start(registry.address, &key);
    client.ask(&initialize(1)).await;
    let search = legacy(
        2,
        "tools/call",
        &json!({"name": "search_skills", "arguments": {"query": "HALF"}}),
    );
    let search = search.to_string().replace("HALF", "\\ud83d");
    // The last line has no line feed.
    client.write(search.as_bytes()).await;
    let ended = client.end_well(&key).await;
    let answer: Value = serde_json::from_str(ended.out.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&answer["id"], &answer["result"]["isError"]),
        (&json!(2), &json!(false)),
        "{answer}"
    );
    let text: String = db
        .value("SELECT arguments->>'search_text' FROM usage_events")
        .await;
    assert_eq!(text, "\u{fffd}");
}

#[tokio::test(flavor = "multi_thread")]
async fn address_with_slash_at_its_end_works() {
    let (db, key) = set_up().await;
    let registry = Registry::start(&db.service()).await;
    for path in ["/mcp/", "/", "//"] {
        let url = format!("http://{}{path}", registry.address);
        let mut client = BridgeClient::start_at(&url, &format!(" {}\n", key.reveal()));
        client.ask(&initialize(1)).await;
        let answer = client.ask(&legacy(2, "tools/call", &whoami())).await;
        assert_eq!(answer["result"]["isError"], false, "{path}: {answer}");
        client.end_well(&key).await;
    }
}
