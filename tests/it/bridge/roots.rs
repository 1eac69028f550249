//! Projects that the client names when the bridge asks for its roots.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skillkeep::tenancy::ApiKey;
use tempfile::TempDir;

use super::recording_proxy::proxy;
use super::{BridgeClient, Registry, TIMEOUT, bridge, current, initialize, legacy, set_up, whoami};
use crate::harness::TestDb;
use crate::methods::store;

const SKILL_MD: &[u8] = b"---\nname: tides\ndescription: Reads tide tables.\n---\n\nRead the table.\n";
const TABLE: &[u8] = &[0, 159, 146, 150];
/// How long a client may take to name its folders.
const WAIT: Duration = Duration::from_secs(5);

/// A registry with a skill, behind a proxy that records what the bridge sends, and the folders of a machine.
struct Setting {
    db: TestDb,
    key: ApiKey,
    _registry: Registry,
    address: SocketAddr,
    sent: Arc<Mutex<Vec<Value>>>,
    root: TempDir,
}

impl Setting {
    async fn new() -> Self {
        let (db, key) = set_up().await;
        let acme: uuid::Uuid = db.value("SELECT id FROM tenants WHERE slug = 'acme'").await;
        let files: [(&str, &[u8]); 2] = [("SKILL.md", SKILL_MD), ("table.bin", TABLE)];
        store(&db, skillkeep::ids::TenantId::from_uuid(acme), "tides", &files).await;
        let registry = Registry::start(&db.service()).await;
        let sent = Arc::default();
        let address = proxy(registry.address, Arc::clone(&sent)).await;
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        Self {
            db,
            key,
            _registry: registry,
            address,
            sent,
            root,
        }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// A client whose bridge gets these arguments.
    fn start(&self, arguments: &[&str]) -> BridgeClient {
        let mut command = bridge(&format!("http://{}", self.address), self.key.reveal());
        command
            .args(arguments)
            .env("HOME", self.root.path().join("home"))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("CLAUDE_CONFIG_DIR")
            .env_remove("CODEX_HOME");
        BridgeClient::of(command)
    }

    /// A client that has said that it can name its project folders.
    async fn connected(&self) -> BridgeClient {
        let mut client = self.start(&[]);
        let answer = client.ask(&greet(&json!({"roots": {"listChanged": true}}))).await;
        assert!(answer["result"].is_object(), "{answer}");
        client
    }

    /// Ends the session, and checks that the registry saw neither a response to the bridge's requests nor a root.
    async fn end(self, client: BridgeClient) {
        let folder = self.root.path().display().to_string();
        client.end_well(&self.key).await;
        let sent = self.sent.lock().unwrap();
        for message in &*sent {
            let text = message.to_string();
            assert!(!text.contains("skillkeep-bridge-"), "{text}");
            assert!(!text.contains(&folder), "{text}");
        }
    }
}

fn greet(capabilities: &Value) -> Value {
    let mut request = initialize(1);
    request["params"]["capabilities"] = capabilities.clone();
    request
}

fn install_at(location: &str) -> Value {
    json!({"name": "install_skill", "arguments": {"skill": "tides", "assistant": "codex", "location": location}})
}

fn install(id: u64) -> Value {
    legacy(id, "tools/call", &install_at("project"))
}

fn cancellation(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
}

/// Reads a request for the roots and returns its id.
async fn asked(client: &mut BridgeClient) -> Value {
    let request = client.next().await;
    assert_eq!(request["method"], "roots/list", "{request}");
    let id = request["id"].as_str().unwrap();
    assert!(id.starts_with("skillkeep-bridge-"), "{id}");
    request["id"].clone()
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn response(id: &Value, folders: &[&Path]) -> Value {
    let roots: Vec<Value> = folders.iter().map(|folder| json!({"uri": uri(folder)})).collect();
    json!({"jsonrpc": "2.0", "id": id, "result": {"roots": roots}})
}

fn assert_installed(project: &Path) {
    let folder = project.join(".agents/skills/tides");
    assert_eq!(fs::read(folder.join("SKILL.md")).unwrap(), SKILL_MD);
    assert_eq!(fs::read(folder.join("table.bin")).unwrap(), TABLE);
}

/// Asserts that the answer says that the skill was written to the project.
fn assert_written(answer: &Value) {
    let result = &answer["result"]["structuredContent"];
    let folder = &result["written"][0]["folder"];
    assert_eq!(folder, ".agents/skills/tides", "{answer}");
    assert_eq!(result.get("files"), None, "{answer}");
}

/// Asserts that the answer has the files, and that none was written.
fn assert_not_written(answer: &Value) {
    let result = &answer["result"]["structuredContent"];
    assert_eq!(result["files"].as_array().map(Vec::len), Some(2), "{answer}");
    assert_eq!(result.get("written"), None, "{answer}");
}

fn assert_empty(folder: &Path) {
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "{}", folder.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn skill_is_written_to_the_project_that_the_client_names() {
    let setting = Setting::new().await;
    let (shop, second) = (setting.folder("shop"), setting.folder("second"));
    let mut client = setting.start(&[]);
    // The version is not known yet when the bridge reads the call.
    let lines = format!("{}\n{}\n", greet(&json!({"roots": {}})), install(2));
    client.write(lines.as_bytes()).await;
    let greeting = client.next().await;
    assert_eq!(greeting["id"], 1, "{greeting}");
    let id = asked(&mut client).await;
    // The bridge reads and answers other messages while it waits.
    let who = client.ask(&legacy(3, "tools/call", &whoami())).await;
    assert_eq!(who["result"]["structuredContent"]["tenant"], "acme", "{who}");
    client
        .send(&json!({"jsonrpc": "2.0", "id": "foreign", "result": {"roots": []}}))
        .await;
    let missing = setting.root.path().join("missing");
    client.send(&response(&id, &[&missing, &shop, &second])).await;
    let answer = client.next().await;
    assert_eq!(answer["id"], 2, "{answer}");
    assert_written(&answer);
    assert_installed(&shop);
    assert_empty(&second);
    assert!(!setting.root.path().join("home/.agents").exists());
    // Each install asks anew: the client may have opened another project.
    client.send(&install(4)).await;
    let next_id = asked(&mut client).await;
    assert_ne!(id, next_id);
    client.send(&response(&next_id, &[&second])).await;
    assert_written(&client.next().await);
    assert_installed(&second);
    // A response to a request of the registry is still forwarded.
    client.ask(&legacy(5, "ping", &json!({}))).await;
    let foreign = |message: &Value| message["id"] == "foreign";
    let forwarded = || setting.sent.lock().unwrap().iter().any(foreign);
    let started = Instant::now();
    while !forwarded() {
        assert!(started.elapsed() < TIMEOUT, "the response was not forwarded");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let installs: i64 = setting
        .db
        .value("SELECT count(*) FROM installs WHERE state = 'confirmed'")
        .await;
    assert_eq!(installs, 2);
    setting.end(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_is_not_asked_without_its_capability_or_a_reason() {
    let setting = Setting::new().await;
    let (shop, other) = (setting.folder("shop"), setting.folder("other"));
    for capabilities in [json!({}), json!({"roots": null}), json!({"sampling": {}})] {
        let mut client = setting.start(&[]);
        client.ask(&greet(&capabilities)).await;
        assert_not_written(&client.ask(&install(2)).await);
        client.end_well(&setting.key).await;
    }
    // The protocol has no requests of servers since 2026-07-28.
    let mut client = setting.start(&[]);
    let mut call = current(2, "tools/call", install_at("project"));
    call["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"roots": {}});
    assert_not_written(&client.ask(&call).await);
    client.end_well(&setting.key).await;
    let mut client = setting.connected().await;
    assert_not_written(&client.ask(&call).await);
    client.end_well(&setting.key).await;
    // An install for the user needs no project.
    let mut client = setting.connected().await;
    let answer = client.ask(&legacy(2, "tools/call", &install_at("user"))).await;
    let written = &answer["result"]["structuredContent"]["written"][0]["folder"];
    assert_eq!(written, "~/.agents/skills/tides", "{answer}");
    client.end_well(&setting.key).await;
    assert_empty(&shop);
    // What the user allowed goes before what the client names.
    let mut client = setting.start(&["--allow-project", shop.to_str().unwrap()]);
    client.ask(&greet(&json!({"roots": {}}))).await;
    assert_written(&client.ask(&install(2)).await);
    assert_installed(&shop);
    assert_empty(&other);
    setting.end(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn response_without_a_folder_leaves_the_files_in_the_answer() {
    let setting = Setting::new().await;
    let shop = setting.folder("shop");
    let (file, link) = (setting.root.path().join("file"), setting.root.path().join("link"));
    fs::write(&file, "text").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let mut client = setting.connected().await;
    let result = |result: Value| json!({"jsonrpc": "2.0", "result": result});
    let error = json!({"code": -32601, "message": "Method not found"});
    let responses = [
        json!({"jsonrpc": "2.0", "error": error}),
        json!({"jsonrpc": "2.0", "error": null}),
        result(Value::Null),
        result(json!(7)),
        result(json!([])),
        result(json!({})),
        result(json!({"roots": {}})),
        result(json!({"roots": []})),
        result(json!({"roots": [uri(&shop)]})),
        result(json!({"roots": vec![json!({"uri": uri(&shop)}); 10_000]})),
        result(json!({"roots": [{"uri": format!("https://localhost{}", shop.display())}]})),
        response(&Value::Null, &[&file]),
        response(&Value::Null, &[&link]),
        response(&Value::Null, &[&shop.join("missing")]),
        response(&Value::Null, &[Path::new("shop")]),
    ];
    for (mut response, number) in responses.into_iter().zip(2..) {
        client.send(&install(number)).await;
        response["id"] = asked(&mut client).await;
        client.send(&response).await;
        let answer = client.next().await;
        assert_eq!(answer["id"], number, "{answer}");
        assert_not_written(&answer);
    }
    assert_empty(&shop);
    setting.end(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installs_at_once_ask_for_themselves() {
    let setting = Setting::new().await;
    let (one, two) = (setting.folder("one"), setting.folder("two"));
    let mut client = setting.connected().await;
    client
        .write(format!("{}\n{}\n", install(2), install(3)).as_bytes())
        .await;
    let (first, second) = (asked(&mut client).await, asked(&mut client).await);
    assert_ne!(first, second);
    client.send(&response(&second, &[&two])).await;
    let answer = client.next().await;
    assert_written(&answer);
    assert_installed(&two);
    assert_empty(&one);
    // A second response to the same request has no effect.
    client.send(&response(&second, &[&one])).await;
    client.send(&response(&first, &[&one])).await;
    let last = client.next().await;
    assert_written(&last);
    assert_installed(&one);
    assert_eq!(
        answer["id"].as_u64().unwrap() + last["id"].as_u64().unwrap(),
        5,
        "{answer} {last}"
    );
    setting.end(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_installs_than_the_bridge_sends_at_once_do_not_block_each_other() {
    let setting = Setting::new().await;
    let shop = setting.folder("shop");
    let mut client = setting.connected().await;
    let installs: String = (2..42).map(|id| format!("{}\n", install(id))).collect();
    client.write(installs.as_bytes()).await;
    let mut ids = Vec::new();
    for _ in 2..42 {
        ids.push(asked(&mut client).await);
    }
    // Other calls are sent while all of them wait.
    let who = client.ask(&legacy(50, "tools/call", &whoami())).await;
    assert_eq!(who["result"]["structuredContent"]["tenant"], "acme", "{who}");
    for id in 2..42 {
        client.send(&cancellation(id)).await;
    }
    for id in &ids {
        client.send(&response(id, &[&shop])).await;
    }
    client.ask(&legacy(51, "ping", &json!({}))).await;
    assert_empty(&shop);
    setting.end(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_never_answers_gets_the_files() {
    let setting = Setting::new().await;
    let shop = setting.folder("shop");
    let mut client = setting.connected().await;
    let started = Instant::now();
    client.send(&install(2)).await;
    let id = asked(&mut client).await;
    assert_not_written(&client.next().await);
    assert!(started.elapsed() >= WAIT, "{:?}", started.elapsed());
    // A response that comes too late has no effect, and is not for the registry either.
    client.send(&response(&id, &[&shop])).await;
    client.ask(&legacy(3, "ping", &json!({}))).await;
    assert_empty(&shop);
    setting.end(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_install_does_not_wait() {
    let setting = Setting::new().await;
    let shop = setting.folder("shop");
    let mut client = setting.connected().await;
    client.send(&install(2)).await;
    let cancelled = asked(&mut client).await;
    client.send(&cancellation(2)).await;
    // The id can be used again.
    client.send(&install(2)).await;
    let id = asked(&mut client).await;
    client.send(&response(&cancelled, &[&shop])).await;
    client.send(&response(&id, &[])).await;
    let answer = client.next().await;
    assert_eq!(answer["id"], 2, "{answer}");
    assert_not_written(&answer);
    assert_empty(&shop);
    let is_install = |message: &&Value| message["params"]["name"] == "install_skill";
    let count = setting.sent.lock().unwrap().iter().filter(is_install).count();
    assert_eq!(count, 1);
    setting.end(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn install_is_answered_when_the_client_closes_stdin_instead() {
    let setting = Setting::new().await;
    let mut client = setting.connected().await;
    client.send(&install(2)).await;
    asked(&mut client).await;
    let started = Instant::now();
    drop(client.stdin.take());
    let answer = client.next().await;
    assert_eq!(answer["id"], 2, "{answer}");
    assert_not_written(&answer);
    assert!(started.elapsed() < WAIT, "{:?}", started.elapsed());
    setting.end(client).await;
}
