//! Servers that are not a registry, registries behind a proxy, and registries that stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::tenancy::ApiKey;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{BridgeClient, TIMEOUT, current, legacy, whoami};

fn some_key() -> ApiKey {
    ApiKey::generate(TenantId::new(), &mut rand::rng())
}

/// Starts a server. `respond` gets the number (from 0) and the body of each request.
async fn upstream(respond: impl Fn(usize, Value) -> Response + Clone + Send + Sync + 'static) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let app = Router::new().fallback(move |body: Bytes| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let response = respond(number, serde_json::from_slice(&body).unwrap_or_default());
        async move { response }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Waits for what the upstream server reports of its next request.
async fn next<T>(requests: &mut UnboundedReceiver<T>) -> T {
    let request = tokio::time::timeout(TIMEOUT, requests.recv()).await;
    request.expect("no request came").unwrap()
}

fn result(body: &Value) -> Response {
    axum::Json(json!({"jsonrpc": "2.0", "id": body["id"], "result": {"fine": true}})).into_response()
}

fn events(body: impl Into<Body>) -> Response {
    ([("content-type", "text/event-stream")], body.into()).into_response()
}

/// A wrong answer, with the error code and a part of the message that the client gets for it.
type WrongAnswer = (fn(&Value) -> Response, i64, &'static str);

const WRONG_ANSWERS: [WrongAnswer; 12] = [
    (
        |_| "<html>welcome</html>".into_response(),
        -31011,
        "does not speak MCP (status 200",
    ),
    (
        |_| (StatusCode::NOT_FOUND, "<html>no</html>").into_response(),
        -31011,
        "status 404",
    ),
    (
        |_| (StatusCode::BAD_GATEWAY, "<html>no</html>").into_response(),
        -31010,
        "status 502",
    ),
    (
        |_| StatusCode::UNAUTHORIZED.into_response(),
        -31001,
        "rejected the API key",
    ),
    (
        |_| StatusCode::TOO_MANY_REQUESTS.into_response(),
        -31010,
        "limits the rate",
    ),
    (
        |_| StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        -31011,
        "longer than",
    ),
    (|_| StatusCode::ACCEPTED.into_response(), -31011, "status 202"),
    (
        |_| axum::response::Redirect::temporary("http://127.0.0.1:1/elsewhere").into_response(),
        -31011,
        "redirects to another address",
    ),
    (
        |_| axum::Json(json!({"jsonrpc": "2.0", "id": "other", "result": {}})).into_response(),
        -31011,
        "status 200",
    ),
    (|_| events("data: hello\n\n"), -31011, "status 200"),
    (|_| events(": nothing\n\n"), -31010, "ended before the answer"),
    (
        |_| {
            let begun = Ok(Bytes::from("{\"jsonrpc\":"));
            let broken = Err(std::io::Error::other("a cable was cut"));
            Body::from_stream(futures::stream::iter([begun, broken])).into_response()
        },
        -31010,
        "did not complete its answer",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answer_is_reported_with_its_reason() {
    let key = some_key();
    let address = upstream(|number, body| WRONG_ANSWERS[number].0(&body)).await;
    let mut client = BridgeClient::start(address, &key);
    for (number, (_, code, part)) in WRONG_ANSWERS.iter().enumerate() {
        let answer = client.ask(&legacy(number as u64, "tools/call", &whoami())).await;
        assert_eq!(answer["error"]["code"], *code, "{number}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{number}: {message}");
        assert!(message.contains(&address.to_string()), "{number}: {message}");
    }
    client.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_call_is_never_sent_twice_but_reading_is() {
    let key = some_key();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let address = upstream(move |_, body| match counter.fetch_add(1, Ordering::Relaxed) {
        0 | 1 | 3 => (StatusCode::SERVICE_UNAVAILABLE, "<html>no</html>").into_response(),
        _ => result(&body),
    })
    .await;
    let mut client = BridgeClient::start(address, &key);
    let call = client.ask(&legacy(1, "tools/call", &whoami())).await;
    assert!(
        call["error"]["message"]
            .to_string()
            .contains("check before you repeat"),
        "{call}"
    );
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    let list = client.ask(&legacy(2, "tools/list", &json!({}))).await;
    assert_eq!(list["result"]["fine"], true, "{list}");
    assert_eq!(seen.load(Ordering::Relaxed), 3);
    client.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limited_request_is_retried_once_after_retry_after() {
    let key = some_key();
    let rate_limited = |wait: &'static str| {
        let body =
            json!({"jsonrpc": "2.0", "id": null, "error": {"code": -31004, "message": "too many calls"}});
        (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", wait)],
            axum::Json(body),
        )
            .into_response()
    };
    let address = upstream(move |number, body| match number {
        0 | 2 | 3 => rate_limited("0"),
        4 => rate_limited("3600"),
        _ => result(&body),
    })
    .await;
    let mut client = BridgeClient::start(address, &key);
    let first = client.ask(&legacy(1, "tools/call", &whoami())).await;
    assert_eq!(first["result"]["fine"], true, "{first}");
    for id in [2, 3] {
        let answer = client.ask(&legacy(id, "tools/call", &whoami())).await;
        assert_eq!(answer["error"]["message"], "too many calls", "{answer}");
    }
    let last = client.ask(&legacy(4, "tools/call", &whoami())).await;
    assert_eq!(last["result"]["fine"], true, "{last}");
    client.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_messages_are_forwarded_as_they_arrive() {
    let key = some_key();
    let (chunks, stream) = futures::channel::mpsc::unbounded::<Result<Bytes, std::io::Error>>();
    let stream = Arc::new(std::sync::Mutex::new(Some(stream)));
    let address = upstream(move |_, _| {
        let stream = stream.lock().unwrap().take().unwrap();
        events(Body::from_stream(stream.boxed()))
    })
    .await;
    let mut client = BridgeClient::start(address, &key);
    client.send(&current(1, "tools/call", whoami())).await;
    let mut chunks = chunks;
    let mut send = async |text: &str| chunks.send(Ok(Bytes::from(text.to_owned()))).await.unwrap();
    for step in 1..=3 {
        let progress =
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": step}});
        // In two chunks and over several lines.
        let text = progress.to_string().replace(",\"params\"", ",\ndata: \"params\"");
        let (one, two) = text.split_at(20);
        send(&format!(": comment\n\nevent: message\ndata: {one}")).await;
        send(&format!("{two}\n\n")).await;
        // The server sends the next message only after this one was forwarded.
        let forwarded = client.next().await;
        assert_eq!(forwarded, progress);
    }
    // A request of the registry is forwarded too.
    send("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\n").await;
    assert_eq!(client.next().await["method"], "ping");
    send("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"n\":1.50}}\n\n").await;
    let answer = client.next().await;
    assert_eq!(answer["result"]["n"], 1.5);
    let ended = client.end_well(&key).await;
    assert!(
        ended.out.contains("1.50"),
        "the response is forwarded unchanged: {}",
        ended.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_sent_only_in_the_authorization_header() {
    let key = some_key();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (report, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new().fallback(move |uri: axum::http::Uri, headers: HeaderMap, body: Bytes| {
        let body: Value = serde_json::from_slice(&body).unwrap();
        report.send((uri.to_string(), headers)).unwrap();
        async move { result(&body) }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let mut client = BridgeClient::start(address, &key);
    client.ask(&legacy(1, "ping", &json!({}))).await;
    let (uri, mut headers) = next(&mut requests).await;
    assert_eq!(uri, "/mcp");
    let bearer = headers.remove("authorization").unwrap();
    assert_eq!(bearer, format!("Bearer {}", key.reveal()).as_str());
    assert!(
        !format!("{headers:?}").contains(&key.reveal()[30..50]),
        "{headers:?}"
    );
    client.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_legacy_versions_forward_the_cancel_notification() {
    let key = some_key();
    let (report, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let address = upstream(move |_, body| {
        let method = body["method"].as_str().unwrap().to_owned();
        report.send(method.clone()).unwrap();
        match method.as_str() {
            "tools/call" => events(Body::from_stream(futures::stream::pending::<
                Result<Bytes, std::io::Error>,
            >())),
            "initialize" => {
                let result = json!({"protocolVersion": "2025-11-25"});
                axum::Json(json!({"jsonrpc": "2.0", "id": body["id"], "result": result})).into_response()
            }
            _ => StatusCode::ACCEPTED.into_response(),
        }
    })
    .await;
    let mut client = BridgeClient::start(address, &key);
    let cancelled =
        |id: u64| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    client.send(&current(1, "tools/call", whoami())).await;
    assert_eq!(next(&mut requests).await, "tools/call");
    client.send(&cancelled(1)).await;
    // If the first cancellation were forwarded, it would arrive before the next request.
    client.ask(&super::initialize(2)).await;
    assert_eq!(next(&mut requests).await, "initialize");
    client.send(&legacy(3, "tools/call", &whoami())).await;
    assert_eq!(next(&mut requests).await, "tools/call");
    client.send(&cancelled(3)).await;
    assert_eq!(next(&mut requests).await, "notifications/cancelled");
    let ended = client.end_well(&key).await;
    assert_eq!(
        ended.out.lines().count(),
        1,
        "only initialize is answered: {}",
        ended.out
    );
}
