//! Standard input and output: one client, one key. stdout carries JSON-RPC only.

use std::sync::Arc;

use rmcp::ServiceExt as _;

use crate::server::{CallService, CredentialSource, McpHandler};
use crate::tenancy::ApiKey;

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
pub async fn serve(call_service: Arc<CallService>, key: ApiKey) -> Result<(), StdioError> {
    let handler = McpHandler::new(Arc::clone(&call_service), CredentialSource::Stdio(key));
    let service = match handler.serve(rmcp::transport::stdio_pipes()).await {
        Ok(service) => service,
        // A client that closes the connection without a message is no error.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(StdioError::Start(error.to_string())),
    };
    let ended = service.waiting().await;
    call_service.drain().await;
    ended
        .map(|_| ())
        .map_err(|error| StdioError::Broken(error.to_string()))
}
