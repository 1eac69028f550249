//! Signs of life while a request runs, for who asked for them, and the trace that a request belongs to.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, ServiceLimits};
use tokio::sync::Semaphore;

use super::client::{Speaker, WAYS, Way};
use super::{LISTS, reads};
use crate::harness::TestDb;
use crate::helpers::{Wire, test_hook};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn with_a_skill() -> (TestDb, TenantId) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "pdf", "Fills forms.", &[]).await;
    (db, tenant)
}

/// A service whose requests each wait for a permit.
fn waiting_door(db: &TestDb) -> (Arc<CallService>, Arc<Semaphore>) {
    let go_on = Arc::new(Semaphore::new(0));
    let inside = Arc::clone(&go_on);
    let block = test_hook(move |_, _| {
        let go_on = Arc::clone(&inside);
        async move { go_on.acquire().await.unwrap().forget() }.boxed()
    });
    (db.service_with_faults(ServiceLimits::default(), block), go_on)
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
async fn who_gives_a_token_is_told_before_the_answer_and_nobody_else_is() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for way in [Way::Memory, Way::New] {
        let mut speaker = Speaker::connect(&service, &key, way).await;
        for token in [json!("a token"), json!(7)] {
            for (method, params) in requests() {
                let told = speaker.ask(method, with_token(params, &token)).await;
                assert!(told.answer.is_ok(), "{way:?} {method}");
                let first = &told.told[0];
                assert_eq!(
                    first["method"], "notifications/progress",
                    "{way:?} {method}: {first}"
                );
                assert_eq!(first["params"]["progressToken"], token, "{way:?} {method}");
                if let Some(media_type) = told.media_type {
                    assert!(media_type.starts_with("text/event-stream"), "{media_type}");
                }
            }
        }
    }
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
        for (method, params) in requests() {
            let told = speaker.ask(method, params).await;
            assert!(told.answer.is_ok());
            assert_eq!(told.told, [Value::Null; 0], "{way:?} {method}");
            if let Some(media_type) = told.media_type {
                assert!(
                    media_type.starts_with("application/json"),
                    "{way:?}: {media_type}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_first_sign_of_life_is_there_while_the_request_still_runs() {
    let (db, tenant) = with_a_skill().await;
    let (service, go_on) = waiting_door(&db);
    let mut speaker = Speaker::connect(&service, &db.full_key(tenant).await, Way::New).await;
    let read = async {
        for (method, params) in requests() {
            let mut response = speaker.begin(method, with_token(params, &json!("t"))).await;
            let mut text = String::new();
            while !text.contains("notifications/progress") {
                let chunk = response.chunk().await.unwrap().expect("the stream ended");
                text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
            assert!(!text.contains("\"result\""), "{method}: {text}");
            go_on.add_permits(1);
            let rest = response.text().await.unwrap();
            assert!(rest.contains("\"result\""), "{method}: {rest}");
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("no sign of life came");
}

#[tokio::test(flavor = "multi_thread")]
async fn signs_of_life_go_on_with_growing_numbers() {
    let (db, tenant) = with_a_skill().await;
    let (service, go_on) = waiting_door(&db);
    let mut wire = Wire::connect(&service, &db.full_key(tenant).await).await;
    let params = with_token(json!({"uri": super::uri("pdf", "1", "SKILL.md")}), &json!("t"));
    wire.send(json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": params}))
        .await;
    let mut numbers: Vec<f64> = Vec::new();
    while numbers.len() < 2 {
        let told = tokio::time::timeout(PATIENCE, wire.next_message()).await.unwrap();
        assert_eq!(told["method"], "notifications/progress", "{told}");
        assert!(
            told["params"]["message"]
                .as_str()
                .unwrap()
                .contains("resources/read"),
            "{told}"
        );
        numbers.push(told["params"]["progress"].as_f64().unwrap());
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    go_on.add_permits(1);
    // Each number once: what follows may be another sign, and then the answer.
    let answer = wire.receive(1).await;
    assert!(answer["result"]["contents"].is_array(), "{answer}");
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OTHER_TRACE: &str = "1bf7651916cd43dd8448eb211c80319d";

fn traceparent(trace: &str) -> String {
    format!("00-{trace}-b7ad6b7169203331-01")
}

/// The trace of the newest event.
async fn recorded_trace(db: &TestDb) -> Option<String> {
    db.value("SELECT trace_id FROM usage_events ORDER BY id DESC LIMIT 1")
        .await
}

/// What is recorded, and so not a list.
fn recorded() -> Vec<(&'static str, Value)> {
    requests().into_iter().take(5).collect()
}

fn with_trace(mut params: Value, traceparent: &str) -> Value {
    params["_meta"]["traceparent"] = traceparent.into();
    params
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_that_a_request_names_is_in_its_event() {
    let (db, tenant) = with_a_skill().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
        for (method, params) in recorded() {
            speaker.ok(method, params.clone()).await;
            assert_eq!(recorded_trace(&db).await, None, "{way:?} {method}");
            let traced = with_trace(params.clone(), &traceparent(TRACE));
            speaker.ok(method, traced.clone()).await;
            assert_eq!(
                recorded_trace(&db).await.as_deref(),
                Some(TRACE),
                "{way:?} {method}"
            );
            if way == Way::Memory {
                continue;
            }
            speaker.headers = vec![("traceparent", traceparent(OTHER_TRACE))];
            speaker.ok(method, params).await;
            let trace = recorded_trace(&db).await;
            assert_eq!(trace.as_deref(), Some(OTHER_TRACE), "{way:?} {method}");
            // The request's own word is nearer to it than that of who carried it.
            speaker.ok(method, traced).await;
            assert_eq!(
                recorded_trace(&db).await.as_deref(),
                Some(TRACE),
                "{way:?} {method}"
            );
            speaker.headers.clear();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_is_not_well_formed_is_none() {
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
    for way in WAYS {
        let mut speaker = Speaker::connect(&service, &key, way).await;
        let (method, params) = &recorded()[0];
        for value in &malformed {
            speaker.ok(method, with_trace(params.clone(), value)).await;
            assert_eq!(recorded_trace(&db).await, None, "{way:?} {value}");
            if way != Way::Memory {
                speaker.headers = vec![("traceparent", value.clone())];
                speaker.ok(method, params.clone()).await;
                assert_eq!(recorded_trace(&db).await, None, "{way:?} header {value}");
                speaker.headers.clear();
            }
        }
        // A later version of the header may have more parts (W3C Trace Context, section 3.2.4).
        let later = format!("01-{TRACE}-b7ad6b7169203331-01-more");
        speaker.ok(method, with_trace(params.clone(), &later)).await;
        assert_eq!(recorded_trace(&db).await.as_deref(), Some(TRACE), "{way:?}");
    }
}
