//! Batches on `/mcp`, which clients of protocol version 2025-03-26 may send.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use skillkeep::tenancy::ApiKey;

use super::limits_by_transport::limited_key;
use super::{Server, set_up};
use crate::harness::TestDb;
use crate::http_server::call;

/// Sends a batch as a client of 2025-03-26, whose requests do not name their version.
async fn send(server: &Server, key: &ApiKey, batch: &Value) -> Response {
    let request = server.request(reqwest::Method::POST, "/mcp").json(batch);
    super::send(request, key).await
}

fn notification() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/initialized"})
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_is_answered_with_one_array_in_order() {
    let (db, key, server) = set_up().await;
    let mut with_progress = call(4, "whoami", &json!({}));
    with_progress["params"]["_meta"] = json!({"progressToken": "p"});
    let batch = json!([
        call(1, "whoami", &json!({})),
        notification(),
        {"jsonrpc": "2.0", "id": "two", "method": "tools/list"},
        call(3, "no_such_tool", &json!({})),
        with_progress,
        {"jsonrpc": "2.0", "id": 5, "method": "initialize", "params": {}},
        {"jsonrpc": "2.0", "id": 6, "method": "subscriptions/listen", "params": {}},
        {"jsonrpc": "1.0", "id": 7, "method": "ping"},
        {"jsonrpc": "2.0", "id": 8, "result": {}},
    ]);
    let response = send(&server, &key, &batch).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    let answers: Vec<Value> = response.json().await.unwrap();
    let outcomes: Vec<(Value, Value)> = answers
        .iter()
        .map(|answer| (answer["id"].clone(), answer["error"]["code"].clone()))
        .collect();
    let expected = [
        (json!(1), Value::Null),
        (json!("two"), Value::Null),
        (json!(3), json!(-32_602)),
        (json!(4), Value::Null),
        (json!(5), json!(-32_600)),
        (json!(6), json!(-32_600)),
        (json!(7), json!(-32_600)),
    ];
    assert_eq!(outcomes, expected, "{answers:?}");
    assert!(
        answers[3]["result"]["structuredContent"].is_object(),
        "{answers:?}"
    );
    assert_eq!(super::event_count(&db).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_without_requests_gets_no_answer() {
    let (_db, key, server) = set_up().await;
    let response = send(&server, &key, &json!([notification(), notification()])).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.text().await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_of_other_version_or_size_is_refused() {
    let (db, key, server) = set_up().await;
    let batch = json!([call(1, "whoami", &json!({}))]);
    let too_long = Value::from(vec![call(1, "whoami", &json!({})); 33]);
    for (version, batch) in [
        (Some("2025-06-18"), &batch),
        (Some("2025-11-25"), &batch),
        (Some("2024-11-05"), &batch),
        (None, &too_long),
        (None, &json!([])),
    ] {
        let mut request = server.request(reqwest::Method::POST, "/mcp").json(batch);
        if let Some(version) = version {
            request = request.header("mcp-protocol-version", version);
        }
        let response = super::send(request, &key).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{version:?}");
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["code"], -32_600, "{error}");
        assert!(error.to_string().contains("Batches"), "{error}");
    }
    assert_eq!(super::event_count(&db).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_a_batch_counts_against_the_limits() {
    let db = TestDb::new().await;
    let key = limited_key(&db, "acme", 2).await;
    let service = db.service();
    let server = Server::start(std::sync::Arc::clone(&service)).await;
    let calls: Vec<Value> = (1..=5).map(|id| call(id, "whoami", &json!({}))).collect();
    let answers: Vec<Value> = send(&server, &key, &calls.into()).await.json().await.unwrap();
    let ids: Vec<i64> = answers
        .iter()
        .map(|answer| answer["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    let refused = answers
        .iter()
        .filter(|answer| answer["error"].to_string().contains("limit of 2 calls"));
    assert_eq!(refused.count(), 3, "{answers:?}");
    service.drain().await;
    let over_limit: i64 = db
        .value("SELECT count(*) FROM usage_events WHERE outcome = 'over_limit'")
        .await;
    assert_eq!((super::event_count(&db).await, over_limit), (5, 3));
}
