//! Batches, which clients of protocol version 2025-03-26 may send.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use super::cancelling::{blocking_service, wait_for};
use super::{BridgeClient, Registry, initialize, legacy, set_up, usage_events, whoami};
use crate::command::program_as;
use crate::harness::TestDb;

const BATCH_VERSION: &str = "2025-03-26";

/// A request that starts a connection with this protocol version.
fn greet(version: &str) -> Value {
    let mut request = initialize(1);
    request["params"]["protocolVersion"] = version.into();
    request
}

async fn connected(registry: &Registry, key: &skillkeep::tenancy::ApiKey) -> BridgeClient {
    let mut client = BridgeClient::start(registry.address, key);
    let answer = client.ask(&greet(BATCH_VERSION)).await;
    assert_eq!(answer["result"]["protocolVersion"], BATCH_VERSION, "{answer}");
    client
}

fn call(id: u64) -> Value {
    legacy(id, "tools/call", &whoami())
}

fn ping(id: u64) -> Value {
    legacy(id, "ping", &json!({}))
}

fn cancellation(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
}

fn notification() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/initialized"})
}

/// What a client learns from a line, in the order of the ids: error codes and texts, or the tenant of a result.
fn outcomes(line: &Value) -> Vec<(Value, Value, Value)> {
    let answers = line
        .as_array()
        .map_or_else(|| std::slice::from_ref(line), Vec::as_slice);
    let mut outcomes: Vec<(Value, Value, Value)> = answers
        .iter()
        .map(|answer| {
            (
                answer["id"].clone(),
                answer["error"].clone(),
                answer["result"]["structuredContent"]["tenant"].clone(),
            )
        })
        .collect();
    outcomes.sort_by_key(|outcome| format!("{outcome:?}"));
    outcomes
}

/// The ids in an array of answers.
fn ids(line: &Value) -> Vec<u64> {
    let answers = line
        .as_array()
        .unwrap_or_else(|| panic!("this is no array: {line}"));
    let mut ids: Vec<u64> = answers
        .iter()
        .map(|answer| answer["id"].as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_is_answered_with_one_array() {
    let (db, key) = set_up().await;
    let registry = Registry::start(&db.service()).await;
    let mut client = BridgeClient::start(registry.address, &key);
    let mut with_progress = call(3);
    with_progress["params"]["_meta"] = json!({"progressToken": "p"});
    let batch = json!([call(2), notification(), with_progress, ping(4), {"jsonrpc": "1.0", "id": 5, "method": "ping"}]);
    // The version is not known yet when the bridge reads the batch.
    client
        .write(format!("{}\n{batch}\n", greet(BATCH_VERSION)).as_bytes())
        .await;
    let greeting = client.next().await;
    assert_eq!(greeting["result"]["protocolVersion"], BATCH_VERSION, "{greeting}");
    let progress = client.next().await;
    assert_eq!(progress["method"], "notifications/progress", "{progress}");
    assert_eq!(progress["params"]["progressToken"], "p", "{progress}");
    let answers = client.next_line().await;
    assert_eq!(ids(&answers), [2, 3, 4, 5], "{answers}");
    for answer in answers.as_array().unwrap() {
        let refused = answer["id"] == 5;
        assert_eq!(answer["error"]["code"] == -32_600, refused, "{answer}");
        assert_eq!(answer["result"].is_null(), refused, "{answer}");
    }
    assert_eq!(
        usage_events(&db).await,
        ["whoami ok http 2025-03-26 Test-Client 9.1"; 2].join("; "),
    );
    let ended = client.end_well(&key).await;
    assert_eq!(ended.out.lines().count(), 3, "{}", ended.out);
}

/// The same lines as the bridge gets, and the server without a bridge.
fn lines() -> Vec<(&'static str, Value)> {
    let twice = json!([call(2), ping(3), call(2)]);
    let alone = json!([
        call(2),
        legacy(3, "initialize", &json!({})),
        legacy(4, "subscriptions/listen", &json!({}))
    ]);
    let invalid = json!([{"id": 2}, 7, [ping(3)], {"jsonrpc": "2.0", "id": null, "method": "ping"}, call(4)]);
    vec![
        (BATCH_VERSION, json!([call(2)])),
        (
            BATCH_VERSION,
            json!([call(2), legacy(3, "tools/call", &json!({"name": "no_such_tool"}))]),
        ),
        (BATCH_VERSION, twice),
        (BATCH_VERSION, alone),
        (BATCH_VERSION, invalid),
        (BATCH_VERSION, json!([{"id": 2}])),
        (BATCH_VERSION, json!([cancellation(2), call(2)])),
        (BATCH_VERSION, json!([])),
        (BATCH_VERSION, vec![ping(2); 33].into()),
        ("2024-11-05", json!([call(2)])),
        ("2025-06-18", json!([call(2)])),
        ("2025-11-25", json!([])),
    ]
}

/// A server over stdio without a bridge.
fn direct(db: &TestDb, key: &str) -> BridgeClient {
    let mut command = program_as("skillkeep_app", db, &["stdio"]);
    command.env("SKILLKEEP_API_KEY", key).stdin(Stdio::piped());
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    BridgeClient::of(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_answered_as_without_a_bridge() {
    let (db, key) = set_up().await;
    let registry = Registry::start(&db.service()).await;
    for (version, line) in lines() {
        let mut answers = Vec::new();
        for mut client in [
            BridgeClient::start(registry.address, &key),
            direct(&db, key.reveal()),
        ] {
            client.ask(&greet(version)).await;
            client
                .write(format!("{}\n{line}\n", notification()).as_bytes())
                .await;
            let answer = client.next_line().await;
            // The next line is the answer to the ping, so the batch had one line.
            let after = client.ask(&ping(9)).await;
            assert!(after["result"].is_object(), "{after}");
            client.end_well(&key).await;
            let is_split = version == BATCH_VERSION && line[0].is_object() && line[32].is_null();
            assert_eq!(answer.is_array(), is_split, "{answer}");
            answers.push(outcomes(&answer));
        }
        assert_eq!(answers[0], answers[1], "{version}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_of_notifications_has_no_answer() {
    let (db, key) = set_up().await;
    let registry = Registry::start(&db.service()).await;
    let mut client = connected(&registry, &key).await;
    client.send(&json!([notification(), cancellation(7)])).await;
    client.send(&json!([notification(), ping(2)])).await;
    let answers = client.next_line().await;
    assert_eq!(ids(&answers), [2], "{answers}");
    let ended = client.end_well(&key).await;
    assert_eq!(ended.out.lines().count(), 2, "{}", ended.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_request_has_no_answer_in_the_array() {
    let (db, key) = set_up().await;
    let (service, begun, go) = blocking_service(&db);
    let registry = Registry::start(&service).await;
    let mut client = connected(&registry, &key).await;
    client.send(&json!([call(2), ping(3), call(4)])).await;
    wait_for(&begun).await;
    wait_for(&begun).await;
    // The other requests of the batch are answered, so the cancellation completes it.
    client.send(&cancellation(2)).await;
    client.send(&json!([cancellation(4)])).await;
    let answers = client.next_line().await;
    assert_eq!(ids(&answers), [3], "{answers}");
    // A batch of which nothing is left has no answer, and its ids can be used again.
    client.send(&json!([call(2), call(4)])).await;
    wait_for(&begun).await;
    wait_for(&begun).await;
    client.send(&json!([cancellation(2), cancellation(4)])).await;
    go.add_permits(100);
    let answer = client.ask(&call(2)).await;
    assert_eq!(
        answer["result"]["structuredContent"]["tenant"], "acme",
        "{answer}"
    );
    let ended = client.end_well(&key).await;
    assert_eq!(ended.out.lines().count(), 3, "{}", ended.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_in_flight_are_refused_in_a_batch_and_after_it() {
    let (db, key) = set_up().await;
    let (service, begun, go) = blocking_service(&db);
    let registry = Registry::start(&service).await;
    let mut client = connected(&registry, &key).await;
    client.send(&call(2)).await;
    wait_for(&begun).await;
    client.send(&json!([ping(2), call(3)])).await;
    wait_for(&begun).await;
    client.send(&ping(3)).await;
    let refused = client.next().await;
    assert!(
        refused["id"].is_null() && refused["error"]["code"] == -32_600,
        "{refused}"
    );
    go.add_permits(2);
    let (mut one, mut array) = (client.next_line().await, client.next_line().await);
    if one.is_array() {
        std::mem::swap(&mut one, &mut array);
    }
    assert_eq!(one["id"], 2, "{one}");
    assert!(one["result"].is_object(), "{one}");
    let array = array.as_array().unwrap();
    assert_eq!(array.len(), 2, "{array:?}");
    assert!(
        array[0]["id"].is_null() && array[0]["error"]["code"] == -32_600,
        "{array:?}"
    );
    assert!(array[1]["id"] == 3 && array[1]["result"].is_object(), "{array:?}");
    client.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn number_of_open_batches_is_bounded() {
    let (db, key) = set_up().await;
    let (service, _begun, go) = blocking_service(&db);
    let registry = Registry::start(&service).await;
    let mut client = connected(&registry, &key).await;
    for id in 11..19 {
        client.send(&json!([call(id)])).await;
    }
    client.send(&json!([call(19)])).await;
    let refused = client.next().await;
    assert!(refused["id"].is_null(), "{refused}");
    assert!(
        refused["error"]["message"]
            .to_string()
            .contains("Too many batches"),
        "{refused}"
    );
    go.add_permits(100);
    let mut answered = Vec::new();
    for _ in 11..19 {
        answered.extend(ids(&client.next_line().await));
    }
    answered.sort_unstable();
    assert_eq!(answered, (11..19).collect::<Vec<u64>>());
    client.send(&json!([call(20)])).await;
    assert_eq!(ids(&client.next_line().await), [20]);
    client.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_registry_is_the_answer_to_each_request() {
    let (db, key) = set_up().await;
    let registry = Registry::start(&db.service()).await;
    let mut client = connected(&registry, &key).await;
    registry.stop().await;
    client.send(&json!([call(2), notification(), ping(3)])).await;
    let answers = client.next_line().await;
    assert_eq!(ids(&answers), [2, 3], "{answers}");
    for answer in answers.as_array().unwrap() {
        assert_eq!(answer["error"]["code"], -31_010, "{answer}");
    }
    client.end_well(&key).await;
}
