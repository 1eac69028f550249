//! A caller who sees what is on the wire, in each of the ways in which a client can speak.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use skillkeep::server::CallService;
use skillkeep::tenancy::ApiKey;

use crate::helpers::Wire;
use crate::http_server::serve;

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Over one connection, as over stdio.
    Memory,
    /// Over HTTP in the revision 2025-11-25, after `initialize`, without a session.
    Old,
    /// Over HTTP in the revision 2026-07-28, each request for itself.
    New,
}

pub(crate) const WAYS: [Way; 3] = [Way::Memory, Way::Old, Way::New];

enum Line {
    Memory(Box<Wire>),
    Http {
        address: SocketAddr,
        key: ApiKey,
        client: reqwest::Client,
    },
}

/// What came back for a request: what was told before the answer, and the answer.
pub(crate) struct Answer {
    pub(crate) told: Vec<Value>,
    pub(crate) answer: Result<Value, Value>,
    /// Over HTTP: the media type of the answer.
    pub(crate) media_type: Option<String>,
}

pub(crate) struct Speaker {
    way: Way,
    line: Line,
    last_id: i64,
    /// Sent with each HTTP request.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Speaker {
    pub(crate) async fn connect(service: &Arc<CallService>, key: &ApiKey, way: Way) -> Self {
        let line = match way {
            Way::Memory => Line::Memory(Box::new(Wire::connect(service, key).await)),
            Way::Old | Way::New => Line::Http {
                address: serve(service).await,
                key: key.clone(),
                client: reqwest::Client::new(),
            },
        };
        let mut speaker = Self {
            way,
            line,
            last_id: 0,
            headers: Vec::new(),
        };
        if way == Way::Old {
            let hello = json!({"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}});
            assert_eq!(speaker.ok("initialize", hello).await["protocolVersion"], OLD);
        }
        speaker
    }

    /// The result of a request that must succeed.
    pub(crate) async fn ok(&mut self, method: &str, params: Value) -> Value {
        let sent = format!("{method} {params}");
        match self.ask(method, params).await.answer {
            Ok(result) => result,
            Err(error) => panic!("{:?}: {sent}: {error}", self.way),
        }
    }

    /// The error of a request that must fail.
    pub(crate) async fn error(&mut self, method: &str, params: Value) -> Value {
        let sent = format!("{method} {params}");
        match self.ask(method, params).await.answer {
            Ok(result) => panic!("{:?}: {sent}: {result}", self.way),
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

    /// Sends a request and reads up to its answer. Without `params` where they are null.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Answer {
        self.last_id += 1;
        let id = self.last_id;
        let asked = async {
            match self.way {
                Way::Memory => self.ask_in_memory(id, method, params).await,
                Way::Old => self.ask_over_http(id, method, params, OLD).await,
                Way::New => self.ask_over_http(id, method, of_the_new_era(params), NEW).await,
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .expect("no answer came")
    }

    async fn ask_in_memory(&mut self, id: i64, method: &str, params: Value) -> Answer {
        let Line::Memory(wire) = &mut self.line else {
            unreachable!()
        };
        wire.send(request(id, method, params)).await;
        let mut told = Vec::new();
        loop {
            let message = wire.next_message().await;
            if message["id"] == id {
                return Answer {
                    told,
                    answer: outcome(&message),
                    media_type: None,
                };
            }
            told.push(message);
        }
    }

    /// Sends a request over HTTP and gives the response as soon as it begins.
    pub(crate) async fn begin(&mut self, method: &str, params: Value) -> reqwest::Response {
        self.last_id += 1;
        match self.way {
            Way::Memory => panic!("this speaker has no HTTP"),
            Way::Old => self.post(self.last_id, method, params, OLD).await,
            Way::New => self.post(self.last_id, method, of_the_new_era(params), NEW).await,
        }
    }

    async fn post(&self, id: i64, method: &str, params: Value, revision: &str) -> reqwest::Response {
        let Line::Http { address, key, client } = &self.line else {
            unreachable!()
        };
        let name = match method {
            "tools/call" | "prompts/get" => params["name"].as_str(),
            "resources/read" => params["uri"].as_str(),
            _ => None,
        };
        let mut post = client
            .post(format!("http://{address}/mcp"))
            .bearer_auth(key.reveal())
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", revision);
        if revision == NEW {
            post = post.header("mcp-method", method);
            if let Some(name) = name {
                post = post.header("mcp-name", name);
            }
        }
        for (header, value) in &self.headers {
            post = post.header(*header, value);
        }
        post.json(&request(id, method, params)).send().await.unwrap()
    }

    async fn ask_over_http(&self, id: i64, method: &str, params: Value, revision: &str) -> Answer {
        let response = self.post(id, method, params, revision).await;
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
        Answer {
            told: messages,
            answer: outcome(&last),
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

fn request(id: i64, method: &str, params: Value) -> Value {
    let mut request = json!({"jsonrpc": "2.0", "id": id, "method": method});
    if !params.is_null() {
        request["params"] = params;
    }
    request
}

/// With what each request says of its sender.
fn of_the_new_era(mut params: Value) -> Value {
    let own = [
        ("protocolVersion", json!(NEW)),
        ("clientCapabilities", json!({})),
        ("clientInfo", json!({"name": "new", "version": "7"})),
    ];
    for (name, value) in own {
        params["_meta"][format!("io.modelcontextprotocol/{name}")] = value;
    }
    params
}
