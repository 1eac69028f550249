//! The way of a message: bytes from a stranger to the registry and back, over a pipe as on stdio and over HTTP.
//!
//! `fuzz/run message [SECONDS]` sets all up. Holds for every input: whatever is said is answered or passed over, every
//! line that comes back is JSON-RPC, every HTTP answer is one, and the next good request is served.

#![no_main]

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rmcp::ServiceExt as _;
use serde_json::{Map, Value, json};
use skillkeep::db::{DatabaseUrl, ServerDb};
use skillkeep::server::{CallService, CredentialSource, ServiceLimits, McpHandler};
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::{self, HttpOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Longer than any answer may take, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);
const PING: &str = "the-fuzzers-own-ping";

struct Fixtures {
    runtime: Runtime,
    service: Arc<CallService>,
    key: ApiKey,
    at: SocketAddr,
}

fn world() -> &'static Fixtures {
    static WORLD: OnceLock<Fixtures> = OnceLock::new();
    WORLD.get_or_init(|| {
        let variable =
            |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; use fuzz/run"));
        let url: DatabaseUrl = variable("DATABASE_URL")
            .parse()
            .expect("an address of a database");
        let key: ApiKey = variable("SKILLKEEP_API_KEY").parse().expect("a key");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        let (service, at) = runtime.block_on(async {
            let server = ServerDb::new(&url, 4).expect("a database");
            let service = Arc::new(CallService::new(server, ServiceLimits::default()));
            let listener = http::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
                .await
                .expect("a port");
            let at = listener.local_addr().expect("an address");
            let behind = Arc::clone(&service);
            let options = HttpOptions {
                request_timeout: Duration::from_millis(300),
                ..HttpOptions::default()
            };
            tokio::spawn(async move {
                let served = http::serve(listener, behind, &options, std::future::pending::<()>());
                served.await.expect("serving goes on");
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

/// A value made of what the protocol knows and what it does not.
fn value(input: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    let most = if depth == 0 { 4 } else { 6 };
    Ok(match input.int_in_range(0..=most)? {
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

/// A message that may be good in all its parts, or wrong in some.
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

fn hello() -> String {
    let me = json!({"name": "fuzzer", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": me});
    let hello = json!({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": params});
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    format!("{hello}\n{ready}\n")
}

/// Says the bytes in a conversation, and asks afterwards whether somebody is still there.
async fn over_a_pipe(world: &Fixtures, bytes: &[u8]) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let registry = McpHandler::new(Arc::clone(&world.service), CredentialSource::Stdio(world.key.clone()));
    let serving = tokio::spawn(async move {
        if let Ok(service) = registry.serve(far).await {
            let _quit = service.waiting().await;
        }
    });
    let (read, mut write) = tokio::io::split(near);
    let said = [
        hello().as_bytes(),
        bytes,
        format!("\n{}\n", json!({"jsonrpc": "2.0", "id": PING, "method": "ping"})).as_bytes(),
    ]
    .concat();
    let speaking = tokio::spawn(async move {
        let _gone = write.write_all(&said).await;
        write
    });
    let mut lines = BufReader::new(read).lines();
    loop {
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .expect("nobody answers");
        let line = line.expect("text").expect("the conversation was ended");
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        if message["id"] == PING {
            break;
        }
    }
    drop((lines, speaking.await));
    serving.abort();
}

/// Sends the bytes as they are, and gives all that comes back until the server hangs up.
async fn over_a_socket(world: &Fixtures, bytes: &[u8], hang_up: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(world.at).await.expect("the server listens");
    let _refused = stream.write_all(bytes).await;
    if hang_up {
        let _closed = stream.shutdown().await;
    }
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        // A stream of events ends by itself only when nobody listens.
        let is_stream = answer.windows(17).any(|window| window == b"text/event-stream");
        let patience = if is_stream {
            Duration::from_millis(200)
        } else {
            PATIENCE
        };
        match tokio::time::timeout(patience, stream.read(&mut chunk)).await {
            Ok(Ok(count)) if count > 0 => answer.extend_from_slice(&chunk[..count]),
            Ok(_) => break,
            Err(_) if is_stream => break,
            Err(_) => panic!("nobody answers"),
        }
    }
    answer
}

fn request(world: &Fixtures, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        world.key.reveal(),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The status and the body of an answer.
fn parts(answer: &[u8]) -> (u16, String) {
    let text = String::from_utf8_lossy(answer);
    let status = text
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no answer of HTTP: {text}"));
    let body = text
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default();
    (status, body)
}

async fn over_http(world: &Fixtures, body: &[u8]) {
    let (status, body) = parts(&over_a_socket(world, &request(world, body), false).await);
    assert!(status < 500 || status == 503, "{status}: {body}");
    if !body.is_empty() && body.starts_with('{') {
        let answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!(answer["jsonrpc"], "2.0", "{body}");
    }
}

async fn assert_served(world: &Fixtures) {
    let who = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}});
    let (status, body) =
        parts(&over_a_socket(world, &request(world, who.to_string().as_bytes()), false).await);
    assert!(
        status == 200 && body.contains("\"isError\":false"),
        "{status}: {body}"
    );
}

fuzz_target!(|data: &[u8]| {
    let Some((way, rest)) = data.split_first() else {
        return;
    };
    let world = world();
    world.runtime.block_on(async {
        let mut input = Unstructured::new(rest);
        match way % 8 {
            0 => over_a_pipe(world, rest).await,
            1 => over_http(world, rest).await,
            2 => {
                let answer = over_a_socket(world, rest, true).await;
                assert!(
                    answer.is_empty() || answer.starts_with(b"HTTP/1."),
                    "{}",
                    String::from_utf8_lossy(&answer)
                );
                assert_served(world).await;
            }
            3 | 4 => {
                if let Ok(message) = message(&mut input) {
                    over_http(world, message.to_string().as_bytes()).await;
                }
            }
            _ => {
                let mut said = String::new();
                while let Ok(message) = message(&mut input) {
                    said.push_str(&format!("{message}\n"));
                    if input.is_empty() || said.len() > 1 << 14 {
                        break;
                    }
                }
                over_a_pipe(world, said.as_bytes()).await;
            }
        }
    });
});
