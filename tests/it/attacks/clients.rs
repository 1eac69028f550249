//! One speaker for each way into a registry.

use std::collections::VecDeque;
use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use skillkeep::isolation_probe::{ClientError, LISTEN, ProbeClient, answers, request};
use skillkeep::server::ProtocolProfile;
use skillkeep::tenancy::ApiKey;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::http_server::Agent;

pub(crate) const NEW: ProtocolProfile = ProtocolProfile::Current;

/// The revision that an protocol_profile's clients name.
pub(crate) fn revision(protocol_profile: ProtocolProfile) -> &'static str {
    match protocol_profile {
        ProtocolProfile::LegacyStateful | ProtocolProfile::LegacyStateless => "2025-11-25",
        ProtocolProfile::Current => "2026-07-28",
    }
}

/// Streamable HTTP, a request at a time.
pub(crate) struct Http {
    client: reqwest::Client,
    at: SocketAddr,
    key: ApiKey,
    protocol_profile: ProtocolProfile,
    next_id: u64,
    /// The last subscription, and what came of it that is not read yet.
    stream: Option<(reqwest::Response, String)>,
}

impl Http {
    pub(crate) fn new(at: SocketAddr, key: &ApiKey, protocol_profile: ProtocolProfile) -> Self {
        Self {
            client: reqwest::Client::new(),
            at,
            key: key.clone(),
            protocol_profile,
            next_id: 0,
            stream: None,
        }
    }

    /// The next message of the last subscription.
    pub(crate) async fn hear(&mut self) -> Value {
        let (response, unread) = self.stream.as_mut().expect("nothing was subscribed to");
        let event = next_event(response, unread).await;
        event.unwrap().expect("the stream ended")
    }
}

/// The next event that says something; `None` at the end, with what was no event left in `unread`.
async fn next_event(
    response: &mut reqwest::Response,
    unread: &mut String,
) -> Result<Option<Value>, reqwest::Error> {
    loop {
        while let Some((event, rest)) = unread.split_once("\n\n") {
            let data: String = event
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .collect();
            *unread = rest.to_owned();
            if !data.trim().is_empty() {
                return Ok(Some(serde_json::from_str(&data).unwrap()));
            }
        }
        match response.chunk().await? {
            Some(chunk) => unread.push_str(&String::from_utf8_lossy(&chunk).replace("\r\n", "\n")),
            None => return Ok(None),
        }
    }
}

impl ProbeClient for Http {
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.next_id += 1;
        let body = request(self.protocol_profile, self.next_id, method, params);
        let mut post = self
            .client
            .post(format!("http://{}/mcp", self.at))
            .bearer_auth(self.key.reveal())
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", revision(self.protocol_profile))
            .json(&body);
        if self.protocol_profile == ProtocolProfile::Current {
            post = post.header("mcp-method", method);
            let name = body["params"]["name"].as_str().or(body["params"]["uri"].as_str());
            if let Some(name) = name {
                post = post.header("mcp-name", format!("=?base64?{}?=", BASE64_STANDARD.encode(name)));
            }
        }
        let mut response = post
            .send()
            .await
            .map_err(|error| ClientError::new(method, error))?;
        let mut text = String::new();
        let event = next_event(&mut response, &mut text)
            .await
            .map_err(|error| ClientError::new(method, error))?;
        match event {
            // A subscription has no end: its first message is its answer.
            Some(message) => {
                if method == LISTEN {
                    self.stream = Some((response, text));
                }
                Ok(message)
            }
            None => serde_json::from_str(&text)
                .map_err(|error| ClientError::new(method, format!("{error}: {text}"))),
        }
    }

    fn protocol_profile(&self) -> ProtocolProfile {
        self.protocol_profile
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

impl ProbeClient for Sse {
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.next_id += 1;
        let body = json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        Ok(self.agent.ask(&body).await)
    }

    fn protocol_profile(&self) -> ProtocolProfile {
        ProtocolProfile::LegacyStateful
    }
}

/// The real program on its stdin and stdout: `stdio` or `bridge`.
pub(crate) struct Lines {
    child: Child,
    stdin: ChildStdin,
    stdout: tokio::io::Lines<BufReader<ChildStdout>>,
    protocol_profile: ProtocolProfile,
    next_id: u64,
    heard: VecDeque<Value>,
}

impl Lines {
    /// Starts it, with its log in a file, and introduces itself as the protocol_profile wants.
    pub(crate) async fn start(
        command: std::process::Command,
        log: File,
        protocol_profile: ProtocolProfile,
    ) -> Self {
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
            protocol_profile,
            next_id: 0,
            heard: VecDeque::new(),
        };
        if protocol_profile != ProtocolProfile::Current {
            let me = json!({"name": "attacker", "version": "1"});
            let hello =
                json!({"protocolVersion": revision(protocol_profile), "capabilities": {}, "clientInfo": me});
            lines.ask("initialize", hello).await.unwrap();
            let done = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            lines.write("initialized", &done).await.unwrap();
        }
        lines
    }

    async fn write(&mut self, method: &str, message: &Value) -> Result<(), ClientError> {
        self.stdin
            .write_all(format!("{message}\n").as_bytes())
            .await
            .map_err(|error| ClientError::new(method, error))
    }

    async fn next(&mut self, method: &str) -> Result<Value, ClientError> {
        let line = self
            .stdout
            .next_line()
            .await
            .map_err(|error| ClientError::new(method, error))?;
        let line = line.ok_or_else(|| ClientError::new(method, "the program ended"))?;
        serde_json::from_str(&line).map_err(|error| ClientError::new(method, error))
    }

    /// The next message that answers nothing.
    pub(crate) async fn hear(&mut self) -> Value {
        match self.heard.pop_front() {
            Some(message) => message,
            None => self.next("a notification").await.unwrap(),
        }
    }

    /// Closes its stdin and waits for its end.
    pub(crate) async fn end(mut self) {
        drop(self.stdin);
        assert!(self.child.wait().await.unwrap().success());
    }
}

impl ProbeClient for Lines {
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.next_id += 1;
        let id = self.next_id;
        self.write(method, &request(self.protocol_profile, id, method, params))
            .await?;
        loop {
            let message = self.next(method).await?;
            if answers(&message, id, method) {
                return Ok(message);
            }
            self.heard.push_back(message);
        }
    }

    fn protocol_profile(&self) -> ProtocolProfile {
        self.protocol_profile
    }
}
