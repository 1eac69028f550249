//! `skillkeep bridge` as a child process, between a client on stdin and stdout and a registry over HTTP.

mod batches;
mod cancelling;
mod certificates;
mod invalid_upstream;
mod recording_proxy;
mod roots;
mod start;
mod unavailable;
mod unreadable;

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _};
use rmcp::transport::TokioChildProcess;
use serde_json::{Value, json};
use skillkeep::db::ServerDb;
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::{self, HttpOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::command::program;
use crate::harness::TestDb;
use crate::helpers::test_hook;

const LEGACY_VERSION: &str = "2025-11-25";
const CURRENT_VERSION: &str = "2026-07-28";
/// Longer than anything in these tests may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The command that starts a bridge to this address.
fn bridge(url: &str, key: &str) -> Command {
    let mut command = program(&["bridge", url]);
    // The bridge must not use a proxy for an address of this machine.
    command
        .env("SKILLKEEP_API_KEY", key)
        .env("SKILLKEEP_LOG", "trace")
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("http_proxy", "http://127.0.0.1:1")
        .stdin(Stdio::piped());
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command
}

/// A client that starts a bridge and exchanges lines with it.
struct BridgeClient {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// The log so far. A task reads it, because a full pipe would block the bridge.
    log: watch::Receiver<String>,
    output: String,
}

/// The exit code and all output of a bridge.
struct BridgeOutput {
    code: Option<i32>,
    out: String,
    err: String,
}

impl BridgeClient {
    fn start(address: SocketAddr, key: &ApiKey) -> Self {
        Self::start_at(&format!("http://{address}"), key.reveal())
    }

    fn start_at(url: &str, key: &str) -> Self {
        Self::of(bridge(url, key))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let (logged, log) = watch::channel(String::new());
        tokio::spawn(async move {
            while let Some(line) = stderr.next_line().await.unwrap() {
                logged.send_modify(|text| *text += &format!("{line}\n"));
            }
        });
        Self {
            log,
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
            output: String::new(),
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).await.unwrap();
        stdin.flush().await.unwrap();
    }

    async fn send(&mut self, message: &Value) {
        self.write(format!("{message}\n").as_bytes()).await;
    }

    /// Reads the next line of stdout, which must be a JSON-RPC message.
    async fn next(&mut self) -> Value {
        let value = self.next_line().await;
        assert_eq!(value["jsonrpc"], "2.0", "{value}");
        value
    }

    /// Reads the next line of stdout, which must be JSON.
    async fn next_line(&mut self) -> Value {
        let mut line = String::new();
        let read = tokio::time::timeout(TIMEOUT, self.stdout.read_line(&mut line)).await;
        assert_ne!(
            read.expect("no line came").unwrap(),
            0,
            "the bridge closed stdout"
        );
        self.output.push_str(&line);
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    async fn ask(&mut self, message: &Value) -> Value {
        self.send(message).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], message["id"], "{answer}");
        answer
    }

    /// Reads the responses to the requests with the ids `first..first + count`, and sorts them.
    async fn answers(&mut self, first: u64, count: u64) -> Vec<Value> {
        let mut answers = Vec::new();
        for _ in 0..count {
            answers.push(self.next().await);
        }
        answers.sort_by_key(|answer| answer["id"].as_u64());
        let ids: Vec<u64> = answers
            .iter()
            .filter_map(|answer| answer["id"].as_u64())
            .collect();
        assert_eq!(ids, (first..first + count).collect::<Vec<_>>(), "{answers:?}");
        answers
    }

    /// Closes stdin and waits until the bridge has ended.
    async fn end(mut self) -> BridgeOutput {
        drop(self.stdin.take());
        let rest = async {
            self.stdout.read_to_string(&mut self.output).await.unwrap();
            while self.log.changed().await.is_ok() {}
            self.child.wait().await.unwrap().code()
        };
        let code = tokio::time::timeout(TIMEOUT, rest)
            .await
            .expect("the bridge does not end");
        BridgeOutput {
            code,
            out: self.output,
            err: self.log.borrow().clone(),
        }
    }

    /// Like [`Self::end`], and checks that the bridge succeeded and never printed the key.
    async fn end_well(self, key: &ApiKey) -> BridgeOutput {
        let ended = self.end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        for text in [&ended.out, &ended.err] {
            // A part of the secret, in case the text contains only a part of the key.
            assert!(!text.contains(&key.reveal()[30..50]), "{text}");
        }
        ended
    }
}

/// A registry on its own port.
struct Registry {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Registry {
    async fn start(service: &Arc<CallService>) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), service).await
    }

    async fn start_at(address: SocketAddr, service: &Arc<CallService>) -> Self {
        let listener = http::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, service) = (CancellationToken::new(), Arc::clone(service));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            http::serve(
                listener,
                service,
                &HttpOptions::default(),
                stopped.cancelled_owned(),
            )
            .await
            .unwrap();
        });
        Self { address, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn set_up() -> (TestDb, ApiKey) {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    (db, key)
}

fn initialize(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "initialize", "params": {
        "protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": {"name": "Test Client", "version": "9.1"}}})
}

fn legacy(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn current(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": CURRENT_VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "new-client", "version": "2.0"},
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    });
    legacy(id, method, &params)
}

fn whoami() -> Value {
    json!({"name": "whoami", "arguments": {}})
}

async fn usage_events(db: &TestDb) -> String {
    db.value(
        "SELECT string_agg(concat_ws(' ', tool, outcome, transport, protocol_version, client_name, client_version, trace_id),
                           '; ' ORDER BY id)
         FROM usage_events",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_client_may_send_requests_before_initialize_is_answered() {
    let (db, key) = set_up().await;
    let registry = Registry::start(&db.service()).await;
    let mut client = BridgeClient::start(registry.address, &key);
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let messages = [
        initialize(1),
        ready,
        legacy(2, "tools/list", &json!({})),
        legacy(3, "tools/call", &whoami()),
        legacy(4, "ping", &json!({})),
    ];
    let lines: String = messages.iter().map(|message| format!("{message}\n")).collect();
    client.write(lines.as_bytes()).await;
    let answers = client.answers(1, 4).await;
    assert_eq!(
        answers[0]["result"]["protocolVersion"], LEGACY_VERSION,
        "{}",
        answers[0]
    );
    assert_eq!(answers[0]["result"]["serverInfo"]["name"], "skillkeep");
    assert!(answers[1]["result"]["tools"].as_array().unwrap().len() > 5);
    assert_eq!(
        answers[2]["result"]["structuredContent"]["tenant"], "acme",
        "{}",
        answers[2]
    );
    assert_eq!(answers[3]["result"], json!({}));
    let ended = client.end_well(&key).await;
    assert_eq!(ended.out.lines().count(), 4, "{}", ended.out);
    assert_eq!(
        usage_events(&db).await,
        format!("whoami ok http {LEGACY_VERSION} Test-Client 9.1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn current_client_is_answered_and_recorded_with_its_name() {
    let (db, key) = set_up().await;
    let acme: uuid::Uuid = db.value("SELECT id FROM tenants WHERE slug = 'acme'").await;
    db.skill(
        skillkeep::ids::TenantId::from_uuid(acme),
        "fill-pdf",
        "Fills in PDF forms.",
        &[],
    )
    .await;
    let registry = Registry::start(&db.service()).await;
    let mut client = BridgeClient::start(registry.address, &key);
    let found = client.ask(&current(1, "server/discover", json!({}))).await;
    assert!(
        found["result"]["supportedVersions"]
            .to_string()
            .contains(CURRENT_VERSION),
        "{found}"
    );
    let who = client.ask(&current(2, "tools/call", whoami())).await;
    assert_eq!(who["result"]["structuredContent"]["tenant"], "acme", "{who}");
    // The registry rejects the request if its headers and its body differ.
    let uri = json!({"uri": "skill://fill-pdf/1/fill-pdf/SKILL.md"});
    let read = client.ask(&current(3, "resources/read", uri)).await;
    assert!(
        read["result"]["contents"][0]["text"]
            .to_string()
            .contains("fill-pdf"),
        "{read}"
    );
    let unknown = client
        .ask(&current(
            4,
            "tools/call",
            json!({"name": " größe\n", "arguments": {}}),
        ))
        .await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    let unknown = client.ask(&current(5, "no/such/method", json!({}))).await;
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
    client.end_well(&key).await;
    let client = format!("http {CURRENT_VERSION} new-client 2.0 0af7651916cd43dd8448eb211c80319c");
    let events = usage_events(&db).await;
    assert!(events.starts_with(&format!("whoami ok {client}")), "{events}");
    assert_eq!(events.matches(&client).count(), 3, "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rmcp_client_of_either_version_works_through_the_bridge() {
    let (db, key) = set_up().await;
    let registry = Registry::start(&db.service()).await;
    let new = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    for lifecycle in [ClientLifecycleMode::Initialize, new] {
        let command = bridge(&format!("http://{}/mcp", registry.address), key.reveal());
        let transport = TokioChildProcess::new(command).unwrap();
        let client = ().serve_with_lifecycle(transport, lifecycle).await.unwrap();
        assert!(client.list_all_tools().await.unwrap().len() > 5);
        let result = client
            .call_tool(CallToolRequestParams::new("whoami"))
            .await
            .unwrap();
        assert_eq!(result.structured_content.unwrap()["tenant"], "acme");
        client.cancel().await.unwrap();
    }
    let versions: Vec<String> = db
        .value("SELECT array_agg(protocol_version ORDER BY id) FROM usage_events")
        .await;
    assert_eq!(versions.len(), 2);
    assert!(
        versions[0].as_str() < CURRENT_VERSION && versions[1] == CURRENT_VERSION,
        "{versions:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_calls_run_concurrently() {
    let (db, key) = set_up().await;
    // No call ends before all ten have begun.
    let barrier = Arc::new(tokio::sync::Barrier::new(10));
    let block = test_hook(move |_, _| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
        }
        .boxed()
    });
    let server = ServerDb::new(&db.ways.server, 16).unwrap();
    let service = Arc::new(CallService::new(server, ServiceLimits::default()).with_test_hook(block));
    let registry = Registry::start(&service).await;
    let mut client = BridgeClient::start(registry.address, &key);
    client.ask(&initialize(100)).await;
    for id in 1..=10 {
        client.send(&legacy(id, "tools/call", &whoami())).await;
    }
    for answer in client.answers(1, 10).await {
        assert_eq!(
            answer["result"]["structuredContent"]["tenant"], "acme",
            "{answer}"
        );
    }
    client.end_well(&key).await;
}
