//! Clients that send the attacks: one request at a time, over any transport.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt as _;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};

use super::error::{ClientError, ProbeError};
use crate::server::{CallService, CredentialSource, McpHandler, ProtocolProfile};
use crate::tenancy::ApiKey;

/// Longer than any call may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
const BUFFER_BYTES: usize = 1 << 20;

/// An MCP client that sends one request at a time.
pub trait ProbeClient: Send {
    /// Sends a request and returns the whole response: `{"result": …}` or `{"error": …}`.
    ///
    /// # Errors
    /// When no response arrives.
    fn request(
        &mut self,
        method: &str,
        params: Value,
    ) -> impl Future<Output = Result<Value, ClientError>> + Send;

    fn protocol_profile(&self) -> ProtocolProfile;
}

/// Builds a JSON-RPC request. The current protocol version requires the client's data in each request's `_meta`.
#[must_use]
pub fn build_request(protocol_profile: ProtocolProfile, id: u64, method: &str, mut params: Value) -> Value {
    if protocol_profile == ProtocolProfile::Current
        && let Some(params) = params.as_object_mut()
        && let Some(meta) = params.entry("_meta").or_insert_with(|| json!({})).as_object_mut()
    {
        for (name, value) in [
            ("protocolVersion", json!("2026-07-28")),
            ("clientCapabilities", json!({})),
            ("clientInfo", json!({"name": "skillkeep-probe", "version": "1"})),
        ] {
            meta.insert(format!("io.modelcontextprotocol/{name}"), value);
        }
    }
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Whether this message is the response to the request with this id. For a subscription it is the notification that
/// acknowledges it.
#[must_use]
pub fn is_response_to(message: &Value, id: u64, method: &str) -> bool {
    message.get("id").and_then(Value::as_u64) == Some(id)
        || (method == LISTEN
            && message.get("method").and_then(Value::as_str)
                == Some("notifications/subscriptions/acknowledged"))
}

/// Subscribes in the current protocol version. Its response is sent only when the subscription ends.
pub const LISTEN: &str = "subscriptions/listen";

/// Connects to the server's handler through an in-memory duplex stream, with the framing of stdio.
pub struct InMemoryClient {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    out: WriteHalf<DuplexStream>,
    protocol_profile: ProtocolProfile,
    next_id: u64,
    notifications: VecDeque<Value>,
}

impl InMemoryClient {
    /// Connects with protocol version 2025-11-25, including its handshake.
    ///
    /// # Errors
    /// When the server does not complete the handshake.
    pub async fn connect_legacy(service: &Arc<CallService>, key: ApiKey) -> Result<Self, ClientError> {
        let mut client = Self::open(service, key, ProtocolProfile::LegacyStateful);
        let initialize = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "skillkeep-probe", "version": "1"}});
        client.request("initialize", initialize).await?;
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        client.send("notifications/initialized", &initialized).await?;
        Ok(client)
    }

    /// Connects with protocol version 2026-07-28, which has no handshake.
    #[must_use]
    pub fn connect_current(service: &Arc<CallService>, key: ApiKey) -> Self {
        Self::open(service, key, ProtocolProfile::Current)
    }

    fn open(service: &Arc<CallService>, key: ApiKey, protocol_profile: ProtocolProfile) -> Self {
        let (near, far) = tokio::io::duplex(BUFFER_BYTES);
        let handler = McpHandler::new(Arc::clone(service), CredentialSource::Stdio(key));
        tokio::spawn(async move {
            if let Ok(running) = handler.serve(far).await {
                // Ends when the near end is dropped.
                let _quit = running.waiting().await;
            }
        });
        let (read, out) = tokio::io::split(near);
        Self {
            lines: BufReader::new(read).lines(),
            out,
            protocol_profile,
            next_id: 0,
            notifications: VecDeque::new(),
        }
    }

    /// Returns the next message that is no response.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn next_notification(&mut self) -> Result<Value, ClientError> {
        match self.notifications.pop_front() {
            Some(message) => Ok(message),
            None => self.next_message("a notification").await,
        }
    }

    /// Calls a tool and returns its structured content.
    ///
    /// # Errors
    /// When the call does not succeed.
    pub(super) async fn call_tool(&mut self, tool: &str, arguments: Value) -> Result<Value, ProbeError> {
        let response = self
            .request("tools/call", json!({"name": tool, "arguments": arguments}))
            .await?;
        response
            .pointer("/result/structuredContent")
            .filter(|_| response.pointer("/result/isError") != Some(&Value::Bool(true)))
            .cloned()
            .ok_or_else(|| ProbeError::Broken(format!("{tool} failed for its own tenant: {response}")))
    }

    async fn next_message(&mut self, method: &str) -> Result<Value, ClientError> {
        let line = self
            .lines
            .next_line()
            .await
            .map_err(|error| ClientError::new(method, error))?
            .ok_or_else(|| ClientError::new(method, "the connection ended"))?;
        serde_json::from_str(&line).map_err(|error| ClientError::new(method, error))
    }

    async fn send(&mut self, method: &str, message: &Value) -> Result<(), ClientError> {
        let line = format!("{message}\n");
        self.out
            .write_all(line.as_bytes())
            .await
            .map_err(|error| ClientError::new(method, error))
    }
}

impl ProbeClient for InMemoryClient {
    async fn request(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.next_id += 1;
        let id = self.next_id;
        let message = build_request(self.protocol_profile, id, method, params);
        self.send(method, &message).await?;
        let response = async {
            loop {
                let message = self.next_message(method).await?;
                if is_response_to(&message, id, method) {
                    return Ok(message);
                }
                self.notifications.push_back(message);
            }
        };
        tokio::time::timeout(RESPONSE_TIMEOUT, response)
            .await
            .map_err(|_| ClientError::new(method, "timed out"))?
    }

    fn protocol_profile(&self) -> ProtocolProfile {
        self.protocol_profile
    }
}
