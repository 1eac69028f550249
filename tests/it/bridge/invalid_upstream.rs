//! What answers is not a registry, or one behind a proxy, or one that streams.

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

use super::{Laptop, PATIENCE, new_era, old, whoami};

fn some_key() -> ApiKey {
    ApiKey::generate(TenantId::new(), &mut rand::rng())
}

/// A server that answers each request with what the function makes of its number and its body.
async fn stranger(answer: impl Fn(usize, Value) -> Response + Clone + Send + Sync + 'static) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let app = Router::new().fallback(move |body: Bytes| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let response = answer(number, serde_json::from_slice(&body).unwrap_or_default());
        async move { response }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// The next thing that a stranger tells of a request.
async fn next<T>(told: &mut UnboundedReceiver<T>) -> T {
    let told = tokio::time::timeout(PATIENCE, told.recv()).await;
    told.expect("no request came").unwrap()
}

fn result(body: &Value) -> Response {
    axum::Json(json!({"jsonrpc": "2.0", "id": body["id"], "result": {"fine": true}})).into_response()
}

fn events(body: impl Into<Body>) -> Response {
    ([("content-type", "text/event-stream")], body.into()).into_response()
}

/// One way to answer wrongly, with the code and a part of the words that the client gets for it.
type Wrong = (fn(&Value) -> Response, i64, &'static str);

const WRONG: [Wrong; 12] = [
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
        "refuses the API key",
    ),
    (
        |_| StatusCode::TOO_MANY_REQUESTS.into_response(),
        -31010,
        "too much to do",
    ),
    (
        |_| StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        -31011,
        "no message as long",
    ),
    (|_| StatusCode::ACCEPTED.into_response(), -31011, "status 202"),
    (
        |_| axum::response::Redirect::temporary("http://127.0.0.1:1/elsewhere").into_response(),
        -31011,
        "elsewhere",
    ),
    (
        |_| axum::Json(json!({"jsonrpc": "2.0", "id": "other", "result": {}})).into_response(),
        -31011,
        "status 200",
    ),
    (|_| events("data: hello\n\n"), -31011, "status 200"),
    (|_| events(": nothing\n\n"), -31010, "ended early"),
    (
        |_| {
            let begun = Ok(Bytes::from("{\"jsonrpc\":"));
            let broken = Err(std::io::Error::other("a cable was cut"));
            Body::from_stream(futures::stream::iter([begun, broken])).into_response()
        },
        -31010,
        "broke off",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_a_registrys_is_told_as_such() {
    let key = some_key();
    let address = stranger(|number, body| WRONG[number].0(&body)).await;
    let mut laptop = Laptop::start(address, &key);
    for (number, (_, code, part)) in WRONG.iter().enumerate() {
        let answer = laptop.ask(&old(number as u64, "tools/call", &whoami())).await;
        assert_eq!(answer["error"]["code"], *code, "{number}: {answer}");
        let words = answer["error"]["message"].as_str().unwrap();
        assert!(words.contains(part), "{number}: {words}");
        assert!(words.contains(&address.to_string()), "{number}: {words}");
    }
    laptop.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_changed_something_is_never_sent_twice_and_reading_is() {
    let key = some_key();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let address = stranger(move |_, body| match counter.fetch_add(1, Ordering::Relaxed) {
        0 | 1 | 3 => (StatusCode::SERVICE_UNAVAILABLE, "<html>no</html>").into_response(),
        _ => result(&body),
    })
    .await;
    let mut laptop = Laptop::start(address, &key);
    let call = laptop.ask(&old(1, "tools/call", &whoami())).await;
    assert!(
        call["error"]["message"]
            .to_string()
            .contains("look before you repeat"),
        "{call}"
    );
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    let list = laptop.ask(&old(2, "tools/list", &json!({}))).await;
    assert_eq!(list["result"]["fine"], true, "{list}");
    assert_eq!(seen.load(Ordering::Relaxed), 3);
    laptop.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_registry_is_asked_again_when_it_says_and_only_once() {
    let key = some_key();
    let busy = |wait: &'static str| {
        let words =
            json!({"jsonrpc": "2.0", "id": null, "error": {"code": -31004, "message": "too many calls"}});
        (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", wait)],
            axum::Json(words),
        )
            .into_response()
    };
    let address = stranger(move |number, body| match number {
        0 | 2 | 3 => busy("0"),
        4 => busy("3600"),
        _ => result(&body),
    })
    .await;
    let mut laptop = Laptop::start(address, &key);
    let first = laptop.ask(&old(1, "tools/call", &whoami())).await;
    assert_eq!(first["result"]["fine"], true, "{first}");
    for id in [2, 3] {
        let answer = laptop.ask(&old(id, "tools/call", &whoami())).await;
        assert_eq!(answer["error"]["message"], "too many calls", "{answer}");
    }
    let last = laptop.ask(&old(4, "tools/call", &whoami())).await;
    assert_eq!(last["result"]["fine"], true, "{last}");
    laptop.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_tells_before_its_answer_is_passed_on_as_it_comes() {
    let key = some_key();
    let (pieces, stream) = futures::channel::mpsc::unbounded::<Result<Bytes, std::io::Error>>();
    let stream = Arc::new(std::sync::Mutex::new(Some(stream)));
    let address = stranger(move |_, _| {
        let stream = stream.lock().unwrap().take().unwrap();
        events(Body::from_stream(stream.boxed()))
    })
    .await;
    let mut laptop = Laptop::start(address, &key);
    laptop.send(&new_era(1, "tools/call", whoami())).await;
    let mut pieces = pieces;
    let mut tell = async |text: &str| pieces.send(Ok(Bytes::from(text.to_owned()))).await.unwrap();
    for step in 1..=3 {
        let progress =
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": step}});
        // In two pieces, and over several lines.
        let text = progress.to_string().replace(",\"params\"", ",\ndata: \"params\"");
        let (one, two) = text.split_at(20);
        tell(&format!(": comment\n\nevent: message\ndata: {one}")).await;
        tell(&format!("{two}\n\n")).await;
        // The server says no more until this was passed on.
        let passed = laptop.next().await;
        assert_eq!(passed, progress);
    }
    // A request of the registry's is passed on as well.
    tell("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\n").await;
    assert_eq!(laptop.next().await["method"], "ping");
    tell("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"n\":1.50}}\n\n").await;
    let answer = laptop.next().await;
    assert_eq!(answer["result"]["n"], 1.5);
    let ended = laptop.end_well(&key).await;
    assert!(
        ended.out.contains("1.50"),
        "the answer is passed on as it came: {}",
        ended.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_in_its_header_alone() {
    let key = some_key();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new().fallback(move |uri: axum::http::Uri, headers: HeaderMap, body: Bytes| {
        let body: Value = serde_json::from_slice(&body).unwrap();
        tell.send((uri.to_string(), headers)).unwrap();
        async move { result(&body) }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let mut laptop = Laptop::start(address, &key);
    laptop.ask(&old(1, "ping", &json!({}))).await;
    let (uri, mut headers) = next(&mut told).await;
    assert_eq!(uri, "/mcp");
    let bearer = headers.remove("authorization").unwrap();
    assert_eq!(bearer, format!("Bearer {}", key.reveal()).as_str());
    assert!(
        !format!("{headers:?}").contains(&key.reveal()[30..50]),
        "{headers:?}"
    );
    laptop.end_well(&key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_older_revisions_need_a_message_to_cancel() {
    let key = some_key();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let address = stranger(move |_, body| {
        let method = body["method"].as_str().unwrap().to_owned();
        tell.send(method.clone()).unwrap();
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
    let mut laptop = Laptop::start(address, &key);
    let cancelled =
        |id: u64| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    laptop.send(&new_era(1, "tools/call", whoami())).await;
    assert_eq!(next(&mut told).await, "tools/call");
    laptop.send(&cancelled(1)).await;
    // Were the first cancellation passed on, it would come before the second.
    laptop.ask(&super::hello(2)).await;
    assert_eq!(next(&mut told).await, "initialize");
    laptop.send(&old(3, "tools/call", &whoami())).await;
    assert_eq!(next(&mut told).await, "tools/call");
    laptop.send(&cancelled(3)).await;
    assert_eq!(next(&mut told).await, "notifications/cancelled");
    let ended = laptop.end_well(&key).await;
    assert_eq!(
        ended.out.lines().count(),
        1,
        "no answer but that of initialize: {}",
        ended.out
    );
}
