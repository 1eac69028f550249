//! The real program as a bridge between a client on stdin and stdout and a registry that is served over HTTP.

mod cancelling;
mod certificates;
mod invalid_upstream;
mod start;
mod unavailable;

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

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command that starts a bridge to this address.
fn bridge(url: &str, key: &str) -> Command {
    let mut command = program(&["bridge", url]);
    // What goes to this machine goes there by itself, whatever proxy its owner uses.
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

/// A client that writes lines to a bridge.
struct Laptop {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// What it logs, read as it comes: a pipe that nobody reads would stop the bridge one day.
    log: watch::Receiver<String>,
    said: String,
}

/// How a bridge ended, and all that it ever said.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Laptop {
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
            said: String::new(),
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

    /// The next line of stdout, which is JSON-RPC.
    async fn next(&mut self) -> Value {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.stdout.read_line(&mut line)).await;
        assert_ne!(read.expect("no line came").unwrap(), 0, "the bridge hung up");
        self.said.push_str(&line);
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(value["jsonrpc"], "2.0", "{value}");
        value
    }

    async fn ask(&mut self, message: &Value) -> Value {
        self.send(message).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], message["id"], "{answer}");
        answer
    }

    /// The answers to as many requests, by their ids, which count from `first`.
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

    /// Closes stdin and waits for the end.
    async fn end(mut self) -> Ended {
        drop(self.stdin.take());
        let rest = async {
            self.stdout.read_to_string(&mut self.said).await.unwrap();
            while self.log.changed().await.is_ok() {}
            self.child.wait().await.unwrap().code()
        };
        let code = tokio::time::timeout(PATIENCE, rest)
            .await
            .expect("the bridge goes on");
        Ended {
            code,
            out: self.said,
            err: self.log.borrow().clone(),
        }
    }

    /// As [`Self::end`], and it ended as it should, without ever telling the key.
    async fn end_well(self, key: &ApiKey) -> Ended {
        let ended = self.end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        for text in [&ended.out, &ended.err] {
            // The whole key, or its secret part should the text cut it.
            assert!(!text.contains(&key.reveal()[30..50]), "{text}");
        }
        ended
    }
}

/// A registry on a port of its own.
struct McpHandler {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl McpHandler {
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

fn hello(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "initialize", "params": {
        "protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "Laptop Client", "version": "9.1"}}})
}

fn old(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn new_era(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "new-laptop", "version": "2.0"},
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    });
    old(id, method, &params)
}

fn whoami() -> Value {
    json!({"name": "whoami", "arguments": {}})
}

async fn told(db: &TestDb) -> String {
    db.value(
        "SELECT string_agg(concat_ws(' ', tool, outcome, transport, protocol_version, client_name, client_version, trace_id),
                           '; ' ORDER BY id)
         FROM usage_events",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_older_revisions_may_say_everything_at_once() {
    let (db, key) = set_up().await;
    let registry = McpHandler::start(&db.service()).await;
    let mut laptop = Laptop::start(registry.address, &key);
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let said = [
        hello(1),
        ready,
        old(2, "tools/list", &json!({})),
        old(3, "tools/call", &whoami()),
        old(4, "ping", &json!({})),
    ];
    let lines: String = said.iter().map(|message| format!("{message}\n")).collect();
    laptop.write(lines.as_bytes()).await;
    let answers = laptop.answers(1, 4).await;
    assert_eq!(answers[0]["result"]["protocolVersion"], OLD, "{}", answers[0]);
    assert_eq!(answers[0]["result"]["serverInfo"]["name"], "skillkeep");
    assert!(answers[1]["result"]["tools"].as_array().unwrap().len() > 5);
    assert_eq!(
        answers[2]["result"]["structuredContent"]["tenant"], "acme",
        "{}",
        answers[2]
    );
    assert_eq!(answers[3]["result"], json!({}));
    let ended = laptop.end_well(&key).await;
    assert_eq!(ended.out.lines().count(), 4, "{}", ended.out);
    assert_eq!(told(&db).await, format!("whoami ok http {OLD} Laptop-Client 9.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_new_revision_is_answered_and_recorded_as_what_it_is() {
    let (db, key) = set_up().await;
    let acme: uuid::Uuid = db.value("SELECT id FROM tenants WHERE slug = 'acme'").await;
    db.skill(
        skillkeep::ids::TenantId::from_uuid(acme),
        "fill-pdf",
        "Fills in PDF forms.",
        &[],
    )
    .await;
    let registry = McpHandler::start(&db.service()).await;
    let mut laptop = Laptop::start(registry.address, &key);
    let found = laptop.ask(&new_era(1, "server/discover", json!({}))).await;
    assert!(
        found["result"]["supportedVersions"].to_string().contains(NEW),
        "{found}"
    );
    let who = laptop.ask(&new_era(2, "tools/call", whoami())).await;
    assert_eq!(who["result"]["structuredContent"]["tenant"], "acme", "{who}");
    // The headers must say what the body says, or the registry refuses the request.
    let uri = json!({"uri": "skill://fill-pdf/1/fill-pdf/SKILL.md"});
    let read = laptop.ask(&new_era(3, "resources/read", uri)).await;
    assert!(
        read["result"]["contents"][0]["text"]
            .to_string()
            .contains("fill-pdf"),
        "{read}"
    );
    let unknown = laptop
        .ask(&new_era(
            4,
            "tools/call",
            json!({"name": " größe\n", "arguments": {}}),
        ))
        .await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    let unknown = laptop.ask(&new_era(5, "no/such/method", json!({}))).await;
    assert_eq!(unknown["error"]["code"], -32601, "{unknown}");
    laptop.end_well(&key).await;
    let client = format!("http {NEW} new-laptop 2.0 0af7651916cd43dd8448eb211c80319c");
    let events = told(&db).await;
    assert!(events.starts_with(&format!("whoami ok {client}")), "{events}");
    assert_eq!(events.matches(&client).count(), 3, "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_client_of_either_revision_works_through_the_bridge() {
    let (db, key) = set_up().await;
    let registry = McpHandler::start(&db.service()).await;
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
    let revisions: Vec<String> = db
        .value("SELECT array_agg(protocol_version ORDER BY id) FROM usage_events")
        .await;
    assert_eq!(revisions.len(), 2);
    assert!(
        revisions[0].as_str() < NEW && revisions[1] == NEW,
        "{revisions:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_calls_are_at_the_registry_at_once() {
    let (db, key) = set_up().await;
    // None of the calls ends before all have begun.
    let meeting = Arc::new(tokio::sync::Barrier::new(10));
    let block = test_hook(move |_, _| {
        let meeting = Arc::clone(&meeting);
        async move {
            meeting.wait().await;
        }
        .boxed()
    });
    let server = ServerDb::new(&db.ways.server, 16).unwrap();
    let service = Arc::new(CallService::new(server, ServiceLimits::default()).with_test_hook(block));
    let registry = McpHandler::start(&service).await;
    let mut laptop = Laptop::start(registry.address, &key);
    laptop.ask(&hello(100)).await;
    for id in 1..=10 {
        laptop.send(&old(id, "tools/call", &whoami())).await;
    }
    for answer in laptop.answers(1, 10).await {
        assert_eq!(
            answer["result"]["structuredContent"]["tenant"], "acme",
            "{answer}"
        );
    }
    laptop.end_well(&key).await;
}
