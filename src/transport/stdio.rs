//! Standard input and output: one client, one key. stdout carries JSON-RPC only.

mod channel;

use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt as _;
use tokio::io::{AsyncRead, AsyncWrite};

use self::channel::channel;
use crate::local_install::LocalTools;
use crate::server::{CallService, CredentialSource, McpHandler};
use crate::tenancy::ApiKey;

/// How long a client that has closed stdin may take to read the last answers.
const FLUSH: Duration = Duration::from_secs(5);

/// Why serving failed.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client did not initialize the connection.
    #[error("the client did not initialize the MCP connection: {0}")]
    Start(String),
    /// The connection failed.
    #[error("the MCP connection failed: {0}")]
    Broken(String),
}

/// Serves the client on stdin and stdout until it closes stdin.
///
/// # Errors
/// When the connection is not initialized or fails.
pub async fn serve(call_service: Arc<CallService>, key: ApiKey, tools: LocalTools) -> Result<(), StdioError> {
    let (input, output) = rmcp::transport::stdio_pipes();
    let handler = handler(&call_service, key).with_local_tools(tools);
    serve_handler(call_service, handler, input, output).await
}

fn handler(call_service: &Arc<CallService>, key: ApiKey) -> McpHandler {
    McpHandler::new(Arc::clone(call_service), CredentialSource::Stdio(key))
}

/// As [`serve`], on any pair of streams, and without writing to this machine's disk.
///
/// # Errors
/// When the connection is not initialized or fails.
pub async fn serve_on<R, W>(
    call_service: Arc<CallService>,
    key: ApiKey,
    input: R,
    output: W,
) -> Result<(), StdioError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let handler = handler(&call_service, key);
    serve_handler(call_service, handler, input, output).await
}

async fn serve_handler<R, W>(
    call_service: Arc<CallService>,
    handler: McpHandler,
    input: R,
    output: W,
) -> Result<(), StdioError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (transport, mut writer) = channel(input, output);
    let ended = match handler.serve(transport).await {
        Ok(service) => {
            let ended = service.waiting().await;
            call_service.drain().await;
            ended
                .map(|_| ())
                .map_err(|error| StdioError::Broken(error.to_string()))
        }
        // A client that closes the connection without a message is no error.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(StdioError::Start(error.to_string())),
    };
    // The transport is gone, so the writer ends when everything is written.
    if tokio::time::timeout(FLUSH, &mut writer).await.is_err() {
        tracing::warn!("the client does not read stdout; the last answers are lost");
        writer.abort();
    }
    ended
}
