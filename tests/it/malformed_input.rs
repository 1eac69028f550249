//! Malformed messages and requests get an error with a message, and other clients are served.

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
use crate::http_server::{Agent, PATIENCE, TestHttpServer, assert_call_succeeds, call};

const JSON: &str = "application/json";

async fn set_up(options: HttpOptions) -> (TestDb, ApiKey, TestHttpServer) {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let served = TestHttpServer::start(db.service(), options).await;
    (db, key, served)
}

/// A malformed message, and the expected HTTP status, JSON-RPC code and part of the error message.
struct Malformed {
    body: Vec<u8>,
    content_type: Option<&'static str>,
    status: u16,
    code: i64,
    message: &'static str,
}

fn malformed(body: impl Into<Vec<u8>>, status: u16, code: i64, message: &'static str) -> Malformed {
    Malformed {
        body: body.into(),
        content_type: Some(JSON),
        status,
        code,
        message,
    }
}

fn with_id(id: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\"}}")
}

fn malformed_messages() -> Vec<Malformed> {
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
        malformed(" ".repeat((4 << 20) + 1), 413, -32_600, "larger than 4 MiB"),
        malformed(format!("[{good},{good}]"), 400, -32_600, "Batches"),
        malformed("[]", 400, -32_600, "Batches"),
        malformed(&deep_list[..], 400, -32_600, "Batches"),
        malformed(deep_map, 400, -32_600, "nested too deeply"),
        malformed(inside(&deep_list), 400, -32_600, "nested too deeply"),
        malformed("", 400, -32_700, "not a JSON-RPC message"),
        malformed("no JSON", 400, -32_700, "not a JSON-RPC message"),
        malformed(&good.as_bytes()[..20], 400, -32_700, ""),
        malformed(
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\xfe\"}",
            400,
            -32_700,
            "UTF-8",
        ),
        malformed("7", 400, -32_600, "must be an object"),
        malformed("\"text\"", 400, -32_600, "must be an object"),
        malformed("{}", 400, -32_600, "\"jsonrpc\""),
        malformed(
            "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}",
            400,
            -32_600,
            "\"jsonrpc\"",
        ),
        malformed("{\"jsonrpc\":\"2.0\",\"id\":1}", 400, -32_600, "\"method\""),
        malformed(
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
        // The last two exceed 64-bit floating-point numbers and 64-bit integers.
        all.push(malformed(
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
        all.push(Malformed {
            content_type,
            ..malformed(good.clone(), 415, -32_600, "application/json")
        });
    }
    all
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned()
}

async fn assert_rejected(url: &str, key: &ApiKey, malformed: Malformed) {
    let sent = excerpt(&malformed.body);
    let mut request = reqwest::Client::new()
        .post(url)
        .bearer_auth(key.reveal())
        .header("accept", "application/json, text/event-stream")
        // Without the header, the version is 2025-03-26, which has batches.
        .header("mcp-protocol-version", "2025-06-18")
        .body(malformed.body);
    if let Some(content_type) = malformed.content_type {
        request = request.header("content-type", content_type);
    }
    let response = request.timeout(PATIENCE).send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status.as_u16(), malformed.status, "{sent}: {text}");
    let response: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{sent}: {error}: {text}"));
    assert_eq!(response["jsonrpc"], "2.0", "{sent}: {response}");
    assert_eq!(response["id"], Value::Null, "{sent}: {response}");
    assert_eq!(response["error"]["code"], malformed.code, "{sent}: {response}");
    let message = response["error"]["message"].as_str().unwrap();
    assert!(
        message.len() > 10 && message.contains(malformed.message),
        "{sent}: {message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_message_is_rejected_with_message_on_every_path() {
    let (db, key, served) = set_up(HttpOptions::default()).await;
    let mut agent = Agent::greet(served.at, &key).await;
    for malformed in malformed_messages() {
        assert_rejected(&format!("http://{}/mcp", served.at), &key, malformed).await;
    }
    for malformed in malformed_messages() {
        assert_rejected(
            &format!("http://{}{}", served.at, agent.endpoint),
            &key,
            malformed,
        )
        .await;
    }
    assert_eq!(db.value::<i64>("SELECT count(*) FROM usage_events").await, 0);
    assert_call_succeeds(served.at, &key).await;
    let whoami = agent.ask(&call(1, "whoami", &json!({}))).await;
    assert!(whoami["result"].is_object(), "{whoami}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_http_methods_get_405_that_names_post() {
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
        let response: Value = response.json().await.unwrap();
        assert!(
            response["error"]["message"].as_str().unwrap().contains("POST"),
            "{response}"
        );
    }
}

/// Sends bytes and reads until the server closes the connection.
async fn send_until_closed(at: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    // The server may close the connection before it has read everything.
    let _closed = stream.write_all(bytes).await;
    let mut response = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut response));
    let _reset = read.await.expect("the server did not close the connection");
    String::from_utf8_lossy(&response).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_requests_time_out_and_others_are_served() {
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
    let started = Instant::now();
    let mut connections = Vec::new();
    for number in 0..200 {
        let bytes = match number % 4 {
            0 => String::new(),
            1 => head[..9].to_owned(),
            2 => head.to_owned(),
            _ => format!("{head}{rest}"),
        };
        connections.push(tokio::spawn(async move {
            send_until_closed(at, bytes.as_bytes()).await
        }));
    }
    for _ in 0..5 {
        assert_call_succeeds(at, &key).await;
    }
    let mut timed_out = 0;
    for connection in connections {
        let response = connection.await.unwrap();
        if response.starts_with("HTTP/1.1 408") && response.contains("did not arrive within 2 seconds") {
            timed_out += 1;
        }
    }
    assert_eq!(
        timed_out, 50,
        "a client that has sent a part of its body gets the reason"
    );
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_call_succeeds(at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_heads_are_rejected_and_next_request_is_served() {
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
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_owned(),
            "400",
        ),
        (
            "POST /mcp HTTP/1.1\r\nHost: evil.example@localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_owned(),
            "400",
        ),
        (
            "POST http://ada@localhost/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_owned(),
            "400",
        ),
        (
            "POST /mcp HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_owned(),
            "403",
        ),
    ] {
        let response = send_until_closed(served.at, head.as_bytes()).await;
        let expected = format!("HTTP/1.1 {status}");
        assert!(
            response.starts_with(&expected),
            "{}: {response}",
            excerpt(head.as_bytes())
        );
    }
    assert_call_succeeds(served.at, &key).await;
}
