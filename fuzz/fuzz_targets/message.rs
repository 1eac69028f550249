//! Sends arbitrary bytes and messages to the server, over an in-memory stream as on stdio and over HTTP.
//!
//! `fuzz/run message [SECONDS]` creates the database. Checked for every input: the server answers or ignores it, every line it sends is
//! JSON-RPC, every HTTP response is well-formed, and the next valid request succeeds.

#![no_main]

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rmcp::ServiceExt as _;
use serde_json::{Map, Value, json};
use skillkeep::db::{DatabaseUrl, ServerDb};
use skillkeep::server::{CallService, CredentialSource, McpHandler, ServiceLimits};
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::{self, HttpOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Longer than any response may take on a busy machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
const PING: &str = "the-fuzzers-own-ping";

struct Fixtures {
    runtime: Runtime,
    service: Arc<CallService>,
    key: ApiKey,
    at: SocketAddr,
}

fn fixtures() -> &'static Fixtures {
    static FIXTURES: OnceLock<Fixtures> = OnceLock::new();
    FIXTURES.get_or_init(|| {
        let variable =
            |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; use fuzz/run"));
        let url: DatabaseUrl = variable("DATABASE_URL")
            .parse()
            .expect("DATABASE_URL is not a database address");
        let key: ApiKey = variable("SKILLKEEP_API_KEY")
            .parse()
            .expect("SKILLKEEP_API_KEY is not an API key");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("the runtime does not start");
        let (service, at) = runtime.block_on(async {
            let server = ServerDb::new(&url, 4).expect("the database settings are invalid");
            let service = Arc::new(CallService::new(server, ServiceLimits::default()));
            let listener = http::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
                .await
                .expect("no free port");
            let at = listener.local_addr().expect("the listener has no address");
            let http_service = Arc::clone(&service);
            let options = HttpOptions {
                request_timeout: Duration::from_millis(300),
                ..HttpOptions::default()
            };
            tokio::spawn(async move {
                let served = http::serve(listener, http_service, &options, std::future::pending::<()>());
                served.await.expect("the HTTP server failed");
            });
            (service, at)
        });
        Fixtures {
            runtime,
            service,
            key,
            at,
        }
    })
}

const METHODS: [&str; 20] = [
    "tools/call",
    "tools/call",
    "tools/call",
    "tools/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "resources/directory/read",
    "skills/list",
    "skills/get",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "subscriptions/listen",
    "ping",
    "initialize",
    "notifications/cancelled",
    "notifications/initialized",
    "server/discover",
    "logging/setLevel",
];

const WORDS: [&str; 56] = [
    "name",
    "arguments",
    "_meta",
    "progressToken",
    "cursor",
    "uri",
    "ref",
    "argument",
    "type",
    "value",
    "context",
    "search_skills",
    "get_skill",
    "install_skill",
    "confirm_install",
    "record_usage",
    "usage_report",
    "whoami",
    "query",
    "limit",
    "skill",
    "version",
    "tags",
    "outcome",
    "comment",
    "files",
    "since",
    "until",
    "group_by",
    "helped",
    "debug-flaky-test",
    "write-release-notes",
    "latest",
    "1",
    "../../etc/passwd",
    "SKILL.md",
    "requestId",
    "skill://debug-flaky-test/1/debug-flaky-test/SKILL.md",
    "skill://debug-flaky-test",
    "skill://",
    "ref/prompt",
    "ref/resource",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
    "2026-07-28",
    "2025-11-25",
    "traceparent",
    "protocolVersion",
    "capabilities",
    "clientInfo",
    "filter",
    "' OR 1=1 --",
    "%",
    "\u{0}",
    "\u{202e}\u{feff}",
];

fn word(input: &mut Unstructured<'_>) -> Result<String> {
    if input.ratio(4, 5)? {
        Ok((*input.choose(&WORDS)?).to_owned())
    } else {
        Ok(input.arbitrary::<&str>()?.to_owned())
    }
}

/// A value of known and arbitrary words.
fn value(input: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    let max_kind = if depth == 0 { 4 } else { 6 };
    Ok(match input.int_in_range(0..=max_kind)? {
        0 => Value::Null,
        1 => Value::Bool(input.arbitrary()?),
        2 => json!(input.arbitrary::<i64>()?),
        3 => json!(input.arbitrary::<f64>()?),
        4 => Value::String(word(input)?),
        5 => {
            let count = input.int_in_range(0..=3)?;
            Value::Array(
                (0..count)
                    .map(|_| value(input, depth - 1))
                    .collect::<Result<_>>()?,
            )
        }
        _ => map(input, depth - 1)?,
    })
}

fn map(input: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    let count = input.int_in_range(0..=4)?;
    let mut fields = Map::new();
    for _ in 0..count {
        fields.insert(word(input)?, value(input, depth)?);
    }
    Ok(Value::Object(fields))
}

/// A message that is valid or has invalid parts.
fn message(input: &mut Unstructured<'_>) -> Result<Value> {
    let method = *input.choose(&METHODS)?;
    let mut params = map(input, 4)?;
    if method == "tools/call" && input.ratio(9, 10)? {
        params["name"] = json!(input.choose(&WORDS[11..18])?);
        params["arguments"] = map(input, 3)?;
    }
    let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
    if input.ratio(9, 10)? {
        message["id"] = if input.ratio(9, 10)? {
            json!(input.arbitrary::<u16>()?)
        } else {
            value(input, 2)?
        };
    }
    Ok(message)
}

fn initialize_messages() -> String {
    let me = json!({"name": "fuzzer", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": me});
    let hello = json!({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": params});
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    format!("{hello}\n{ready}\n")
}

/// Sends the bytes after an initialization, then expects an answer to a ping.
async fn send_over_stdio(fixtures: &Fixtures, bytes: &[u8]) {
    let (client_end, server_end) = tokio::io::duplex(1 << 16);
    let handler = McpHandler::new(
        Arc::clone(&fixtures.service),
        CredentialSource::Stdio(fixtures.key.clone()),
    );
    let serving = tokio::spawn(async move {
        if let Ok(service) = handler.serve(server_end).await {
            let _quit = service.waiting().await;
        }
    });
    let (read, mut write) = tokio::io::split(client_end);
    let input_bytes = [
        initialize_messages().as_bytes(),
        bytes,
        format!("\n{}\n", json!({"jsonrpc": "2.0", "id": PING, "method": "ping"})).as_bytes(),
    ]
    .concat();
    let writing = tokio::spawn(async move {
        let _gone = write.write_all(&input_bytes).await;
        write
    });
    let mut lines = BufReader::new(read).lines();
    loop {
        let line = tokio::time::timeout(RESPONSE_TIMEOUT, lines.next_line())
            .await
            .expect("no response");
        let line = line.expect("text").expect("the server closed the stream");
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        if message["id"] == PING {
            break;
        }
    }
    drop((lines, writing.await));
    serving.abort();
}

/// Sends the bytes on a TCP connection, and returns the response up to the end of the connection.
async fn send_over_tcp(fixtures: &Fixtures, bytes: &[u8], close_write: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(fixtures.at).await.expect("the server listens");
    let _refused = stream.write_all(bytes).await;
    if close_write {
        let _closed = stream.shutdown().await;
    }
    let (mut response, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        // An event stream stays open.
        let is_stream = response.windows(17).any(|window| window == b"text/event-stream");
        let limit = if is_stream {
            Duration::from_millis(200)
        } else {
            RESPONSE_TIMEOUT
        };
        match tokio::time::timeout(limit, stream.read(&mut chunk)).await {
            Ok(Ok(count)) if count > 0 => response.extend_from_slice(&chunk[..count]),
            Ok(_) => break,
            Err(_) if is_stream => break,
            Err(_) => panic!("no response"),
        }
    }
    response
}

fn request(fixtures: &Fixtures, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        fixtures.key.reveal(),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The status and the body of a response.
fn parts(response: &[u8]) -> (u16, String) {
    let text = String::from_utf8_lossy(response);
    let status = text
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.unwrap_or_else(|| panic!("not an HTTP response: {text}"));
    let body = text
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default();
    (status, body)
}

async fn send_over_http(fixtures: &Fixtures, body: &[u8]) {
    let (status, body) = parts(&send_over_tcp(fixtures, &request(fixtures, body), false).await);
    assert!(status < 500 || status == 503, "{status}: {body}");
    if !body.is_empty() && body.starts_with('{') {
        let response: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!(response["jsonrpc"], "2.0", "{body}");
    }
}

async fn assert_call_succeeds(fixtures: &Fixtures) {
    let whoami = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}});
    let (status, body) =
        parts(&send_over_tcp(fixtures, &request(fixtures, whoami.to_string().as_bytes()), false).await);
    assert!(
        status == 200 && body.contains("\"isError\":false"),
        "{status}: {body}"
    );
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, rest)) = data.split_first() else {
        return;
    };
    let fixtures = fixtures();
    fixtures.runtime.block_on(async {
        let mut input = Unstructured::new(rest);
        match mode % 8 {
            0 => send_over_stdio(fixtures, rest).await,
            1 => send_over_http(fixtures, rest).await,
            2 => {
                let response = send_over_tcp(fixtures, rest, true).await;
                assert!(
                    response.is_empty() || response.starts_with(b"HTTP/1."),
                    "{}",
                    String::from_utf8_lossy(&response)
                );
                assert_call_succeeds(fixtures).await;
            }
            3 | 4 => {
                if let Ok(message) = message(&mut input) {
                    send_over_http(fixtures, message.to_string().as_bytes()).await;
                }
            }
            _ => {
                let mut input_bytes = String::new();
                while let Ok(message) = message(&mut input) {
                    input_bytes.push_str(&format!("{message}\n"));
                    if input.is_empty() || input_bytes.len() > 1 << 14 {
                        break;
                    }
                }
                send_over_stdio(fixtures, input_bytes.as_bytes()).await;
            }
        }
    });
});
