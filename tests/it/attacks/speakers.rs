//! One speaker for each way into a registry.

use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use skillkeep::proof::{AskError, Asking};
use skillkeep::tenancy::ApiKey;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::served::Agent;

pub(crate) const OLD: &str = "2025-11-25";
pub(crate) const NEW: &str = "2026-07-28";

/// The message, with what the newest revision wants in each.
fn message(era: &str, id: u64, method: &str, mut params: Value) -> Value {
    if era == NEW {
        let meta = params
            .as_object_mut()
            .unwrap()
            .entry("_meta")
            .or_insert_with(|| json!({}));
        meta["io.modelcontextprotocol/protocolVersion"] = json!(NEW);
        meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
        meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "attacker", "version": "1"});
    }
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Streamable HTTP, a request at a time.
pub(crate) struct Http {
    client: reqwest::Client,
    at: SocketAddr,
    key: ApiKey,
    era: &'static str,
    next_id: u64,
}

impl Http {
    pub(crate) fn new(at: SocketAddr, key: &ApiKey, era: &'static str) -> Self {
        Self {
            client: reqwest::Client::new(),
            at,
            key: key.clone(),
            era,
            next_id: 0,
        }
    }
}

impl Asking for Http {
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, AskError> {
        self.next_id += 1;
        let body = message(self.era, self.next_id, method, params);
        let mut request = self
            .client
            .post(format!("http://{}/mcp", self.at))
            .bearer_auth(self.key.reveal())
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", self.era)
            .json(&body);
        if self.era == NEW {
            request = request.header("mcp-method", method);
            let name = body["params"]["name"].as_str().or(body["params"]["uri"].as_str());
            if let Some(name) = name {
                request = request.header("mcp-name", format!("=?base64?{}?=", BASE64_STANDARD.encode(name)));
            }
        }
        let mut response = request
            .send()
            .await
            .map_err(|error| AskError::new(method, error))?;
        let mut text = String::new();
        // A subscription has no end: its first message is its answer.
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| AskError::new(method, error))?
        {
            text.push_str(&String::from_utf8_lossy(&chunk));
            let data = text
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .find(|data| !data.trim().is_empty());
            if let Some(data) = data.filter(|_| text.ends_with("\n\n")) {
                return serde_json::from_str(data).map_err(|error| AskError::new(method, error));
            }
        }
        serde_json::from_str(&text).map_err(|error| AskError::new(method, format!("{error}: {text}")))
    }
}

/// HTTP+SSE.
pub(crate) struct Sse {
    pub(crate) agent: Agent,
    next_id: i64,
}

impl Sse {
    pub(crate) async fn greet(at: SocketAddr, key: &ApiKey) -> Self {
        Self {
            agent: Agent::greet(at, key).await,
            next_id: 0,
        }
    }
}

impl Asking for Sse {
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, AskError> {
        self.next_id += 1;
        let body = json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        Ok(self.agent.ask(&body).await)
    }
}

/// The real program on its stdin and stdout: `stdio` or `bridge`.
pub(crate) struct Lines {
    child: Child,
    stdin: ChildStdin,
    stdout: tokio::io::Lines<BufReader<ChildStdout>>,
    era: &'static str,
    next_id: u64,
}

impl Lines {
    /// Starts it, with its log in a file, and introduces itself as the era wants.
    pub(crate) async fn start(command: std::process::Command, log: File, era: &'static str) -> Self {
        let mut command = Command::from(command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut lines = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout).lines(),
            era,
            next_id: 0,
        };
        if era == OLD {
            let me = json!({"name": "attacker", "version": "1"});
            let hello = json!({"protocolVersion": OLD, "capabilities": {}, "clientInfo": me});
            lines.ask("initialize", hello).await.unwrap();
            let done = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            lines
                .stdin
                .write_all(format!("{done}\n").as_bytes())
                .await
                .unwrap();
        }
        lines
    }

    /// Closes its stdin and waits for its end.
    pub(crate) async fn end(mut self) {
        drop(self.stdin);
        assert!(self.child.wait().await.unwrap().success());
    }
}

impl Asking for Lines {
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, AskError> {
        self.next_id += 1;
        let line = format!("{}\n", message(self.era, self.next_id, method, params));
        self.stdin
            .write_all(line.as_bytes())
            .await
            .map_err(|error| AskError::new(method, error))?;
        loop {
            let line = self
                .stdout
                .next_line()
                .await
                .map_err(|error| AskError::new(method, error))?;
            let line = line.ok_or_else(|| AskError::new(method, "the program ended"))?;
            let message: Value = serde_json::from_str(&line).map_err(|error| AskError::new(method, error))?;
            let is_answer = message["id"] == self.next_id;
            let begins = method == "subscriptions/listen" && message.get("method").is_some();
            if is_answer || begins {
                return Ok(message);
            }
        }
    }
}
