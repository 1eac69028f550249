//! A server over HTTP on its own port, and a client for HTTP+SSE.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use skillkeep::server::CallService;
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::{self, HttpOptions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything in a test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct TestHttpServer {
    pub(crate) at: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl TestHttpServer {
    pub(crate) async fn start(service: Arc<CallService>, options: HttpOptions) -> Self {
        let listener = http::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let at = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            http::serve(listener, service, &options, stopped).await.unwrap();
        });
        Self { at, stop, task }
    }
}

impl Drop for TestHttpServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves until the test ends.
pub(crate) async fn serve(service: &Arc<CallService>) -> SocketAddr {
    let served = TestHttpServer::start(Arc::clone(service), HttpOptions::default()).await;
    let at = served.at;
    // Dropping it would stop the server.
    std::mem::forget(served);
    at
}

/// A request to `/mcp` with protocol version 2025-11-25.
pub(crate) fn post(at: SocketAddr, key: &ApiKey, body: &Value) -> RequestBuilder {
    reqwest::Client::new()
        .post(format!("http://{at}/mcp"))
        .bearer_auth(key.reveal())
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(body)
}

pub(crate) fn call(id: i64, tool: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

/// Asserts that a call with this API key succeeds.
pub(crate) async fn assert_call_succeeds(at: SocketAddr, key: &ApiKey) {
    let asked = post(at, key, &call(1, "whoami", &json!({})))
        .timeout(PATIENCE)
        .send();
    let response = asked.await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["result"]["isError"], json!(false), "{answer}");
}

/// An HTTP+SSE client with its event stream.
pub(crate) struct Agent {
    at: SocketAddr,
    key: ApiKey,
    events: Response,
    seen: String,
    pub(crate) endpoint: String,
}

impl Agent {
    /// Opens a stream, or returns the error response.
    pub(crate) async fn open(
        client: &reqwest::Client,
        at: SocketAddr,
        key: &ApiKey,
    ) -> Result<Self, Response> {
        let asked = client.get(format!("http://{at}/sse")).bearer_auth(key.reveal());
        let events = asked.send().await.unwrap();
        if events.status() != StatusCode::OK {
            return Err(events);
        }
        assert_eq!(events.headers()["content-type"], "text/event-stream");
        let mut agent = Self {
            at,
            key: key.clone(),
            events,
            seen: String::new(),
            endpoint: String::new(),
        };
        let event = agent.next_event().await.expect("the stream begins with an event");
        assert_eq!(event.0, "endpoint");
        agent.endpoint = event.1;
        Ok(agent)
    }

    /// Opens a stream and completes the handshake.
    pub(crate) async fn greet(at: SocketAddr, key: &ApiKey) -> Self {
        let opened = Self::open(&reqwest::Client::new(), at, key).await;
        let mut agent = opened.unwrap_or_else(|response| panic!("{response:?}"));
        let client_info = json!({"name": "old-agent", "version": "0.9"});
        let initialize =
            json!({"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": client_info});
        agent
            .say(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize}))
            .await;
        let response = agent.receive(0).await;
        assert_eq!(response["result"]["protocolVersion"], "2024-11-05", "{response}");
        agent
            .say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        agent
    }

    /// A message to this client's session, with any API key.
    pub(crate) fn message(&self, key: &ApiKey) -> RequestBuilder {
        reqwest::Client::new()
            .post(format!("http://{}{}", self.at, self.endpoint))
            .bearer_auth(key.reveal())
    }

    pub(crate) async fn say(&self, message: &Value) {
        let response = self.message(&self.key).json(message).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        assert_eq!(response.text().await.unwrap(), "");
    }

    /// The next event's name and data; `None` when the stream has ended.
    async fn next_event(&mut self) -> Option<(String, String)> {
        // One time-out for all that is read, because comments arrive as long as the stream is open.
        let next = tokio::time::timeout(PATIENCE, self.event_or_end());
        next.await.expect("the stream neither sends an event nor ends")
    }

    async fn event_or_end(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.seen.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines().filter_map(|line| line.strip_prefix(name));
                    lines.next().map(|value| value.trim_start().to_owned())
                };
                let found = (field("event:"), field("data:"));
                self.seen = rest.to_owned();
                // A comment only keeps the stream open.
                if let (Some(name), Some(data)) = found {
                    return Some((name, data));
                }
                continue;
            }
            match self.events.chunk().await {
                Ok(Some(bytes)) => self.seen.push_str(std::str::from_utf8(&bytes).unwrap()),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// The next message.
    pub(crate) async fn answer(&mut self) -> Value {
        let event = self.next_event().await;
        let (name, data) = event.expect("the stream ended before the response");
        assert_eq!(name, "message");
        serde_json::from_str(&data).unwrap()
    }

    /// The response to the request with this id. Other messages before it are discarded.
    pub(crate) async fn receive(&mut self, id: i64) -> Value {
        loop {
            let message = self.answer().await;
            if message["id"] == id {
                return message;
            }
        }
    }

    pub(crate) async fn ask(&mut self, message: &Value) -> Value {
        self.say(message).await;
        self.receive(message["id"].as_i64().unwrap()).await
    }

    /// Waits until the server has ended the stream.
    pub(crate) async fn ended(&mut self) {
        while self.next_event().await.is_some() {}
    }
}
