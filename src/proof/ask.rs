//! How the attacks reach a server: one question at a time, over whatever transport.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt as _;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};

use crate::server::{Door, KeySource, Registry};
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
}

/// A connection in memory, which is to the server what stdio is.
pub struct Pipe {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    out: WriteHalf<DuplexStream>,
    next_id: u64,
}

impl Pipe {
    /// Connects with this key, as a client of the revision that every server speaks.
    ///
    /// # Errors
    /// When the server does not greet back.
    pub async fn connect(door: &Arc<Door>, key: ApiKey) -> Result<Self, AskError> {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let registry = Registry::new(Arc::clone(door), KeySource::Stdio(key));
        tokio::spawn(async move {
            if let Ok(service) = registry.serve(far).await {
                // Ends when the near end is dropped.
                let _quit = service.waiting().await;
            }
        });
        let (read, out) = tokio::io::split(near);
        let mut pipe = Self {
            lines: BufReader::new(read).lines(),
            out,
            next_id: 0,
        };
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "skillkeep-proof", "version": "1"}});
        pipe.ask("initialize", hello).await?;
        pipe.send(
            "notifications/initialized",
            &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        )
        .await?;
        Ok(pipe)
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
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(method, &message).await?;
        let answer = async {
            loop {
                let line = self
                    .lines
                    .next_line()
                    .await
                    .map_err(|error| AskError::new(method, error))?
                    .ok_or_else(|| AskError::new(method, "the connection ended"))?;
                let message: Value =
                    serde_json::from_str(&line).map_err(|error| AskError::new(method, error))?;
                // What else comes are notifications.
                if message.get("id").and_then(Value::as_u64) == Some(id) {
                    return Ok(message);
                }
            }
        };
        tokio::time::timeout(PATIENCE, answer)
            .await
            .map_err(|_| AskError::new(method, "it took too long"))?
    }
}
