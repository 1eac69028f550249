//! HTTP+SSE of protocol version 2024-11-05: sessions, their limits, and requests with foreign or revoked API keys.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use skillkeep::server::ServiceLimits;
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::HttpOptions;
use skillkeep::transport::sse::SseOptions;
use tokio_util::sync::CancellationToken;

use crate::command::admin;
use crate::harness::TestDb;
use crate::helpers::{events_after, test_hook};
use crate::http::stopping::blocked_service;
use crate::http_server::{Agent, PATIENCE, TestHttpServer, assert_call_succeeds, call};

fn with_sse(sse: SseOptions) -> HttpOptions {
    HttpOptions {
        sse: Some(sse),
        ..HttpOptions::default()
    }
}

/// All usage events: tool, outcome, transport, protocol version and client.
async fn usage_events(db: &TestDb) -> Vec<[String; 5]> {
    let rows = db
        .superuser()
        .await
        .query(
            "SELECT tool, outcome, transport, protocol_version, client_name FROM usage_events ORDER BY id",
            &[],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| std::array::from_fn(|column| row.get(column)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sse_client_calls_tools_and_events_name_its_transport() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let service = db.service();
    let served = TestHttpServer::start(service.clone(), HttpOptions::default()).await;
    let mut agent = Agent::greet(served.at, &key).await;
    let tools = agent
        .ask(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}))
        .await;
    assert!(tools["result"]["tools"].as_array().unwrap().len() > 5, "{tools}");
    let whoami = agent.ask(&call(2, "whoami", &json!({}))).await;
    let text = whoami["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("acme"), "{whoami}");
    agent
        .ask(&call(3, "search_skills", &json!({"query": "pdf"})))
        .await;
    let invalid = agent.ask(&call(4, "search_skills", &json!({"query": 7}))).await;
    assert!(
        invalid["error"].is_object() || invalid["result"]["isError"] == true,
        "{invalid}"
    );
    service.drain().await;
    let events = usage_events(&db).await;
    let tools: Vec<&str> = events.iter().map(|event| event[0].as_str()).collect();
    assert_eq!(tools, ["whoami", "search_skills", "search_skills"]);
    for event in &events {
        assert_eq!(event[2..], ["sse", "2024-11-05", "old-agent"], "{events:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_key_gets_same_response_as_for_unknown_session() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (key, sibling) = (db.full_key(acme).await, db.full_key(acme).await);
    let foreign = db.full_key(db.tenant("globex").await).await;
    let served = TestHttpServer::start(db.service(), HttpOptions::default()).await;
    let mut agent = Agent::greet(served.at, &key).await;
    let message = call(5, "whoami", &json!({}));
    let mut rejections = Vec::new();
    for other in [&sibling, &foreign] {
        let response = agent.message(other).json(&message).send().await.unwrap();
        rejections.push((response.status(), response.text().await.unwrap()));
    }
    let endpoint = std::mem::replace(&mut agent.endpoint, "/messages?sessionId=0".to_owned());
    for unknown in ["/messages?sessionId=0", "/messages"] {
        unknown.clone_into(&mut agent.endpoint);
        let response = agent.message(&key).json(&message).send().await.unwrap();
        rejections.push((response.status(), response.text().await.unwrap()));
    }
    for rejection in &rejections {
        assert_eq!(
            rejection, &rejections[0],
            "the response reveals that the session exists"
        );
        assert_eq!(rejection.0, StatusCode::NOT_FOUND);
    }
    agent.endpoint = endpoint;
    let without_key = reqwest::Client::new()
        .post(format!("http://{}{}", served.at, agent.endpoint))
        .json(&message);
    assert_eq!(
        without_key.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(db.value::<i64>("SELECT count(*) FROM usage_events").await, 0);
    let whoami = agent.ask(&message).await;
    assert!(whoami.to_string().contains("acme"), "{whoami}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_above_limit_is_refused_until_another_ends() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (key, sibling) = (db.full_key(acme).await, db.full_key(acme).await);
    let third = db.full_key(acme).await;
    let other = db.full_key(db.tenant("globex").await).await;
    let options = with_sse(SseOptions {
        sessions_per_tenant: 2,
        ..SseOptions::default()
    });
    let served = TestHttpServer::start(db.service(), options).await;
    let client = reqwest::Client::new();
    let first = Agent::greet(served.at, &key).await;
    let _second = Agent::greet(served.at, &sibling).await;
    let rejection = Agent::open(&client, served.at, &third)
        .await
        .err()
        .expect("a third stream was opened");
    assert_eq!(rejection.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(
        rejection.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse::<u32>()
            .unwrap()
            > 0
    );
    let text = rejection.text().await.unwrap();
    assert!(text.contains("2 event streams open"), "{text}");
    Agent::greet(served.at, &other).await;
    drop(first);
    let dropped_at = Instant::now();
    while Agent::open(&client, served.at, &key).await.is_err() {
        assert!(
            dropped_at.elapsed() < PATIENCE,
            "the permit of the ended stream was not returned"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_of_disconnected_sse_client_is_stopped_and_recorded() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let started = CancellationToken::new();
    let signal = started.clone();
    let hook = test_hook(move |name, _| {
        let (signal, blocks) = (signal.clone(), name == "search_skills");
        async move {
            if blocks {
                signal.cancel();
                futures::future::pending::<()>().await;
            }
        }
        .boxed()
    });
    let service = db.service_with_faults(ServiceLimits::default(), hook);
    let served = TestHttpServer::start(service.clone(), HttpOptions::default()).await;
    let agent = Agent::greet(served.at, &key).await;
    agent
        .say(&call(1, "search_skills", &json!({"query": "pdf"})))
        .await;
    started.cancelled().await;
    drop(agent);
    let events = events_after(&db, &service, acme, 1).await;
    assert_eq!(events, [("search_skills".to_owned(), "client_gone".to_owned())]);
    assert_call_succeeds(served.at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_session_is_ended_and_active_session_is_kept() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let options = with_sse(SseOptions {
        idle: Duration::from_secs(2),
        check_every: Duration::from_millis(200),
        ..SseOptions::default()
    });
    let served = TestHttpServer::start(db.service(), options).await;
    let mut idle = Agent::greet(served.at, &key).await;
    let mut active = Agent::greet(served.at, &key).await;
    let opened_at = Instant::now();
    let keep_pinging = async {
        for id in 1.. {
            let response = active
                .ask(&json!({"jsonrpc": "2.0", "id": id, "method": "ping"}))
                .await;
            assert!(response["result"].is_object(), "{response}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::select! {
        () = idle.ended() => {}
        () = keep_pinging => {}
    }
    assert!(
        opened_at.elapsed() >= Duration::from_secs(1),
        "the session ended before its idle time"
    );
    let rejected = idle
        .message(&key)
        .json(&call(1, "whoami", &json!({})))
        .send()
        .await
        .unwrap();
    assert_eq!(rejected.status(), StatusCode::NOT_FOUND);
    let response = active
        .ask(&json!({"jsonrpc": "2.0", "id": 0, "method": "ping"}))
        .await;
    assert!(response["result"].is_object(), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_key_is_rejected_and_its_stream_ends() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let options = with_sse(SseOptions {
        check_every: Duration::from_millis(200),
        ..SseOptions::default()
    });
    let served = TestHttpServer::start(db.service(), options).await;
    let mut agent = Agent::greet(served.at, &key).await;
    let keys = admin(&db, &["key", "list", "--tenant", "acme", "--json"]).json();
    let id = keys[0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{keys}"))
        .to_owned();
    admin(&db, &["key", "revoke", &id, "--tenant", "acme"]);
    let sent = agent
        .message(&key)
        .json(&call(1, "whoami", &json!({})))
        .send()
        .await
        .unwrap();
    if sent.status() == StatusCode::ACCEPTED {
        let response = agent.receive(1).await;
        assert_eq!(response["error"]["code"], -31_001, "{response}");
    } else {
        assert_eq!(sent.status(), StatusCode::UNAUTHORIZED);
    }
    agent.ended().await;
    assert_eq!(db.value::<i64>("SELECT count(*) FROM usage_events").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_server_ends_streams_after_last_response() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let (service, started, release) = blocked_service(&db);
    let mut served = TestHttpServer::start(service, HttpOptions::default()).await;
    let mut idle = Agent::greet(served.at, &key).await;
    let mut busy = Agent::greet(served.at, &key).await;
    busy.say(&call(1, "whoami", &json!({}))).await;
    started.cancelled().await;
    served.stop.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    release.cancel();
    assert!(busy.receive(1).await["result"].is_object());
    let released_at = Instant::now();
    busy.ended().await;
    idle.ended().await;
    tokio::time::timeout(PATIENCE, &mut served.task)
        .await
        .unwrap()
        .unwrap();
    assert!(
        released_at.elapsed() < Duration::from_secs(10),
        "idle streams delayed the stop"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_sse_gives_404() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let options = HttpOptions {
        sse: None,
        ..HttpOptions::default()
    };
    let served = TestHttpServer::start(db.service(), options).await;
    let rejection = Agent::open(&reqwest::Client::new(), served.at, &key)
        .await
        .err()
        .unwrap();
    assert_eq!(rejection.status(), StatusCode::NOT_FOUND);
    let posted = reqwest::Client::new()
        .post(format!("http://{}/messages?sessionId=1", served.at))
        .bearer_auth(key.reveal())
        .json(&call(1, "whoami", &json!({})))
        .send();
    assert_eq!(posted.await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_call_succeeds(served.at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_above_pending_limit_of_session_is_refused() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let (service, _started, release) = blocked_service(&db);
    let served = TestHttpServer::start(service, HttpOptions::default()).await;
    let mut agent = Agent::greet(served.at, &key).await;
    let mut refused = 0;
    for id in 1..=40 {
        let message: Value = call(id, "whoami", &json!({}));
        let response = agent.message(&key).json(&message).send().await.unwrap();
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(response.headers().contains_key("retry-after"));
            refused += 1;
        } else {
            assert_eq!(response.status(), StatusCode::ACCEPTED);
        }
    }
    assert_eq!(refused, 8, "the limit is 32 pending requests");
    release.cancel();
    let mut answered = BTreeSet::new();
    while answered.len() < 32 {
        answered.insert(agent.answer().await["id"].as_i64().unwrap());
    }
    assert_eq!(answered, (1..=32).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_without_valid_key_is_refused() {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    let served = TestHttpServer::start(db.service(), HttpOptions::default()).await;
    let unknown = ApiKey::generate(skillkeep::ids::TenantId::new(), &mut rand::rng());
    let rejection = Agent::open(&reqwest::Client::new(), served.at, &unknown)
        .await
        .err()
        .unwrap();
    assert_eq!(rejection.status(), StatusCode::UNAUTHORIZED);
    let without_key = reqwest::get(format!("http://{}/sse", served.at)).await.unwrap();
    assert_eq!(without_key.status(), StatusCode::UNAUTHORIZED);
}
