//! Peers that send what nobody should: each gets words, and nobody else notices.

mod connection_flood;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::HttpOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::TestDb;
use crate::http_server::{Agent, PATIENCE, Served, assert_served, call};

const JSON: &str = "application/json";

async fn set_up(options: HttpOptions) -> (TestDb, ApiKey, Served) {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let served = Served::start(db.service(), options).await;
    (db, key, served)
}

/// A body, the type that it is said to have, and the status and the code of the refusal with some of its words.
struct Wrong {
    body: Vec<u8>,
    content_type: Option<&'static str>,
    status: u16,
    code: i64,
    says: &'static str,
}

fn wrong(body: impl Into<Vec<u8>>, status: u16, code: i64, says: &'static str) -> Wrong {
    Wrong {
        body: body.into(),
        content_type: Some(JSON),
        status,
        code,
        says,
    }
}

fn with_id(id: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\"}}")
}

/// Everything that a message can be that is none.
fn wrongs() -> Vec<Wrong> {
    let good = call(1, "whoami", &json!({})).to_string();
    let depth = 1_000_000;
    let deep_list = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep_map = format!("{}1{}", "{\"a\":".repeat(400_000), "}".repeat(400_000));
    let inside = |value: &str| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"whoami\",\"arguments\":{value}}}}}"
        )
    };
    let mut all = vec![
        wrong(" ".repeat((4 << 20) + 1), 413, -32_600, "larger than 4 MiB"),
        wrong(format!("[{good},{good}]"), 400, -32_600, "Batches"),
        wrong("[]", 400, -32_600, "Batches"),
        wrong(&deep_list[..], 400, -32_600, "Batches"),
        wrong(deep_map, 400, -32_600, "nested too deeply"),
        wrong(inside(&deep_list), 400, -32_600, "nested too deeply"),
        wrong("", 400, -32_700, "not a JSON-RPC message"),
        wrong("no JSON", 400, -32_700, "not a JSON-RPC message"),
        wrong(&good.as_bytes()[..20], 400, -32_700, ""),
        wrong(
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\xfe\"}",
            400,
            -32_700,
            "UTF-8",
        ),
        wrong("7", 400, -32_600, "is an object"),
        wrong("\"text\"", 400, -32_600, "is an object"),
        wrong("{}", 400, -32_600, "\"jsonrpc\""),
        wrong(
            "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}",
            400,
            -32_600,
            "\"jsonrpc\"",
        ),
        wrong("{\"jsonrpc\":\"2.0\",\"id\":1}", 400, -32_600, "\"method\""),
        wrong(
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}",
            400,
            -32_600,
            "\"method\"",
        ),
    ];
    for id in [
        "null",
        "true",
        "1.5",
        "{}",
        "[1]",
        "1e400",
        "99999999999999999999999",
    ] {
        // The last two are no whole numbers that any client could hold.
        all.push(wrong(
            with_id(id),
            400,
            if id == "1e400" { -32_700 } else { -32_600 },
            "",
        ));
    }
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/xml"),
        Some("multipart/form-data"),
    ] {
        all.push(Wrong {
            content_type,
            ..wrong(good.clone(), 415, -32_600, "application/json")
        });
    }
    all
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned()
}

async fn assert_refused(url: &str, key: &ApiKey, wrong: Wrong) {
    let what = shown(&wrong.body);
    let mut request = reqwest::Client::new()
        .post(url)
        .bearer_auth(key.reveal())
        .header("accept", "application/json, text/event-stream")
        .body(wrong.body);
    if let Some(content_type) = wrong.content_type {
        request = request.header("content-type", content_type);
    }
    let response = request.timeout(PATIENCE).send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status.as_u16(), wrong.status, "{what}: {text}");
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
    assert_eq!(answer["jsonrpc"], "2.0", "{what}: {answer}");
    assert_eq!(answer["id"], Value::Null, "{what}: {answer}");
    assert_eq!(answer["error"]["code"], wrong.code, "{what}: {answer}");
    let words = answer["error"]["message"].as_str().unwrap();
    assert!(words.len() > 10 && words.contains(wrong.says), "{what}: {words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_refused_with_words_on_every_path() {
    let (db, key, served) = set_up(HttpOptions::default()).await;
    let mut agent = Agent::greet(served.at, &key).await;
    for wrong in wrongs() {
        assert_refused(&format!("http://{}/mcp", served.at), &key, wrong).await;
    }
    for wrong in wrongs() {
        assert_refused(&format!("http://{}{}", served.at, agent.endpoint), &key, wrong).await;
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM usage_events").await, 0);
    assert_served(served.at, &key).await;
    let who = agent.ask(&call(1, "whoami", &json!({}))).await;
    assert!(who["result"].is_object(), "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_told_what_to_use() {
    let (_db, key, served) = set_up(HttpOptions::default()).await;
    for method in [Method::GET, Method::DELETE, Method::PUT, Method::PATCH] {
        let response = reqwest::Client::new()
            .request(method, format!("http://{}/mcp", served.at))
            .bearer_auth(key.reveal())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "POST");
        let answer: Value = response.json().await.unwrap();
        assert!(
            answer["error"]["message"].as_str().unwrap().contains("POST"),
            "{answer}"
        );
    }
}

/// Sends bytes and reads until the server hangs up.
async fn until_hung_up(at: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    // The server may refuse before it has read all.
    let _refused = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
    let _reset = read.await.expect("the server waits for ever");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_is_not_waited_for_and_holds_nobody_up() {
    let options = HttpOptions {
        request_timeout: Duration::from_secs(2),
        ..HttpOptions::default()
    };
    let (_db, key, served) = set_up(options).await;
    let at = served.at;
    let head = "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    let rest = format!(
        "Authorization: Bearer {}\r\nContent-Type: {JSON}\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n{{\"jsonrpc\"",
        key.reveal()
    );
    let began = Instant::now();
    let mut waiting = Vec::new();
    for number in 0..200 {
        let bytes = match number % 4 {
            0 => String::new(),
            1 => head[..9].to_owned(),
            2 => head.to_owned(),
            _ => format!("{head}{rest}"),
        };
        waiting.push(tokio::spawn(
            async move { until_hung_up(at, bytes.as_bytes()).await },
        ));
    }
    for _ in 0..5 {
        assert_served(at, &key).await;
    }
    let mut timed_out = 0;
    for peer in waiting {
        let answer = peer.await.unwrap();
        if answer.starts_with("HTTP/1.1 408") && answer.contains("did not arrive in 2 seconds") {
            timed_out += 1;
        }
    }
    assert_eq!(
        timed_out, 50,
        "those who began a message are told why it was given up"
    );
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_served(at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_none_are_refused_and_the_next_request_is_served() {
    let (_db, key, served) = set_up(HttpOptions::default()).await;
    let many: String = (0..200).map(|number| format!("X-{number}: 1\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "a".repeat(200 * 1024));
    for (head, status) in [
        (
            format!("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n{many}\r\n"),
            "431",
        ),
        (
            format!("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n{long}\r\n"),
            "431",
        ),
        ("POST /mcp HTTP/9.9\r\n\r\n".to_owned(), "400"),
        ("\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), "400"),
        (
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
                .to_owned(),
            "400",
        ),
        (
            "POST /mcp HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
            "400",
        ),
        (
            "POST /mcp HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_owned(),
            "403",
        ),
    ] {
        let answer = until_hung_up(served.at, head.as_bytes()).await;
        let expected = format!("HTTP/1.1 {status}");
        assert!(
            answer.starts_with(&expected),
            "{}: {answer}",
            shown(head.as_bytes())
        );
    }
    assert_served(served.at, &key).await;
}
