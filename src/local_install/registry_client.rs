//! What installing needs of a registry.

use serde_json::{Map, Value};

/// The registry's answer to a tool call: its structured content.
pub type ToolAnswer = Result<Value, ToolCallError>;

/// Why a tool call or a download has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolCallError {
    /// The registry refused it. The text says what to do.
    #[error("{message}")]
    Refused {
        /// Stable identifier of the reason; empty if there is none.
        code: String,
        message: String,
    },
    /// No answer, or none of a registry.
    #[error("{0}")]
    Failed(String),
}

/// A registry with the API key of a caller.
pub trait RegistryClient: Sync {
    /// Identifies the registry in markers and lock files: its address without `/mcp`, or `local`.
    fn id(&self) -> String;

    /// Calls a tool.
    fn call(&self, tool: &str, arguments: Map<String, Value>) -> impl Future<Output = ToolAnswer> + Send;

    /// Downloads a version as a zip archive.
    fn download(
        &self,
        slug: &str,
        version: &str,
    ) -> impl Future<Output = Result<Vec<u8>, ToolCallError>> + Send;
}
