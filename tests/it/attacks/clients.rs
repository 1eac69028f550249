//! One MCP client for each kind of route into a server.

use std::collections::VecDeque;
use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use skillkeep::isolation_probe::{ClientError, LISTEN, ProbeClient, build_request, is_response_to};
use skillkeep::server::ProtocolProfile;
use skillkeep::tenancy::ApiKey;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::http_server::Agent;

fn protocol_version(protocol_profile: ProtocolProfile) -> &'static str {
    match protocol_profile {
        ProtocolProfile::LegacyStateful | ProtocolProfile::LegacyStateless => "2025-11-25",
        ProtocolProfile::Current => "2026-07-28",
    }
}

/// Streamable HTTP, one request at a time.
pub(crate) struct HttpClient {
    client: reqwest::Client,
    address: SocketAddr,
    key: ApiKey,
    protocol_profile: ProtocolProfile,
    next_id: u64,
    /// The last subscription, and what was received and not parsed yet.
    stream: Option<(reqwest::Response, String)>,
}

impl HttpClient {
    pub(crate) fn new(address: SocketAddr, key: &ApiKey, protocol_profile: ProtocolProfile) -> Self {
        Self {
            client: reqwest::Client::new(),
            address,
            key: key.clone(),
            protocol_profile,
            next_id: 0,
            stream: None,
        }
    }

    /// The next message of the last subscription.
    pub(crate) async fn next_notification(&mut self) -> Value {
        let (response, unread) = self.stream.as_mut().expect("there is a subscription");
        let event = next_event(response, unread).await;
        event.unwrap().expect("the stream ended")
    }
}

/// The next event with data. `None` at the end of the response; a body that is no event is then in `unread`.
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

impl ProbeClient for HttpClient {
    async fn request(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.next_id += 1;
        let body = build_request(self.protocol_profile, self.next_id, method, params);
        let mut post = self
            .client
            .post(format!("http://{}/mcp", self.address))
            .bearer_auth(self.key.reveal())
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", protocol_version(self.protocol_profile))
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
            // A subscription does not end: its first message acknowledges it.
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
pub(crate) struct SseClient {
    pub(crate) agent: Agent,
    next_id: i64,
}

impl SseClient {
    pub(crate) async fn connect(address: SocketAddr, key: &ApiKey) -> Self {
        Self {
            agent: Agent::greet(address, key).await,
            next_id: 0,
        }
    }
}

impl ProbeClient for SseClient {
    async fn request(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.next_id += 1;
        let body = json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        Ok(self.agent.ask(&body).await)
    }

    fn protocol_profile(&self) -> ProtocolProfile {
        ProtocolProfile::LegacyStateful
    }
}

/// `skillkeep stdio` or `skillkeep bridge` as a child process.
pub(crate) struct ProcessClient {
    child: Child,
    stdin: ChildStdin,
    stdout: tokio::io::Lines<BufReader<ChildStdout>>,
    protocol_profile: ProtocolProfile,
    next_id: u64,
    notifications: VecDeque<Value>,
}

impl ProcessClient {
    /// Starts the process, with its log in a file, and completes the handshake if the protocol version has one.
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
        let mut client = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout).lines(),
            protocol_profile,
            next_id: 0,
            notifications: VecDeque::new(),
        };
        if protocol_profile != ProtocolProfile::Current {
            let initialize = json!({
                "protocolVersion": protocol_version(protocol_profile), "capabilities": {},
                "clientInfo": {"name": "attacker", "version": "1"},
            });
            client.request("initialize", initialize).await.unwrap();
            let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            client.write("initialized", &initialized).await.unwrap();
        }
        client
    }

    async fn write(&mut self, method: &str, message: &Value) -> Result<(), ClientError> {
        self.stdin
            .write_all(format!("{message}\n").as_bytes())
            .await
            .map_err(|error| ClientError::new(method, error))
    }

    async fn next_message(&mut self, method: &str) -> Result<Value, ClientError> {
        let line = self
            .stdout
            .next_line()
            .await
            .map_err(|error| ClientError::new(method, error))?;
        let line = line.ok_or_else(|| ClientError::new(method, "the process ended"))?;
        serde_json::from_str(&line).map_err(|error| ClientError::new(method, error))
    }

    /// The next message that is no response.
    pub(crate) async fn next_notification(&mut self) -> Value {
        match self.notifications.pop_front() {
            Some(message) => message,
            None => self.next_message("a notification").await.unwrap(),
        }
    }

    /// Closes the process's stdin and asserts that it exits with code 0.
    pub(crate) async fn close(mut self) {
        drop(self.stdin);
        assert!(self.child.wait().await.unwrap().success());
    }
}

impl ProbeClient for ProcessClient {
    async fn request(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.next_id += 1;
        let id = self.next_id;
        self.write(method, &build_request(self.protocol_profile, id, method, params))
            .await?;
        loop {
            let message = self.next_message(method).await?;
            if is_response_to(&message, id, method) {
                return Ok(message);
            }
            self.notifications.push_back(message);
        }
    }

    fn protocol_profile(&self) -> ProtocolProfile {
        self.protocol_profile
    }
}
