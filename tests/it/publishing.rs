//! The published descriptions of skillkeep (`mcp.json`, `server.json`, the MCP bundle): they are tried out.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};
use skillkeep::transport::http::HttpOptions;

use crate::command::{PROGRAM, program, say};
use crate::harness::{Cluster, TestDb};
use crate::http_server::{PATIENCE, TestHttpServer};

fn document(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Replaces each `${NAME}`, as clients do.
fn filled(text: &Value, values: &BTreeMap<&str, String>) -> String {
    values
        .iter()
        .fold(text.as_str().unwrap().to_owned(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), value)
        })
}

fn opening_messages() -> [Value; 3] {
    let me = json!({"name": "publishing-test", "version": "1"});
    [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
               "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": me}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}),
    ]
}

fn tool_names(answer: &Value) -> Vec<String> {
    let tools = answer["result"]["tools"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Starts the command of an entry, as a client would, and lists the tools.
async fn over_stdio(entry: &Value, values: &BTreeMap<&str, String>, database: &str) -> Vec<String> {
    let mut command = program(&[]);
    assert_eq!(
        filled(&entry["command"], values).rsplit('/').next(),
        Path::new(PROGRAM).file_name().unwrap().to_str()
    );
    for argument in entry["args"].as_array().unwrap() {
        command.arg(filled(argument, values));
    }
    for (name, value) in entry["env"].as_object().unwrap() {
        command.env(name, filled(value, values));
    }
    let mut child = command
        .env("DATABASE_URL", database)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    for message in opening_messages() {
        say(&mut child, format!("{message}\n").as_bytes());
    }
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let answer = tokio::task::spawn_blocking(move || {
        lines
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .find(|message| message["id"] == 2)
            .unwrap()
    });
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    drop(child.stdin.take());
    if answer.is_err() {
        child.kill().unwrap();
    }
    child.wait().unwrap();
    tool_names(&answer.unwrap().unwrap())
}

/// The first message with this id in an event stream.
fn find_message(events: &str, id: i64) -> Option<Value> {
    events
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok())
        .find(|message: &Value| message["id"] == id)
}

fn with_headers(
    request: reqwest::RequestBuilder,
    entry: &Value,
    values: &BTreeMap<&str, String>,
) -> reqwest::RequestBuilder {
    let headers = entry["headers"].as_object().unwrap();
    headers.iter().fold(request, |request, (name, value)| {
        request.header(name, filled(value, values))
    })
}

async fn over_http(entry: &Value, values: &BTreeMap<&str, String>, at: SocketAddr) -> Vec<String> {
    let client = reqwest::Client::new();
    let url = entry["url"]
        .as_str()
        .unwrap()
        .replace("127.0.0.1:8787", &at.to_string());
    let mut last = String::new();
    for message in opening_messages() {
        let request = with_headers(client.post(&url), entry, values)
            .header(ACCEPT, "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-06-18")
            .json(&message);
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
        last = response.text().await.unwrap();
    }
    tool_names(
        &serde_json::from_str(&last)
            .ok()
            .or_else(|| find_message(&last, 2))
            .unwrap(),
    )
}

async fn over_sse(entry: &Value, values: &BTreeMap<&str, String>, at: SocketAddr) -> Vec<String> {
    let client = reqwest::Client::new();
    let url = entry["url"]
        .as_str()
        .unwrap()
        .replace("127.0.0.1:8787", &at.to_string());
    let mut stream = with_headers(client.get(&url), entry, values)
        .send()
        .await
        .unwrap();
    assert_eq!(stream.headers()[CONTENT_TYPE], "text/event-stream");
    let mut seen = String::new();
    let mut is_open = false;
    loop {
        let chunk = tokio::time::timeout(PATIENCE, stream.chunk())
            .await
            .unwrap()
            .unwrap();
        seen.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        let endpoint = seen
            .lines()
            .find_map(|line| line.strip_prefix("data:"))
            .map(str::trim);
        if let Some(path) = endpoint.filter(|path| path.starts_with('/') && !is_open) {
            for message in opening_messages() {
                let request = with_headers(client.post(format!("http://{at}{path}")), entry, values);
                assert_eq!(request.json(&message).send().await.unwrap().status(), 202);
            }
            is_open = true;
        }
        if let Some(answer) = find_message(&seen, 2) {
            return tool_names(&answer);
        }
    }
}

/// A registry of one tenant on its own port.
struct Registry {
    db: TestDb,
    key: String,
    served: TestHttpServer,
}

impl Registry {
    async fn start() -> Self {
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        let key = db.full_key(tenant).await.reveal().to_owned();
        let served = TestHttpServer::start(db.service(), HttpOptions::default()).await;
        Self { db, key, served }
    }

    fn database(&self) -> String {
        Cluster::get().url("skillkeep_app", &self.db.name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_of_mcp_json_lists_the_same_tools() {
    let registry = Registry::start().await;
    let values = BTreeMap::from([("SKILLKEEP_API_KEY", registry.key.clone())]);
    let servers = document("mcp.json")["mcpServers"].clone();
    let tools = over_stdio(&servers["skillkeep"], &values, &registry.database()).await;
    assert!(tools.contains(&"search_skills".to_owned()), "{tools:?}");
    assert_eq!(
        over_http(&servers["skillkeep-http"], &values, registry.served.at).await,
        tools
    );
    assert_eq!(
        over_sse(&servers["skillkeep-sse"], &values, registry.served.at).await,
        tools
    );
    assert_eq!(
        servers.as_object().unwrap().len(),
        3,
        "an entry of mcp.json is not tested"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_starts_a_bridge_to_the_configured_registry() {
    let registry = Registry::start().await;
    let manifest = document("packaging/mcpb/manifest.json");
    let values = BTreeMap::from([
        ("__dirname", "/bundle".to_owned()),
        (
            "user_config.registry_url",
            format!("http://{}", registry.served.at),
        ),
        ("user_config.api_key", registry.key.clone()),
    ]);
    let server = &manifest["server"];
    // The bridge must not need a database.
    let tools = over_stdio(&server["mcp_config"], &values, "postgres://127.0.0.1:1/none").await;
    assert!(tools.contains(&"search_skills".to_owned()), "{tools:?}");
    let entry_point = server["entry_point"].as_str().unwrap();
    assert_eq!(
        server["mcp_config"]["command"],
        format!("${{__dirname}}/{entry_point}")
    );
    assert_eq!(manifest["user_config"]["api_key"]["sensitive"], true);
}

#[test]
fn published_files_have_the_version_of_the_program() {
    for file in ["server.json", "packaging/mcpb/manifest.json"] {
        assert_eq!(document(file)["version"], env!("CARGO_PKG_VERSION"), "{file}");
    }
}

/// Checks the rules of the schema of 2025-12-11 for the fields that the file has.
#[test]
fn server_json_follows_its_schema() {
    let server = document("server.json");
    let schema = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";
    assert_eq!(server["$schema"], schema);
    let (namespace, name) = server["name"].as_str().unwrap().split_once('/').unwrap();
    let is_word = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
    };
    assert!(is_word(namespace) && is_word(name));
    assert!((1..=100).contains(&server["description"].as_str().unwrap().chars().count()));
    let remotes = server["remotes"].as_array().unwrap();
    let types: Vec<&str> = remotes
        .iter()
        .map(|remote| remote["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["streamable-http", "sse"]);
    for remote in remotes {
        assert!(remote["url"].as_str().unwrap().starts_with("https://{host}/"));
        assert!(remote["variables"]["host"].is_object());
        let header = &remote["headers"][0];
        assert_eq!(
            (&header["name"], &header["isSecret"]),
            (&json!("Authorization"), &json!(true))
        );
        assert!(header["variables"]["api_key"].is_object());
    }
}
