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

use crate::server::{Door, Era, KeySource, Registry};
use crate::tenancy::ApiKey;

/// Longer than any call may take.
const PATIENCE: Duration = Duration::from_secs(60);
const PIPE_BYTES: usize = 1 << 20;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[error("{method} got no answer: {why}")]
pub struct AskError {
    /// What was asked.
    pub method: String,
    /// What came instead.
    pub why: String,
}

impl AskError {
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
pub trait Asking: Send {
    /// The whole answer: `{"result": …}` or `{"error": …}`.
    ///
    /// # Errors
    /// When none comes.
    fn ask(&mut self, method: &str, params: Value) -> impl Future<Output = Result<Value, AskError>> + Send;

    /// How it speaks.
    fn era(&self) -> Era;
}

/// A request as it stands on the wire, with what the newest revision wants in each.
#[must_use]
pub fn request(era: Era, id: u64, method: &str, mut params: Value) -> Value {
    if era == Era::Newest
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
pub struct Pipe {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    out: WriteHalf<DuplexStream>,
    era: Era,
    next_id: u64,
    heard: VecDeque<Value>,
}

impl Pipe {
    /// Connects with this key, as a client of the revision that every server speaks.
    ///
    /// # Errors
    /// When the server does not greet back.
    pub async fn connect(door: &Arc<Door>, key: ApiKey) -> Result<Self, AskError> {
        let mut pipe = Self::open(door, key, Era::Older);
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
    pub fn connect_newest(door: &Arc<Door>, key: ApiKey) -> Self {
        Self::open(door, key, Era::Newest)
    }

    fn open(door: &Arc<Door>, key: ApiKey, era: Era) -> Self {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let registry = Registry::new(Arc::clone(door), KeySource::Stdio(key));
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
            era,
            next_id: 0,
            heard: VecDeque::new(),
        }
    }

    /// The next message that answers nothing.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn hear(&mut self) -> Result<Value, AskError> {
        match self.heard.pop_front() {
            Some(message) => Ok(message),
            None => self.next("a notification").await,
        }
    }

    async fn next(&mut self, method: &str) -> Result<Value, AskError> {
        let line = self
            .lines
            .next_line()
            .await
            .map_err(|error| AskError::new(method, error))?
            .ok_or_else(|| AskError::new(method, "the connection ended"))?;
        serde_json::from_str(&line).map_err(|error| AskError::new(method, error))
    }

    async fn send(&mut self, method: &str, message: &Value) -> Result<(), AskError> {
        let line = format!("{message}\n");
        self.out
            .write_all(line.as_bytes())
            .await
            .map_err(|error| AskError::new(method, error))
    }
}

impl Asking for Pipe {
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, AskError> {
        self.next_id += 1;
        let id = self.next_id;
        let message = request(self.era, id, method, params);
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
        tokio::time::timeout(PATIENCE, answer)
            .await
            .map_err(|_| AskError::new(method, "it took too long"))?
    }

    fn era(&self) -> Era {
        self.era
    }
}
