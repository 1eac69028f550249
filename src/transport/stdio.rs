//! Standard input and output: one caller, one key. Nothing but JSON-RPC is ever written to stdout.

use std::sync::Arc;

use rmcp::ServiceExt as _;

use crate::server::{CallService, CredentialSource, McpHandler};
use crate::tenancy::ApiKey;

/// Why serving ended badly.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client did not start a conversation.
    #[error("the client did not start an MCP conversation: {0}")]
    Start(String),
    /// The conversation broke off.
    #[error("the conversation broke off: {0}")]
    Broken(String),
}

/// Serves the client at the other end of stdin and stdout until it closes them.
///
/// # Errors
/// When the conversation does not start or breaks off.
pub async fn serve(call_service: Arc<CallService>, key: ApiKey) -> Result<(), StdioError> {
    let registry = McpHandler::new(Arc::clone(&call_service), CredentialSource::Stdio(key));
    let service = match registry.serve(rmcp::transport::stdio_pipes()).await {
        Ok(service) => service,
        // A client that leaves before it said anything is not a failure of ours.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(StdioError::Start(error.to_string())),
    };
    let ended = service.waiting().await;
    call_service.drain().await;
    ended
        .map(|_| ())
        .map_err(|error| StdioError::Broken(error.to_string()))
}
