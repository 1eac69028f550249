//! Progress notifications for requests with a progress token, and the W3C trace id of a request.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, Limits};
use tokio::sync::Semaphore;

use super::client::{TRANSPORTS, Transport, WireClient};
use super::{LISTS, reads};
use crate::harness::TestDb;
use crate::helpers::{Wire, test_hook};

/// Longer than any request takes.
const TIMEOUT: Duration = Duration::from_secs(60);

async fn with_a_skill() -> (TestDb, TenantId) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "pdf", "Fills forms.", &[]).await;
    (db, tenant)
}

/// A service whose requests each wait for a permit.
fn blocking_service(db: &TestDb) -> (Arc<CallService>, Arc<Semaphore>) {
    let resume = Arc::new(Semaphore::new(0));
    let hook_resume = Arc::clone(&resume);
    let hook = test_hook(move |_, _| {
        let resume = Arc::clone(&hook_resume);
        async move { resume.acquire().await.unwrap().forget() }.boxed()
    });
    (db.service_with_faults(Limits::default(), hook), resume)
}

/// Reads of a skill, a tool call and the lists.
fn requests() -> Vec<(&'static str, Value)> {
    reads("pdf", "1")
        .into_iter()
        .chain([("tools/call", json!({"name": "whoami", "arguments": {}}))])
        .chain(LISTS.map(|(method, ..)| (method, json!({}))))
        .collect()
}

fn with_token(mut params: Value, token: &Value) -> Value {
    params["_meta"]["progressToken"] = token.clone();
    params
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_sent_only_for_requests_with_token() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in [Transport::InMemory, Transport::Http2026] {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for token in [json!("a token"), json!(7)] {
            for (method, params) in requests() {
                let response = client.request(method, with_token(params, &token)).await;
                assert!(response.result.is_ok(), "{transport:?} {method}");
                let first = &response.notifications[0];
                assert_eq!(
                    first["method"], "notifications/progress",
                    "{transport:?} {method}: {first}"
                );
                assert_eq!(first["params"]["progressToken"], token, "{transport:?} {method}");
                if let Some(media_type) = response.media_type {
                    assert!(media_type.starts_with("text/event-stream"), "{media_type}");
                }
            }
        }
    }
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for (method, params) in requests() {
            let response = client.request(method, params).await;
            assert!(response.result.is_ok());
            assert_eq!(response.notifications, [Value::Null; 0], "{transport:?} {method}");
            if let Some(media_type) = response.media_type {
                assert!(
                    media_type.starts_with("application/json"),
                    "{transport:?}: {media_type}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_progress_arrives_while_the_request_runs() {
    let (db, tenant) = with_a_skill().await;
    let (service, resume) = blocking_service(&db);
    let mut client = WireClient::connect(&service, &db.full_key(tenant).await, Transport::Http2026).await;
    let read = async {
        for (method, params) in requests() {
            let mut response = client.start(method, with_token(params, &json!("t"))).await;
            let mut text = String::new();
            while !text.contains("notifications/progress") {
                let chunk = response.chunk().await.unwrap().expect("the stream ended");
                text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
            assert!(!text.contains("\"result\""), "{method}: {text}");
            resume.add_permits(1);
            let rest = response.text().await.unwrap();
            assert!(rest.contains("\"result\""), "{method}: {rest}");
        }
    };
    tokio::time::timeout(TIMEOUT, read)
        .await
        .expect("no progress notification in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_continues_with_increasing_numbers() {
    let (db, tenant) = with_a_skill().await;
    let (service, resume) = blocking_service(&db);
    let mut wire = Wire::connect(&service, &db.full_key(tenant).await).await;
    let params = with_token(json!({"uri": super::uri("pdf", "1", "SKILL.md")}), &json!("t"));
    wire.send(json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": params}))
        .await;
    let mut numbers: Vec<f64> = Vec::new();
    while numbers.len() < 2 {
        let response = tokio::time::timeout(TIMEOUT, wire.next_message()).await.unwrap();
        assert_eq!(response["method"], "notifications/progress", "{response}");
        assert!(
            response["params"]["message"]
                .as_str()
                .unwrap()
                .contains("resources/read"),
            "{response}"
        );
        numbers.push(response["params"]["progress"].as_f64().unwrap());
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    resume.add_permits(1);
    // Another progress notification may precede the response.
    let answer = wire.receive(1).await;
    assert!(answer["result"]["contents"].is_array(), "{answer}");
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OTHER_TRACE: &str = "1bf7651916cd43dd8448eb211c80319d";

fn traceparent(trace: &str) -> String {
    format!("00-{trace}-b7ad6b7169203331-01")
}

/// The trace id of the newest event.
async fn recorded_trace(db: &TestDb) -> Option<String> {
    db.value("SELECT trace_id FROM usage_events ORDER BY id DESC LIMIT 1")
        .await
}

/// The requests that leave an event.
fn recorded() -> Vec<(&'static str, Value)> {
    requests().into_iter().take(5).collect()
}

fn with_trace(mut params: Value, traceparent: &str) -> Value {
    params["_meta"]["traceparent"] = traceparent.into();
    params
}

#[tokio::test(flavor = "multi_thread")]
async fn event_has_the_trace_id_of_its_request() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for (method, params) in recorded() {
            client.ok(method, params.clone()).await;
            assert_eq!(recorded_trace(&db).await, None, "{transport:?} {method}");
            let traced = with_trace(params.clone(), &traceparent(TRACE));
            client.ok(method, traced.clone()).await;
            assert_eq!(
                recorded_trace(&db).await.as_deref(),
                Some(TRACE),
                "{transport:?} {method}"
            );
            if transport == Transport::InMemory {
                continue;
            }
            client.headers = vec![("traceparent", traceparent(OTHER_TRACE))];
            client.ok(method, params).await;
            let trace = recorded_trace(&db).await;
            assert_eq!(trace.as_deref(), Some(OTHER_TRACE), "{transport:?} {method}");
            // `_meta` takes precedence over the HTTP header.
            client.ok(method, traced).await;
            assert_eq!(
                recorded_trace(&db).await.as_deref(),
                Some(TRACE),
                "{transport:?} {method}"
            );
            client.headers.clear();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_traceparent_is_ignored() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let zeros = "0".repeat(32);
    let malformed = [
        String::new(),
        "hello".to_owned(),
        TRACE.to_owned(),
        format!("00-{TRACE}"),
        format!("00-{TRACE}-b7ad6b7169203331"),
        format!("00-{zeros}-b7ad6b7169203331-01"),
        format!("00-{TRACE}-0000000000000000-01"),
        format!("00-{TRACE}-b7ad6b716920333-01"),
        format!("00-{TRACE}-b7ad6b716920333x-01"),
        format!("00-{}-b7ad6b7169203331-01", &TRACE[1..]),
        format!("00-{}g-b7ad6b7169203331-01", &TRACE[1..]),
        format!("ff-{TRACE}-b7ad6b7169203331-01"),
        format!("zz-{TRACE}-b7ad6b7169203331-01"),
        format!("00-{TRACE}-b7ad6b7169203331-01-more"),
        format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
        "00-".repeat(10_000),
    ];
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        let (method, params) = &recorded()[0];
        for value in &malformed {
            client.ok(method, with_trace(params.clone(), value)).await;
            assert_eq!(recorded_trace(&db).await, None, "{transport:?} {value}");
            if transport != Transport::InMemory {
                client.headers = vec![("traceparent", value.clone())];
                client.ok(method, params.clone()).await;
                assert_eq!(recorded_trace(&db).await, None, "{transport:?} header {value}");
                client.headers.clear();
            }
        }
        // A later version of the header may have more parts (W3C Trace Context, section 3.2.4).
        let later = format!("01-{TRACE}-b7ad6b7169203331-01-more");
        client.ok(method, with_trace(params.clone(), &later)).await;
        assert_eq!(recorded_trace(&db).await.as_deref(), Some(TRACE), "{transport:?}");
    }
}
