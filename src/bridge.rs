//! Forwards MCP messages between a client on stdin and stdout and a remote registry over Streamable HTTP, or HTTP+SSE.
//!
//! Each line is sent unchanged (but for halves of surrogate pairs), and each answer is returned unchanged, so the bridge supports every protocol version that
//! the client and the registry have in common. The messages of a batch are sent one by one, and their answers returned as one array.
//! The bridge asks the client itself for its project folders, and does not forward the response. It has an API key, but no access to
//! a database.

mod batch;
mod client_requests;
mod error;
mod http_client;
mod local_calls;
mod message;
mod remote;
mod session;
mod sse_client;
mod sse_decoder;
mod tool_call;
mod upload;

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

pub use self::remote::{Remote, RemoteError, RemoteOptions, normalize_url};
pub use self::sse_client::run_over_sse;
pub use self::upload::{ArchiveUpload, UploadAnswer, UploadFailure};

use self::session::Session;
use crate::json_rpc::{Line, LineReader};
use crate::local_install::LocalTools;

/// The longest message of a client, in bytes; the same as over stdio without the bridge.
const MAX_MESSAGE: usize = 16 << 20;
/// Lines that wait for the client to read them.
const OUTPUT_QUEUE: usize = 64;

/// Forwards messages between the client at `input` and `output` and the registry, until the client closes either of them.
///
/// Requests in flight at the end of `input` get 5 s to finish. Each failure is reported as the response to its request,
/// so no failure of the registry ends the bridge.
///
/// With `tools`, `install_skill` and `check_installed` write and read the skills folders of this machine. Before an install into a
/// project, the bridge asks a client that can name its project folders, unless the user allowed one.
pub async fn run<R, W>(remote: Remote, tools: Option<LocalTools>, input: R, output: W)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let grace = remote.timeouts.drain;
    let (out, queue) = mpsc::channel(OUTPUT_QUEUE);
    let writer = tokio::spawn(write(output, queue));
    let session = Arc::new(Session::new(remote, tools, out.clone()));
    let mut lines = LineReader::new(input, MAX_MESSAGE);
    loop {
        let line = tokio::select! {
            biased;
            // The client has closed its input, so no response would be read.
            () = out.closed() => break,
            line = lines.next() => line,
        };
        match line {
            Ok(Some(Line::Text(text))) => session.accept(text).await,
            Ok(Some(Line::TooLong(id))) => {
                let answer = message::too_long_response(id.as_ref(), MAX_MESSAGE);
                session.send(answer).await;
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "cannot read from stdin");
                break;
            }
        }
    }
    session.drain(grace).await;
    drop((session, out));
    if let Err(error) = writer.await {
        tracing::error!(%error, "the task that writes to stdout failed");
    }
}

/// What the bridge could not get from the registry, by the code of its JSON-RPC error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeFailure {
    /// No answer from the registry.
    Unavailable,
    /// The answer does not come from a registry.
    NotARegistry,
    /// The registry rejected the API key.
    InvalidKey,
}

impl BridgeFailure {
    /// `None` if the code is not one of the bridge's.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        error::failure(code)
    }
}

/// Writes the lines to the client. The only writer, so lines do not mix.
async fn write(mut output: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut line) = queue.recv().await {
        line.push(b'\n');
        let written = match output.write_all(&line).await {
            Ok(()) => output.flush().await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::info!(%error, "the client has closed its input");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A server that sends this text on each connection, and then nothing more.
    async fn silent_server(text: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut open: Vec<TcpStream> = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(text.as_bytes()).await.unwrap();
                open.push(stream);
            }
        });
        format!("http://{address}")
    }

    fn remote(url: &str) -> Remote {
        let options = RemoteOptions {
            url,
            allow_http: false,
            ca_file: None,
        };
        Remote::new(&options, "skeep_test").unwrap()
    }

    #[tokio::test]
    async fn silent_registry_times_out() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\ncontent-type: ";
        let json = format!("{head}application/json\r\n\r\n{{");
        let stream = format!("{head}text/event-stream\r\n\r\n: hi\n\n");
        for text in [String::new(), json, stream] {
            let url = silent_server(text.clone()).await;
            let mut remote = remote(&url);
            remote.timeouts.response = Duration::from_millis(50);
            remote.timeouts.stream_idle = Duration::from_millis(50);
            let (mut stdin, input) = tokio::io::duplex(1024);
            let (output, stdout) = tokio::io::duplex(4096);
            let bridge = tokio::spawn(run(remote, None, input, output));
            let call = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{}}\n";
            stdin.write_all(call).await.unwrap();
            let line = BufReader::new(stdout).lines().next_line().await.unwrap().unwrap();
            let response: Value = serde_json::from_str(&line).unwrap();
            let message = response["error"]["message"].to_string();
            assert!(message.contains("in time"), "{text}: {message}");
            drop(stdin);
            bridge.await.unwrap();
        }
    }

    #[tokio::test]
    async fn bridge_ends_when_the_client_closes_its_input() {
        let url = silent_server(String::new()).await;
        let remote = remote(&url);
        let (mut stdin, input) = tokio::io::duplex(1024);
        let (output, stdout) = tokio::io::duplex(16);
        let bridge = tokio::spawn(run(remote, None, input, output));
        stdin
            .write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\nhello\n")
            .await
            .unwrap();
        drop(stdout);
        bridge.await.unwrap();
        drop(stdin);
    }

    #[tokio::test]
    async fn subscription_does_not_delay_the_end() {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let event = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\"}\n\n";
        let url = silent_server(format!("{head}{event}")).await;
        let mut remote = remote(&url);
        remote.timeouts.drain = Duration::from_secs(3600);
        let (mut stdin, input) = tokio::io::duplex(1024);
        let (output, stdout) = tokio::io::duplex(4096);
        let bridge = tokio::spawn(run(remote, None, input, output));
        let listen = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\"}\n";
        stdin.write_all(listen).await.unwrap();
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.contains("acknowledged"), "{line}");
        drop(stdin);
        let ended = tokio::time::timeout(Duration::from_secs(60), bridge).await;
        ended.expect("the bridge waits for the subscription").unwrap();
        assert_eq!(lines.next_line().await.unwrap(), None);
    }
}
