//! Tool calls and downloads of this process itself, beside the messages that it forwards.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header;
use reqwest::{StatusCode, Url};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::{describe, tls_cause};
use super::http_client::{self, NegotiatedProtocol};
use super::message::{Kind, Message};
use super::remote::Remote;
use crate::answer_size::cut;
use crate::local_install::{RegistryClient, ToolAnswer, ToolCallError};

/// The protocol version of the calls. With it, a call needs no handshake before it.
const PROTOCOL_VERSION: &str = "2026-07-28";
/// Messages of the registry before an answer. They are not read.
const NOTICE_QUEUE: usize = 16;
/// The largest archive that is read, in bytes: the largest skill, uncompressed, and its list of files.
const MAX_ARCHIVE: usize = 20 << 20;
/// The most characters of an error that the registry words.
const MAX_MESSAGE_CHARS: usize = 2_000;
/// The most that is read of a refusal, in bytes.
const MAX_REFUSAL: usize = 64 << 10;

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
        let deadline = Instant::now() + self.timeouts.download;
        let mut response = match timeout(self.timeouts.response, sending).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let reason = tls_cause(&error).map_or_else(|| describe(&error), |tls| tls.to_string());
                return Err(failed(&reason));
            }
            Err(_) => return Err(failed("no answer in time")),
        };
        let status = response.status();
        let max_bytes = match status {
            StatusCode::OK => MAX_ARCHIVE,
            _ => MAX_REFUSAL,
        };
        let mut bytes = Vec::new();
        loop {
            let next = (Instant::now() + self.timeouts.response).min(deadline);
            match timeout_at(next, response.chunk()).await {
                Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(failed(&describe(&error))),
                Err(_) if Instant::now() >= deadline => return Err(failed("it sends too slowly")),
                Err(_) => return Err(failed("no answer in time")),
            }
            if bytes.len() > max_bytes && status == StatusCode::OK {
                return Err(failed("the archive is larger than 20 MiB"));
            }
            if bytes.len() > max_bytes {
                break;
            }
        }
        match status {
            StatusCode::OK => Ok(bytes),
            _ if status.is_redirection() => Err(failed(&format!(
                "it redirects to another address (status {status}), to which the API key is not sent"
            ))),
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
        message: cut(&text("/error/message")?, MAX_MESSAGE_CHARS),
    })
}

/// The result in a JSON-RPC response.
fn tool_answer(response: &[u8]) -> ToolAnswer {
    let not_a_result = || ToolCallError::Failed("the answer of the registry is not a tool result".to_owned());
    let response: Value = serde_json::from_slice(response).map_err(|_| not_a_result())?;
    if let Some(error) = response.get("error") {
        let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
        return Err(ToolCallError::Failed(cut(message, MAX_MESSAGE_CHARS)));
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
            message: cut(&text("/content/0/text"), MAX_MESSAGE_CHARS),
        });
    }
    result.get("structuredContent").cloned().ok_or_else(not_a_result)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::bridge::RemoteOptions;

    /// A registry that sends a byte every 20 ms, and never ends.
    async fn slow_registry(head: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // A client rejects an answer that comes before its request.
                    let mut request = [0; 1_024];
                    let _ = stream.read(&mut request).await;
                    let mut sent = stream.write_all(head.as_bytes()).await;
                    while sent.is_ok() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        sent = stream.write_all(b"x").await;
                    }
                });
            }
        });
        url
    }

    async fn download(url: &str, response: u64, download: u64) -> String {
        let options = RemoteOptions {
            url,
            allow_http: false,
            ca_file: None,
        };
        let mut remote = Remote::new(&options, "key").unwrap();
        remote.timeouts.response = Duration::from_millis(response);
        remote.timeouts.download = Duration::from_millis(download);
        let answer = tokio::time::timeout(
            Duration::from_secs(10),
            RegistryClient::download(&remote, "tides", "1.0"),
        );
        answer.await.unwrap().unwrap_err().to_string()
    }

    #[tokio::test]
    async fn download_that_trickles_or_stalls_ends() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
        let trickles = slow_registry(head).await;
        let error = download(&trickles, 5_000, 300).await;
        assert!(error.contains("sends too slowly"), "{error}");
        let never_begins = slow_registry("HTTP/1.1 200 OK\r\nx-header: ").await;
        let error = download(&never_begins, 300, 5_000).await;
        assert!(error.contains("no answer in time"), "{error}");
    }
}
