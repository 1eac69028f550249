//! Tool calls and downloads of this process itself, beside the messages that it forwards.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header;
use reqwest::{StatusCode, Url};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::error::{describe, tls_cause};
use super::http_client::{self, NegotiatedProtocol};
use super::message::{Kind, Message};
use super::remote::Remote;
use crate::local_install::{RegistryClient, ToolAnswer, ToolCallError};

/// The protocol version of the calls. With it, a call needs no handshake before it.
const PROTOCOL_VERSION: &str = "2026-07-28";
/// Messages of the registry before an answer. They are not read.
const NOTICE_QUEUE: usize = 16;
/// The largest archive that is read, in bytes: the largest skill, uncompressed, and its list of files.
const MAX_ARCHIVE: usize = 20 << 20;

impl RegistryClient for Remote {
    fn id(&self) -> String {
        let url = self.url.as_str();
        url.strip_suffix("/mcp")
            .unwrap_or(url)
            .trim_end_matches('/')
            .to_owned()
    }

    async fn call(&self, tool: &str, arguments: Map<String, Value>) -> ToolAnswer {
        self.call_tool(tool, &arguments).await
    }

    async fn download(&self, slug: &str, version: &str) -> Result<Vec<u8>, ToolCallError> {
        self.get_archive(slug, version).await
    }
}

impl Remote {
    /// Calls a tool over Streamable HTTP.
    ///
    /// # Errors
    /// [`ToolCallError`].
    async fn call_tool(&self, tool: &str, arguments: &Map<String, Value>) -> ToolAnswer {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let message = json!({
            "jsonrpc": "2.0",
            "id": format!("skillkeep-{id}"),
            "method": "tools/call",
            "params": {
                "name": tool,
                "arguments": arguments,
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": PROTOCOL_VERSION,
                    "io.modelcontextprotocol/clientCapabilities": {},
                    "io.modelcontextprotocol/clientInfo": {"name": "skillkeep", "version": env!("CARGO_PKG_VERSION")},
                },
            },
        });
        let message = Message::parse(message.to_string().into_bytes());
        let (Ok(message), (out, mut notices)) = (message, mpsc::channel(NOTICE_QUEUE)) else {
            return Err(ToolCallError::Failed("the arguments cannot be sent".to_owned()));
        };
        let Kind::Request(id) = message.kind.clone() else {
            return Err(ToolCallError::Failed("the arguments cannot be sent".to_owned()));
        };
        let protocol = NegotiatedProtocol::default();
        let request = http_client::request(self, &message, &id, &protocol, &out);
        let answered = tokio::select! {
            answered = request => answered,
            // Never ends: `out` lives as long as the request.
            () = async { while notices.recv().await.is_some() {} } => return Err(ToolCallError::Failed("no answer".to_owned())),
        };
        let answer = answered.map_err(|error| ToolCallError::Failed(error.to_string()))?;
        tool_answer(&answer)
    }

    /// Downloads a version as a zip archive.
    ///
    /// # Errors
    /// [`ToolCallError`].
    async fn get_archive(&self, slug: &str, version: &str) -> Result<Vec<u8>, ToolCallError> {
        let url = self.download_url(slug, version);
        let user_agent = concat!("skillkeep/", env!("CARGO_PKG_VERSION"));
        let sending = self.client.get(url).header(header::USER_AGENT, user_agent).send();
        let failed = |reason: &str| {
            let host = &self.host;
            ToolCallError::Failed(format!(
                "the registry at {host} did not send the skill: {reason}; try again"
            ))
        };
        let mut response = match timeout(self.timeouts.response, sending).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let reason = tls_cause(&error).map_or_else(|| describe(&error), |tls| tls.to_string());
                return Err(failed(&reason));
            }
            Err(_) => return Err(failed("no answer in time")),
        };
        let status = response.status();
        let mut bytes = Vec::new();
        loop {
            match timeout(self.timeouts.response, response.chunk()).await {
                Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(failed(&describe(&error))),
                Err(_) => return Err(failed("no answer in time")),
            }
            if bytes.len() > MAX_ARCHIVE {
                return Err(failed("the archive is larger than 20 MiB"));
            }
        }
        match status {
            StatusCode::OK => Ok(bytes),
            _ => Err(refused_download(status, &bytes).unwrap_or_else(|| failed(&format!("status {status}")))),
        }
    }

    /// `/skills/{slug}/{version}.zip` in the place of `/mcp`.
    fn download_url(&self, slug: &str, version: &str) -> Url {
        let mut url = self.url.clone();
        let folder = self.url.path().trim_end_matches('/');
        let folder = folder.strip_suffix("/mcp").unwrap_or(folder).to_owned();
        url.set_path(&folder);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(["skills", slug, &format!("{version}.zip")]);
        }
        url
    }
}

fn refused_download(status: StatusCode, body: &[u8]) -> Option<ToolCallError> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |pointer: &str| Some(body.pointer(pointer)?.as_str()?.to_owned());
    Some(ToolCallError::Refused {
        code: text("/error/code").unwrap_or_else(|| status.as_str().to_owned()),
        message: text("/error/message")?,
    })
}

/// The result in a JSON-RPC response.
fn tool_answer(response: &[u8]) -> ToolAnswer {
    let not_a_result = || ToolCallError::Failed("the answer of the registry is not a tool result".to_owned());
    let response: Value = serde_json::from_slice(response).map_err(|_| not_a_result())?;
    if let Some(error) = response.get("error") {
        let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
        return Err(ToolCallError::Failed(message.to_owned()));
    }
    let result = response.get("result").ok_or_else(not_a_result)?;
    if result.get("isError") == Some(&Value::Bool(true)) {
        let text = |pointer: &str| {
            result
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        return Err(ToolCallError::Refused {
            code: text("/_meta/skillkeep~1error_code"),
            message: text("/content/0/text"),
        });
    }
    result.get("structuredContent").cloned().ok_or_else(not_a_result)
}
