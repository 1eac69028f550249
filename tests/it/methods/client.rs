//! A client that shows the messages as they are sent, over each transport.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use skillkeep::server::CallService;
use skillkeep::tenancy::ApiKey;

use crate::helpers::Wire;
use crate::http_server::serve;

const VERSION_2025: &str = "2025-11-25";
const VERSION_2026: &str = "2026-07-28";
/// Longer than any request takes.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// One in-memory connection, with the messages of stdio.
    InMemory,
    /// Streamable HTTP in protocol version 2025-11-25, after `initialize`, without a session.
    Http2025,
    /// Streamable HTTP in protocol version 2026-07-28, without `initialize`.
    Http2026,
}

pub(crate) const TRANSPORTS: [Transport; 3] = [Transport::InMemory, Transport::Http2025, Transport::Http2026];

enum Connection {
    InMemory(Box<Wire>),
    Http {
        address: SocketAddr,
        key: ApiKey,
        http: reqwest::Client,
    },
}

/// The response to a request, with the notifications that precede it.
pub(crate) struct Response {
    pub(crate) notifications: Vec<Value>,
    pub(crate) result: Result<Value, Value>,
    /// `Content-Type`, over HTTP.
    pub(crate) media_type: Option<String>,
}

pub(crate) struct WireClient {
    transport: Transport,
    connection: Connection,
    last_id: i64,
    /// Sent with each HTTP request.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl WireClient {
    pub(crate) async fn connect(service: &Arc<CallService>, key: &ApiKey, transport: Transport) -> Self {
        let connection = match transport {
            Transport::InMemory => Connection::InMemory(Box::new(Wire::connect(service, key).await)),
            Transport::Http2025 | Transport::Http2026 => Connection::Http {
                address: serve(service).await,
                key: key.clone(),
                http: reqwest::Client::new(),
            },
        };
        let mut client = Self {
            transport,
            connection,
            last_id: 0,
            headers: Vec::new(),
        };
        if transport == Transport::Http2025 {
            let initialize = json!({"protocolVersion": VERSION_2025, "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}});
            assert_eq!(
                client.ok("initialize", initialize).await["protocolVersion"],
                VERSION_2025
            );
        }
        client
    }

    /// The result of a request that must succeed.
    pub(crate) async fn ok(&mut self, method: &str, params: Value) -> Value {
        let sent = format!("{method} {params}");
        match self.request(method, params).await.result {
            Ok(result) => result,
            Err(error) => panic!("{:?}: {sent}: {error}", self.transport),
        }
    }

    /// The error of a request that must fail.
    pub(crate) async fn error(&mut self, method: &str, params: Value) -> Value {
        let sent = format!("{method} {params}");
        match self.request(method, params).await.result {
            Ok(result) => panic!("{:?}: {sent}: {result}", self.transport),
            Err(error) => error,
        }
    }

    /// The structured content of a tool call that must succeed.
    pub(crate) async fn tool(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self
            .ok("tools/call", json!({"name": tool, "arguments": arguments}))
            .await;
        assert_ne!(result["isError"], true, "{result}");
        result["structuredContent"].clone()
    }

    /// Sends a request and reads its response. `params` are omitted if null.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Response {
        self.last_id += 1;
        let id = self.last_id;
        let response = async {
            match self.transport {
                Transport::InMemory => self.request_in_memory(id, method, params).await,
                Transport::Http2025 => self.request_over_http(id, method, params, VERSION_2025).await,
                Transport::Http2026 => {
                    self.request_over_http(id, method, with_client_meta(params), VERSION_2026)
                        .await
                }
            }
        };
        tokio::time::timeout(TIMEOUT, response)
            .await
            .expect("no response in time")
    }

    async fn request_in_memory(&mut self, id: i64, method: &str, params: Value) -> Response {
        let Connection::InMemory(wire) = &mut self.connection else {
            unreachable!()
        };
        wire.send(message(id, method, params)).await;
        let mut notifications = Vec::new();
        loop {
            let message = wire.next_message().await;
            if message["id"] == id {
                return Response {
                    notifications,
                    result: outcome(&message),
                    media_type: None,
                };
            }
            notifications.push(message);
        }
    }

    /// Sends a request over HTTP and returns the response once its headers have arrived.
    pub(crate) async fn start(&mut self, method: &str, params: Value) -> reqwest::Response {
        self.last_id += 1;
        match self.transport {
            Transport::InMemory => panic!("not an HTTP client"),
            Transport::Http2025 => self.post(self.last_id, method, params, VERSION_2025).await,
            Transport::Http2026 => {
                self.post(self.last_id, method, with_client_meta(params), VERSION_2026)
                    .await
            }
        }
    }

    async fn post(&self, id: i64, method: &str, params: Value, version: &str) -> reqwest::Response {
        let Connection::Http { address, key, http } = &self.connection else {
            unreachable!()
        };
        let name = match method {
            "tools/call" | "prompts/get" => params["name"].as_str(),
            "resources/read" => params["uri"].as_str(),
            _ => None,
        };
        let mut post = http
            .post(format!("http://{address}/mcp"))
            .bearer_auth(key.reveal())
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", version);
        if version == VERSION_2026 {
            post = post.header("mcp-method", method);
            if let Some(name) = name {
                post = post.header("mcp-name", name);
            }
        }
        for (header, value) in &self.headers {
            post = post.header(*header, value);
        }
        post.json(&message(id, method, params)).send().await.unwrap()
    }

    async fn request_over_http(&self, id: i64, method: &str, params: Value, version: &str) -> Response {
        let response = self.post(id, method, params, version).await;
        let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        let text = response.text().await.unwrap();
        let mut messages: Vec<Value> = if media_type.starts_with("text/event-stream") {
            text.lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .filter(|data| !data.trim().is_empty())
                .map(|data| serde_json::from_str(data).unwrap())
                .collect()
        } else {
            vec![serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method}: {text}"))]
        };
        let last = messages.pop().unwrap();
        assert_eq!(last["id"], id, "{last}");
        Response {
            notifications: messages,
            result: outcome(&last),
            media_type: Some(media_type),
        }
    }
}

fn outcome(message: &Value) -> Result<Value, Value> {
    match message.get("error") {
        Some(error) => Err(error.clone()),
        None => Ok(message["result"].clone()),
    }
}

fn message(id: i64, method: &str, params: Value) -> Value {
    let mut request = json!({"jsonrpc": "2.0", "id": id, "method": method});
    if !params.is_null() {
        request["params"] = params;
    }
    request
}

/// Adds the `_meta` fields that 2026-07-28 requires in each request.
fn with_client_meta(mut params: Value) -> Value {
    let own = [
        ("protocolVersion", json!(VERSION_2026)),
        ("clientCapabilities", json!({})),
        ("clientInfo", json!({"name": "new", "version": "7"})),
    ];
    for (name, value) in own {
        params["_meta"][format!("io.modelcontextprotocol/{name}")] = value;
    }
    params
}
