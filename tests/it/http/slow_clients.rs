//! A slow or silent client costs only itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use reqwest::StatusCode;
use serde_json::json;
use skillkeep::server::ServiceLimits;
use skillkeep::tenancy::ShareLimits;
use skillkeep::transport::http::HttpOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::TestDb;
use crate::helpers::test_hook;
use crate::http_server::{Agent, PATIENCE, TestHttpServer, assert_call_succeeds, call, post};

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_give_way_to_new_ones() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let options = HttpOptions {
        connections: 8,
        connections_per_address: 6,
        ..HttpOptions::default()
    };
    let served = TestHttpServer::start(db.service(), options).await;
    let mut idle = Vec::new();
    for _ in 0..30 {
        idle.push(TcpStream::connect(served.at).await.unwrap());
    }
    let started = Instant::now();
    let client = reqwest::Client::new();
    let health = client.get(format!("http://{}/healthz", served.at)).send().await;
    assert_eq!(health.unwrap().status(), StatusCode::OK);
    assert_call_succeeds(served.at, &key).await;
    // The idle time after which a connection is closed anyway is 30 seconds.
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    let closed = futures::future::join_all(idle.iter_mut().map(is_closed)).await;
    assert!(
        closed.iter().filter(|closed| **closed).count() >= 22,
        "{closed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_of_one_key_are_bounded() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (key, sibling) = (db.full_key(acme).await, db.full_key(acme).await);
    let options = HttpOptions {
        connections_per_key: 3,
        ..HttpOptions::default()
    };
    let served = TestHttpServer::start(db.service(), options).await;
    let mut of_sibling = answered(served.at, sibling.reveal()).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(answered(served.at, key.reveal()).await);
    }
    let mut closed = Vec::new();
    for connection in &mut open {
        closed.push(is_closed(connection).await);
    }
    assert_eq!(closed, [[true; 7].as_slice(), &[false; 3]].concat());
    assert!(!is_closed(&mut of_sibling).await);
}

/// A connection after one answered request.
async fn answered(at: std::net::SocketAddr, key: &str) -> TcpStream {
    let mut connection = TcpStream::connect(at).await.unwrap();
    let request = format!("GET /mcp HTTP/1.1\r\nhost: {at}\r\nauthorization: Bearer {key}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        assert_ne!(connection.read_buf(&mut answer).await.unwrap(), 0, "{answer:?}");
    }
    connection
}

async fn is_closed(connection: &mut TcpStream) -> bool {
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_millis(200), connection.read(&mut byte)).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn key_gets_half_of_the_calls_of_its_tenant() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (key, sibling) = (db.full_key(acme).await, db.full_key(acme).await);
    let running = Arc::new(tokio::sync::Semaphore::new(0));
    let begun = Arc::clone(&running);
    let hook = test_hook(move |tool, _| {
        let (blocks, begun) = (tool == "usage_report", Arc::clone(&begun));
        async move {
            if blocks {
                begun.add_permits(1);
                futures::future::pending::<()>().await;
            }
        }
        .boxed()
    });
    let mut limits = ServiceLimits::default();
    limits.access.calls = ShareLimits::of_tenant(4);
    let served = TestHttpServer::start(db.service_with_faults(limits, hook), HttpOptions::default()).await;
    let blocked: Vec<_> = (0..2)
        .map(|id| tokio::spawn(post(served.at, &key, &call(id, "usage_report", &json!({}))).send()))
        .collect();
    // Or a call below would take the share of the second.
    running.acquire_many(2).await.unwrap().forget();
    let whoami = call(9, "whoami", &json!({}));
    let started = Instant::now();
    let refused = loop {
        let response = post(served.at, &key, &whoami).send().await.unwrap();
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            break response.text().await.unwrap();
        }
        assert!(started.elapsed() < PATIENCE, "the key is not limited");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(refused.contains("This API key has 2 calls running"), "{refused}");
    assert_call_succeeds(served.at, &sibling).await;
    for call in blocked {
        call.abort();
    }
}

/// Sends the head and a part of the body of an upload.
async fn half_an_upload(at: std::net::SocketAddr, key: &str) -> TcpStream {
    let mut connection = TcpStream::connect(at).await.unwrap();
    let head = format!(
        "POST /skills HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/zip\r\n\
         Content-Length: 100000\r\n\r\nPK"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_uploads_of_one_key_block_no_other_key() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (key, sibling) = (db.full_key(acme).await, db.full_key(acme).await);
    let served = TestHttpServer::start(db.service(), HttpOptions::default()).await;
    let mut halves = Vec::new();
    for _ in 0..8 {
        halves.push(half_an_upload(served.at, key.reveal()).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let upload = reqwest::Client::new()
        .post(format!("http://{}/skills", served.at))
        .bearer_auth(sibling.reveal())
        .header("content-type", "application/zip")
        .body(crate::upload::zip())
        .send()
        .await
        .unwrap();
    assert_eq!(
        upload.status(),
        StatusCode::OK,
        "{}",
        upload.text().await.unwrap()
    );
    assert_call_succeeds(served.at, &key).await;
}

/// Fills everything between the server and a client that has stopped to read its event stream.
async fn fill(agent: &Agent, key: &skillkeep::tenancy::ApiKey) {
    for id in 100..130 {
        let read = json!({"jsonrpc": "2.0", "id": id, "method": "resources/list"});
        agent.message(key).json(&read).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_progress_keeps_no_transaction_open() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    for number in 0..60 {
        let text = format!("Describes the work number {number}. ").repeat(28);
        db.skill(acme, &format!("work-{number}"), &text, &[]).await;
    }
    let key = db.full_key(acme).await;
    let other = db.full_key(db.tenant("globex").await).await;
    let started = Arc::new(tokio::sync::Semaphore::new(0));
    let starting = Arc::clone(&started);
    let hook = test_hook(move |tool, _| {
        let (starting, counts) = (Arc::clone(&starting), tool == "whoami");
        async move {
            if counts {
                starting.add_permits(1);
            }
        }
        .boxed()
    });
    let served = TestHttpServer::start(
        db.service_with_faults(ServiceLimits::default(), hook),
        HttpOptions::default(),
    )
    .await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let agent = Agent::greet(served.at, &key).await;
        fill(&agent, &key).await;
        sessions.push(agent);
    }
    for (session, agent) in sessions.iter().enumerate() {
        for id in 0..6 {
            let mut message = call(1_000 + id, "whoami", &json!({}));
            message["params"]["_meta"] = json!({"progressToken": format!("{session}-{id}")});
            let _accepted_or_full = agent.message(&key).json(&message).send().await.unwrap();
        }
    }
    let since = Instant::now();
    assert_call_succeeds(served.at, &other).await;
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    drop(sessions);
}
