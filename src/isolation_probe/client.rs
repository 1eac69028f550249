//! How the attacks reach a server: one question at a time, over whatever transport.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt as _;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};

use crate::server::{CallService, CredentialSource, McpHandler, ProtocolProfile};
use crate::tenancy::ApiKey;

/// Longer than any call may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
const BUFFER_BYTES: usize = 1 << 20;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[error("{method} got no answer: {why}")]
pub struct ClientError {
    /// What was asked.
    pub method: String,
    /// What came instead.
    pub why: String,
}

impl ClientError {
    /// No answer to this method, for this reason.
    #[must_use]
    pub fn new(method: &str, why: impl std::fmt::Display) -> Self {
        Self {
            method: method.to_owned(),
            why: why.to_string(),
        }
    }
}

/// A connection that asks one thing at a time.
pub trait ProbeClient: Send {
    /// The whole answer: `{"result": …}` or `{"error": …}`.
    ///
    /// # Errors
    /// When none comes.
    fn ask(&mut self, method: &str, params: Value)
    -> impl Future<Output = Result<Value, ClientError>> + Send;

    /// How it speaks.
    fn protocol_profile(&self) -> ProtocolProfile;
}

/// A request as it stands on the wire, with what the newest revision wants in each.
#[must_use]
pub fn request(protocol_profile: ProtocolProfile, id: u64, method: &str, mut params: Value) -> Value {
    if protocol_profile == ProtocolProfile::Current
        && let Some(params) = params.as_object_mut()
        && let Some(meta) = params.entry("_meta").or_insert_with(|| json!({})).as_object_mut()
    {
        for (name, value) in [
            ("protocolVersion", json!("2026-07-28")),
            ("clientCapabilities", json!({})),
            ("clientInfo", json!({"name": "skillkeep-proof", "version": "1"})),
        ] {
            meta.insert(format!("io.modelcontextprotocol/{name}"), value);
        }
    }
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Whether this message answers the request with this id. A subscription's answer is what tells that it has begun.
#[must_use]
pub fn answers(message: &Value, id: u64, method: &str) -> bool {
    message.get("id").and_then(Value::as_u64) == Some(id)
        || (method == LISTEN
            && message.get("method").and_then(Value::as_str)
                == Some("notifications/subscriptions/acknowledged"))
}

/// A subscription of the newest revision: it has an answer only when it ends.
pub const LISTEN: &str = "subscriptions/listen";

/// A connection in memory, which is to the server what stdio is.
pub struct InMemoryClient {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    out: WriteHalf<DuplexStream>,
    protocol_profile: ProtocolProfile,
    next_id: u64,
    heard: VecDeque<Value>,
}

impl InMemoryClient {
    /// Connects with this key, as a client of the revision that every server speaks.
    ///
    /// # Errors
    /// When the server does not greet back.
    pub async fn connect(service: &Arc<CallService>, key: ApiKey) -> Result<Self, ClientError> {
        let mut pipe = Self::open(service, key, ProtocolProfile::LegacyStateful);
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "skillkeep-proof", "version": "1"}});
        pipe.ask("initialize", hello).await?;
        pipe.send(
            "notifications/initialized",
            &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        )
        .await?;
        Ok(pipe)
    }

    /// Connects with this key, as a client of the newest revision, which introduces itself in each request.
    #[must_use]
    pub fn connect_newest(service: &Arc<CallService>, key: ApiKey) -> Self {
        Self::open(service, key, ProtocolProfile::Current)
    }

    fn open(service: &Arc<CallService>, key: ApiKey, protocol_profile: ProtocolProfile) -> Self {
        let (near, far) = tokio::io::duplex(BUFFER_BYTES);
        let registry = McpHandler::new(Arc::clone(service), CredentialSource::Stdio(key));
        tokio::spawn(async move {
            if let Ok(service) = registry.serve(far).await {
                // Ends when the near end is dropped.
                let _quit = service.waiting().await;
            }
        });
        let (read, out) = tokio::io::split(near);
        Self {
            lines: BufReader::new(read).lines(),
            out,
            protocol_profile,
            next_id: 0,
            heard: VecDeque::new(),
        }
    }

    /// The next message that answers nothing.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn hear(&mut self) -> Result<Value, ClientError> {
        match self.heard.pop_front() {
            Some(message) => Ok(message),
            None => self.next("a notification").await,
        }
    }

    async fn next(&mut self, method: &str) -> Result<Value, ClientError> {
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
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.next_id += 1;
        let id = self.next_id;
        let message = request(self.protocol_profile, id, method, params);
        self.send(method, &message).await?;
        let answer = async {
            loop {
                let message = self.next(method).await?;
                if answers(&message, id, method) {
                    return Ok(message);
                }
                self.heard.push_back(message);
            }
        };
        tokio::time::timeout(RESPONSE_TIMEOUT, answer)
            .await
            .map_err(|_| ClientError::new(method, "it took too long"))?
    }

    fn protocol_profile(&self) -> ProtocolProfile {
        self.protocol_profile
    }
}
